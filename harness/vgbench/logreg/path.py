"""Fitting: one strength of regularisation, or a path of them from strong to weak, each started at the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.logreg.basis import Basis
from vgbench.logreg.model import Fit
from vgbench.logreg.walk import Walk, checked_prior

TOL = 1e-5  # at 1e-4, 0.6 % of predictions differ from the optimum's at strong regularisation (mixture, bench logreg)
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
    walk = _walk(basis, labels, prior, n_classes=n_classes)
    _check_positive("c", c)
    _check_positive("tol", tol)
    if start is not None:
        walk.go_to(start)
    return walk.fit(c, tol=tol, max_iterations=max_iterations)


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
    walk = _walk(basis, labels, prior, n_classes=n_classes)
    if len(cs) == 0:
        raise ValueError("cs must name at least one c, got none")
    for c in cs:
        _check_positive("c", c)
    _check_positive("tol", tol)
    fits = {c: walk.fit(c, tol=tol, max_iterations=max_iterations) for c in sorted(set(cs))}
    return tuple(fits[c] for c in cs)


def _walk(basis: Basis, labels: NDArray[Any], prior: NDArray[Any] | None, *, n_classes: int) -> Walk:
    y = _checked_labels(labels, n_rows=basis.n_rows, n_classes=n_classes)
    return Walk(basis, y, checked_prior(prior, n_features=basis.n_features, n_classes=n_classes))


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
