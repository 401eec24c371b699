"""float32 works and float64 judges: nothing is lost where features are badly scaled or the tolerance is tight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vgbench.logreg import Basis, Fit, fit, fit_path
from vgbench.logreg.softmax import Softmax, relative

CS = tuple(float(c) for c in np.logspace(-2, 5, 8))


def mixture(*, n: int = 400, d: int = 40, n_classes: int = 8) -> tuple[NDArray[Any], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    scales = np.arange(1, d + 1) ** -0.5
    labels = rng.integers(0, n_classes, n)
    means = 0.5 * rng.standard_normal((n_classes, d)) * scales
    return means[labels] + rng.standard_normal((n, d)) * scales, labels


def doubles(basis: Basis) -> Basis:
    return replace(basis, single=None)


def assert_equal_quality(one: Fit, other: Fit, rows: NDArray[Any]) -> None:
    assert one.converged and other.converged
    assert one.objective - one.gap <= other.objective  # each bound holds for what the other found
    assert other.objective - other.gap <= one.objective
    assert (one.predict(rows) == other.predict(rows)).mean() >= 0.995


@pytest.mark.parametrize("spread", [0, 4, 8])
def test_float32_path_is_as_good_as_a_float64_path_on_ill_conditioned_features(spread: int) -> None:
    x, y = mixture()
    x = x * np.logspace(0, -spread, x.shape[1])  # condition number of the Gram matrix: up to 1e16
    basis = Basis.of(x)
    assert basis.single is not None
    for one, other in zip(
        fit_path(basis, y, n_classes=8, cs=CS), fit_path(doubles(basis), y, n_classes=8, cs=CS), strict=True
    ):
        assert_equal_quality(one, other, x)


@pytest.mark.parametrize("scale", [1e-12, 1e-5, 1e5, 1e12])
def test_scale_of_the_features_is_only_another_c(scale: float) -> None:
    x, y = mixture(n=120, d=10, n_classes=3)
    model = fit(Basis.of(x), y, n_classes=3, c=1.0)
    scaled = fit(Basis.of(x * scale), y, n_classes=3, c=1.0 / scale**2)
    assert scaled.converged
    assert scaled.objective == pytest.approx(model.objective, rel=2e-5)


def test_tolerance_beyond_float32_is_met_in_float64() -> None:
    x, y = mixture()
    model = fit(Basis.of(x), y, n_classes=8, c=10.0, tol=1e-10)
    assert model.converged
    assert model.gap <= 1e-10 * model.objective


def test_objective_and_gap_are_those_of_the_weights_given_out() -> None:
    x, y = mixture()
    for model in fit_path(Basis.of(x), y, n_classes=8, cs=CS):
        logits = model.logits(x)
        logits -= logits.max(axis=1, keepdims=True)
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]
        plain = losses.mean() + (model.weights**2).sum() / (2.0 * model.c * len(y))
        assert model.objective == pytest.approx(plain, rel=1e-11)


def test_small_losses_keep_their_digits_in_float32() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 5, 200)
    logits = rng.standard_normal((5, 200))
    logits[y, np.arange(200)] += 20.0
    relative(logits, y)
    exact, rounded = Softmax.of(logits, y), Softmax.of(logits.astype(np.float32), y)
    assert exact.loss < 1e-7
    assert rounded.loss == pytest.approx(exact.loss, rel=1e-5)
    np.testing.assert_allclose(rounded.difference, exact.difference, rtol=1e-4)


def test_unequal_steps_and_a_class_missing_from_a_fold_do_not_mislead_the_path() -> None:
    x, y = mixture(n=200, d=30)
    basis = Basis.of(x)
    fold = np.where(y == 3, 4, y)
    for c, model in zip(
        (1e-3, 1e-2, 9.0, 10.0, 1e6), fit_path(basis, fold, n_classes=8, cs=(1e-3, 1e-2, 9.0, 10.0, 1e6)), strict=True
    ):
        cold = fit(basis, fold, n_classes=8, c=c)
        assert_equal_quality(model, cold, x)
        assert 3 not in model.predict(x)


def test_steps_set_out_along_the_last_two_fits_save_iterations() -> None:
    x, y = mixture(n=1000, d=60)
    basis = Basis.of(x)
    warm = sum(model.iterations for model in fit_path(basis, y, n_classes=8, cs=CS))
    cold = sum(fit(basis, y, n_classes=8, c=c).iterations for c in CS)
    assert warm < 0.75 * cold
