"""Which answers are right: by category id, or as the user already found."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.types import Columns


def right_of(predictions: Columns, category: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which answers are right, (N,) bool.

    ``predictions`` has ``correct`` (N,) of 0 and 1, or ``prediction`` (N,): a category id, or ``na``, which is wrong.
    """
    given = np.asarray(predictions["correct"] if "correct" in predictions else predictions["prediction"])
    if given.shape != category.shape:
        raise ValueError(f"{given.shape[0]} predictions for {category.shape[0]} labels")
    if "correct" not in predictions:
        return np.asarray(given == category, bool)
    numbers = given.astype(np.int64)
    if not np.isin(numbers, (0, 1)).all():
        raise ValueError("column correct holds other values than 0 and 1")
    return np.asarray(numbers == 1)
