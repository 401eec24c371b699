"""Image folders, whose last folder is the class: SPLIT/CLASS/x.jpg, CLASS/x.jpg, by name, wnid or number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from vgbench.listing import Listing
from vgbench_tasks.datasets.naming import Naming
from vgbench_tasks.datasets.samples import SPLITS, Copy, Sample, split_name

WHOLE = "whole"  # the one split of a folder without splits
_NAMED = {"train", "val", "test", *SPLITS}


def open_copy(listing: Listing, names: Sequence[str], naming: Naming, reading: Mapping[str, Any]) -> Copy:
    """Return the splits of a folder of images: by the first folder that is named like one, else one, ``whole``."""
    by_split: dict[str, list[str]] = {}
    for name in names:
        prefixes = reading.get("file_prefixes", {})
        of_file = next((s for prefix, s in prefixes.items() if PurePosixPath(name).name.startswith(prefix)), None)
        of_folder = next((part for part in PurePosixPath(name).parts[:-1] if part.lower() in _NAMED), WHOLE)
        by_split.setdefault(of_file or split_name(of_folder), []).append(name)
    return Copy("folder", {s: partial(_samples, listing, s, by_split[s], naming, reading) for s in by_split})


def _samples(
    listing: Listing, split: str, names: Sequence[str], naming: Naming, reading: Mapping[str, Any]
) -> list[Sample]:
    """Return a split's images. Raises ``ValueError`` for folders that name no class, unless they are to be ignored."""
    class_of: dict[PurePosixPath, str | None] = {}
    found: list[Sample] = []
    files = [PurePosixPath(name).name for name in names]
    unique = len(set(files)) == len(files)
    for name, file in zip(names, files, strict=True):
        folder = PurePosixPath(name).parent
        if folder not in class_of:
            class_of[folder] = _class_of(folder, naming, reading)
        class_id = class_of[folder]
        if class_id is not None:
            sample_id = f"{split}/{file if unique else name}"
            found.append(Sample(sample_id, name, (class_id,)))
    strangers = sorted(str(folder) for folder, class_id in class_of.items() if class_id is None)
    if strangers and not reading.get("ignores_other_classes"):
        raise ValueError(
            f"{listing.root}: {len(strangers)} folders name no class of the list: {', '.join(strangers[:3])}"
        )
    return found


def _class_of(folder: PurePosixPath, naming: Naming, reading: Mapping[str, Any]) -> str | None:
    if reading.get("folders") == "numbers":  # ImageNet-V2: 0, 1, …, 999; sorted as text they would be permuted
        number = int(folder.name) if folder.name.isdigit() else -1
        return naming.ids[number] if 0 <= number < len(naming.ids) else None
    nested = "/".join(folder.parts[-2:])  # SUN397: a/apartment_building/outdoor
    return naming.of_name(folder.name) or naming.of_name(nested)
