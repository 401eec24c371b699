"""The softmax cross-entropy of a logit matrix, with classes along the first axis, where sums vectorise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Softmax:
    """Softmax of logits (K, N): ``probabilities`` (K, N); means over rows, in nats: ``loss`` and ``entropy``.

    ``loss`` is the cross-entropy with the labels, ``entropy`` that of the probabilities themselves.
    """

    probabilities: Floats
    loss: float
    entropy: float

    @classmethod
    def of(cls, logits: Floats, labels: NDArray[np.int64]) -> Softmax:
        """Evaluate ``logits`` (K, N) against ``labels`` (N,) in 0..K-1; both must be valid (nothing is checked)."""
        # Shifted by the largest, the logits lose nothing in the differences below: absolute errors stay near 1e-16
        # even where the loss is 1e-8.
        shifted = logits - logits.max(axis=0)
        probabilities = np.exp(shifted)
        total = probabilities.sum(axis=0)
        probabilities /= total
        log_total = float(np.log(total).mean())
        n = len(labels)
        return cls(
            probabilities,
            loss=log_total - float(shifted[labels, np.arange(n)].mean()),
            entropy=log_total - float(np.vdot(probabilities, shifted)) / n,
        )

    def slope(self, direction: Floats, labels: NDArray[np.int64]) -> float:
        """Return the derivative of ``loss`` as the logits move along ``direction`` (K, N)."""
        n = len(labels)
        own = float(direction[labels, np.arange(n)].mean())
        return float(np.vdot(self.probabilities, direction)) / n - own

    def bend(self, direction: Floats) -> float:
        """Return the second derivative of ``loss`` along ``direction`` (K, N): its mean variance under the softmax."""
        weighted = self.probabilities * direction
        mean = weighted.sum(axis=0)
        n = len(mean)
        return max((float(np.vdot(weighted, direction)) - float(np.vdot(mean, mean))) / n, 0.0)

    def spread(self) -> float:
        """Return the mean of p (1 - p) over rows and classes: the c of the curvature bound c * eigenvalue."""
        p = self.probabilities
        return (float(p.sum()) - float(np.vdot(p, p))) / p.size
