"""A prior is what the penalty measures from: exactly, and with a bound that is still proven."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from vgbench.logreg import Basis, fit, fit_path
from vgbench.logreg.problem import Problem


def sample(seed: int, *, n: int, d: int, n_classes: int) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[Any]]:
    """Rows, labels and prior weights as a zero-shot classifier's: of some use, and too sure of themselves."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((n_classes, d))
    labels = rng.integers(0, n_classes, n)
    features = means[labels] + 1.5 * rng.standard_normal((n, d)) + 2.0
    return features, labels, 2.0 * (means + 0.5 * rng.standard_normal(means.shape)).T


def plain(
    theta: NDArray[Any], x: NDArray[Any], y: NDArray[np.int64], prior: NDArray[Any], c: float
) -> tuple[float, Any]:
    """The objective and its gradient, written without any of our code."""
    n, (d, k) = len(y), prior.shape
    w, b = theta[: d * k].reshape(d, k), theta[d * k :]
    z = x @ w + b
    z = z - z.max(axis=1, keepdims=True)
    p = np.exp(z)
    losses = np.log(p.sum(axis=1)) - z[np.arange(n), y]
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(n), y] -= 1.0
    value = losses.mean() + ((w - prior) ** 2).sum() / (2.0 * c * n)
    return float(value), np.concatenate([(x.T @ p / n + (w - prior) / (c * n)).ravel(), p.mean(axis=0)])


@pytest.mark.parametrize(("n", "d"), [(80, 6), (12, 20)])
@pytest.mark.parametrize("c", [1e-3, 0.1, 10.0])
def test_optimum_is_that_of_a_plain_minimiser(n: int, d: int, c: float) -> None:
    x, y, prior = sample(0, n=n, d=d, n_classes=4)
    best = minimize(plain, np.zeros(4 * d + 4), (x, y, prior, c), "BFGS", jac=True, options={"gtol": 1e-8})
    model = fit(Basis.of(x), y, n_classes=4, c=c, tol=1e-8, prior=prior)
    assert model.converged
    assert model.objective == pytest.approx(best.fun, rel=1e-7)
    assert model.objective - model.gap <= best.fun * (1.0 + 1e-9)
    assert model.objective == pytest.approx(
        plain(np.r_[model.weights.ravel(), model.bias], x, y, prior, c)[0], rel=1e-9
    )
    np.testing.assert_allclose(model.weights, best.x[: 4 * d].reshape(d, 4), atol=2e-3)


@pytest.mark.parametrize(("n", "d"), [(80, 6), (12, 20)])
def test_zero_prior_is_no_prior(n: int, d: int) -> None:
    x, y, prior = sample(1, n=n, d=d, n_classes=3)
    basis = Basis.of(x)
    for without, zero in zip(
        fit_path(basis, y, n_classes=3, cs=(0.1, 10.0)),
        fit_path(basis, y, n_classes=3, cs=(0.1, 10.0), prior=np.zeros_like(prior)),
        strict=True,
    ):
        assert without.weights.tobytes() == zero.weights.tobytes()
        assert without.bias.tobytes() == zero.bias.tobytes()


def test_what_all_classes_share_in_a_prior_is_kept_and_moves_no_prediction() -> None:
    x, y, prior = sample(2, n=60, d=5, n_classes=3)
    shared = np.random.default_rng(0).standard_normal((5, 1))
    basis = Basis.of(x)
    one = fit(basis, y, n_classes=3, c=1.0, tol=1e-8, prior=prior)
    other = fit(basis, y, n_classes=3, c=1.0, tol=1e-8, prior=prior + shared)
    np.testing.assert_allclose(other.weights - shared, one.weights, atol=1e-6)
    assert other.objective == pytest.approx(one.objective, rel=1e-9)
    assert (other.predict(x) == one.predict(x)).all()


def test_offset_of_the_features_only_moves_the_bias() -> None:
    x, y, prior = sample(3, n=60, d=5, n_classes=3)
    near = fit(Basis.of(x), y, n_classes=3, c=1.0, tol=1e-9, prior=prior)
    far = fit(Basis.of(x + 100.0), y, n_classes=3, c=1.0, tol=1e-9, prior=prior)
    np.testing.assert_allclose(near.weights, far.weights, atol=1e-4)


def test_strong_regularisation_leaves_the_prior_also_outside_the_rows() -> None:
    x, y, prior = sample(4, n=8, d=30, n_classes=3)
    model = fit(Basis.of(x), y, n_classes=3, c=1e-9, prior=prior)
    np.testing.assert_allclose(model.weights, prior, atol=1e-6)


def test_problem_shifted_by_a_solution_is_solved_by_the_prior() -> None:
    # At a prior whose gradient vanishes but for the penalty of another prior, the optimum is known in advance.
    x, y, _ = sample(5, n=60, d=5, n_classes=3)
    basis = Basis.of(x)
    first = fit(basis, y, n_classes=3, c=1.0, tol=1e-10)
    # gradient at W is -W / (c N); with prior P and c', it is -(W - P) / (c' N): equal for P = W (1 - c'/c)
    again = fit(basis, y, n_classes=3, c=0.25, tol=1e-10, prior=0.75 * first.weights)
    np.testing.assert_allclose(again.weights, first.weights, atol=2e-5)


def test_class_without_rows_keeps_its_prior_and_is_never_predicted() -> None:
    x, y, prior = sample(6, n=60, d=5, n_classes=4)
    y = np.where(y == 2, 1, y)
    model = fit(Basis.of(x), y, n_classes=4, c=1.0, prior=prior)
    assert model.converged
    assert (model.weights[:, 2] == prior[:, 2]).all()
    assert np.isneginf(model.bias[2])
    assert 2 not in model.predict(x)


def test_single_class_keeps_its_prior() -> None:
    x, _, prior = sample(6, n=10, d=5, n_classes=4)
    model = fit(Basis.of(x), np.full(10, 3), n_classes=4, c=1.0, prior=prior)
    assert (model.weights == prior).all()
    assert (model.predict(x) == 3).all()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(4, 30),
    d=st.integers(1, 40),
    n_classes=st.integers(2, 5),
    exponent=st.floats(-4.0, 4.0),
    sureness=st.floats(0.0, 30.0),
    max_iterations=st.integers(0, 20),
)
def test_gap_bounds_the_distance_to_a_better_optimum(
    seed: int, n: int, d: int, n_classes: int, exponent: float, sureness: float, max_iterations: int
) -> None:
    x, y, prior = sample(seed, n=n, d=d, n_classes=n_classes)
    basis, c, prior = Basis.of(x), 10.0**exponent, sureness * prior
    stopped = fit(basis, y, n_classes=n_classes, c=c, prior=prior, max_iterations=max_iterations)
    best = fit(basis, y, n_classes=n_classes, c=c, prior=prior, tol=1e-8)
    assert best.converged or best.objective < 1e-5  # where the optimum is 0, 1e-8 of it is out of reach
    assert stopped.gap >= (stopped.objective - best.objective) * (1.0 - 1e-9) - 1e-12
    assert stopped.objective - stopped.gap <= best.objective


def test_lower_bound_with_a_prior_is_tight_only_with_its_linear_term() -> None:
    x, y, prior = sample(7, n=60, d=5, n_classes=3)
    basis = Basis.of(x)
    in_basis = np.zeros((3, 6))
    in_basis[:, :-1] = (basis.rotation.T @ (prior - prior.mean(axis=1, keepdims=True))).T
    problem = Problem.of(basis, y, penalty=0.01, prior=in_basis)
    point = problem.with_best_intercept(problem.at(in_basis))
    by_strong_convexity = float((problem.gradient(point)[:, :-1] ** 2).sum()) / 0.02
    assert problem.objective(point) - problem.lower_bound(point) == pytest.approx(by_strong_convexity, rel=1e-9)


@pytest.mark.parametrize(
    ("prior", "message"),
    [(np.zeros((3, 2)), r"shape \(2, 3\), got \(3, 2\)"), (np.full((2, 3), np.nan), "finite")],
)
def test_bad_priors_are_refused(prior: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(Basis.of(np.eye(4)[:, :2]), np.array([0, 1, 2, 0]), n_classes=3, c=1.0, prior=prior)
