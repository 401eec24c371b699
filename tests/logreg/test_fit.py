"""Shapes and corners: warm paths, shared bases, missing classes, duplicate rows, features that say nothing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from vgbench.logreg import Basis, Fit, fit, fit_path


def blobs(
    *, n: int = 120, d: int = 12, n_classes: int = 4, noise: float = 1.5, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    return rng.standard_normal((n_classes, d))[labels] + noise * rng.standard_normal((n, d)), labels


def assert_same_bytes(one: Fit, other: Fit) -> None:
    assert one.weights.tobytes() == other.weights.tobytes()
    assert one.bias.tobytes() == other.bias.tobytes()
    assert (one.objective, one.gap, one.iterations) == (other.objective, other.gap, other.iterations)


def assert_same_model(one: Fit, other: Fit, *, atol: float) -> None:
    np.testing.assert_allclose(one.weights, other.weights, atol=atol)
    np.testing.assert_allclose(one.bias, other.bias, atol=atol)


@pytest.mark.parametrize(("n", "d"), [(120, 12), (40, 90), (30, 30)])
def test_warm_path_equals_cold_fits(n: int, d: int) -> None:
    features, labels = blobs(n=n, d=d)
    basis = Basis.of(features)
    cs = (10.0, 1e-3, 1e3, 0.1, 10.0)
    path = fit_path(basis, labels, n_classes=4, cs=cs, tol=1e-9)
    assert tuple(model.c for model in path) == cs
    for c, model in zip(cs, path, strict=True):
        cold = fit(basis, labels, n_classes=4, c=c, tol=1e-9)
        assert model.converged and cold.converged
        assert model.objective == pytest.approx(cold.objective, rel=2e-9)
        assert_same_model(model, cold, atol=1e-3)


def test_objective_rises_with_regularisation() -> None:
    features, labels = blobs()
    objectives = [f.objective for f in fit_path(Basis.of(features), labels, n_classes=4, cs=(1e-2, 1.0, 1e2))]
    assert objectives == sorted(objectives, reverse=True)


@pytest.mark.parametrize(("n", "d"), [(120, 12), (40, 90)])
def test_rotation_is_orthonormal_and_design_is_the_rotated_features(n: int, d: int) -> None:
    features, _ = blobs(n=n, d=d)
    features[:3] = features[3]
    features[:, 1] *= 1e-9
    basis = Basis.of(features)
    rotation = basis.rotation
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(min(n, d)), atol=1e-13)
    centred = features - features.mean(axis=0)
    np.testing.assert_allclose(basis.design[:, :-1] @ rotation.T, centred, atol=1e-12)
    assert (basis.curvature[:-2] >= basis.curvature[1:-1] * (1.0 - 1e-9) - 1e-12).all()


def test_basis_serves_permuted_labels() -> None:
    features, labels = blobs()
    shared = Basis.of(features)
    rng = np.random.default_rng(0)
    for _ in range(3):
        permuted = rng.permutation(labels)
        model = fit(shared, permuted, n_classes=4, c=1.0)
        assert_same_bytes(model, fit(Basis.of(features), permuted, n_classes=4, c=1.0))
        assert model.objective > fit(shared, labels, n_classes=4, c=1.0).objective


def test_basis_cannot_be_changed() -> None:
    basis = Basis.of(blobs()[0])
    with pytest.raises(ValueError, match="read-only"):
        basis.design[0, 0] = 1.0


def test_same_input_gives_same_bytes_in_any_memory_order() -> None:
    features, labels = blobs()
    first = fit(Basis.of(features), labels, n_classes=4, c=1.0)
    assert_same_bytes(first, fit(Basis.of(features.copy()), labels.copy(), n_classes=4, c=1.0))
    assert_same_bytes(first, fit(Basis.of(np.asfortranarray(features)), labels, n_classes=4, c=1.0))


def test_float32_features_are_cast() -> None:
    features, labels = blobs()
    single = features.astype(np.float32)
    model = fit(Basis.of(single), labels, n_classes=4, c=1.0)
    assert model.weights.dtype == np.float64
    assert_same_bytes(model, fit(Basis.of(single.astype(np.float64)), labels, n_classes=4, c=1.0))
    assert model.logits(single).dtype == np.float64
    assert model.predict(single).dtype == np.int64


def test_class_without_rows_is_never_predicted_and_changes_nothing() -> None:
    features, labels = blobs(n_classes=3)
    dense = fit(Basis.of(features), labels, n_classes=3, c=1.0)
    sparse = fit(Basis.of(features), np.array([0, 2, 4])[labels], n_classes=6, c=1.0)
    assert sparse.weights.shape == (12, 6)
    assert sparse.weights[:, [0, 2, 4]].tobytes() == dense.weights.tobytes()
    assert sparse.bias[[0, 2, 4]].tobytes() == dense.bias.tobytes()
    assert not sparse.weights[:, [1, 3, 5]].any()
    assert np.isneginf(sparse.bias[[1, 3, 5]]).all()
    assert set(sparse.predict(features)) == {0, 2, 4}
    assert sparse.logits(features).shape == (120, 6)


def test_single_class_is_certain() -> None:
    features, _ = blobs()
    model = fit(Basis.of(features), np.full(120, 2), n_classes=4, c=1.0)
    assert (model.objective, model.gap, model.converged) == (0.0, 0.0, True)
    assert (model.predict(features) == 2).all()


def test_duplicated_rows_are_a_problem_with_half_the_c() -> None:
    features, labels = blobs(n=40, d=60)
    once = fit(Basis.of(features), labels, n_classes=4, c=2.0, tol=1e-10)
    twice = fit(Basis.of(np.repeat(features, 2, axis=0)), np.repeat(labels, 2), n_classes=4, c=1.0, tol=1e-10)
    assert once.converged and twice.converged
    assert twice.objective == pytest.approx(once.objective, rel=1e-9)
    assert_same_model(once, twice, atol=1e-4)


def test_constant_feature_gets_no_weight() -> None:
    features, labels = blobs()
    padded = np.column_stack([features, np.full(120, 0.1)])
    model = fit(Basis.of(padded), labels, n_classes=4, c=10.0, tol=1e-9)
    assert np.abs(model.weights[-1]).max() < 1e-9
    assert_same_model(
        Fit(model.weights[:-1], model.bias, 0.0, 0.0, 0, True, 10.0),
        fit(Basis.of(features), labels, n_classes=4, c=10.0, tol=1e-9),
        atol=1e-4,
    )


def test_features_that_are_all_constant_leave_the_class_frequencies() -> None:
    labels = np.array([0, 1, 1, 1])
    model = fit(Basis.of(np.full((4, 3), 7.0)), labels, n_classes=2, c=1.0)
    assert model.converged
    assert model.objective == pytest.approx(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))
    assert model.bias[1] - model.bias[0] == pytest.approx(np.log(3.0))


def test_one_feature_splits_two_classes() -> None:
    features = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    labels = np.array([0, 0, 1, 1])
    model = fit(Basis.of(features), labels, n_classes=2, c=1e4)
    assert model.converged
    assert (model.predict(features) == labels).all()
    assert model.weights[0, 0] == pytest.approx(-model.weights[0, 1])


def test_offset_of_the_features_only_moves_the_bias() -> None:
    features, labels = blobs()
    near = fit(Basis.of(features), labels, n_classes=4, c=1.0, tol=1e-9)
    far = fit(Basis.of(features + 1e5), labels, n_classes=4, c=1.0, tol=1e-9)
    np.testing.assert_allclose(near.weights, far.weights, atol=1e-4)
    assert (near.predict(features) == far.predict(features + 1e5)).all()


def test_weights_sum_to_zero_over_classes() -> None:
    features, labels = blobs()
    model = fit(Basis.of(features), labels, n_classes=4, c=1.0)
    assert np.abs(model.weights.sum(axis=1)).max() < 1e-12


def test_weights_sum_to_zero_after_a_start_with_more_classes() -> None:
    features, labels = blobs()
    basis = Basis.of(features)
    start = fit(basis, labels, n_classes=4, c=1.0)
    model = fit(basis, np.where(labels == 3, 0, labels), n_classes=4, c=1.0, start=start)
    assert model.converged
    assert np.abs(model.weights.sum(axis=1)).max() < 1e-12


def test_ties_go_to_the_lowest_class() -> None:
    model = Fit(np.zeros((2, 3)), np.array([0.0, 1.0, 1.0]), 0.0, 0.0, 0, True, 1.0)
    assert model.predict(np.ones((2, 2))).tolist() == [1, 1]


def test_start_at_the_solution_takes_no_step() -> None:
    features, labels = blobs()
    basis = Basis.of(features)
    first = fit(basis, labels, n_classes=4, c=1.0, tol=1e-6)
    again = fit(basis, labels, n_classes=4, c=1.0, tol=1e-5, start=first)
    assert first.iterations > 0
    assert again.iterations == 0
    assert_same_model(first, again, atol=1e-9)


def test_useless_start_is_ignored() -> None:
    features, labels = blobs()
    basis = Basis.of(features)
    useless = Fit(np.full((12, 4), [50.0, 0.0, 0.0, -50.0]), np.zeros(4), 0.0, 0.0, 0, True, 1.0)
    cold = fit(basis, labels, n_classes=4, c=1.0)
    assert_same_bytes(cold, fit(basis, labels, n_classes=4, c=1.0, start=useless))


def test_start_may_lack_a_class_that_now_has_rows() -> None:
    features, labels = blobs()
    basis = Basis.of(features)
    start = fit(basis, np.where(labels == 3, 0, labels), n_classes=4, c=1.0)
    model = fit(basis, labels, n_classes=4, c=1.0, start=start)
    assert model.converged
    assert np.isfinite(model.bias).all()
    assert model.objective == pytest.approx(fit(basis, labels, n_classes=4, c=1.0).objective, rel=2e-4)


def test_import_loads_nothing_and_fitting_loads_only_numpy() -> None:
    code = (
        "import sys, vgbench.logreg as l; assert 'numpy' not in sys.modules\n"
        "import numpy as np; f = l.fit(l.Basis.of(np.eye(3)), np.array([0, 1, 2]), n_classes=3, c=1.0)\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'scipy', 'sklearn', 'torch', 'pandas'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
