"""How well scores put positives ahead of negatives: the area under the ROC curve, and its influence functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.stats.correlation import ranks
from vgbench.stats.proportions import LEVEL
from vgbench.types import Columns, Interval, Scored, Value

ROC_AUC = "roc_auc"


def roc_auc(predictions: Columns, labels: Columns, options: Mapping[str, Any]) -> Scored:
    """Score two-class predictions by the area under the ROC curve of the positive class's scores, 0..1.

    ``predictions["scores"]`` (N, C) float32 in the order of ``options["class_ids"]``; ``labels["class_id"]`` (N,);
    ``options["positive"]``: the positive class's id, every other class is negative. The area is the share of pairs
    of a positive and a negative in which the positive has the higher score, equal scores counting half
    (Hanley & McNeil, Radiology 143 (1982) 29–36). The 95 % interval is normal with the variance of DeLong, DeLong &
    Clarke-Pearson (Biometrics 44 (1988) 837–845), cut to 0..1; there is none where that variance is 0. No value per
    item: the area is a mean over pairs. Raises ``ValueError`` for an unknown positive class or a score that is NaN.
    """
    class_ids = class_order(options)
    if options.get("positive") not in class_ids:
        raise ValueError(f"positive class {options.get('positive')!r} is none of {', '.join(class_ids[:5])}")
    scores = scores_of(predictions, class_ids)[:, class_ids.index(options["positive"])]
    positive = np.asarray(labels["class_id"]) == options["positive"]
    n, n_positive = len(positive), int(positive.sum())
    if not 0 < n_positive < n:
        return Scored((Value(ROC_AUC, None, n, reason=f"{n_positive} positive of {n} items"),))
    value, influence = area(scores, positive)
    return Scored((Value(ROC_AUC, value, n, normal(value, float((influence**2).sum()))),))


def area(scores: NDArray[Any], positive: NDArray[np.bool_]) -> tuple[float, NDArray[np.float64]]:
    """Return the area under the ROC curve and each item's influence on it (N,), whose squares sum to its variance.

    Both kinds must occur. The influences are DeLong's components, centred and divided by the number of their kind;
    with one item of a kind, that kind adds no variance. Of several curves over the same items, the influences of
    their mean are the mean of theirs. Midranks: Sun & Xu, IEEE Signal Processing Letters 21 (2014) 1389–1393.
    """
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    among_all, placement = ranks(scores), np.empty(len(scores))
    placement[positive] = (among_all[positive] - ranks(scores[positive])) / n_negative
    placement[~positive] = 1 - (among_all[~positive] - ranks(scores[~positive])) / n_positive
    value = float(placement[positive].mean())
    influence = placement - value
    for kind, n in ((positive, n_positive), (~positive, n_negative)):
        influence[kind] /= sqrt(n * max(n - 1, 1))
    return value, influence


def normal(value: float, variance: float) -> Interval | None:
    """Return the normal 95 % interval cut to 0..1; None for a variance of 0, which says nothing about other items."""
    if not variance > 0:
        return None
    half = NormalDist().inv_cdf(0.5 + LEVEL / 2) * sqrt(variance)
    return Interval(max(0.0, value - half), min(1.0, value + half), LEVEL, "normal")


def class_order(options: Mapping[str, Any]) -> list[str]:
    """Return the classes of the scores' columns; ``ValueError`` where the options do not say."""
    if not options.get("class_ids"):
        raise ValueError("the scorer's option class_ids is missing: the order of the classes in `scores`")
    return list(options["class_ids"])


def scores_of(predictions: Columns, class_ids: Sequence[str]) -> NDArray[Any]:
    """Return the scores (N, C); ``ValueError`` for another shape or a NaN, ``KeyError`` where there are none."""
    scores = np.asarray(predictions["scores"])
    if scores.ndim != 2 or scores.shape[1] != len(class_ids):
        raise ValueError(f"scores of shape {scores.shape} for {len(class_ids)} classes")
    if np.isnan(scores).any():
        raise ValueError(f"{int(np.isnan(scores).any(axis=1).sum())} samples have a score that is NaN")
    return scores
