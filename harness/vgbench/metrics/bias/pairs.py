"""The same objects shown in two ways: the difference of two accuracies, paired where the objects allow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.stats import newcombe, newcombe_unpaired
from vgbench.types import Interval

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Paired:
    """A − B, −1..1, over ``n`` pairs, or items where they do not pair; right ones and all of A and of B.

    ``table`` counts the pairs of which both, only a, only b, neither is right; None where the items do not pair.
    """

    value: float
    n: int
    ci: Interval
    right: tuple[int, int]
    of: tuple[int, int]
    table: tuple[int, int, int, int] | None


def difference(right: Bools, in_a: Bools, in_b: Bools, key: Any) -> Paired | None:
    """Compare the share of ``right`` (N,) in rows ``in_a`` with that in ``in_b``; None where either has no row.

    ``key`` (N,) names the object that a row shows, or None. Where every key stands once in each of the two, the
    interval is Newcombe's paired one, over pairs; otherwise that for independent samples.
    """
    n_a, n_b = int(in_a.sum()), int(in_b.sum())
    if not n_a or not n_b:
        return None
    right_a, right_b = int((right & in_a).sum()), int((right & in_b).sum())
    value = right_a / n_a - right_b / n_b
    table = None if key is None else _table(right, in_a, in_b, np.asarray(key))
    if table is None:
        ci = newcombe_unpaired(right_a, n_a, right_b, n_b)
        return Paired(value, n_a + n_b, ci, (right_a, right_b), (n_a, n_b), None)
    ci = newcombe(*table)
    return Paired(
        value, n_a, Interval(ci.lo, ci.hi, ci.level, "newcombe, paired"), (right_a, right_b), (n_a, n_b), table
    )


def _table(right: Bools, in_a: Bools, in_b: Bools, key: NDArray[Any]) -> tuple[int, int, int, int] | None:
    """Count both, only a, only b, neither; None unless the keys of both are the same, each once."""
    keys_a, first_a = np.unique(key[in_a], return_index=True)
    keys_b, first_b = np.unique(key[in_b], return_index=True)
    if len(keys_a) < in_a.sum() or len(keys_b) < in_b.sum() or not np.array_equal(keys_a, keys_b):
        return None
    a, b = right[in_a][first_a], right[in_b][first_b]
    return int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum())
