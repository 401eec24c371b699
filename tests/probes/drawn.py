"""Lessons drawn from a seed, and the probes' parts by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.steps.probe import Lesson
from vgbench.types import Part
from vgbench.worker import resolve
from vgbench_tasks.probes import vgbench_offer_parts

PARTS = {part.name: part for part in vgbench_offer_parts()}
N_CLASSES, N_FEATURES = 5, 12


def fitted(name: str, lesson: Lesson, **values: Any) -> Any:
    """Fit a declared probe on a lesson, with some of its values replaced."""
    return resolve(PARTS[name].entry)(lesson, {**PARTS[name].values, **values})


def scores(name: str, lesson: Lesson, test_x: NDArray[np.float32], **values: Any) -> NDArray[np.float64]:
    return np.asarray(fitted(name, lesson, **values)(test_x))


def centres(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(N_CLASSES, N_FEATURES))


def drawn(n_per_class: int, *, seed: int, noise: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return features (N, D), of no particular length, and labels (N,) in a mixed order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(N_CLASSES), n_per_class))
    x = centres()[labels] + noise * rng.normal(size=(len(labels), N_FEATURES))
    return (3.0 * x).astype(np.float32), labels


def texts(noise: float = 0.5) -> NDArray[np.float32]:
    found = centres() + noise * np.random.default_rng(99).normal(size=(N_CLASSES, N_FEATURES))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def several(labels: NDArray[np.int64], *, seed: int = 5) -> NDArray[np.bool_]:
    """Return (N, C) bool: the label and now and then others."""
    found = np.random.default_rng(seed).random((len(labels), N_CLASSES)) < 0.2
    found[np.arange(len(labels)), labels] = True
    return found


def lesson(
    x: NDArray[np.float32] | None,
    labels: NDArray[Any],
    *,
    text: NDArray[np.float32] | None = None,
    val: tuple[NDArray[np.float32], Any] | None = None,
    seed: int = 0,
) -> Lesson:
    """Make a lesson of one label vector, (N,) or (N, C), or of P of them where ``labels`` has one axis more."""
    vectors = labels if labels.ndim == (3 if labels.dtype == bool else 2) else labels[None]
    ids = [f"image-{i:03d}" for i in range(0 if x is None else len(x))]
    return Lesson(x, vectors, ids, N_CLASSES, text, val, seed)


def permuted(labels: NDArray[Any], n: int) -> NDArray[Any]:
    return np.stack([np.random.default_rng(k).permutation(labels) for k in range(n)])


def values_of(name: str) -> Mapping[str, Any]:
    return PARTS[name].values


def part(name: str) -> Part:
    return PARTS[name]
