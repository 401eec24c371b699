"""Tars in webdataset's layout: the members ``KEY.jpg``, ``KEY.cls``, … of one key are one sample."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vgbench.archives import tar_members
from vgbench.listing import Listing
from vgbench_plugins.files.candidates import SUFFIXES, Candidate, Found
from vgbench_plugins.files.labels import HINT, Labels


def find(listing: Listing, params: Mapping[str, Any]) -> Found:
    """Return the samples of every tar of a listing.

    Raises ``ValueError`` naming the tar that is compressed or cut short, and the sample that lacks a member or stands
    twice.
    """
    names = [name for name in listing.files if listing.path(name).suffix == ".tar" or not name]
    if not names:
        raise ValueError(f"{listing.root}: no .tar file lies there (compressed ones cannot be read in place)")
    labels = Labels(params, None)
    label, _, key_of_json = params["label"].partition(".")
    candidates: list[Candidate] = []
    for name in names:
        path = listing.path(name)
        samples: dict[str, dict[str, tuple[int, int]]] = {}
        for key, kind, offset, size in tar_members(path):
            members = samples.setdefault(key, {})
            if kind in members:
                raise ValueError(f"{path}: two members are called {key}.{kind}: a sample's key must be unique")
            members[kind] = offset, size
        with path.open("rb") as file:
            for key, members in samples.items():
                offset, size = members[_image(members, params["image"], f"{path}: sample {key!r}")]
                if label not in members:
                    raise ValueError(f"{path}: sample {key!r} has no member .{label}, only {_kinds(members)}")
                file.seek(members[label][0])
                class_name = labels.name(_value(file.read(members[label][1]), key_of_json, f"{path}: {key}.{label}"))
                if class_name is None:
                    raise ValueError(f"{path}: {key}.{label} is empty")
                image_id = f"{name}/{key}" if name else key
                candidates.append(Candidate(f"{name}#{offset}+{size}", image_id, class_name))
    return Found(candidates, {}, HINT)


def _image(members: Mapping[str, tuple[int, int]], given: str, sample: str) -> str:
    found = [kind for kind in members if (kind == given if given else f".{kind}" in SUFFIXES)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{sample} has several images: say image={' or image='.join(found)}")
    raise ValueError(f"{sample} has no image, only {_kinds(members)}")


def _kinds(members: Mapping[str, tuple[int, int]]) -> str:
    return ", ".join(f".{kind}" for kind in members)


def _value(data: bytes, key_of_json: str, member: str) -> object:
    text = data.decode("utf-8", "replace").strip()
    if not key_of_json:
        return text
    try:
        value = json.loads(text)[key_of_json]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{member} has no {key_of_json!r}: {type(error).__name__}") from error
    return value if isinstance(value, int) else str(value)
