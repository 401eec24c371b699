"""Fitting several labels per row: one binary logistic regression per class, one against the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.logreg.basis import Basis
from vgbench.logreg.model import FitOvr
from vgbench.logreg.path import MAX_ITERATIONS, TOL, fit_path


def fit_path_ovr(
    basis: Basis,
    labels: NDArray[np.bool_],
    *,
    cs: Sequence[float],
    tol: float = TOL,
    prior: NDArray[Any] | None = None,
    max_iterations: int = MAX_ITERATIONS,
) -> tuple[FitOvr, ...]:
    """Minimise, for each class, mean logistic loss + ||w - prior||^2 / (2 c N); the fits come in the order of ``cs``.

    Each class is scikit-learn's binary ``LogisticRegression(C=c)``, its intercept not penalised. ``labels`` (N, C)
    bool: which classes a row has, from none to all. A class that all rows have, or none, gets the bias +inf or -inf,
    where its optimum lies, and the prior's weights. ``prior`` (D, C), default zeros; ``tol`` as for ``fit``, for
    each class. Raises ValueError for labels of another shape or dtype, and as ``fit_path`` does.
    """
    y = np.asarray(labels)
    if y.ndim != 2 or len(y) != basis.n_rows or y.shape[1] == 0:
        raise ValueError(f"labels must have shape ({basis.n_rows}, C), got {y.shape}")
    if y.dtype.kind != "b":
        raise ValueError(f"labels must be bool, got dtype {y.dtype}")
    n_classes = y.shape[1]
    weights = (
        np.zeros((len(cs), basis.n_features, n_classes))
        if prior is None
        else np.repeat(np.asarray(prior, dtype=np.float64)[None], len(cs), 0)
    )
    bias = np.zeros((len(cs), n_classes))
    objective, gap = np.zeros((len(cs), n_classes)), np.zeros((len(cs), n_classes))
    iterations, converged = np.zeros((len(cs), n_classes), dtype=np.int64), np.ones((len(cs), n_classes), dtype=bool)
    for k in range(n_classes):
        if y[:, k].all() or not y[:, k].any():
            bias[:, k] = np.inf if y[0, k] else -np.inf
            continue
        # Two classes of weights -w/2, w/2 have half the square norm of w.
        pair = None if prior is None else np.column_stack([-prior[:, k] / 2.0, prior[:, k] / 2.0])
        half = [c / 2.0 for c in cs]
        path = fit_path(
            basis, y[:, k].astype(np.int64), n_classes=2, cs=half, tol=tol, prior=pair, max_iterations=max_iterations
        )
        for i, model in enumerate(path):
            weights[i, :, k] = model.weights[:, 1] - model.weights[:, 0]
            bias[i, k] = model.bias[1] - model.bias[0]
            objective[i, k], gap[i, k], iterations[i, k] = model.objective, model.gap, model.iterations
            converged[i, k] = model.converged
    return tuple(
        FitOvr(weights[i], bias[i], objective[i], gap[i], iterations[i], converged[i], float(c))
        for i, c in enumerate(cs)
    )
