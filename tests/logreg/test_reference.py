"""The solver against scikit-learn's float64 solutions of the same objective, over nine orders of C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from vgbench.logreg import Basis, Fit, fit, fit_path

CS = tuple(10.0**exponent for exponent in range(-4, 5))


@dataclass(frozen=True)
class Case:
    """Training rows, labels, rows to predict, and the scikit-learn solver that gets furthest on them."""

    features: NDArray[np.float64]
    labels: NDArray[np.int64]
    unseen: NDArray[np.float64]
    n_classes: int
    solver: str


def digits() -> Case:
    features, labels = load_digits(return_X_y=True)
    unseen = features + np.random.default_rng(0).normal(0.0, 2.0, features.shape)
    return Case(features, labels, unseen, 10, "newton-cholesky")


def wide() -> Case:
    """400 rows of 700 features with a power-law spectrum and an offset."""
    rng = np.random.default_rng(0)
    spectrum = np.arange(1, 701) ** -0.5
    rows = rng.standard_normal((2400, 700)) * spectrum
    labels = (rows @ rng.standard_normal((700, 5)) + rng.normal(0.0, 3.0, (2400, 5))).argmax(axis=1)
    return Case(rows[:400] + 1.5, labels[:400], rows[400:] + 1.5, 5, "newton-cg")


CASES = {"digits": digits, "wide": wide}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]()


@pytest.fixture(scope="module")
def path(case: Case) -> tuple[Fit, ...]:
    return fit_path(Basis.of(case.features), case.labels, n_classes=case.n_classes, cs=CS)


def objective(weights: NDArray[Any], bias: NDArray[Any], case: Case, c: float) -> float:
    """Compute mean cross-entropy + ||W||^2 / (2 c N) the plain way."""
    logits = case.features @ weights + bias
    shifted = logits - logits.max(axis=1, keepdims=True)
    n = len(case.labels)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(n), case.labels]
    return float(losses.mean() + (weights**2).sum() / (2.0 * c * n))


@pytest.mark.parametrize("number", range(len(CS)), ids=[f"c={c:g}" for c in CS])
def test_objective_and_predictions_are_those_of_scikit_learn(case: Case, path: tuple[Fit, ...], number: int) -> None:
    c = CS[number]
    reference = LogisticRegression(C=c, tol=1e-10, max_iter=10_000, solver=case.solver)
    reference.fit(case.features, case.labels)
    best = objective(reference.coef_.T, reference.intercept_, case, c)
    cold = fit(Basis.of(case.features), case.labels, n_classes=case.n_classes, c=c)
    for model in (cold, path[number]):
        assert model.converged
        assert model.gap <= 1e-4 * model.objective
        assert model.objective == pytest.approx(objective(model.weights, model.bias, case, c), rel=1e-9)
        assert model.objective <= (1.0 + 1e-4) * best
        assert model.objective - model.gap <= best * (1.0 + 1e-9)  # no objective lies below the certified bound
        for rows in (case.features, case.unseen):
            assert (model.predict(rows) == reference.predict(rows)).mean() >= 0.995


def test_two_classes_are_the_binary_model_at_twice_the_c() -> None:
    features, labels = load_digits(n_class=2, return_X_y=True)
    labels = np.where(np.random.default_rng(0).random(len(labels)) < 0.1, 1 - labels, labels)  # not separable
    reference = LogisticRegression(C=0.2, tol=1e-10, solver="newton-cholesky").fit(features, labels)
    model = fit(Basis.of(features), labels, n_classes=2, c=0.1, tol=1e-10)
    np.testing.assert_allclose(model.weights[:, 1] - model.weights[:, 0], reference.coef_[0], atol=1e-5)
    assert model.bias[1] - model.bias[0] == pytest.approx(float(reference.intercept_[0]), abs=1e-5)
