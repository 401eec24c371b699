"""A walk over strengths of regularisation for one set of labels: each fit starts from those before it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.logreg.basis import Basis, Floats
from vgbench.logreg.model import Fit
from vgbench.logreg.problem import Point, Problem
from vgbench.logreg.solver import Solution, minimise


class Walk:
    """Fits of ``labels`` (N,) that stay near ``prior`` (D, C), begun at the null model."""

    def __init__(self, basis: Basis, labels: NDArray[np.int64], prior: Floats) -> None:
        self._basis = basis
        self._prior = prior
        self._present, dense = np.unique(labels, return_inverse=True)
        near = prior[:, self._present]  # less what all classes share, which changes no prediction
        in_basis = np.zeros((len(self._present), len(basis.curvature)))
        in_basis[:, :-1] = (basis.rotation.T @ (near - near.mean(axis=1, keepdims=True))).T
        self._problem = Problem.of(basis, dense, penalty=1.0, prior=in_basis)
        self._null = self._problem.null_model()
        self._reached = self._null
        self._before: Point | None = None

    def go_to(self, start: Fit) -> None:
        """Begin the next fit at ``start``; raise ValueError if its weights have another shape."""
        if start.weights.shape != self._prior.shape:
            raise ValueError(f"start must have weights {self._prior.shape}, got shape {start.weights.shape}")
        finite = np.isfinite(start.bias)
        bias = np.where(finite, start.bias, start.bias[finite].min())  # of a class that had no rows: the lowest
        coefficients = np.empty((self._prior.shape[1], len(self._basis.curvature)))
        coefficients[:, :-1] = (self._basis.rotation.T @ start.weights).T
        coefficients[:, -1] = bias + self._basis.mean @ start.weights
        coefficients = coefficients[self._present]
        coefficients -= coefficients.mean(axis=0)  # shifting all classes alike changes only the penalty
        self._reached, self._before = self._problem.at(coefficients), None

    def fit(self, c: float, *, tol: float, max_iterations: int) -> Fit:
        """Fit at ``c``, from where the last fit ended or, if that is better, from the null model."""
        if len(self._present) == 1:  # one class has all rows: certain of it, without weights
            return self._to_features(Solution(self._null, objective=0.0, gap=0.0, iterations=0, converged=True), c)
        problem = self._problem.with_penalty(1.0 / (c * self._basis.n_rows))
        if problem.objective(self._reached) > self._null.softmax.loss:
            self._reached, self._before = self._null, None
        solution = minimise(
            problem,
            self._reached,
            before=self._before,
            null=self._null.softmax.loss,
            tol=tol,
            max_iterations=max_iterations,
        )
        self._reached, self._before = solution.point, self._reached
        return self._to_features(solution, c)

    def _to_features(self, solution: Solution, c: float) -> Fit:
        """Return the fit of a solution; what the basis does not span stays as in the prior."""
        coefficients = np.asarray(solution.point.coefficients, dtype=np.float64)
        moved = coefficients[:, :-1] - self._problem.prior[:, :-1]
        weights = self._prior.copy()
        weights[:, self._present] += self._basis.rotation @ moved.T
        bias = np.full(weights.shape[1], -np.inf)
        bias[self._present] = coefficients[:, -1] - self._basis.mean @ weights[:, self._present]
        return Fit(weights, bias, solution.objective, solution.gap, solution.iterations, solution.converged, float(c))


def checked_prior(prior: NDArray[Any] | None, *, n_features: int, n_classes: int) -> Floats:
    """Return ``prior`` (D, C) as float64, zeros for None; raise ValueError for another shape, NaN or infinity."""
    if prior is None:
        return np.zeros((n_features, n_classes))
    weights = np.asarray(prior)
    if weights.shape != (n_features, n_classes):
        raise ValueError(f"prior must have shape {(n_features, n_classes)}, got {weights.shape}")
    if weights.dtype.kind not in "fiu" or not np.isfinite(weights).all():
        raise ValueError(f"prior must be real and finite, got dtype {weights.dtype} or a value that is not finite")
    return np.ascontiguousarray(weights, dtype=np.float64)
