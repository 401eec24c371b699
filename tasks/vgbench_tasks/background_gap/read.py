"""Read ImageNet-9's mixed backgrounds where they lie: mixed_same/val/00_dog/x.JPEG, mixed_rand/val/… alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from vgbench import Made, Step
from vgbench.listing import Listing
from vgbench_tasks.background_gap import tables
from vgbench_tasks.background_gap.categories import LISTED
from vgbench_tasks.datasets.factors import Case, Layout
from vgbench_tasks.datasets.samples import SUFFIXES

FOLDER = re.compile(r"(\d\d)_.+")  # 00_dog to 08_fish: the number says the class
# Whose foreground it is, if the file says so: fg_X_bg_Y (assumed, nobody here has seen the archive). Where files are
# called otherwise nothing pairs them, and the gap's interval is the unpaired one.
FOREGROUND = re.compile(r"fg_(.+?)_bg_.+")


def cases(listing: Listing) -> Sequence[Case]:
    """Return the images of the two variants that the gap is taken of; ``ValueError`` for a folder of no class."""
    ids = list(LISTED)
    found = []
    for name in listing.files:
        path = PurePosixPath(name)
        variant = next((part for part in path.parts[:-1] if part in tables.VARIANTS), None)
        if variant is None or path.suffix.lower() not in SUFFIXES:
            continue
        folder = FOLDER.fullmatch(path.parent.name)
        if folder is None or int(folder[1]) >= len(ids):
            raise ValueError(f"{listing.path(name)}: {path.parent.name!r} is none of 00_dog to 08_fish")
        class_id = ids[int(folder[1])]
        columns = {"class_id": class_id, "variant": variant}
        if foreground := FOREGROUND.fullmatch(path.stem):
            columns["foreground"] = f"{class_id}/{foreground[1]}"
        found.append(Case(f"{variant}/{path.parent.name}/{path.stem}", name, columns))
    if any("foreground" not in case.columns for case in found):  # a part of the pairs would be no test
        found = [replace(c, columns={n: v for n, v in c.columns.items() if n != "foreground"}) for c in found]
    return found


LAYOUT = Layout(cases, tables.labels, category="class_id")


def images(step: Step) -> Made:
    """Index the images of both variants, without their labels."""
    return LAYOUT.images(step)


def labels(step: Step) -> Made:
    """Write the class, the variant and, where files say it, the foreground of every image."""
    return LAYOUT.table(step)
