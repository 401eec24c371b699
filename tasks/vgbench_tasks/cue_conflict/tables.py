"""What a user's table says about cue-conflict trials: in columns, or in the names of the images."""

from __future__ import annotations

import re

import numpy as np

from vgbench import UsageError
from vgbench.types import Columns
from vgbench_tasks.cue_conflict.categories import LISTED
from vgbench_tasks.usercolumns import refuse_unknown

NAME = re.compile(r"([a-z]+)\d+-([a-z]+)\d+(?:\.png)?")  # {shape}{n}-{texture}{m}, as the images are called


def labels(columns: Columns) -> Columns:
    """Return ``shape`` and ``texture`` (N,): the columns of these names, or what ``sample_id`` says.

    Raises ``UsageError`` for an id that is not {shape}{n}-{texture}{m}, and for an unknown category.
    """
    ids: list[str] = columns["sample_id"].tolist()
    if "shape" in columns:
        shape, texture = columns["shape"], columns["texture"]
    else:
        read = [NAME.fullmatch(sample_id) for sample_id in ids]
        strange = [sample_id for sample_id, match in zip(ids, read, strict=True) if match is None]
        if strange:
            shown = ", ".join(strange[:3]) + (", …" if len(strange) > 3 else "")
            raise UsageError(
                f"{len(strange)} sample ids are not {{shape}}{{n}}-{{texture}}{{m}}: {shown}",
                hint="cat7-elephant3 has the shape of a cat; or give the columns shape and texture",
            )
        names = [match.groups() for match in read if match is not None]
        shape, texture = (np.asarray([pair[i] for pair in names]) for i in (0, 1))
    refuse_unknown("categories of cue conflict", [*shape.tolist(), *texture.tolist()], list(LISTED))
    return {"sample_id": columns["sample_id"], "shape": shape, "texture": texture}
