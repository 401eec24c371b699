"""elevater-reference: its schedule is the published one, its training plain SGD, and every epoch is reported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from tests.probes.drawn import N_CLASSES, N_FEATURES, drawn, fitted, lesson, several, texts, values_of

from vgbench_tasks.probes.elevater import Setting, metric, sweep
from vgbench_tasks.probes.holdout import at_most

X, LABELS = drawn(13, seed=1)
TEST_X, TEST_LABELS = drawn(20, seed=2)
VAL = drawn(4, seed=3)
ONE_TRIAL: dict[str, Any] = {"n_decays": 1, "coarse_step": 1, "spans": [], "sweep_epochs": 1}


def test_numbers_are_those_of_the_protocol() -> None:
    """shared/protocols.md §1.6, read from full_model_finetune.py and vitb32_CLIP.yaml, line by line."""
    values = values_of("elevater-reference")
    assert values["lrs"] == pytest.approx([0.000001, 0.00001, 0.0001, 0.001, 0.01, 0.1])  # logspace(-6, -1, 6)
    assert (values["decay_log10"], values["n_decays"]) == ([-6, 6], 97)  # a 97-point grid of logspace(-6, 6)
    assert len(range(0, 97, values["coarse_step"])) == 7  # 7 points first
    assert values["spans"] == [8, 4, 2, 1]
    assert values["sweep_epochs"] == 10  # each trial 10 epochs
    assert values["final_epochs"] == 50  # 10 + 40
    assert (values["batch"], values["momentum"]) == (64, 0.9)  # SGD, no Nesterov, constant lr
    assert values["reads"] == ["train", "text", "val"] and values["per_epoch"]


def test_sweep_tries_the_decays_that_the_code_tries() -> None:
    """Seven two decades apart; then a decade, 1/2, 1/4 and 1/8 of one to both sides of the best so far."""
    tried: list[tuple[float, float]] = []

    def trial(setting: Setting) -> float:
        decay = float(np.log10(setting.weight_decay))
        tried.append((setting.lr, round(decay, 3)))
        return 1.0 - abs(decay + 1.3) / 10 - (setting.lr != 0.001) * 0.05

    chosen, score = sweep(values_of("elevater-reference"), trial)
    decays = [-6, -4, -2, 0, 2, 4, 6, -3, -1, -1.5, -0.5, -1.75, -1.25, -1.375, -1.125]
    lrs = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    assert tried == [(pytest.approx(lr), decay) for lr in lrs for decay in decays] and len(tried) == 90
    assert chosen.lr == pytest.approx(1e-3) and np.log10(chosen.weight_decay) == pytest.approx(-1.25)
    assert score == pytest.approx(0.995)


def test_first_of_equal_trials_is_kept_and_the_grids_end_is_not_passed() -> None:
    tried: list[float] = []

    def trial(setting: Setting) -> float:
        tried.append(round(float(np.log10(setting.weight_decay)), 3))
        return 0.5

    chosen, _ = sweep({**values_of("elevater-reference"), "lrs": [0.1, 0.01]}, trial)
    assert chosen == Setting(0.1, pytest.approx(1e-6))
    assert tried[7:11] == [-5, -5.5, -5.75, -5.875]  # only to the right of the lowest


def test_sweep_in_which_nothing_is_right_chooses_no_learning() -> None:
    """As coded: the best score starts at 0 with a learning rate of 0, so the head stays the class texts."""
    assert sweep(values_of("elevater-reference"), lambda setting: 0.0) == (Setting(0.0, 0.0), 0.0)


def plain_epochs(
    x: NDArray[Any], labels: NDArray[Any], orders: list[NDArray[Any]], *, lr: float, decay: float, batch: int
) -> NDArray[np.float64]:
    """Train in numpy as PyTorch documents BatchNorm1d(affine=False), SGD and the losses; return scores (E, M, C)."""
    weight, bias = texts().astype(float), np.zeros(N_CLASSES)
    v_weight, v_bias = np.zeros_like(weight), np.zeros_like(bias)
    mean, variance = np.zeros(N_FEATURES), np.ones(N_FEATURES)
    found = []
    first = True
    for order in orders:
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            if len(rows) < 2:
                continue
            own = x[rows].astype(float)
            mu, var = own.mean(axis=0), own.var(axis=0)
            mean = 0.9 * mean + 0.1 * mu
            variance = 0.9 * variance + 0.1 * own.var(axis=0, ddof=1)
            z = (own - mu) / np.sqrt(var + 1e-5)
            logits = z @ weight.T + bias
            if labels.ndim == 2:
                wrong = (1 / (1 + np.exp(-logits)) - labels[rows]) / logits.size
            else:
                wrong = np.exp(logits - logits.max(axis=1, keepdims=True))
                wrong /= wrong.sum(axis=1, keepdims=True)
                wrong[np.arange(len(rows)), labels[rows]] -= 1
                wrong /= len(rows)
            g_weight, g_bias = wrong.T @ z + decay * weight, wrong.sum(axis=0) + decay * bias
            v_weight = g_weight if first else 0.9 * v_weight + g_weight
            v_bias = g_bias if first else 0.9 * v_bias + g_bias
            first = False
            weight, bias = weight - lr * v_weight, bias - lr * v_bias
        logits = (TEST_X - mean) / np.sqrt(variance + 1e-5) @ weight.T + bias
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        found.append(exponentials / exponentials.sum(axis=1, keepdims=True))
    return np.stack(found)


@pytest.mark.parametrize("labels", [LABELS, several(LABELS)], ids=["cross-entropy", "binary"])
@pytest.mark.parametrize("batch", [64, 16])
def test_training_is_sgd_on_batch_normalised_features_from_the_class_texts(labels: NDArray[Any], batch: int) -> None:
    """65 images: the last batch of one is left out, as ELEVATER leaves it out."""
    val = (VAL[0], several(VAL[1])) if labels.ndim == 2 else VAL
    given = lesson(X, labels, text=texts(), val=val, seed=3)
    settings = {**ONE_TRIAL, "lrs": [0.05], "decay_log10": [-2, -2], "final_epochs": 4, "batch": batch}
    predict = fitted("elevater-reference", given, **settings)
    generator = torch.Generator().manual_seed(3)
    orders = [torch.randperm(65, generator=generator).numpy() for _ in range(5)][1:]  # the first is the trial's
    assert len(X) == 65 and (predict.notes["lr"], predict.notes["weight_decay"]) == (0.05, 0.01)
    expected = plain_epochs(X, labels, orders, lr=0.05, decay=0.01, batch=batch)
    np.testing.assert_allclose(predict(TEST_X), expected[None], atol=1e-5)


def test_final_fit_has_the_validation_images_back_unless_they_are_real() -> None:
    """Own images: train + val, merged. Real ones choose, and teach nothing: a source is measured by its own images."""
    settings = {**ONE_TRIAL, "lrs": [0.05], "decay_log10": [-2, -2], "final_epochs": 1, "batch": 1000}
    own, real = (
        fitted("elevater-reference", lesson(X, LABELS, text=texts(), val=val), **settings)(TEST_X)
        for val in (None, VAL)
    )
    expected = plain_epochs(X, LABELS, [np.arange(65)], lr=0.05, decay=0.01, batch=1000)
    for found in (own, real):  # one batch of all images: their order does not matter
        np.testing.assert_allclose(found, expected[None], atol=1e-5)


def test_sweep_may_see_fewer_images_of_each_class_and_the_final_fit_sees_all() -> None:
    """As ELEVATER does with PatchCamelyon."""
    settings = {**ONE_TRIAL, "lrs": [0.05], "decay_log10": [-2, -2], "final_epochs": 1, "batch": 1000}
    given = lesson(X, LABELS, text=texts(noise=3.0))
    kept = at_most(given, 5)
    assert np.bincount(kept.labels[0]).tolist() == [5] * N_CLASSES
    whole, few, alone = (
        fitted("elevater-reference", one, **settings, tuned_per_class=n)
        for one, n in ((given, None), (given, 5), (kept, None))
    )
    assert (few.notes["chosen_on"], whole.notes["chosen_on"]) == (N_CLASSES, 3 * N_CLASSES)
    assert few.notes["validation_score"] == alone.notes["validation_score"] != whole.notes["validation_score"]
    np.testing.assert_allclose(few(TEST_X), whole(TEST_X), atol=1e-5)  # one batch of all images
    assert not np.allclose(few(TEST_X), alone(TEST_X), atol=1e-2)


def test_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    settings = {**ONE_TRIAL, "lrs": [0.05], "final_epochs": 3, "batch": 16}

    def run(seed: int) -> bytes:
        given = lesson(X, LABELS, text=texts(), seed=seed)
        return np.asarray(fitted("elevater-reference", given, **settings)(TEST_X)).tobytes()

    assert run(0) == run(0) != run(1)


def test_images_teach() -> None:
    settings = {"lrs": [1e-3, 1e-1], "spans": [8], "sweep_epochs": 3, "final_epochs": 10}
    given = lesson(X, LABELS, text=texts(noise=3.0))
    found = np.asarray(fitted("elevater-reference", given, **settings)(TEST_X))
    right = (found[0].argmax(axis=2) == TEST_LABELS).mean(axis=1)
    assert found.shape == (1, 10, len(TEST_X), N_CLASSES) and right.max() > right[0] + 0.3


def test_one_image_of_each_class_is_refused() -> None:
    x, labels = drawn(1, seed=4)
    with pytest.raises(ValueError, match="needs two images of a class"):
        fitted("elevater-reference", lesson(x, labels, text=texts()))


def test_validation_metrics_are_the_data_sets_own() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0] * 10 + [1] * 3)
    scores = rng.random((13, 2)).astype(np.float32)
    scores /= scores.sum(axis=1, keepdims=True)
    assert metric("accuracy", scores, labels) == pytest.approx((scores.argmax(axis=1) == labels).mean())
    assert metric("mean_per_class", scores, labels) == pytest.approx(
        balanced_accuracy_score(labels, scores.argmax(axis=1))
    )
    assert metric("roc_auc", scores, labels) == pytest.approx(roc_auc_score(labels, scores[:, 1]))
    assert metric("accuracy", np.full((13, 2), np.nan, np.float32), labels) == 0.0
    with pytest.raises(ValueError, match="must be accuracy, mean_per_class or roc_auc"):
        metric("top1", scores, labels)


def test_metric_of_several_labels_is_the_eleven_point_map_with_precision_1_at_recall_0() -> None:
    scores = np.array([[0.9, 0.1, 0.3], [0.8, 0.4, 0.2], [0.7, 0.6, 0.1]], np.float32)
    labels = np.array([[False, True, False], [True, False, False], [True, False, False]])
    # class 0, wrong right right: 1 at recall 0, 2/3 above; class 1, wrong wrong right: 1, then 1/3; class 2 has none
    expected = ((1 + 10 * 2 / 3) / 11 + (1 + 10 / 3) / 11) / 2
    assert metric("accuracy", scores, labels) == pytest.approx(expected)
