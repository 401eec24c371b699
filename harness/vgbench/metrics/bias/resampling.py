"""Intervals of ratios that have no closed form here: bootstraps of counts, seeded by the counts themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vgbench.stats import RESAMPLES
from vgbench.types import Interval

LEVEL = 0.95
DIGITS = 6  # an interval's ends are rounded: no platform's last bit enters a row

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def random_of(*counts: Ints) -> np.random.RandomState:
    """Seed from the counts. ``RandomState``'s streams are frozen for ever (NEP 19)."""
    text = b"".join(repr(c.shape).encode() + np.ascontiguousarray(c, "<i8").tobytes() for c in counts)
    return np.random.RandomState(np.frombuffer(hashlib.sha256(text).digest(), "<u4"))


def multinomial(counts: Sequence[int], *, resamples: int = RESAMPLES) -> Floats:
    """Resample N items of M kinds with replacement: (resamples, M) shares of each kind. N must be above 0."""
    given = np.asarray(counts, np.int64)
    n = int(given.sum())
    return random_of(given).multinomial(n, given / n, size=resamples) / n


def shares(right: Ints, n: Ints, *, resamples: int = RESAMPLES) -> Floats:
    """Resample the items within each of M groups: (resamples, M) shares of right ones; NaN for an empty group.

    Errors are drawn at (right + 1) / (n + 2), so that a group that is all right or all wrong keeps a width (as in
    ``vgbench.stats.stratified``; assumed), and added to the share found. Shares beyond 0..1 are cut by the caller,
    after groups are averaged: cut one by one, small groups would pull the mean to the middle.
    """
    safe = np.maximum(n, 1)
    drawn = (right + 1) / (n + 2)
    error = random_of(right, n).binomial(safe, drawn, size=(resamples, len(n))) / safe - drawn
    found: Floats = right / safe + error
    found[:, n == 0] = np.nan
    return found


def percentile(values: Floats, method: str) -> Interval | None:
    """Return the percentile interval of resampled values (B,); those without a value (NaN) are left out."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    lo, hi = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(round(float(lo), DIGITS), round(float(hi), DIGITS), LEVEL, method)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide shares, each cut to 0..1, element by element; NaN where the denominator is 0."""
    above, below = np.clip(numerator, 0.0, 1.0), np.clip(denominator, 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(below > 0, above / below, np.nan)
    return found
