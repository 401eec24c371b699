"""What a training run does when: sample order, augmentation draws, learning rate, EMA; pure functions of step and seed.

Nothing here keeps a random state, so a run resumed at any step goes on exactly as if it had never stopped.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


def derived_seed(seed: int, purpose: str) -> int:
    """Return the 63-bit seed of one use of ``seed``, a hash of both: uses never share a stream."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "big") >> 1


def draws(seed: int, purpose: str, indices: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return one 64-bit draw for each index, (N,) uint64: output number ``index`` of SplitMix64 (Steele et al. 2014).

    A draw depends on (seed, purpose, index) only. Written out, because NumPy's generators may change between versions.
    """
    golden = 0x9E3779B97F4A7C15
    start = derived_seed(seed, purpose)
    z = np.uint64(start) + (indices.astype(np.uint64) + np.uint64(1)) * np.uint64(golden)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def permutation(n: int, seed: int, purpose: str) -> NDArray[np.int64]:
    """Return a permutation of 0..n-1, (n,) int64, drawn from the seed for one purpose."""
    return np.argsort(draws(seed, purpose, np.arange(n)), kind="stable").astype(np.int64)


@dataclass(frozen=True, slots=True)
class Batch:
    """The samples of one optimiser step, and how each is augmented.

    ``indices`` (B,) int64 into the training set; ``top_px``, ``left_px`` (B,) int64 in 0..2·shift_px, the corner of
    the crop out of the padded image; ``is_flipped`` (B,) bool, left to right; ``draw`` (B,) uint64, the seed of
    whatever else is drawn for a sample in its epoch.
    """

    indices: NDArray[np.int64]
    top_px: NDArray[np.int64]
    left_px: NDArray[np.int64]
    is_flipped: NDArray[np.bool_]
    draw: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.indices)

    def part(self, start: int, stop: int) -> Batch:
        """Return the samples from ``start`` to before ``stop``."""
        return Batch(*(getattr(self, field.name)[start:stop] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """The samples of one forward pass: micro-batch ``number`` of optimiser step ``step``, both counted from 0."""

    step: int
    number: int
    samples: Batch


def micro_batches(order: Iterable[Batch], numbers: range, *, size: int, start: int = 0) -> Iterator[MicroBatch]:
    """Cut the batches of steps ``start``, ``start + 1``, … into micro-batches of ``size``; yield those of ``numbers``.

    A step's micro-batches are the same whoever computes them: several processes take different ``numbers`` each.
    """
    for step, batch in enumerate(order, start):
        for number in numbers:
            yield MicroBatch(step, number, batch.part(number * size, (number + 1) * size))


def batches(
    n: int, batch: int, *, steps: int, seed: int, shift_px: int = 0, flip: bool = False, start: int = 0
) -> Iterator[Batch]:
    """Yield the batches of optimiser steps ``start`` .. ``steps - 1``.

    Batches of constant size run over the concatenation of all epochs, each its own permutation of the n samples, so
    that samples_seen means the same for every size of source; a batch may span epochs.
    """
    epoch, order = -1, np.empty(0, np.int64)
    for step in range(start, steps):
        pieces: list[Batch] = []
        position, stop = step * batch, (step + 1) * batch
        while position < stop:
            if position // n != epoch:
                epoch = position // n
                order = permutation(n, seed, f"order/{epoch}")
            end = min(stop, (epoch + 1) * n)
            chosen = order[position - epoch * n : end - epoch * n]
            pieces.append(_augmented(chosen, epoch, seed=seed, shift_px=shift_px, flip=flip))
            position = end
        yield Batch(*(np.concatenate([getattr(piece, field.name) for piece in pieces]) for field in fields(Batch)))


def _augmented(indices: NDArray[np.int64], epoch: int, *, seed: int, shift_px: int, flip: bool) -> Batch:
    places = np.uint64(2 * shift_px + 1)
    top = draws(seed, f"top/{epoch}", indices) % places
    left = draws(seed, f"left/{epoch}", indices) % places
    flips = draws(seed, f"flip/{epoch}", indices) >> np.uint64(63) == 1 if flip else np.zeros(len(indices), np.bool_)
    draw = draws(seed, f"augmentation/{epoch}", indices)
    return Batch(indices, top.astype(np.int64), left.astype(np.int64), flips, draw)


def n_steps(samples_seen: int, batch: int) -> int:
    """Return the number of optimiser steps: whole batches only, so at most batch - 1 samples of the budget stay unseen.

    Raises:
        ValueError: a budget below zero, or above zero but smaller than one batch.
    """
    if samples_seen < 0 or 0 < samples_seen < batch:
        raise ValueError(f"samples_seen is {samples_seen}: it must be 0 or at least one batch ({batch})")
    return samples_seen // batch


def learning_rate(step: int, steps: int, *, lr: float, min_lr: float, warmup_fraction: float) -> float:
    """Return the rate of optimiser step ``step`` (0-based): linear from 0 to ``lr``, then a cosine down to ``min_lr``.

    The warm-up takes round(warmup_fraction · steps) steps, the cosine all others (lbGen, Table 5: 12 of 120 epochs).
    Equal to timm's CosineLRScheduler with ``warmup_prefix=True``, updated at every step.
    """
    warmup = round(warmup_fraction * steps)
    if step < warmup:
        return lr * step / warmup
    return min_lr + 0.5 * (lr - min_lr) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def ema_decay(horizon: float, steps: int) -> float:
    """Return the decay of an EMA that averages over the fraction ``horizon`` of the run's steps; 0 means no averaging.

    As a fraction it keeps its meaning when the budget changes: lbGen's 0.9999 (Table 5) over 120 · 1,281,167 / 2,048
    = 75,068 steps is a horizon of 0.1332.
    """
    averaged_steps = horizon * steps
    return 1 - 1 / averaged_steps if averaged_steps > 1 else 0.0
