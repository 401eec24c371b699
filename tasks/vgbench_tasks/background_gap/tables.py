"""What a user's tables say about images of mixed backgrounds."""

from __future__ import annotations

import numpy as np

from vgbench.types import Columns
from vgbench_tasks.background_gap.categories import CATEGORIES, LISTED
from vgbench_tasks.usercolumns import binary, predicted, refuse_unknown

VARIANTS = {"same": "same", "rand": "rand", "mixed_same": "same", "mixed_rand": "rand"}


def predictions(columns: Columns) -> Columns:
    """Return ``prediction`` (N,), a class of ImageNet-9 or ``na``, or ``correct`` (N,) of 0 and 1.

    An ImageNet class 0..999 counts as its class, or as ``na``.
    """
    if "prediction" not in columns:
        return {"sample_id": columns["sample_id"], "correct": binary("correct", columns["correct"])}
    return {"sample_id": columns["sample_id"], "prediction": predicted(columns["prediction"], CATEGORIES)}


def labels(columns: Columns) -> Columns:
    """Return ``class_id``, ``variant`` (same or rand; also mixed_same and mixed_rand), ``foreground`` if given."""
    refuse_unknown("classes of ImageNet-9", columns["class_id"].tolist(), list(LISTED))
    refuse_unknown("variants", columns["variant"].tolist(), list(VARIANTS))
    return {**columns, "variant": np.asarray([VARIANTS[value] for value in columns["variant"].tolist()])}
