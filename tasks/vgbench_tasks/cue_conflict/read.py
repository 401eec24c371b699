"""Read the cue-conflict images where they lie: SHAPE/SHAPE7-TEXTURE3.png, as model-vs-human's archive has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from vgbench import Made, Step
from vgbench.listing import Listing
from vgbench_tasks.cue_conflict import tables
from vgbench_tasks.datasets.factors import Case, Layout


def cases(listing: Listing) -> Sequence[Case]:
    """Return the trials by their file names; ``ValueError`` for one that lies in another shape's folder."""
    found = []
    for name in listing.files:
        path = PurePosixPath(name)
        match = tables.NAME.fullmatch(path.name)
        if path.suffix.lower() != ".png" or match is None:
            continue
        if match[1] != path.parent.name:
            raise ValueError(f"{listing.path(name)}: the shape is {match[1]!r}, the folder's {path.parent.name!r}")
        found.append(Case(path.stem, name, {}))
    return found


LAYOUT = Layout(cases, tables.labels, category="shape")


def images(step: Step) -> Made:
    """Index the trials, without what they show."""
    return LAYOUT.images(step)


def labels(step: Step) -> Made:
    """Write the shape and the texture of every trial."""
    return LAYOUT.table(step)
