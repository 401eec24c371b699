"""Which answers are right: by category id, by several ids, or as the user already found."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.types import Columns

SEVERAL = "|"  # joins the ids of a prediction that stands for several categories


def right_of(predictions: Columns, category: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which answers are right, (N,) bool.

    ``predictions`` has ``correct`` (N,) of 0 and 1, or ``prediction`` (N,): a category id; several joined by ``|``, of
    which one must be right (FOCUS counts ImageNet's pickup as a car and as a truck); or ``na``, which is wrong.
    """
    if "correct" in predictions:
        found = np.asarray(predictions["correct"]).astype(np.int64)
        if not np.isin(found, (0, 1)).all():
            raise ValueError("column correct holds other values than 0 and 1")
        right = found == 1
    else:
        said = np.asarray(predictions["prediction"])
        right = said == category if said.shape == category.shape else np.zeros(0, bool)
        if said.shape == category.shape and said.dtype.kind in "UO":
            for several in (value for value in np.unique(said) if SEVERAL in value):
                right |= (said == several) & np.isin(category, several.split(SEVERAL))
    n = len(predictions["correct"] if "correct" in predictions else predictions["prediction"])
    if right.shape != category.shape:
        raise ValueError(f"{n} predictions for {category.shape[0]} labels")
    return np.asarray(right, bool)
