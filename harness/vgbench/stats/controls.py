"""Controls: figures at which a sound instrument reads chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

Z_999 = 3.2905  # the normal distribution's two-sided 99.9 % point: the 3.3 of design §2


def is_at_chance(permuted: Sequence[float], chance: float) -> bool:
    """Say whether fits on permuted labels read chance: their mean within t·sd/√n of it, at 99.9 %.

    t is Student's, 3.88 for n = 20: with the normal's 3.3 a sound instrument fails four times as often (ADR 6).
    """
    if len(permuted) < 2:
        raise ValueError("a permutation control needs at least two permutations")
    # 1e-12: permutations that all read the same have no spread, and their mean its rounding
    return (
        abs(fmean(permuted) - chance)
        <= _student(len(permuted) - 1) * stdev(permuted) / math.sqrt(len(permuted)) + 1e-12
    )


def _student(df: int) -> float:
    """Return Student's 99.9 % point by the Cornish-Fisher expansion (Abramowitz & Stegun 26.7.5); to .02 for df ≥ 9."""
    z = Z_999
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return sum(term / math.pow(df, k) for k, term in enumerate(terms))


def is_above_all(value: float, permuted: Sequence[float]) -> bool:
    """Say whether the real labels taught more than each permutation of them."""
    return value > max(permuted)
