"""Fitting several labels per row: one binary logistic regression per class, that class against the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.logreg.basis import Basis, Floats
from vgbench.logreg.model import Fit, FitOvr
from vgbench.logreg.path import MAX_ITERATIONS, TOL, fit_path
from vgbench.logreg.walk import checked_prior


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
    bool: which classes a row has, from none to all. A class that every row has, or none, gets the bias +inf or -inf,
    where its optimum lies, and the prior's weights. ``prior`` (D, C), default zeros; ``tol`` as for ``fit``, for each
    class. Raises ValueError for labels of another shape or dtype, and as ``fit_path`` does.
    """
    y = np.asarray(labels)
    if y.ndim != 2 or len(y) != basis.n_rows or y.shape[1] == 0:
        raise ValueError(f"labels must have shape ({basis.n_rows}, C), got {y.shape}")
    if y.dtype.kind != "b":
        raise ValueError(f"labels must be bool, got dtype {y.dtype}")
    near = checked_prior(prior, n_features=basis.n_features, n_classes=y.shape[1])
    paths = [
        _path(basis, y[:, k], near[:, k], cs=cs, tol=tol, max_iterations=max_iterations) for k in range(y.shape[1])
    ]
    return tuple(_joined([path[i] for path in paths], float(c)) for i, c in enumerate(cs))


def _path(
    basis: Basis, positive: NDArray[np.bool_], near: Floats, *, cs: Sequence[float], tol: float, max_iterations: int
) -> tuple[Fit, ...]:
    """Fit one class as the second of two: weights -w/2 and w/2 have half the square norm of w, hence half the c."""
    return fit_path(
        basis,
        positive.astype(np.int64),
        n_classes=2,
        cs=[c / 2.0 for c in cs],
        tol=tol,
        prior=np.column_stack([-near / 2.0, near / 2.0]),
        max_iterations=max_iterations,
    )


def _joined(pairs: Sequence[Fit], c: float) -> FitOvr:
    # a bias of -inf is that of a class without rows: the other is then certain, whatever the weights
    return FitOvr(
        np.column_stack([pair.weights[:, 1] - pair.weights[:, 0] for pair in pairs]),
        np.array([pair.bias[1] - pair.bias[0] for pair in pairs]),
        np.array([pair.objective for pair in pairs]),
        np.array([pair.gap for pair in pairs]),
        np.array([pair.iterations for pair in pairs]),
        np.array([pair.converged for pair in pairs]),
        c,
    )
