"""Scripted observers go through the scorers and get their known values back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vgbench.metrics.bias import background_gap, context_bias, cue_conflict
from vgbench.testing import observers
from vgbench.types import Columns, Scored, Value

K = 16
KINDS = np.array([f"kind-{i:02d}" for i in range(K)])
N = 3200
SEEDS = 20


def metrics(scored: Scored) -> dict[str, Value]:
    return {value.metric: value for value in scored.metrics}


def holds(value: Value, truth: float) -> bool:
    """Say whether a value's interval holds the truth."""
    return value.ci is not None and value.ci.lo - 1e-9 <= truth <= value.ci.hi + 1e-9


def known_values_hold(found: list[dict[str, Value]], truth: dict[str, float]) -> None:
    """Each 95 % interval holds its known value in at least 16 of 20 runs (fewer: by chance in 1 of 400)."""
    held = {name: sum(holds(values[name], value) for values in found) for name, value in truth.items()}
    assert len(found) == SEEDS and min(held.values()) >= 16, held


def trials() -> dict[str, Any]:
    """Cue conflict on neutral ground, and each shape with its own and with another texture on random backgrounds."""
    random = np.random.RandomState(0)
    shape = np.resize(KINDS, N)
    other = KINDS[(np.arange(N) % K + random.randint(1, K, N)) % K]
    return {
        "shape": np.tile(shape, 3),
        "texture": np.concatenate([other, shape, other]),
        "background": np.concatenate([np.full(N, ""), np.tile(random.choice(KINDS, N), 2)]),
        "variant": np.repeat(["conflict", "own_texture", "other_texture"], N),
        "pair": np.tile(np.arange(N), 3),
    }


def contexts() -> dict[str, Any]:
    random = np.random.RandomState(1)
    return {"class_id": np.resize(KINDS, N), "n_uncommon": random.choice(4, N, p=[0.5, 0.25, 0.15, 0.1])}


def mixed() -> dict[str, Any]:
    """Foregrounds before a background of their own class and of another."""
    random = np.random.RandomState(2)
    kinds = np.resize(KINDS, N)
    other = KINDS[(np.arange(N) % K + random.randint(1, K, N)) % K]
    return {
        "class_id": np.tile(kinds, 2),
        "background": np.concatenate([kinds, other]),
        "variant": np.repeat(["same", "rand"], N),
        "foreground": np.tile(np.arange(N), 2),
    }


def said(answers: Any) -> Columns:
    return {"prediction": answers}


def test_shape_only() -> None:
    table = trials()
    found = metrics(cue_conflict(said(observers.shape_only(table)), table, {}))
    expected = {"texture_inclination": 0, "texture_inclination_corrected": 0, "shape_accuracy": 1, "texture_gap": 0}
    assert {name: found[name].value for name in expected} == expected
    assert metrics(background_gap(said(observers.shape_only(mixed())), mixed(), {}))["background_gap"].value == 0
    biases = metrics(context_bias(said(observers.shape_only(contexts())), contexts(), {}))
    assert all(value.value == 1 for value in biases.values())


def test_texture_only() -> None:
    table = trials()
    found = metrics(cue_conflict(said(observers.texture_only(table)), table, {}))
    expected = {"texture_inclination": 1, "texture_inclination_corrected": 1, "texture_accuracy": 1, "texture_gap": 1}
    assert {name: found[name].value for name in expected} == expected


@pytest.mark.parametrize(("p_shape", "p_texture"), [(0.6, 0.3), (0.5, 0.5), (0.2, 0.1), (0.3, 0.0), (0.1, 0.6)])
def test_known_mixture(p_shape: float, p_texture: float) -> None:
    table, guess = trials(), 1 - p_shape - p_texture
    truth = {
        "texture_inclination": (p_texture + guess / K) / (p_shape + p_texture + 2 * guess / K),
        "texture_inclination_corrected": p_texture / (p_shape + p_texture),
        "shape_accuracy": p_shape + guess / K,
        "texture_gap": p_texture,
    }
    found = []
    for seed in range(SEEDS):
        answers = observers.follow(table, {"shape": p_shape, "texture": p_texture}, seed)
        found.append(metrics(cue_conflict(said(answers), table, {})))
    known_values_hold(found, truth)


def test_raw_inclination_drifts_with_accuracy_and_the_corrected_one_does_not() -> None:
    """The reason for the correction: observers that all go by shape alone, and guess more and more."""
    table = trials()
    found = [metrics(cue_conflict(said(observers.follow(table, {"shape": p}, 3)), table, {})) for p in (0.9, 0.4, 0.1)]
    raw = [f["texture_inclination"].value for f in found]
    assert raw[0] is not None and raw[2] is not None and raw[0] < 0.02 and raw[2] > 0.2
    assert all(holds(f["texture_inclination_corrected"], 0.0) for f in found)


def test_background_only() -> None:
    table = mixed()
    found = metrics(background_gap(said(observers.background_only(table)), table, {}))
    expected = {"background_gap": 1, "background_gap_relative": 1, "accuracy_same": 1, "accuracy_rand": 0}
    assert {name: found[name].value for name in expected} == expected
    conflict = metrics(cue_conflict(said(observers.background_only(trials())), trials(), {}))
    assert conflict["texture_inclination_corrected"].value is None  # on neutral ground it guesses
    assert holds(conflict["texture_gap"], 0.0)


@pytest.mark.parametrize("p_background", [0.0, 0.2, 0.7])
def test_mixture_of_shape_and_background(p_background: float) -> None:
    table = mixed()
    own = 0.2 + p_background + (0.8 - p_background) / K
    weights = {"class_id": 0.2, "background": p_background}
    runs = [background_gap(said(observers.follow(table, weights, seed)), table, {}) for seed in range(SEEDS)]
    truth = {"background_gap": p_background, "background_gap_relative": p_background / own, "accuracy_same": own}
    known_values_hold([metrics(run) for run in runs], truth)


def test_context_blind() -> None:
    table = contexts()
    found = metrics(context_bias(said(observers.context_blind(table)), table, {}))
    assert all(holds(value, 1.0) for name, value in found.items() if name.startswith("context_bias"))
    assert all(holds(found[f"accuracy_p{k}"], 0.8) for k in range(4))


def test_context_bound() -> None:
    table, accuracy = contexts(), [0.8, 0.6, 0.4, 0.2]
    found = metrics(context_bias(said(observers.right_with(table, accuracy, 2)), table, {}))
    truth = {f"context_bias_{k}": accuracy[k] / 0.8 for k in (1, 2, 3)}
    truth |= {"context_bias_avg": 0.5, "context_bias_12": 0.625, "context_bias_12_reweighted": 0.625}
    assert [name for name, value in truth.items() if not holds(found[name], value)] == []


def test_reweighting_does_not_take_another_mix_of_categories_for_context() -> None:
    """One category is hard, and it is common among the uncommon contexts: no context bias, but CB says .7."""
    random = np.random.RandomState(6)
    uncommon = random.choice(3, N, p=[0.5, 0.3, 0.2])
    hard = random.random_sample(N) < np.where(uncommon > 0, 0.6, 0.1)
    category = np.where(hard, KINDS[0], KINDS[1 + np.arange(N) % (K - 1)])
    right = (random.random_sample(N) < np.where(hard, 0.4, 0.9)).astype(int)
    found = metrics(context_bias({"correct": right}, {"class_id": category, "n_uncommon": uncommon}, {}))
    plain = found["context_bias_12"].value
    assert plain is not None and plain < 0.75 and holds(found["context_bias_12_reweighted"], 1.0)


@pytest.mark.parametrize("who", ["constant", "random"])
def test_who_knows_nothing_has_no_bias(who: str) -> None:
    def answers(table: dict[str, Any]) -> Columns:
        return said(observers.constant(table, str(KINDS[3])) if who == "constant" else observers.guesser(table, 9))

    conflict = metrics(cue_conflict(answers(trials()), trials(), {}))
    assert conflict["texture_inclination_corrected"].value is None and holds(conflict["texture_gap"], 0.0)
    assert holds(conflict["decided"], 2 / K) and holds(conflict["shape_accuracy"], 1 / K)
    assert holds(conflict["texture_inclination"], 0.5)  # what the raw figure says of a guesser
    gap = metrics(background_gap(answers(mixed()), mixed(), {}))
    assert holds(gap["background_gap"], 0.0) and gap["background_gap_relative"].value is None
    biases = metrics(context_bias(answers(contexts()), contexts(), {}))
    assert all(value.value is None for name, value in biases.items() if name.startswith("context_bias"))
    floored = {"random_init": said(observers.guesser(trials(), 1))}
    rule = metrics(cue_conflict(answers(trials()), trials(), floored))
    assert rule["texture_inclination"].value is None and rule["texture_gap"].value is None


def test_observers_draw_alike_whatever_the_factors_are() -> None:
    """The two images of a pair get the same draws only if these do not depend on the factors."""
    table = mixed()
    neutral = {**table, "background": np.full(2 * N, "")}
    weights = {"class_id": 0.3, "background": 0.3}
    a, b = observers.follow(table, weights, 1), observers.follow(neutral, weights, 1)
    by_background = a != b
    assert 0.2 < by_background.mean() < 0.3 + 0.03 and (a == observers.follow(table, weights, 1)).all()


def test_weights_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match="no probabilities"):
        observers.follow(trials(), {"shape": 0.8, "texture": 0.3})
