"""The certified gap is an upper bound wherever the solver stops, and a tight one at the optimum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vgbench.logreg import Basis, fit
from vgbench.logreg.problem import Problem


def sample(seed: int, *, n: int, d: int, n_classes: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rows with unequal scales, an offset and some duplicates; labels of which a part follows the rows."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n, d)) * rng.lognormal(0.0, 1.5, d) + rng.normal(0.0, 5.0, d)
    features[: n // 4] = features[n - n // 4 :]
    follow = (features @ rng.standard_normal((d, n_classes))).argmax(axis=1)
    labels = np.where(rng.random(n) < 0.6, follow, rng.integers(0, n_classes, n))
    return features, labels


shapes = st.fixed_dictionaries(
    {"n": st.integers(4, 60), "d": st.integers(1, 80), "n_classes": st.integers(2, 6)},
)
strengths = st.floats(-4.0, 4.0).map(lambda exponent: 10.0**exponent)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), shape=shapes, c=strengths, max_iterations=st.integers(0, 30))
def test_gap_bounds_the_distance_to_a_better_optimum(
    seed: int, shape: dict[str, int], c: float, max_iterations: int
) -> None:
    features, labels = sample(seed, **shape)
    basis = Basis.of(features)
    stopped = fit(basis, labels, n_classes=shape["n_classes"], c=c, max_iterations=max_iterations)
    best = fit(basis, labels, n_classes=shape["n_classes"], c=c, tol=1e-9)
    assert stopped.gap >= (stopped.objective - best.objective) * (1.0 - 1e-9)
    assert stopped.gap >= 0.0
    assert stopped.iterations <= max_iterations


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), shape=shapes, c=strengths, size=st.floats(0.0, 3.0))
def test_lower_bound_holds_at_any_weights_and_intercepts(
    seed: int, shape: dict[str, int], c: float, size: float
) -> None:
    features, labels = sample(seed, **shape)
    basis = Basis.of(features)
    best = fit(basis, labels, n_classes=shape["n_classes"], c=c, tol=1e-9)
    present, dense = np.unique(labels, return_inverse=True)
    problem = Problem.of(basis, dense, penalty=1.0 / (c * len(labels)))
    solution = np.vstack(
        [(basis.rotation.T @ best.weights).T[present].T, best.bias[present] + basis.mean @ best.weights[:, present]]
    )
    nearby = solution.T + size * np.random.default_rng(seed).standard_normal(solution.T.shape)
    assert problem.lower_bound(problem.at(nearby)) <= best.objective


def test_lower_bound_pays_for_intercepts_that_are_not_optimal() -> None:
    # Equal intercepts for rare and frequent classes: the softmax has more entropy than any feasible point.
    features, _ = sample(0, n=60, d=5, n_classes=3)
    labels = np.repeat([0, 1, 2], [50, 8, 2])
    problem = Problem.of(Basis.of(features), labels, penalty=1e6)
    point = problem.at(np.zeros((3, 6)))
    null = problem.objective(problem.null_model())
    assert point.softmax.entropy(point.logits) > null + 0.1
    assert problem.lower_bound(point) <= null


def test_gap_is_of_the_size_of_the_true_one() -> None:
    features, labels = sample(1, n=200, d=20, n_classes=4)
    basis = Basis.of(features)
    best = fit(basis, labels, n_classes=4, c=0.1, tol=1e-12)
    stopped = fit(basis, labels, n_classes=4, c=0.1, tol=1e-7)
    true = stopped.objective - best.objective
    assert 0.0 < true <= stopped.gap <= 2000.0 * true  # a bound of first order in the gradient would be 1e4 above


def test_equal_gradient_bound_where_the_intercept_is_optimal() -> None:
    features, labels = sample(2, n=100, d=8, n_classes=3)
    problem = Problem.of(Basis.of(features), labels, penalty=1e-3)
    rng = np.random.default_rng(0)
    point = problem.with_best_intercept(problem.at(0.1 * rng.standard_normal((3, 9))))
    gradient = problem.gradient(point)
    assert np.abs(gradient[:, -1]).max() < 1e-14
    by_strong_convexity = float((gradient[:, :-1] ** 2).sum()) / 2e-3
    assert problem.objective(point) - problem.lower_bound(point) == pytest.approx(by_strong_convexity, rel=1e-9)


def test_stopping_early_is_reported() -> None:
    features, labels = sample(3, n=60, d=10, n_classes=3)
    model = fit(Basis.of(features), labels, n_classes=3, c=100.0, max_iterations=2)
    assert not model.converged
    assert model.iterations == 2
    assert model.gap > 1e-4 * model.objective


def test_probabilities_without_curvature_leave_an_honest_bound() -> None:
    features, labels = sample(5, n=40, d=3, n_classes=3)
    basis = Basis.of(features)
    problem = Problem.of(basis, labels, penalty=1e-3)
    point = problem.at(1e9 * np.random.default_rng(0).standard_normal((3, 4)))
    assert set(np.unique(point.softmax.difference)) == {-1.0, 0.0, 1.0}
    after = problem.with_best_intercept(point)
    assert np.isfinite(after.coefficients).all()
    assert problem.objective(after) <= problem.objective(point)
    assert problem.lower_bound(after) <= fit(basis, labels, n_classes=3, c=25.0).objective


def test_tolerance_below_rounding_ends_without_convergence() -> None:
    features, labels = sample(4, n=60, d=10, n_classes=3)
    model = fit(Basis.of(features), labels, n_classes=3, c=1.0, tol=1e-17)
    assert not model.converged
    assert model.gap <= 1e-11 * model.objective
