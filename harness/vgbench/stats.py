"""Intervals and tests for figures: what can be said from n items."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist, fmean, stdev

from vgbench.types import Interval


def wilson(successes: int, n: int, *, level: float = 0.95) -> Interval | None:
    """Return Wilson's score interval of a proportion, in fractions 0..1; None for n = 0.

    Source: E. B. Wilson, JASA 22 (1927) 209–212, without continuity correction.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return None
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(max(0.0, centre - half), min(1.0, centre + half), level, "wilson")


def permutation_control_holds(value: float, permuted: list[float], chance: float) -> bool:
    """Say whether a permuted-label control holds (design §2, *Seeds and budgets*).

    The permutations' mean must lie within 3.3·sd/√n of chance (n = 20), and ``value`` above every one of them.
    """
    if len(permuted) < 2:
        raise ValueError("a permutation control needs at least two permutations")
    allowed = 3.3 * stdev(permuted) / sqrt(len(permuted))
    return abs(fmean(permuted) - chance) <= allowed and value > max(permuted)
