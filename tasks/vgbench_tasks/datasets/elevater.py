"""ELEVATER's own files (vision-datasets): zips of images with an index of each split, in either of its two formats.

``train.txt``: lines "train.zip@path label[,label]", labels from 0, names in ``labels.txt`` (IRIS_DATA_FORMAT.md).
``train_meta.json``: COCO's images, categories and annotations; categories in the order of their ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from vgbench.archives import zip_members
from vgbench.listing import Listing
from vgbench_tasks.datasets.naming import Naming
from vgbench_tasks.datasets.samples import Copy, Sample, split_name

_INDEX = re.compile(r"(train|val|valid|validation|test)(?:_images|_ic|_meta)?\.(?:txt|json)")
LABELS = ("labels.txt", "labelmap.txt")


def indices(listing: Listing) -> dict[str, str]:
    """Return the index files of a listing by split; empty where it holds no data set of ELEVATER's."""
    zipped = {str(PurePosixPath(name).parent) for name in listing.files if name.endswith(".zip")}
    found: dict[str, str] = {}
    for name in listing.files:
        path = PurePosixPath(name)
        match = _INDEX.fullmatch(path.name)
        if match and str(path.parent) in zipped:
            split = split_name(match[1])
            if split in found:
                raise ValueError(
                    f"{listing.root}: {found[split]} and {name} are both an index of {split!r}; add one data set"
                )
            found[split] = name
    return found


def open_copy(listing: Listing, found: Mapping[str, str], naming: Naming, reading: Mapping[str, Any]) -> Copy:
    """Return the splits whose index files were ``found``."""
    multi_label = bool(reading.get("multi_label"))
    return Copy(
        "elevater",
        {split: partial(_samples, listing, split, name, naming, multi_label) for split, name in found.items()},
        is_protocol=True,
    )


def _samples(listing: Listing, split: str, index: str, naming: Naming, multi_label: bool) -> list[Sample]:
    where = str(listing.path(index))
    folder = PurePosixPath(index).parent
    lines, names = (_coco if index.endswith(".json") else _iris)(listing, index)
    class_ids = naming.of_names(names, where) if names else naming.of_numbers(where)
    members: dict[str, set[str]] = {}
    found: list[Sample] = []
    for path, labels in lines:
        archive, at, inside = path.partition("@")
        location = str(folder / path)
        if not at and location not in listing.files:
            raise ValueError(f"{where} names {path}, which does not lie there")
        if at and archive not in members:
            if str(folder / archive) not in listing.files:
                raise ValueError(f"{where} names {archive}, which does not lie there")
            members[archive] = set(zip_members(listing.path(str(folder / archive))))
        if at and inside not in members[archive]:
            raise ValueError(f"{where} names {path}, which the zip does not hold")
        if not multi_label and len(labels) != 1:
            raise ValueError(f"{where}: {path} has {len(labels)} labels, not one")
        if any(not 0 <= label < len(class_ids) for label in labels):
            raise ValueError(f"{where}: {path} has a label outside the {len(class_ids)} classes: {labels}")
        found.append(Sample(f"{split}/{path}", location, naming.in_order([class_ids[label] for label in labels])))
    return found


def _iris(listing: Listing, index: str) -> tuple[list[tuple[str, list[int]]], list[str]]:
    lines: list[tuple[str, list[int]]] = []
    for line in filter(None, map(str.strip, listing.path(index).read_text("utf-8").splitlines())):
        path, _, labels = line.rpartition(" ")  # only a path can hold spaces
        if not path or not all(label.isdigit() for label in labels.split(",")):
            raise ValueError(f"{listing.path(index)}: {line!r} is no path with its labels")
        lines.append((path, [int(label) for label in labels.split(",")]))
    folder = PurePosixPath(index).parent
    there = [str(folder / name) for name in LABELS if str(folder / name) in listing.files]
    text = listing.path(there[0]).read_text("utf-8") if there else ""
    return lines, [line.strip() for line in text.splitlines() if line.strip()]


def _coco(listing: Listing, index: str) -> tuple[list[tuple[str, list[int]]], list[str]]:
    content: dict[str, Any] = json.loads(listing.path(index).read_text("utf-8"))
    categories: Sequence[Mapping[str, Any]] = sorted(content["categories"], key=lambda category: category["id"])
    position = {category["id"]: i for i, category in enumerate(categories)}
    labels: dict[Any, list[int]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        image, category = annotation["image_id"], annotation["category_id"]
        if image not in labels or category not in position:
            raise ValueError(f"{listing.path(index)}: an annotation names image {image}, category {category}: no such")
        labels[image].append(position[category])
    lines = [
        (
            f"{image['zip_file']}@{image['file_name']}" if image.get("zip_file") else image["file_name"],
            labels[image["id"]],
        )
        for image in content["images"]
    ]
    names = [str(category["name"]) for category in categories]
    return lines, [] if all(name.isdigit() for name in names) else names
