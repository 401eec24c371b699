"""One objective: labels over a basis with a penalty, and all that is known of it at a point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgbench.logreg.basis import Basis, Floats
from vgbench.logreg.certificate import DualPoint
from vgbench.logreg.softmax import Softmax


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Coefficients (K, R + 1) in the eigenbasis, the intercept last, with their logits (K, N) and softmax.

    ``residual`` (K, R + 1): the gradient of the mean cross-entropy; ``gradient``: that of the objective.
    """

    coefficients: Floats
    logits: Floats
    softmax: Softmax
    objective: float
    residual: Floats
    gradient: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Minimise mean cross-entropy + ``penalty``/2 ||W - prior||^2; ``labels`` (N,) in 0..K-1, every class with rows.

    ``prior`` (K, R + 1): the weights that cost nothing, in the eigenbasis; 0 for the intercept.
    ``frequencies`` (K,) of the classes; ``target`` (K, R): the mean rotated feature of each class, times its frequency.
    ``penalties`` (R + 1,): ``penalty`` for the features, 0 for the intercept.
    """

    basis: Basis
    labels: NDArray[np.int64]
    prior: Floats
    penalty: float
    frequencies: Floats
    target: Floats
    penalties: Floats

    @classmethod
    def of(cls, basis: Basis, labels: NDArray[np.int64], *, penalty: float, prior: Floats | None = None) -> Problem:
        one_hot = np.zeros((int(labels.max()) + 1, basis.n_rows))
        one_hot[labels, np.arange(basis.n_rows)] = 1.0
        penalties = np.full(len(basis.curvature), penalty)
        penalties[-1] = 0.0
        if prior is None:
            prior = np.zeros((len(one_hot), len(penalties)))
        target = one_hot @ basis.design[:, :-1] / basis.n_rows
        return cls(basis, labels, prior, penalty, one_hot.mean(axis=1), target, penalties)

    def null_model(self) -> Point:
        """Return the point of the prior's weights, which cost nothing, with the best intercepts Newton finds."""
        coefficients = self.prior.copy()
        logs = np.log(self.frequencies)
        coefficients[:, -1] = logs - logs.mean()
        point = self.at(coefficients)
        return self.with_best_intercept(point) if self.prior.any() else point

    def at(self, coefficients: Floats) -> Point:
        """Evaluate ``coefficients`` (K, R + 1)."""
        logits = coefficients @ self.basis.design.T
        return self.point(coefficients, logits, Softmax.of(logits, self.labels))

    def point(self, coefficients: Floats, logits: Floats, softmax: Softmax) -> Point:
        """Complete a point whose logits (K, N) and softmax are known: one product with the features."""
        difference = softmax.probabilities.copy()
        difference[self.labels, np.arange(self.basis.n_rows)] -= 1.0
        residual = difference @ self.basis.design / self.basis.n_rows
        moved = coefficients - self.prior
        pull = moved * self.penalties
        objective = softmax.loss + 0.5 * float(np.vdot(moved, pull))
        return Point(coefficients, logits, softmax, objective, residual, residual + pull)

    def with_best_intercept(self, point: Point) -> Point:
        """Return ``point`` with its intercept made optimal by Newton's method, as far as rounding or descent allow.

        Costs some passes over the logits and K x K products, and one product with the features.
        """
        logits, softmax = point.logits, point.softmax
        offset = np.zeros(len(self.frequencies))
        excess = softmax.probabilities.mean(axis=1) - self.frequencies
        while True:
            p = softmax.probabilities
            hessian = np.diag(p.mean(axis=1)) - p @ p.T / self.basis.n_rows
            hessian += np.trace(hessian) / len(offset)  # fills the null direction: all intercepts shifted alike
            try:
                offset_next = offset - np.linalg.solve(hessian, excess)
            except np.linalg.LinAlgError:  # probabilities of a class that all underflowed
                break
            if not np.isfinite(offset_next).all():
                break
            logits_next = point.logits + offset_next[:, None]
            softmax_next = Softmax.of(logits_next, self.labels)
            excess_next = softmax_next.probabilities.mean(axis=1) - self.frequencies
            if not (np.abs(excess_next).max() < 0.5 * np.abs(excess).max() and softmax_next.loss <= point.softmax.loss):
                break
            offset, logits, softmax, excess = offset_next, logits_next, softmax_next, excess_next
        coefficients = point.coefficients.copy()
        coefficients[:, -1] += offset
        return self.point(coefficients, logits, softmax)

    def lower_bound(self, point: Point) -> float:
        """Return a number that the optimum is proven not to lie below (``certificate.DualPoint``)."""
        dual = DualPoint.of(
            entropy=point.softmax.entropy,
            residual=point.residual,
            target=self.target,
            frequencies=self.frequencies,
        )
        return dual.value(self.penalty, self.prior[:, :-1])
