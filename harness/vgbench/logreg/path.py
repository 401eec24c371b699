"""Fitting: one strength of regularisation, or a path of them from strong to weak, each started at the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.logreg.basis import Basis, Floats, checked_features
from vgbench.logreg.model import Fit
from vgbench.logreg.problem import Problem
from vgbench.logreg.solver import Solution, minimise

TOL = 1e-4  # of the objective: the distance at which probes agree with the float64 reference (performance.md §1)
MAX_ITERATIONS = 2000  # t-ReX's limit for its L-BFGS probes (naver/trex)


def fit(
    basis: Basis,
    labels: NDArray[Any],
    *,
    n_classes: int,
    c: float,
    tol: float = TOL,
    prior: NDArray[Any] | None = None,
    start: Fit | None = None,
    max_iterations: int = MAX_ITERATIONS,
) -> Fit:
    """Minimise mean cross-entropy + ||W - prior||^2 / (2 c N) over weights and intercepts, the latter not penalised.

    ``prior`` (D, n_classes), default zeros: weights to stay near to, such as text features (GenBench's
    language-augmented probe). Without it this is scikit-learn's multinomial ``LogisticRegression(C=c)``. With two
    classes scikit-learn fits one weight vector instead: its binary model at C equals this one at c = C / 2.

    ``labels`` (N,) integers in 0..n_classes-1 for the rows of ``basis``; a class may have no rows. ``tol`` > 0 bounds
    the gap relative to the objective and to what the features explain (``Fit.converged``). ``start``: a fit to begin at
    (never needed; ignored where starting from zero weights is better). Raises ValueError for labels of another shape,
    dtype or range, for a ``start`` of another shape, and for ``n_classes`` < 2 or ``c``, ``tol`` that are not positive
    and finite. The same input gives the same bytes on one thread.
    """
    labels = _checked_labels(labels, n_rows=basis.n_rows, n_classes=n_classes)
    _check_positive("c", c)
    _check_positive("tol", tol)
    prior = _checked_prior(prior, n_features=basis.n_features, n_classes=n_classes)
    present, dense = np.unique(labels, return_inverse=True)
    warm = None if start is None else _to_basis(start, basis, present, n_classes=n_classes)
    solution = _solve(basis, dense, prior[:, present], warm, c=c, tol=tol, max_iterations=max_iterations)
    return _to_features(solution, basis, present, prior, c=c)


def fit_path(
    basis: Basis,
    labels: NDArray[Any],
    *,
    n_classes: int,
    cs: Sequence[float],
    tol: float = TOL,
    prior: NDArray[Any] | None = None,
    max_iterations: int = MAX_ITERATIONS,
) -> tuple[Fit, ...]:
    """Fit every c of ``cs``, walking from strong to weak regularisation; the fits come in the order of ``cs``.

    Each is the fit that ``fit`` makes, to within ``tol``. Raises as ``fit`` does, and for an empty ``cs``.
    """
    labels = _checked_labels(labels, n_rows=basis.n_rows, n_classes=n_classes)
    if len(cs) == 0:
        raise ValueError("cs must name at least one c, got none")
    for c in cs:
        _check_positive("c", c)
    _check_positive("tol", tol)
    prior = _checked_prior(prior, n_features=basis.n_features, n_classes=n_classes)
    present, dense = np.unique(labels, return_inverse=True)
    fits: dict[float, Fit] = {}
    warm: Floats | None = None
    for c in sorted(set(cs)):
        solution = _solve(basis, dense, prior[:, present], warm, c=c, tol=tol, max_iterations=max_iterations)
        fits[c] = _to_features(solution, basis, present, prior, c=c)
        warm = solution.coefficients
    return tuple(fits[c] for c in cs)


def _solve(
    basis: Basis,
    labels: NDArray[np.int64],
    prior: Floats,
    warm: Floats | None,
    *,
    c: float,
    tol: float,
    max_iterations: int,
) -> Solution:
    coefficients = np.zeros((prior.shape[1], len(basis.curvature)))
    coefficients[:, :-1] = (basis.rotation.T @ (prior - prior.mean(axis=1, keepdims=True))).T
    if len(coefficients) == 1:  # one class has all rows: certain of it, without weights
        return Solution(coefficients, objective=0.0, gap=0.0, iterations=0, converged=True)
    problem = Problem.of(basis, labels, penalty=1.0 / (c * basis.n_rows), prior=coefficients)
    return minimise(problem, warm, tol=tol, max_iterations=max_iterations)


def _to_basis(model: Fit, basis: Basis, present: NDArray[np.int64], *, n_classes: int) -> Floats:
    """Return a fit's coefficients (K, R + 1) in ``basis``, for the K classes ``present``.

    A bias of -inf becomes the lowest finite one.
    """
    if model.weights.shape != (basis.n_features, n_classes):
        raise ValueError(f"start must have weights {(basis.n_features, n_classes)}, got shape {model.weights.shape}")
    bias = np.where(np.isfinite(model.bias), model.bias, model.bias[np.isfinite(model.bias)].min())
    coefficients = np.empty((n_classes, basis.rotation.shape[1] + 1))
    coefficients[:, :-1] = (basis.rotation.T @ model.weights).T
    coefficients[:, -1] = bias + basis.mean @ model.weights
    coefficients = coefficients[present]
    coefficients -= coefficients.mean(axis=0)  # shifting all classes alike changes no prediction, only the penalty
    return coefficients


def _to_features(solution: Solution, basis: Basis, present: NDArray[np.int64], prior: Floats, *, c: float) -> Fit:
    """Return the fit of a solution; what the basis does not span stays as in ``prior`` (D, C)."""
    weights = prior.copy()
    moved = solution.coefficients[:, :-1].T - basis.rotation.T @ (
        prior[:, present] - prior[:, present].mean(axis=1, keepdims=True)
    )
    weights[:, present] += basis.rotation @ moved
    bias = np.full(prior.shape[1], -np.inf)
    bias[present] = solution.coefficients[:, -1] - basis.mean @ weights[:, present]
    return Fit(weights, bias, solution.objective, solution.gap, solution.iterations, solution.converged, float(c))


def _checked_prior(prior: NDArray[Any] | None, *, n_features: int, n_classes: int) -> Floats:
    if prior is None:
        return np.zeros((n_features, n_classes))
    w = np.asarray(prior)
    if w.shape != (n_features, n_classes):
        raise ValueError(f"prior must have shape {(n_features, n_classes)}, got {w.shape}")
    return checked_features(w)


def _checked_labels(labels: NDArray[Any], *, n_rows: int, n_classes: int) -> NDArray[np.int64]:
    if n_classes < 2:
        raise ValueError(f"n_classes must be at least 2, got {n_classes}")
    y = np.asarray(labels)
    if y.shape != (n_rows,):
        raise ValueError(f"labels must have shape ({n_rows},), got {y.shape}")
    if y.dtype.kind not in "iu":
        raise ValueError(f"labels must be integers, got dtype {y.dtype}")
    outside = (y < 0) | (y >= n_classes)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(f"labels must lie in 0..{n_classes - 1}, got {int(y[row])} at row {row}")
    return y.astype(np.int64)


def _check_positive(name: str, value: float) -> None:
    if not (value > 0.0 and np.isfinite(value)):
        raise ValueError(f"{name} must be positive and finite, got {value!r}")
