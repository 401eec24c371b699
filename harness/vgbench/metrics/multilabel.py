"""Multi-label classification: VOC2007's 11-point mean average precision, and the mean area under the ROC curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.metrics.ranking import area, class_order, normal, scores_of
from vgbench.types import Columns, Interval, Scored, Value

ELEVEN_POINT_MAP = "eleven_point_map"
MEAN_AUC = "mean_auc"
POINTS = 11
RESAMPLES = 200  # for a standard error, whose own error then is 1/√(2·200) = 5 %
CHUNK = 2_000_000  # counts of resampled items held at a time: 8 MB, and a copy for each class


def eleven_point_map(predictions: Columns, labels: Columns, options: Mapping[str, Any]) -> Scored:
    """Score by the mean over classes of the 11-point interpolated average precision; ``mean_auc`` beside it.

    ``predictions["scores"]`` (N, C) float32 in the order of ``options["class_ids"]``, ranked as they are given (no
    softmax, no threshold); ``labels["class_ids"]`` (N,) sequences of class ids. For each class the mean over recalls
    0, 0.1, …, 1 of the highest precision at that recall or above (VOC2007 devkit, §3.4.1; protocols.md §1.1).

    Equal scores are one step of the curve, whatever the order of the rows, as in ELEVATER's evaluator; the devkit's
    own sort leaves them in the order of its files. ``options["precision_at_recall_0"]``: "highest" (the devkit's, the
    default) or "one": ELEVATER's evaluator, and so GenBench's, adds the point (recall 0, precision 1) of
    scikit-learn's curve, which lifts a class whose first items are wrong by up to 1/11.

    The interval is normal with the standard error of 200 resamples of the images (``options["resamples"]``), cut to
    0..1. ``mean_auc``, the mean over classes of the one-vs-rest area under the ROC curve, is what a control is judged
    by: whatever ignores the images reads exactly 1/2 there, while the average precision of a guess depends on how
    frequent each class is (its declared chance is None). No value per item. Both values are withheld when a class has
    no positive or no negative: a mean over fewer classes is another metric.
    """
    class_ids = class_order(options)
    scores = scores_of(predictions, class_ids)
    truth = indicators(labels["class_ids"], class_ids)
    if scores.shape != truth.shape:
        raise ValueError(f"{len(scores)} predictions for {len(truth)} labels")
    n, n_of_class = len(truth), truth.sum(axis=0)
    poor = [class_ids[c] for c in np.flatnonzero((n_of_class == 0) | (n_of_class == n))]
    if poor:
        reason = f"{len(poor)} classes have no positive or no negative: {', '.join(poor[:3])}"
        return Scored((Value(ELEVEN_POINT_MAP, None, n, reason=reason), Value(MEAN_AUC, None, n, reason=reason)))
    start = options.get("precision_at_recall_0", "highest")
    if start not in ("highest", "one"):
        raise ValueError(f"precision_at_recall_0 is {start!r}: it must be highest or one")
    ranked = [Ranked.of(scores[:, c], truth[:, c]) for c in range(len(class_ids))]
    whole = np.ones((n, 1), np.int32)
    precisions = [float(one.average_precision(whole, start)[0]) for one in ranked]
    areas = [area(scores[:, c], truth[:, c]) for c in range(len(class_ids))]
    mean_auc = float(np.mean([value for value, _ in areas]))
    influence = np.mean([influence for _, influence in areas], axis=0)
    value = float(np.mean(precisions))
    return Scored(
        (
            Value(ELEVEN_POINT_MAP, value, n, _interval(ranked, value, n, start, options.get("resamples", RESAMPLES))),
            Value(MEAN_AUC, mean_auc, n, normal(mean_auc, float((influence**2).sum()))),
        ),
        tuple((c, int(k), p) for c, k, p in zip(class_ids, n_of_class, precisions, strict=True)),
    )


def indicators(lists: Sequence[Sequence[str]], class_ids: Sequence[str]) -> NDArray[np.bool_]:
    """Return (N, C) bool: which classes each sample has. ``ValueError`` for a class outside ``class_ids``."""
    position = {class_id: i for i, class_id in enumerate(class_ids)}
    found = np.zeros((len(lists), len(class_ids)), bool)
    for row, names in zip(found, lists, strict=True):
        for name in names:
            if name not in position:
                raise ValueError(f"label {name!r} is none of the {len(class_ids)} classes")
            row[position[name]] = True
    return found


@dataclass(frozen=True, slots=True)
class Ranked:
    """One class's items from the highest score down to the last positive.

    ``order`` (M,) item positions; ``starts`` (G,) where among them each group begins: it ends with items of equal
    scores that hold a positive, since elsewhere precision only falls. ``positive`` (P,) positions of the positives,
    ``first`` (G,) where among them each group begins.
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    positive: NDArray[np.intp]
    first: NDArray[np.intp]

    @classmethod
    def of(cls, scores: NDArray[Any], positive: NDArray[np.bool_]) -> Ranked:
        order = np.argsort(-scores, kind="stable")
        ranked, found = scores[order], positive[order]
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        hits = np.cumsum(found)[ends]
        held = np.diff(hits, prepend=0) > 0
        ends, hits = ends[held], hits[held]
        order = order[: ends[-1] + 1]
        return cls(order, np.append(0, ends[:-1] + 1), order[found[: len(order)]], np.append(0, hits[:-1]))

    def average_precision(self, weights: NDArray[np.int32], start: str) -> NDArray[np.float64]:
        """Return the 11-point average precision (B,) with each item counted ``weights`` (N, B) times; NaN for none."""
        seen = np.cumsum(np.add.reduceat(weights[self.order], self.starts), axis=0)
        hits = np.cumsum(np.add.reduceat(weights[self.positive], self.first), axis=0)
        best = np.maximum.accumulate((hits / np.maximum(seen, 1))[::-1])[::-1]  # at this recall or above
        at = [(hits * (POINTS - 1) < i * hits[-1]).sum(axis=0) for i in range(POINTS)]  # in whole numbers: exact
        points = np.take_along_axis(best, np.stack(at), axis=0)
        if start == "one":
            points[0] = 1.0
        points[:, hits[-1] == 0] = np.nan
        return np.asarray(points.mean(axis=0))


def _interval(ranked: Sequence[Ranked], value: float, n: int, start: str, resamples: int) -> Interval | None:
    """Resample images; a class that a resample has no positive of is left out of its mean."""
    if not resamples:
        return None
    random, means = np.random.RandomState(0), []  # frozen streams (NEP 19), and the same resamples for every source
    while resamples > 0:
        size = min(resamples, max(1, CHUNK // n))
        counts = [np.bincount(random.randint(0, n, n), minlength=n) for _ in range(size)]
        weights = np.stack(counts, axis=1).astype(np.int32)
        means.append(np.nanmean([one.average_precision(weights, start) for one in ranked], axis=0))
        resamples -= size
    found = normal(value, float(np.concatenate(means).var(ddof=1)))
    return found and Interval(round(found.lo, 6), round(found.hi, 6), found.level, "bootstrap, normal")
