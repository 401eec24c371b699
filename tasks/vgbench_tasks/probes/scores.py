"""From features to scores: unit length, softmax, sigmoid."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

SHORTEST = 1e-12  # torch's F.normalize, which GenBench calls: a feature of zeros stays zeros


def unit(x: NDArray[np.floating[Any]]) -> Floats:
    """Return the rows of ``x`` (…, D) at length 1."""
    wide = np.asarray(x, dtype=np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), SHORTEST))


def softmax(logits: NDArray[np.floating[Any]]) -> Floats:
    """Return the softmax over the last axis of ``logits`` (…, C); a logit of -inf has probability 0."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def sigmoid(logits: NDArray[np.floating[Any]]) -> Floats:
    """Return the logistic function of ``logits``; ±inf gives 1 and 0."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))
