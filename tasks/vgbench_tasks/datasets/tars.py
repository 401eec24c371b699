"""Webdatasets as CLIP_benchmark writes them: SPLIT/0.tar, …, SPLIT/nshards.txt, classnames.txt, labels in ``cls``.

A multi-label set has ``npy`` instead: for each class, in the order of the names, whether the image has it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from vgbench.archives import tar_members
from vgbench.listing import Listing
from vgbench_tasks.datasets.naming import Naming
from vgbench_tasks.datasets.samples import SUFFIXES, Copy, Sample, split_name


def open_copy(listing: Listing, names: Sequence[str], naming: Naming, reading: Mapping[str, Any]) -> Copy:
    """Return the splits that the tars of a listing hold, by the folder they lie in."""
    by_folder: dict[str, list[str]] = {}
    for name in names:
        by_folder.setdefault(str(PurePosixPath(name).parent), []).append(name)
    splits = {split_name(PurePosixPath(folder).name): folder for folder in by_folder}
    multi_label = bool(reading.get("multi_label"))
    return Copy(
        "webdataset",
        {s: partial(_samples, listing, s, f, by_folder[f], naming, multi_label) for s, f in splits.items()},
    )


def _samples(
    listing: Listing, split: str, folder: str, names: Sequence[str], naming: Naming, multi_label: bool
) -> list[Sample]:
    counted = "nshards.txt" if folder == "." else f"{folder}/nshards.txt"
    if counted in listing.files and int(listing.path(counted).read_text()) != len(names):
        expected = listing.path(counted).read_text().strip()
        raise ValueError(f"{listing.root}/{folder}: {len(names)} of {expected} tars: a download was cut off")
    class_ids = _class_ids(listing, folder, naming)
    kind = "npy" if multi_label else "cls"
    found: list[Sample] = []
    for name in sorted(names, key=lambda name: (len(name), name)):  # 9.tar before 10.tar
        path = listing.path(name)
        samples: dict[str, dict[str, tuple[int, int]]] = {}
        for key, member, offset, size in tar_members(path):
            samples.setdefault(key, {})[member] = offset, size
        with path.open("rb") as file:
            for key, members in samples.items():
                images = [member for member in members if f".{member}" in SUFFIXES]
                if len(images) != 1 or kind not in members:
                    there = ", ".join(f".{member}" for member in members)
                    raise ValueError(f"{path}: sample {key!r} has no one image and .{kind}, only {there}")
                offset, size = members[kind]
                file.seek(offset)
                labels = _labels(file.read(size), class_ids, f"{path}: {key}.{kind}", multi_label)
                location = "{}#{}+{}".format(name, *members[images[0]])
                found.append(Sample(f"{split}/{key}", location, naming.in_order(labels)))
    return found


def _class_ids(listing: Listing, folder: str, naming: Naming) -> list[str]:
    parent = PurePosixPath(folder).parent
    for place in (PurePosixPath(folder), parent):
        name = str(place / "classnames.txt")
        if name in listing.files:
            lines = listing.path(name).read_text().splitlines()
            return naming.of_names([line.strip() for line in lines if line.strip()], str(listing.path(name)))
    return naming.of_numbers(str(Path(listing.root, folder)))


def _labels(data: bytes, class_ids: Sequence[str], where: str, multi_label: bool) -> list[str]:
    if not multi_label:
        text = data.decode("utf-8", "replace").strip()
        if not text.isdigit() or int(text) >= len(class_ids):
            raise ValueError(f"{where}: label {text!r} lies outside the {len(class_ids)} classes")
        return [class_ids[int(text)]]
    hot = np.load(io.BytesIO(data), allow_pickle=False)
    if hot.shape != (len(class_ids),) or not np.isin(hot, (0, 1)).all():
        raise ValueError(f"{where}: not {len(class_ids)} zeros and ones, but {hot.dtype} of shape {hot.shape}")
    return [class_id for class_id, has in zip(class_ids, hot.tolist(), strict=True) if has]
