"""A fitted logistic regression: its weights, and how far it is from the optimum at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.logreg.basis import Floats, checked_features


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A multinomial logistic regression: logits = features @ ``weights`` + ``bias``.

    ``weights`` (D, C) and ``bias`` (C,) float64, each summing to zero over the classes that had rows; a class without
    rows has zero weights and bias -inf, where its optimum lies. ``c`` is the inverse regularisation strength.
    ``objective``: mean cross-entropy in nats + ||weights||^2 / (2 c N). ``gap`` >= objective - optimum, proven
    (``certificate.DualPoint``) up to rounding. ``converged``: gap <= tol * min(objective, null - objective), null
    being the objective without features (or 1e-6 of the objective, if that is more). ``iterations``: L-BFGS steps.
    """

    weights: Floats
    bias: Floats
    objective: float
    gap: float
    iterations: int
    converged: bool
    c: float

    def logits(self, features: NDArray[Any]) -> Floats:
        """Return the (N, C) float64 logits of ``features`` (N, D); ValueError for another D, NaN or infinity."""
        x = checked_features(features)
        if x.shape[1] != self.weights.shape[0]:
            raise ValueError(f"features must have {self.weights.shape[0]} columns, got shape {x.shape}")
        return x @ self.weights + self.bias

    def predict(self, features: NDArray[Any]) -> NDArray[np.int64]:
        """Return the (N,) int64 class of the largest logit of ``features`` (N, D); ties go to the lowest class."""
        best: NDArray[np.int64] = self.logits(features).argmax(axis=1).astype(np.int64, copy=False)
        return best
