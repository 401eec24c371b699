"""Controls: figures at which a sound instrument reads chance."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev


def is_at_chance(permuted: Sequence[float], chance: float) -> bool:
    """Say whether fits on permuted labels read chance: their mean within 3.3·sd/√n of it (design §2; n = 20 there)."""
    if len(permuted) < 2:
        raise ValueError("a permutation control needs at least two permutations")
    # 1e-12: permutations that all read the same have no spread, and their mean its rounding
    return abs(fmean(permuted) - chance) <= 3.3 * stdev(permuted) / sqrt(len(permuted)) + 1e-12


def is_above_all(value: float, permuted: Sequence[float]) -> bool:
    """Say whether the real labels taught more than each permutation of them."""
    return value > max(permuted)
