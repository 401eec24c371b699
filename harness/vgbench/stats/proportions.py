"""Proportions in closed form: one, and two of the same items. Counts in, fractions out."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist

from vgbench.types import Interval

LEVEL = 0.95
POWER = 0.8


def wilson(successes: int, n: int, *, level: float = LEVEL) -> Interval | None:
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


def stratified(shares: Sequence[float], sizes: Sequence[int], *, level: float = LEVEL) -> Interval:
    """Return the normal interval of the mean of K strata's shares (mean per-class accuracy), in fractions 0..1.

    The variance is Σ p(1−p)/n / K², with each p drawn towards 1/2 by two items, (np+1)/(n+2): so that a class that is
    all right still has some (assumed; the customary Wald interval would have no width there).
    """
    drawn = [(share * n + 1) / (n + 2) for share, n in zip(shares, sizes, strict=True)]
    variance = sum(p * (1 - p) / n for p, n in zip(drawn, sizes, strict=True)) / len(sizes) ** 2
    mean, half = sum(shares) / len(shares), NormalDist().inv_cdf(0.5 + level / 2) * sqrt(variance)
    return Interval(max(0.0, mean - half), min(1.0, mean + half), level, "stratified normal")


def newcombe(both: int, only_a: int, only_b: int, neither: int, *, level: float = LEVEL) -> Interval:
    """Return the interval of the difference of two proportions of the same items: P(a right) − P(b right), −1..1.

    The four counts are the items that both, only a, only b, and neither got right; their sum must be above 0.
    Source: R. G. Newcombe, Statistics in Medicine 17 (1998) 2635–2650, method 10 (score, correlation corrected).
    Unlike the bootstrap it keeps a width when the two never disagree.
    """
    n = both + only_a + only_b + neither
    right_a, right_b = both + only_a, both + only_b
    a, b = wilson(right_a, n, level=level), wilson(right_b, n, level=level)
    if a is None or b is None:
        raise ValueError("no items")
    p_a, p_b = right_a / n, right_b / n
    product = right_a * (n - right_a) * right_b * (n - right_b)
    cross = both * neither - only_a * only_b
    phi = (max(cross - n / 2, 0) if cross > 0 else cross) / sqrt(product) if product else 0.0
    down_a, up_a, down_b, up_b = p_a - a.lo, a.hi - p_a, p_b - b.lo, b.hi - p_b
    below = sqrt(max(0.0, down_a**2 - 2 * phi * down_a * up_b + up_b**2))
    above = sqrt(max(0.0, up_a**2 - 2 * phi * up_a * down_b + down_b**2))
    return Interval(p_a - p_b - below, p_a - p_b + above, level, "newcombe")


def newcombe_unpaired(right_a: int, n_a: int, right_b: int, n_b: int, *, level: float = LEVEL) -> Interval:
    """Return the interval of the difference of two proportions of different items, a − b, −1..1.

    Source: R. G. Newcombe, Statistics in Medicine 17 (1998) 873–890, method 10 (score, no continuity correction).
    """
    a, b = wilson(right_a, n_a, level=level), wilson(right_b, n_b, level=level)
    if a is None or b is None:
        raise ValueError("no items")
    p_a, p_b = right_a / n_a, right_b / n_b
    below = sqrt((p_a - a.lo) ** 2 + (b.hi - p_b) ** 2)
    above = sqrt((a.hi - p_a) ** 2 + (p_b - b.lo) ** 2)
    return Interval(p_a - p_b - below, p_a - p_b + above, level, "newcombe, unpaired")


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Return McNemar's exact two-sided p-value from the items that one of two networks got right and the other wrong.

    Source: Q. McNemar, Psychometrika 12 (1947) 153–157, with the binomial distribution of the discordant items.
    """
    n, fewer = only_a + only_b, min(only_a, only_b)
    term = tail = 1  # C(n, 0), C(n, 1), …: whole numbers of any size, exact before the division
    for k in range(fewer):
        term = term * (n - k) // (k + 1)
        tail += term
    return min(1.0, float(2 * tail / (1 << n)))


def detectable(n: int, discordance: float, *, alpha: float = 1 - LEVEL, power: float = POWER) -> float:
    """Return the smallest true difference that McNemar's test on ``n`` items finds with ``power``.

    ``discordance`` is the share of items on which the two disagree. A difference d needs a discordance of at least
    d, so where the given one is less, that of d itself is taken.
    Source: the sample-size formula of R. J. Connor, Biometrics 43 (1987) 207–211, solved for the difference.
    """
    if n < 1 or not 0 <= discordance <= 1:
        raise ValueError(f"{n} items with a discordance of {discordance}")
    z_a, z_b = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)
    root = z_a * sqrt(n) + z_b * sqrt(max(0.0, n - z_a**2 + z_b**2))
    found = sqrt(discordance) * root / (n + z_b**2)
    if 0 < found <= discordance:
        return found
    lo, hi = 0.0, 1.0  # all disagreements in one direction: d·n = (z_a + z_b·√(1 − d))²
    for _ in range(60):
        middle = (lo + hi) / 2
        lo, hi = (middle, hi) if middle * n < (z_a + z_b * sqrt(1 - middle)) ** 2 else (lo, middle)
    return hi
