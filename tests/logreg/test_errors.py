"""Bad input is refused with the value that is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vgbench.logreg import Basis, Fit, fit, fit_path

FEATURES = np.arange(12.0).reshape(6, 2) % 5
LABELS = np.array([0, 1, 2, 0, 1, 2])


def with_value(value: float) -> np.ndarray[Any, Any]:
    features = FEATURES.copy()
    features[4, 1] = value
    return features


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (with_value(np.nan), "got nan at row 4, column 1"),
        (with_value(np.inf), "got inf at row 4, column 1"),
        (with_value(-np.inf), "got -inf at row 4, column 1"),
        (with_value(1e200), r"got 1e\+200"),
        (np.zeros(3), r"got shape \(3,\)"),
        (np.zeros((2, 2, 2)), r"got shape \(2, 2, 2\)"),
        (np.zeros((0, 4)), r"got shape \(0, 4\)"),
        (np.zeros((4, 0)), r"got shape \(4, 0\)"),
        (np.zeros((2, 2), dtype=complex), "got dtype complex128"),
        (np.array([["a", "b"]]), "got dtype <U1"),
    ],
)
def test_bad_features_are_refused(features: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Basis.of(features)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1, 3, 0, 1, 2]), "got 3 at row 2"),
        (np.array([0, 1, 2, 0, -1, 2]), "got -1 at row 4"),
        (np.array([0, 1, 2]), r"shape \(6,\), got \(3,\)"),
        (np.zeros((6, 1), dtype=np.int64), r"got \(6, 1\)"),
        (LABELS.astype(float), "got dtype float64"),
    ],
)
def test_bad_labels_are_refused(labels: Any, message: str) -> None:
    basis = Basis.of(FEATURES)
    with pytest.raises(ValueError, match=message):
        fit(basis, labels, n_classes=3, c=1.0)
    with pytest.raises(ValueError, match=message):
        fit_path(basis, labels, n_classes=3, cs=(1.0,))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_strengths_and_tolerances_are_refused(value: float) -> None:
    basis = Basis.of(FEATURES)
    with pytest.raises(ValueError, match=f"c must be positive and finite, got {value!r}"):
        fit(basis, LABELS, n_classes=3, c=value)
    with pytest.raises(ValueError, match=f"c must be positive and finite, got {value!r}"):
        fit_path(basis, LABELS, n_classes=3, cs=(1.0, value))
    with pytest.raises(ValueError, match=f"tol must be positive and finite, got {value!r}"):
        fit(basis, LABELS, n_classes=3, c=1.0, tol=value)


def test_too_few_classes_and_an_empty_path_are_refused() -> None:
    basis = Basis.of(FEATURES)
    with pytest.raises(ValueError, match="n_classes must be at least 2, got 1"):
        fit(basis, np.zeros(6, dtype=np.int64), n_classes=1, c=1.0)
    with pytest.raises(ValueError, match="got none"):
        fit_path(basis, LABELS, n_classes=3, cs=())


def test_start_of_another_shape_is_refused() -> None:
    start = Fit(np.zeros((2, 4)), np.zeros(4), 0.0, 0.0, 0, True, 1.0)
    with pytest.raises(ValueError, match=r"start must have weights \(2, 3\), got shape \(2, 4\)"):
        fit(Basis.of(FEATURES), LABELS, n_classes=3, c=1.0, start=start)


@pytest.mark.parametrize(
    ("features", "message"),
    [(np.zeros((4, 3)), r"2 columns, got shape \(4, 3\)"), (with_value(np.nan), "got nan at row 4, column 1")],
)
def test_bad_rows_to_predict_are_refused(features: Any, message: str) -> None:
    model = fit(Basis.of(FEATURES), LABELS, n_classes=3, c=1.0)
    with pytest.raises(ValueError, match=message):
        model.predict(features)
