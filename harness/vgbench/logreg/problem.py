"""One objective: labels over a basis with a penalty, and all that is known of it at a point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from vgbench.logreg.basis import Basis, Floats
from vgbench.logreg.certificate import DualPoint
from vgbench.logreg.softmax import Reals, Softmax, relative

NEWTON_STEPS = 50  # assumed: a handful is usual


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Coefficients (K, R + 1) in the eigenbasis, the intercept last, with relative logits (K, N) and their softmax.

    ``residual`` (K, R + 1): the gradient of the mean cross-entropy. Nothing here depends on the penalty; the arrays
    have one dtype, float32 or float64, and what is computed from them has the same.
    """

    coefficients: Reals
    logits: Reals
    softmax: Softmax
    residual: Reals

    def astype(self, dtype: DTypeLike) -> Point:
        """Return the point with arrays of ``dtype``."""
        difference = self.softmax.difference.astype(dtype, copy=False)
        return Point(
            self.coefficients.astype(dtype, copy=False),
            self.logits.astype(dtype, copy=False),
            Softmax(difference, self.softmax.loss),
            self.residual.astype(dtype, copy=False),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Minimise mean cross-entropy + ``penalty``/2 ||W - prior||^2; ``labels`` (N,) in 0..K-1, every class with rows.

    ``prior`` (K, R + 1): the weights that cost nothing, in the eigenbasis; 0 for the intercept. ``frequencies`` (K,) of
    the classes; ``target`` (K, R): the mean rotated feature of each class, times its frequency.
    """

    basis: Basis
    labels: NDArray[np.int64]
    penalty: float
    prior: Floats
    frequencies: Floats
    target: Floats

    @classmethod
    def of(cls, basis: Basis, labels: NDArray[np.int64], *, penalty: float, prior: Floats | None = None) -> Problem:
        one_hot = np.zeros((int(labels.max()) + 1, basis.n_rows))
        one_hot[labels, np.arange(basis.n_rows)] = 1.0
        if prior is None:
            prior = np.zeros((len(one_hot), len(basis.curvature)))
        target = one_hot @ basis.design[:, :-1] / basis.n_rows
        return cls(basis, labels, penalty, prior, one_hot.mean(axis=1), target)

    def with_penalty(self, penalty: float) -> Problem:
        """Return the problem with another ``penalty``."""
        return replace(self, penalty=penalty)

    def penalised(self, coefficients: Reals) -> Reals:
        """Return the gradient (K, R + 1) of the penalty at ``coefficients``."""
        pull: NDArray[np.floating[Any]] = coefficients - self.prior.astype(coefficients.dtype, copy=False)
        pull *= self.penalty
        pull[:, -1] = 0.0
        return pull

    def gradient(self, point: Point) -> Reals:
        """Return the gradient (K, R + 1) of the objective."""
        return point.residual + self.penalised(point.coefficients)

    def objective(self, point: Point) -> float:
        """Return the objective, in nats."""
        pull = self.penalised(point.coefficients)
        return point.softmax.loss + float(np.vdot(pull, pull)) / (2.0 * self.penalty)

    def logits(self, coefficients: Reals) -> Reals:
        """Return the relative logits (K, N) of ``coefficients`` (K, R + 1): one product with the features."""
        return relative(coefficients @ self.basis.design_in(coefficients.dtype).T, self.labels)

    def at(self, coefficients: Reals) -> Point:
        """Evaluate ``coefficients`` (K, R + 1)."""
        logits = self.logits(coefficients)
        return self.point(coefficients, logits, Softmax.of(logits, self.labels))

    def point(self, coefficients: Reals, logits: Reals, softmax: Softmax) -> Point:
        """Complete a point whose logits (K, N) and softmax are known: one product with the features."""
        residual = softmax.difference @ self.basis.design_in(coefficients.dtype)
        residual /= self.basis.n_rows
        return Point(coefficients, logits, softmax, residual)

    def null_model(self) -> Point:
        """Return the point of the prior's weights, which cost nothing, with the best intercepts Newton finds."""
        coefficients = self.prior.copy()
        logs = np.log(self.frequencies)
        coefficients[:, -1] = logs - logs.mean()
        point = self.at(coefficients)
        return self.with_best_intercept(point) if self.prior.any() else point

    def with_best_intercept(self, point: Point) -> Point:
        """Return ``point`` with its intercept made optimal by Newton's method, as far as rounding allows.

        Costs some passes over the logits and K x K products, and one product with the features.
        """
        logits, softmax = point.logits, point.softmax
        offset = np.zeros(len(self.frequencies))
        excess = softmax.difference.mean(axis=1, dtype=np.float64)
        for _ in range(NEWTON_STEPS):
            step = self._newton_step(softmax, excess)
            if step is None:
                break
            offset_next = offset + step
            logits_next = relative(point.logits + offset_next.astype(logits.dtype)[:, None], self.labels)
            softmax_next = Softmax.of(logits_next, self.labels)
            excess_next = softmax_next.difference.mean(axis=1, dtype=np.float64)
            if not (np.abs(excess_next).max() < 0.5 * np.abs(excess).max() and softmax_next.loss <= point.softmax.loss):
                break
            offset, logits, softmax, excess = offset_next, logits_next, softmax_next, excess_next
        coefficients = point.coefficients.copy()
        coefficients[:, -1] += offset.astype(coefficients.dtype)
        return self.point(coefficients, logits, softmax)

    def _newton_step(self, softmax: Softmax, excess: Floats) -> Floats | None:
        """Return Newton's step (K,) of the intercepts; None where the probabilities have lost all curvature."""
        p = softmax.difference.copy()
        p[self.labels, np.arange(self.basis.n_rows)] += 1.0
        hessian = np.diag(p.mean(axis=1, dtype=np.float64)) - np.asarray(p @ p.T, np.float64) / self.basis.n_rows
        hessian += np.trace(hessian) / len(excess)  # fills the null direction: all intercepts shifted alike
        try:
            step: Floats = np.negative(np.linalg.solve(hessian, excess))
        except np.linalg.LinAlgError:  # probabilities of a class that all underflowed
            return None
        return step if np.isfinite(step).all() else None

    def lower_bound(self, point: Point) -> float:
        """Return a number that the optimum is proven not to lie below (``certificate.DualPoint``); float64 only."""
        dual = DualPoint.of(
            entropy=point.softmax.entropy(point.logits),
            residual=np.asarray(point.residual, np.float64),
            target=self.target,
            frequencies=self.frequencies,
        )
        return dual.value(self.penalty, self.prior[:, :-1])
