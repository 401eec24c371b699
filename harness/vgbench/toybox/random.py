"""Random words that depend on an image's seed and a counter only: the same on every machine, in any batch.

SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014) read as a
counter-based generator: word ``k`` is the mixed value of (mixed seed + (k + 1) × gamma). Integer arithmetic modulo
2^64 and exact shifts, so neither the Python or numpy version nor the processor can change a bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_LOW_16 = np.uint64(0xFFFF)


def words(seeds: NDArray[np.uint64], n: int) -> NDArray[np.uint64]:
    """Return the first ``n`` random words of each seed: (N,) uint64 to (N, n) uint64.

    Seeds next to each other are as unrelated as any. Raises ``TypeError`` for seeds of another type: a silent cast
    of a signed or floating array would change which images they mean.
    """
    if seeds.dtype != np.uint64:
        raise TypeError(f"seeds are {seeds.dtype}, not uint64")
    counters = np.arange(1, n + 1, dtype=np.uint64) * _GAMMA
    return _mix(_mix(seeds + _GAMMA)[:, None] + counters)


def uniform(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return words as float64 in [0, 1), in steps of 2^-53: the upper 53 bits, an exact conversion."""
    return (bits >> np.uint64(11)).astype(np.float64) / (1 << 53)


def bell(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return words as float64 of a bell-shaped distribution: mean 0, standard deviation 1, bounded by ±2√3.

    The sum of a word's four 16-bit quarters (Irwin-Hall of order 4), taken in integers and scaled once: a normal
    deviate would need a logarithm or a cosine, whose last bit differs between machines.
    """
    quarters = bits & _LOW_16
    for shift in (16, 32, 48):
        quarters = quarters + ((bits >> np.uint64(shift)) & _LOW_16)
    return (quarters.astype(np.float64) - 131070.0) * (1.7320508075688772 / 65536.0)


def octets(bits: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the eight bytes of each word, lowest first: (N, n) uint64 to (N, 8 n) uint8."""
    shifts = np.arange(0, 64, 8, dtype=np.uint64)
    parts = (bits[:, :, None] >> shifts).astype(np.uint8)
    return parts.reshape(len(bits), -1)


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return bits ^ (bits >> np.uint64(31))
