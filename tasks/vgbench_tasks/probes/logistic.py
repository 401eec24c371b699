"""Probe ``logreg``: multinomial logistic regression at one C."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.logreg import Basis
from vgbench.logreg import fit as fit_logreg
from vgbench.steps.probe import Features, Lesson, Predict


def fit(lesson: Lesson, values: Mapping[str, Any]) -> Predict:
    """Fit each label vector of the lesson; return a function to scores (P, M, C): probabilities.

    Raises ``RuntimeError`` when a fit does not reach the certified gap.
    """
    assert lesson.x is not None
    basis = Basis.of(lesson.x)
    c, tol, n_classes = values["c"], values["tol"], lesson.n_classes
    fits = [fit_logreg(basis, row, n_classes=n_classes, c=c, tol=tol) for row in lesson.labels]
    late = [f for f in fits if not f.converged]
    if late:
        raise RuntimeError(f"{len(late)} of {len(fits)} fits stopped above the gap {tol}: {late[0].gap:.2e}")

    def predict(test_x: Features) -> NDArray[np.float64]:
        logits = np.stack([f.logits(test_x) for f in fits])
        exponentials = np.exp(logits - logits.max(axis=2, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=2, keepdims=True))

    return predict
