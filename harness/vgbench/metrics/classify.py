"""Single-label classification: top-1 and mean per-class accuracy, either as the main metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vgbench.stats import stratified, wilson
from vgbench.types import Columns, Metric, Scored, Value

TOP1 = "top1"
MEAN_PER_CLASS = "mean_per_class"


METRICS = (Metric(TOP1, chance="1/C"), Metric(MEAN_PER_CLASS, chance="1/C"))  # what both scorers report


def top1(predictions: Columns, labels: Columns, options: Mapping[str, Any]) -> Scored:
    """Score predicted class ids against true ones, row by row.

    ``predictions["prediction"]`` and ``labels["class_id"]`` are (N,) arrays of class ids, already aligned; a
    prediction ``na`` counts as wrong. Top-1 is the share of right rows with Wilson's 95 % interval;
    ``mean_per_class`` is the mean recall over the classes that occur (balanced accuracy), with the normal 95 %
    interval of a stratified mean. Per item: right 1, wrong 0.
    """
    return _scored(predictions, labels, MEAN_PER_CLASS, TOP1)


def mean_per_class(predictions: Columns, labels: Columns, options: Mapping[str, Any]) -> Scored:
    """Score as ``top1`` does, with mean per-class accuracy as the main metric.

    Per item: right N / (K n), wrong 0, with n the items of its class and K the classes that occur; their mean is the
    metric.
    """
    return _scored(predictions, labels, TOP1, MEAN_PER_CLASS)


def _scored(predictions: Columns, labels: Columns, other: str, main: str) -> Scored:
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
        return Scored((Value(main, None, 0, reason="no items"), Value(other, None, 0, reason="no items")))
    balanced = float(recall.mean())
    values = {
        TOP1: Value(TOP1, correct / n, n, wilson(correct, n)),
        MEAN_PER_CLASS: Value(MEAN_PER_CLASS, balanced, n, stratified(recall.tolist(), n_of_class.tolist())),
    }
    weight = {TOP1: np.ones(n), MEAN_PER_CLASS: (n / (len(classes) * n_of_class))[position]}
    return Scored((values[main], values[other]), per_class, (right * weight[main]).tolist())
