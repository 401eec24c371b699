"""FOCUS: how much of a network's accuracy is left when objects stand in uncommon contexts?

Source: Kattakinda & Feizi, FOCUS (2022); CB_k and CB_avg as in lbGen eq. 9. Partition P_k holds the images with
exactly k uncommon attributes of time, weather and location. In the released set P_3 has 21 images, so one of them moves
CB_3 by 6 points: hence the intervals, and ``context_bias_12``. Reweighting by category is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.metrics.bias import resampling
from vgbench.metrics.bias.floor import floor_of, reason_at_floor
from vgbench.metrics.bias.rightness import right_of
from vgbench.metrics.declared import CHANCES
from vgbench.stats import wilson
from vgbench.types import Columns, Scored, Value

AVERAGE, TWO, REWEIGHTED = "context_bias_avg", "context_bias_12", "context_bias_12_reweighted"
N_PARTITIONS = 4
METHOD = "bootstrap within partitions"

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def context_bias(predictions: Columns, labels: Columns, options: Mapping[str, Any]) -> Scored:
    """Score answers to images with k = 0..3 uncommon attributes.

    ``labels["class_id"]`` (N,) category ids, and either ``n_uncommon`` (N,) 0..3 or columns ``uncommon_…`` (N,) of 0
    and 1, which are added up. ``predictions`` as in ``rightness.right_of``. All figures are fractions:

    ``accuracy_p0`` … ``accuracy_p3``  pooled top-1 of each partition, n its images; Wilson
    ``context_bias_1`` … ``_3``        CB_k = Acc(P_k) / Acc(P_0), n = |P_k|
    ``context_bias_avg``               (CB_1 + CB_2 + CB_3) / 3, n = |P_1| + |P_2| + |P_3|; the main metric
    ``context_bias_12``                (CB_1 + CB_2) / 2, without the rare partition
    ``context_bias_12_reweighted``     the same from accuracies per category, averaged with P_0's category weights
                                       (over the categories that P_k has, in P_0 too): another mix of categories is
                                       no context

    Intervals of ratios: bootstrap of the images within each partition (and category). Ratios are withheld where
    Acc(P_0) is below 3/K, a partition is empty, or ``floor`` / ``random_init`` (``vgbench.metrics.bias.floor``, for
    Acc(P_0)) say so. Option ``n_classes`` is K; default: the categories that occur.
    """
    category, uncommon = np.asarray(labels["class_id"]), _uncommon(labels)
    right = right_of(predictions, category)
    classes, position = np.unique(category, return_inverse=True)
    k = int(options.get("n_classes") or len(classes))
    n_cells = len(classes) * N_PARTITIONS
    cell = position * N_PARTITIONS + uncommon
    shape = (len(classes), N_PARTITIONS)
    n_of = np.bincount(cell, minlength=n_cells).astype(np.int64).reshape(shape)  # (categories, partitions)
    right_in = np.bincount(cell, weights=right, minlength=n_cells).astype(np.int64).reshape(shape)
    n, correct = n_of.sum(0), right_in.sum(0)

    def common(columns: Columns) -> tuple[int, int]:
        return int((right_of(columns, category) & (uncommon == 0)).sum()), int(n[0])

    withheld = _why_withheld(int(correct[0]), int(n[0]), k)
    withheld = withheld or reason_at_floor(int(correct[0]), int(n[0]), floor_of(options, common), "accuracy on P0,")
    # one resampling serves all of P_0..P_3, so that their intervals fit together
    drawn = None if withheld else resampling.shares(correct, n)
    values = [
        _mean(AVERAGE, correct, n, (1, 2, 3), drawn, withheld),
        _mean(TWO, correct, n, (1, 2), drawn, withheld),
        _reweighted(right_in, n_of, (1, 2), k, withheld),
        *(_mean(f"context_bias_{j}", correct, n, (j,), drawn, withheld) for j in range(1, N_PARTITIONS)),
        *(_accuracy(j, int(correct[j]), int(n[j])) for j in range(N_PARTITIONS)),
    ]
    return Scored(tuple(values))


def _uncommon(labels: Columns) -> Ints:
    """Return the number of uncommon attributes (N,), 0..3."""
    if "n_uncommon" in labels:
        found = np.asarray(labels["n_uncommon"]).astype(np.int64)
    else:
        names = sorted(name for name in labels if name.startswith("uncommon_"))
        if not names:
            raise KeyError("n_uncommon")
        found = np.sum([np.asarray(labels[name]).astype(np.int64) for name in names], axis=0)
    if found.size and not (found.min() >= 0 and found.max() < N_PARTITIONS):
        raise ValueError(f"uncommon attributes are {found.min()} to {found.max()}, expected 0 to {N_PARTITIONS - 1}")
    return found


def _accuracy(j: int, right: int, n: int) -> Value:
    name = f"accuracy_p{j}"
    return Value(name, right / n, n, wilson(right, n)) if n else Value(name, None, 0, reason=f"P{j} has no images")


def _why_withheld(right: int, n: int, k: int) -> str | None:
    if not n:
        return "P0 has no images"
    if right / n < CHANCES / k:
        return f"accuracy on P0, {right / n:.3f}, is below {CHANCES}/{k}: a ratio to it is noise"
    return None


def _mean(
    name: str, right: Ints, n: Ints, partitions: tuple[int, ...], drawn: Floats | None, withheld: str | None
) -> Value:
    """Return the mean of CB_k over partitions, from counts (4,) and their resampled shares ``drawn`` (B, 4)."""
    over = list(partitions)
    total = int(n[over].sum())
    empty = [f"P{j}" for j in partitions if not n[j]]
    reason = f"{', '.join(empty)} has no images" if empty else withheld
    if reason or drawn is None:
        return Value(name, None, total, reason=reason)
    accuracy = right / np.maximum(n, 1)
    ci = resampling.percentile(resampling.ratio(np.clip(drawn[:, over], 0, 1).mean(1), drawn[:, 0]), METHOD)
    return Value(name, float((accuracy[over] / accuracy[0]).mean()), total, ci)


def _reweighted(right: Ints, n: Ints, partitions: tuple[int, ...], k: int, withheld: str | None) -> Value:
    """Return the mean over partitions of Σ_c w_c Acc_c(P_k) / Σ_c w_c Acc_c(P_0), w_c ∝ P_0's images of category c."""
    total = int(n[:, list(partitions)].sum())
    shared = [(j, (n[:, j] > 0) & (n[:, 0] > 0)) for j in partitions]
    empty = [f"P{j}" for j, both in shared if not both.any()]
    reason = f"{', '.join(empty)} shares no category with P0" if empty else withheld
    if reason:
        return Value(REWEIGHTED, None, total, reason=reason)
    drawn = resampling.shares(right.ravel(), n.ravel()).reshape(-1, *n.shape)
    found, resampled = [], []
    for j, both in shared:
        weight = n[both, 0] / n[both, 0].sum()
        accuracy = weight @ (right[both] / np.maximum(n[both], 1))
        if accuracy[0] < CHANCES / k:
            reason = f"accuracy on P0 in the categories of P{j}, {accuracy[0]:.3f}, is below {CHANCES}/{k}"
            return Value(REWEIGHTED, None, total, reason=reason)
        found.append(accuracy[j] / accuracy[0])
        above = np.einsum("c,bc->b", weight, drawn[:, both, j])
        resampled.append(resampling.ratio(above, np.einsum("c,bc->b", weight, drawn[:, both, 0])))
    ci = resampling.percentile(np.mean(resampled, axis=0), "bootstrap within partitions and categories")
    return Value(REWEIGHTED, float(np.mean(found)), total, ci)
