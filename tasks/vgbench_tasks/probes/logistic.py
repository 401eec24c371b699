"""Probe ``logreg``: multinomial logistic regression at one C."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.logreg import Basis
from vgbench.logreg import fit as fit_logreg


def fit(
    train_x: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    n_classes: int,
    values: Mapping[str, Any],
    seed: int | None,
) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Fit each row of ``labels`` (P, N) on ``train_x`` (N, D); return a function to scores (P, M, C): probabilities.

    Raises ``RuntimeError`` when a fit does not reach the certified gap.
    """
    basis = Basis.of(train_x)
    fits = [fit_logreg(basis, row, n_classes=n_classes, c=values["c"], tol=values["tol"]) for row in labels]
    late = [f for f in fits if not f.converged]
    if late:
        raise RuntimeError(f"{len(late)} of {len(fits)} fits stopped above the gap {values['tol']}: {late[0].gap:.2e}")

    def predict(test_x: NDArray[np.float32]) -> NDArray[np.float64]:
        logits = np.stack([f.logits(test_x) for f in fits])
        exponentials = np.exp(logits - logits.max(axis=2, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=2, keepdims=True))

    return predict
