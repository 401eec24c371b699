"""Several labels per row: each class is scikit-learn's binary model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from vgbench.logreg import Basis, fit_path_ovr

CS = (10.0, 0.01, 1.0)


def rows(*, n: int, d: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d)) + 1.0
    logits = x @ rng.standard_normal((d, 4)) - np.array([0.0, 2.0, 4.0, 1.0]) + rng.standard_normal((n, 4))
    return x, logits > 0.0


@pytest.mark.parametrize(("n", "d"), [(150, 8), (30, 50)])
def test_each_class_is_the_binary_model_of_scikit_learn(n: int, d: int) -> None:
    x, labels = rows(n=n, d=d)
    models = fit_path_ovr(Basis.of(x), labels, cs=CS, tol=1e-9)
    assert tuple(model.c for model in models) == CS
    for c, model in zip(CS, models, strict=True):
        assert model.weights.shape == (d, 4) and model.converged.all()
        for k in range(4):
            reference = LogisticRegression(C=c, tol=1e-10, solver="newton-cholesky").fit(x, labels[:, k])
            np.testing.assert_allclose(model.weights[:, k], reference.coef_[0], atol=1e-4)
            assert model.bias[k] == pytest.approx(float(reference.intercept_[0]), abs=1e-4)
            signed = np.where(labels[:, k], 1.0, -1.0) * (x @ reference.coef_[0] + reference.intercept_)
            best = np.log1p(np.exp(-signed)).mean() + (reference.coef_**2).sum() / (2.0 * c * n)
            assert model.objective[k] == pytest.approx(best, rel=1e-7)
            assert model.objective[k] - model.gap[k] <= best
            assert (model.predict(x)[:, k] == reference.predict(x)).all()


def test_prior_is_what_the_penalty_measures_from() -> None:
    x, labels = rows(n=100, d=6)
    basis = Basis.of(x)
    (first,) = fit_path_ovr(basis, labels, cs=(1.0,), tol=1e-10)
    (again,) = fit_path_ovr(basis, labels, cs=(0.25,), tol=1e-10, prior=0.75 * first.weights)
    np.testing.assert_allclose(again.weights, first.weights, atol=5e-5)


def test_class_of_every_row_or_none_is_certain_and_keeps_its_prior() -> None:
    x, labels = rows(n=60, d=5)
    labels[:, 1], labels[:, 2] = True, False
    prior = np.random.default_rng(1).standard_normal((5, 4))
    (model,) = fit_path_ovr(Basis.of(x), labels, cs=(1.0,), prior=prior)
    np.testing.assert_allclose(model.weights[:, 1:3], prior[:, 1:3], rtol=1e-15)
    assert model.bias[1:3].tolist() == [np.inf, -np.inf]
    assert model.objective[1:3].tolist() == model.gap[1:3].tolist() == [0.0, 0.0]
    assert model.converged.all()
    assert model.predict(x)[:, 1].all() and not model.predict(x)[:, 2].any()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((5, 2), dtype=bool), r"shape \(6, C\), got \(5, 2\)"),
        (np.zeros(6, dtype=bool), r"got \(6,\)"),
        (np.zeros((6, 0), dtype=bool), r"got \(6, 0\)"),
        (np.zeros((6, 2)), "got dtype float64"),
    ],
)
def test_bad_labels_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_path_ovr(Basis.of(np.arange(12.0).reshape(6, 2) % 5), labels, cs=(1.0,))
