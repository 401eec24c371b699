"""Single-label classification: top-1 and mean per-class accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vgbench.stats import wilson
from vgbench.types import Columns, Metric, Scored, Value

TOP1 = "top1"
MEAN_PER_CLASS = "mean_per_class"


def metrics(n_classes: int) -> tuple[Metric, Metric]:
    """Declare what ``top1`` reports for a class list of ``n_classes``, the main metric first."""
    return Metric(TOP1, chance=1 / n_classes), Metric(MEAN_PER_CLASS, chance=1 / n_classes)


def top1(predictions: Columns, labels: Columns, options: Mapping[str, Any]) -> Scored:
    """Score predicted class ids against true ones, row by row.

    ``predictions["prediction"]`` and ``labels["class_id"]`` are (N,) arrays of class ids, already aligned; a
    prediction ``na`` counts as wrong. Top-1 is the share of right rows with Wilson's 95 % interval;
    ``mean_per_class`` is the mean recall over the classes that occur (balanced accuracy), given without interval.
    Per item: right 1, wrong 0.
    """
    truth = np.asarray(labels["class_id"])
    right = np.asarray(predictions["prediction"]) == truth
    if right.shape != truth.shape:
        raise ValueError(f"{right.shape[0]} predictions for {truth.shape[0]} labels")
    classes, position = np.unique(truth, return_inverse=True)
    n_of_class = np.bincount(position, minlength=len(classes))
    recall = np.bincount(position, weights=right, minlength=len(classes)) / n_of_class
    n, correct = len(truth), int(right.sum())
    per_class = tuple((str(c), int(k), float(r)) for c, k, r in zip(classes, n_of_class, recall, strict=True))
    if n == 0:
        return Scored((Value(TOP1, None, 0, reason="no items"), Value(MEAN_PER_CLASS, None, 0, reason="no items")))
    values = Value(TOP1, correct / n, n, wilson(correct, n)), Value(MEAN_PER_CLASS, float(recall.mean()), n)
    return Scored(values, per_class, right.astype(float).tolist())
