"""logreg, logreg-path, logreg-text: scikit-learn's optimum, a C from validation only, a start at zero-shot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from tests.probes.drawn import N_CLASSES, N_FEATURES, drawn, fitted, lesson, permuted, scores, several, texts, values_of

X, LABELS = drawn(12, seed=1)
TEST_X, TEST_LABELS = drawn(40, seed=2)
VAL = drawn(10, seed=3)


def accuracy(found: NDArray[Any]) -> float:
    return float((found[0].argmax(axis=1) == TEST_LABELS).mean())


def test_logreg_is_scikit_learns_optimum() -> None:
    reference = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(X.astype(np.float64), LABELS)
    found = scores("logreg", lesson(X, LABELS), TEST_X, tol=1e-10)
    np.testing.assert_allclose(found[0], reference.predict_proba(TEST_X), atol=1e-4)


def test_logreg_of_several_labels_is_scikit_learns_one_against_the_rest() -> None:
    labels = several(LABELS)
    found = scores("logreg", lesson(X, labels), TEST_X, tol=1e-10)
    for k in range(N_CLASSES):
        reference = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(X.astype(np.float64), labels[:, k])
        np.testing.assert_allclose(found[0, :, k], reference.predict_proba(TEST_X)[:, 1], atol=1e-4)


def test_chosen_c_is_the_best_on_validation_images_and_is_refitted_on_all() -> None:
    cs = values_of("logreg-path")["cs"]
    right = []
    for c in cs:
        reference = LogisticRegression(C=c, tol=1e-8, max_iter=10_000).fit(X.astype(np.float64), LABELS)
        logs = reference.predict_log_proba(VAL[0].astype(np.float64))
        right.append(((reference.predict(VAL[0]) == VAL[1]).sum(), logs[range(len(logs)), VAL[1]].mean()))
    predict = fitted("logreg-path", lesson(X, LABELS, val=VAL))
    assert predict.notes["c"] == cs[right.index(max(right))]
    assert predict.notes["chosen_on"] == len(VAL[0]) and predict.notes["validation"] == "real"
    assert predict.notes["gap"] < 1e-3
    np.testing.assert_allclose(
        predict(TEST_X), scores("logreg", lesson(X, LABELS), TEST_X, c=predict.notes["c"]), atol=1e-12
    )


def test_without_real_validation_images_a_fifth_of_the_sources_own_choose() -> None:
    predict = fitted("logreg-path", lesson(X, LABELS))
    assert predict.notes["chosen_on"] == 2 * N_CLASSES and predict.notes["validation"] == "source"
    assert accuracy(predict(TEST_X)) > 0.7


def test_one_image_of_each_class_leaves_nothing_to_choose_by() -> None:
    first = [int(np.flatnonzero(k == LABELS)[0]) for k in range(N_CLASSES)]
    predict = fitted("logreg-path", lesson(X[first], LABELS[first]))
    cs = values_of("logreg-path")["cs"]
    assert (predict.notes["c"], predict.notes["validation"]) == (cs[len(cs) // 2], "none") and cs[len(cs) // 2] == 1.0


def test_control_takes_the_c_of_its_first_permutation() -> None:
    vectors = permuted(LABELS, 4)
    predict, first = fitted("logreg-path", lesson(X, vectors)), fitted("logreg-path", lesson(X, vectors[0]))
    assert predict.notes["c"] == first.notes["c"] and predict(TEST_X).shape == (4, len(TEST_X), N_CLASSES)
    np.testing.assert_allclose(predict(TEST_X)[0], first(TEST_X)[0], atol=1e-12)


@pytest.mark.parametrize("name", ["logreg-path", "logreg-text"])
def test_several_labels_get_a_probability_each(name: str) -> None:
    text = texts() if name == "logreg-text" else None
    predict = fitted(name, lesson(X, several(LABELS), text=text))
    found = predict(TEST_X)
    assert found.shape == (1, len(TEST_X), N_CLASSES) and ((found >= 0) & (found <= 1)).all()
    assert abs(found.sum(axis=2) - 1).max() > 0.1 and accuracy(found) > 0.6


def test_a_small_c_gives_zero_shots_weights() -> None:
    """What is left of the fit is the intercept, which is not penalised: class differences are zero-shot's."""
    text = texts()
    found = np.log(scores("logreg-text", lesson(X, LABELS, text=text), TEST_X, cs=[1e-9], tol=1e-8))[0]
    zero = np.log(scores("zeroshot", lesson(None, LABELS[:0], text=text), TEST_X))[0]
    moved = found - zero
    moved -= moved[:, :1]  # a softmax forgets what all classes share
    np.testing.assert_allclose(moved, np.tile(moved[:1], (len(moved), 1)), atol=1e-4)


def test_text_holds_few_images_nearer_to_zero_shot() -> None:
    """One poor image of each class: alone it teaches little, beside good text it unteaches little."""
    x, labels = drawn(1, seed=11, noise=3.0)
    text = texts(noise=0.3)
    zero = accuracy(scores("zeroshot", lesson(None, labels[:0], text=text), TEST_X))
    alone = accuracy(scores("logreg-path", lesson(x, labels), TEST_X))
    both = accuracy(scores("logreg-text", lesson(x, labels, text=text), TEST_X))
    assert zero > 0.8 and alone < 0.6 and both > zero - 0.1


def test_text_probe_minimises_what_it_says() -> None:
    """By another solver: mean cross-entropy of unit features + ||W - 100 t||^2 / (2 C N), the intercept free."""
    text, c = texts(), 30.0
    unit = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float64)
    start = 100.0 * text.astype(np.float64).T

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        w, b = flat[:-N_CLASSES].reshape(N_FEATURES, N_CLASSES), flat[-N_CLASSES:]
        logits = unit @ w + b
        top = logits.max(axis=1, keepdims=True)
        logs = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        wrong = np.exp(logs)
        wrong[np.arange(len(unit)), LABELS] -= 1
        wrong /= len(unit)
        value = -logs[np.arange(len(unit)), LABELS].mean() + ((w - start) ** 2).sum() / (2 * c * len(unit))
        return value, np.concatenate([(unit.T @ wrong + (w - start) / (c * len(unit))).ravel(), wrong.sum(axis=0)])

    flat = np.concatenate([start.ravel(), np.zeros(N_CLASSES)])
    best = minimize(
        objective, flat, jac=True, method="L-BFGS-B", options={"maxiter": 20_000, "ftol": 1e-15, "gtol": 1e-9}
    )
    w, b = best.x[:-N_CLASSES].reshape(N_FEATURES, N_CLASSES), best.x[-N_CLASSES:]
    logits = TEST_X / np.linalg.norm(TEST_X, axis=1, keepdims=True) @ w + b
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    found = scores("logreg-text", lesson(X, LABELS, text=text), TEST_X, cs=[c], tol=1e-10)
    np.testing.assert_allclose(found[0], expected, atol=1e-4)


def test_fit_that_does_not_reach_its_gap_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="stopped above the gap"):
        scores("logreg", lesson(X, LABELS), TEST_X, c=1e4, tol=1e-14)


@pytest.mark.parametrize("name", ["logreg", "logreg-path", "logreg-text"])
def test_same_lesson_gives_the_same_bytes(name: str) -> None:
    given = lesson(X, LABELS, text=texts() if name == "logreg-text" else None)
    assert scores(name, given, TEST_X).tobytes() == scores(name, given, TEST_X).tobytes()
