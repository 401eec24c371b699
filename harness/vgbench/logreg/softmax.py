"""The softmax cross-entropy of a logit matrix, with classes along the first axis, where sums vectorise.

Logits are *relative*: less the logit of the row's own class, which is therefore 0. Then nothing small is a difference
of large numbers: a loss of 1e-6 keeps its digits even in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Reals = NDArray[np.floating[Any]]  # float32 or float64: the solver works in either


def relative(logits: Reals, labels: NDArray[np.int64]) -> Reals:
    """Subtract from ``logits`` (K, N), in place, each row's logit of its own class in ``labels`` (N,); return them."""
    logits -= logits[labels, np.arange(len(labels))]
    return logits


@dataclass(frozen=True, slots=True, eq=False)
class Softmax:
    """Softmax of relative logits (K, N): ``difference`` (K, N), probabilities less the one-hot labels.

    ``loss``: mean cross-entropy with the labels over rows, in nats.
    """

    difference: Reals
    loss: float

    @classmethod
    def of(cls, logits: Reals, labels: NDArray[np.int64]) -> Softmax:
        """Evaluate relative ``logits`` (K, N) of ``labels`` (N,) in 0..K-1 (nothing is checked)."""
        own = labels, np.arange(len(labels))
        largest = logits.max(axis=0)  # not negative: the own class has 0
        p = logits - largest
        np.exp(p, out=p)
        p[own] = 0.0
        others = p.sum(axis=0)
        rest = others + np.expm1(-largest)  # the sum over all classes, less 1
        scale = 1.0 / (1.0 + rest)
        p *= scale
        p[own] = -others * scale
        return cls(p, float((largest + np.log1p(rest)).mean(dtype=np.float64)))

    def slope(self, change: Reals) -> float:
        """Return the derivative of ``loss`` as the relative logits move along ``change`` (K, N)."""
        return float(np.vdot(self.difference, change)) / len(change.T)

    def bend(self, change: Reals) -> float:
        """Return the second derivative of ``loss`` along ``change`` (K, N): its mean variance under the softmax."""
        weighted = self.difference * change  # right for the own class too, where the change is 0
        mean = weighted.sum(axis=0)
        return max((float(np.vdot(weighted, change)) - float(np.vdot(mean, mean))) / len(mean), 0.0)

    def spread(self, labels: NDArray[np.int64]) -> float:
        """Return the mean of p (1 - p) over rows and classes: the c of the curvature bound c * eigenvalue."""
        d = self.difference
        missing = -float(d[labels, np.arange(len(labels))].sum(dtype=np.float64))
        return float(2.0 * missing - float(np.vdot(d, d))) / (len(d) * len(labels))

    def entropy(self, logits: Reals) -> float:
        """Return the mean entropy of the probabilities, whose relative ``logits`` (K, N) these are."""
        return self.loss - float(np.vdot(self.difference, logits)) / len(logits.T)
