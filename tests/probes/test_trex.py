"""trex-sklearn and trex-sklearnex: scikit-learn's probe, searched by Optuna, with its distance from the optimum."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import optuna
import pytest
from sklearn.linear_model import LogisticRegression
from tests.probes.drawn import N_CLASSES, drawn, fitted, lesson, part, permuted, several, values_of

from vgbench.logreg import Basis
from vgbench.logreg import fit as fit_certified
from vgbench_tasks.probes.holdout import held_out

X, LABELS = drawn(12, seed=1)
TEST_X, TEST_LABELS = drawn(40, seed=2)
NAMES = ["trex-sklearn", "trex-sklearnex"]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    missing = [library for library in part(request.param).needs if importlib.util.find_spec(library) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    return str(request.param)


def test_numbers_are_those_of_the_protocol() -> None:
    """shared/protocols.md §3.6: C in [1e-5, 1e6] log-uniform, 30 trials, max_iter 2000; scikit-learn's own tol."""
    for one in NAMES:
        values = values_of(one)
        assert values["c_range"] == [0.00001, 1_000_000.0] and values["n_trials"] == 30 and values["max_iter"] == 2000
        assert values["tol"] == LogisticRegression().tol


def test_search_is_optunas_tpe_for_validation_top1_and_the_fit_scikit_learns_on_all() -> None:
    chosen = held_out([f"image-{i:03d}" for i in range(len(X))], LABELS)
    fit_x, fit_y, val_x, val_y = X[~chosen], LABELS[~chosen], X[chosen], LABELS[chosen]

    def top1(trial: optuna.trial.Trial) -> float:
        c = trial.suggest_float("C", 1e-5, 1e6, log=True)
        model = LogisticRegression(C=c, solver="lbfgs", max_iter=2000, tol=1e-4 / len(fit_x)).fit(fit_x, fit_y)
        return float((model.predict(val_x) == val_y).mean())

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=4))
    study.optimize(top1, n_trials=30)
    predict = fitted("trex-sklearn", lesson(X, LABELS, seed=4))
    assert predict.notes["c"] == study.best_params["C"] and predict.notes["validation_top1"] == study.best_value
    model = LogisticRegression(C=predict.notes["c"], max_iter=2000, tol=1e-4 / len(X)).fit(X, LABELS)
    np.testing.assert_allclose(predict(TEST_X)[0], model.predict_proba(TEST_X), atol=1e-12)


def test_probe_is_right_and_near_its_optimum(name: str) -> None:
    predict = fitted(name, lesson(X, LABELS), n_trials=5)
    assert (predict(TEST_X)[0].argmax(axis=1) == TEST_LABELS).mean() > 0.7
    assert 0 <= predict.notes["gap"] < 1e-4 and predict.notes["iterations"] > 0


@pytest.mark.parametrize("n_classes", [2, N_CLASSES])
@pytest.mark.parametrize("max_iter", [3, 2000])
def test_gap_is_what_is_left_to_gain(n_classes: int, max_iter: int) -> None:
    """A fit that was stopped early has a gap, and it is the difference to the optimum."""
    kept = n_classes > LABELS
    one = lesson(X[kept], LABELS[kept])
    given: Any = type(one)(one.x, one.labels, one.ids, n_classes, None, None, 0)
    predict = fitted("trex-sklearn", given, n_trials=1, c_range=[2.0, 2.0], max_iter=max_iter)
    c = predict.notes["c"]
    exact = fit_certified(
        Basis.of(X[kept]), LABELS[kept], n_classes=n_classes, c=c / 2 if n_classes == 2 else c, tol=1e-10
    )
    left = predict.notes["objective"] - exact.objective
    assert predict.notes["gap"] == pytest.approx(left, abs=1e-6)
    assert left > 1e-3 if max_iter == 3 else left < 1e-5


def test_tolerance_is_divided_by_the_number_of_images_of_the_fit() -> None:
    """scikit-learn up to 1.3 compared ``tol`` with the gradient of the sum over images."""
    loose = LogisticRegression(C=2.0, max_iter=2000).fit(X, LABELS)
    predict = fitted("trex-sklearn", lesson(X, LABELS), n_trials=1, c_range=[2.0, 2.0])
    assert predict.notes["iterations"] > int(loose.n_iter_[0])


def test_control_takes_the_c_of_its_first_permutation() -> None:
    vectors = permuted(LABELS, 3)
    together = fitted("trex-sklearn", lesson(X, vectors), n_trials=4)
    alone = fitted("trex-sklearn", lesson(X, vectors[0]), n_trials=4)
    assert together.notes["c"] == alone.notes["c"] and together(TEST_X).shape == (3, len(TEST_X), N_CLASSES)
    np.testing.assert_allclose(together(TEST_X)[0], alone(TEST_X)[0], atol=1e-12)


def test_seed_is_the_samplers() -> None:
    cs = [fitted("trex-sklearn", lesson(X, LABELS, seed=seed), n_trials=1).notes["c"] for seed in (0, 0, 1)]
    assert cs[0] == cs[1] != cs[2]


def test_what_the_protocol_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="one label for an image"):
        fitted("trex-sklearn", lesson(X, several(LABELS)))
    x, labels = drawn(1, seed=4)
    with pytest.raises(ValueError, match="two images of a class"):
        fitted("trex-sklearn", lesson(x, labels))
