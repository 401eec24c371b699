"""Fitted logistic regressions: their weights, and how far they are from the optimum at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.logreg.basis import Floats, checked_features


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A linear model of C classes: logits = features @ ``weights`` (D, C) + ``bias`` (C,), both float64."""

    weights: Floats
    bias: Floats

    def logits(self, features: NDArray[Any]) -> Floats:
        """Return the (N, C) float64 logits of ``features`` (N, D); ValueError for another D, NaN or infinity."""
        x = checked_features(features)
        if x.shape[1] != self.weights.shape[0]:
            raise ValueError(f"features must have {self.weights.shape[0]} columns, got shape {x.shape}")
        return x @ self.weights + self.bias


@dataclass(frozen=True, slots=True, eq=False)
class Fit(Linear):
    """A multinomial logistic regression: one class per row.

    Weights less the prior's sum to zero over the classes that had rows, as far as that changes the penalty.
    A class without rows has the prior's weights and bias -inf, where its optimum lies. ``c``: the inverse
    regularisation strength. ``objective``: mean cross-entropy in nats + ||weights - prior||^2 / (2 c N). ``gap`` >=
    objective - optimum, proven (``certificate.DualPoint``) up to rounding. ``converged``: gap <= tol * min(objective,
    null - objective), null being the objective of the prior's weights with the best intercept (or of 1e-6 of the
    objective, or of 1e-6 nats, if that is more). ``iterations``: L-BFGS steps.
    """

    objective: float
    gap: float
    iterations: int
    converged: bool
    c: float

    def predict(self, features: NDArray[Any]) -> NDArray[np.int64]:
        """Return the (N,) int64 class of the largest logit of ``features`` (N, D); ties go to the lowest class."""
        best: NDArray[np.int64] = self.logits(features).argmax(axis=1).astype(np.int64, copy=False)
        return best


@dataclass(frozen=True, slots=True, eq=False)
class FitOvr(Linear):
    """Binary logistic regressions, each class against the rest: any number of classes per row.

    As ``Fit``, with ``objective``, ``gap``, ``iterations`` and ``converged`` (C,) one per class; a class that no row
    had, or every row, has the prior's weights and bias -inf or +inf.
    """

    objective: Floats
    gap: Floats
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]
    c: float

    def predict(self, features: NDArray[Any]) -> NDArray[np.bool_]:
        """Return the (N, C) bool classes of positive logit of ``features`` (N, D)."""
        return self.logits(features) > 0.0
