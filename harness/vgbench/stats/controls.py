"""Controls: figures at which a sound instrument reads chance."""

from __future__ import annotations

from math import sqrt
from statistics import fmean, stdev


def permutation_control_holds(value: float, permuted: list[float], chance: float) -> bool:
    """Say whether a permuted-label control holds (design §2, *Seeds and budgets*).

    The permutations' mean must lie within 3.3·sd/√n of chance (n = 20), and ``value`` above every one of them.
    """
    if len(permuted) < 2:
        raise ValueError("a permutation control needs at least two permutations")
    allowed = 3.3 * stdev(permuted) / sqrt(len(permuted))
    return abs(fmean(permuted) - chance) <= allowed and value > max(permuted)
