"""Background gap: the same foregrounds before a background of their own class, and before one of another.

Source: Xiao et al., *Noise or Signal*, ICLR 2021 (ImageNet-9): BG-gap = Acc(mixed-same) − Acc(mixed-rand). The relative
form is ours: an accuracy of .2 cannot have a gap of .3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.metrics.bias import resampling
from vgbench.metrics.bias.floor import floor_of, reason_at_floor
from vgbench.metrics.bias.pairs import Paired, difference
from vgbench.metrics.bias.rightness import right_of
from vgbench.stats import wilson
from vgbench.types import Columns, Scored, Value

GAP, RELATIVE = "background_gap", "background_gap_relative"
ACCURACY_SAME, ACCURACY_RAND = "accuracy_same", "accuracy_rand"
SAME, RAND = "same", "rand"  # values of the column ``variant``

Bools = NDArray[np.bool_]


def background_gap(predictions: Columns, labels: Columns, options: Mapping[str, Any]) -> Scored:
    """Score answers to foregrounds on backgrounds of the same and of a random other class.

    ``labels["class_id"]`` (N,) the foreground's class, ``variant`` (N,) ``same`` or ``rand``, and where it is known
    ``foreground`` (N,), the object's id. ``predictions`` as in ``rightness.right_of``. All figures are fractions:

    ``background_gap``           Acc(same) − Acc(rand), −1..1; Newcombe's paired interval, n foregrounds, where each
                                 stands once in both variants; otherwise his interval of independent samples, n images
    ``background_gap_relative``  that divided by Acc(same): the share of accuracy that rests on the background;
                                 bootstrap over pairs (or within variants). Withheld unless Acc(same) is above 1/K
                                 (its Wilson interval is)
    ``accuracy_same``, ``accuracy_rand``   Wilson

    Options: ``n_classes`` (K; default: the classes that occur); ``floor`` or ``random_init``
    (``vgbench.metrics.bias.floor``) for Acc(same). Per class: its own gap, n its images. Per item: see ``_items``;
    their mean is the gap.
    """
    category, variant = np.asarray(labels["class_id"]), np.asarray(labels["variant"])
    strange = sorted(set(np.unique(variant).tolist()) - {SAME, RAND})
    if strange:
        raise ValueError(f"variant {strange[0]!r} is neither {SAME!r} nor {RAND!r}")
    right, same = right_of(predictions, category), variant == SAME
    rand = ~same
    k = int(options.get("n_classes") or len(np.unique(category)))
    a, b = int((right & same).sum()), int((right & rand).sum())
    n_a, n_b = int(same.sum()), int(rand.sum())

    def with_own(columns: Columns) -> tuple[int, int]:
        return int((right_of(columns, category) & same).sum()), n_a

    found = difference(right, same, rand, labels.get("foreground"))
    withheld = reason_at_floor(a, n_a, floor_of(options, with_own), "accuracy on backgrounds of the same class,")
    values = (
        _gap(found, withheld),
        _relative(found, k, withheld),
        _accuracy(ACCURACY_SAME, a, n_a),
        _accuracy(ACCURACY_RAND, b, n_b),
    )
    if values[0].value is None:
        return Scored(values)
    return Scored(values, _by_class(category, right, same), _items(right, same, labels.get("foreground"), found))


def _items(right: Bools, same: Bools, foreground: Any, found: Paired | None) -> list[float]:
    """Return one value for each image, whose mean is the gap, so that resampling images resamples what varies.

    Paired: twice the difference of a pair on its ``same`` image, 0 on the other. Not paired: each image's distance from
    its variant's accuracy, scaled by the variant's share, on top of the gap.
    """
    assert found is not None
    values = np.zeros(len(right))
    if found.table is not None:
        key = np.asarray(foreground)
        rows_same, rows_rand = (np.flatnonzero(of)[np.argsort(key[of], kind="stable")] for of in (same, ~same))
        values[rows_same] = 2.0 * (right[rows_same].astype(float) - right[rows_rand])
        return [float(value) for value in values]
    for of, sign, share in ((same, 1.0, found.right[0] / found.of[0]), (~same, -1.0, found.right[1] / found.of[1])):
        values[of] = found.value + sign * (len(right) / of.sum()) * (right[of] - share)
    return [float(value) for value in values]


def _accuracy(metric: str, right: int, n: int) -> Value:
    return Value(metric, right / n, n, wilson(right, n)) if n else Value(metric, None, 0, reason="no images")


def _gap(found: Paired | None, withheld: str | None) -> Value:
    if found is None:
        return Value(GAP, None, 0, reason=f"no images of variant {SAME} or none of {RAND}")
    return Value(GAP, None, found.n, reason=withheld) if withheld else Value(GAP, found.value, found.n, found.ci)


def _relative(found: Paired | None, k: int, withheld: str | None) -> Value:
    if found is None:
        return Value(RELATIVE, None, 0, reason=f"no images of variant {SAME} or none of {RAND}")
    (a, b), (n_a, n_b) = found.right, found.of
    own = wilson(a, n_a)
    assert own is not None
    if withheld is None and own.lo <= 1 / k:
        withheld = f"accuracy on backgrounds of the same class, {a / n_a:.3f}, is not above 1/{k}, what guessing gives"
    if withheld:
        return Value(RELATIVE, None, found.n, reason=withheld)
    if found.table is not None:
        drawn = resampling.multinomial(found.table)
        accuracy_same, accuracy_rand = drawn[:, 0] + drawn[:, 1], drawn[:, 0] + drawn[:, 2]
    else:
        drawn = resampling.shares(np.array([a, b]), np.array([n_a, n_b]))
        accuracy_same, accuracy_rand = drawn[:, 0], drawn[:, 1]
    method = "bootstrap over pairs" if found.table is not None else "bootstrap within variants"
    ci = resampling.percentile(1 - resampling.ratio(accuracy_rand, accuracy_same), method)
    return Value(RELATIVE, 1 - (b / n_b) / (a / n_a), found.n, ci)


def _by_class(category: NDArray[Any], right: Bools, same: Bools) -> tuple[tuple[str, int, float], ...]:
    """Return each class's gap; classes that have images of one variant only are left out."""
    classes, position = np.unique(category, return_inverse=True)

    def accuracy(of: Bools) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        n = np.bincount(position[of], minlength=len(classes))
        return n, np.bincount(position[of], weights=right[of], minlength=len(classes)) / np.maximum(n, 1)

    (n_a, a), (n_b, b) = accuracy(same), accuracy(~same)
    rows = zip(classes, n_a, n_b, a - b, strict=True)
    return tuple((str(c), int(x + y), float(gap)) for c, x, y, gap in rows if x and y)
