"""The bias metrics against their definitions in plain Python, at their edges; their intervals against simulations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from tests.metrics import slow

from vgbench.metrics.bias import background_gap, context_bias, cue_conflict, reason_at_floor
from vgbench.metrics.bias.textures import corrected
from vgbench.steps.score import item_values
from vgbench.types import Columns, Scored, Value

Scorer = Callable[[Columns, Columns, Mapping[str, Any]], Scored]
CLASSES = np.array(["ant", "bee", "cat", "dog", "eel", "fox"])
NOTHING = np.array(["na"])
WORLDS, LEAST = 120, 0.95 - 3.3 * (0.95 * 0.05 / 120) ** 0.5  # simulated worlds; 3.3 Monte-Carlo standard errors


def values(scored: Scored) -> dict[str, Value]:
    return {value.metric: value for value in scored.metrics}


def rows_of(predictions: Columns, labels: Columns) -> list[dict[str, str]]:
    columns = {**labels, **predictions}
    return [{name: str(columns[name][i]) for name in columns} for i in range(len(predictions["prediction"]))]


def same_as(found: Scored, expected: Mapping[str, float | None]) -> None:
    """Compare all that is not withheld; what cannot be computed must be withheld."""
    for name, value in values(found).items():
        if value.value is None:
            assert value.reason and value.ci is None
        else:
            assert value.value == pytest.approx(expected[name], abs=1e-12), name
            assert value.ci is None or value.ci.lo <= value.ci.hi
        if expected[name] is None:
            assert value.value is None, name


def cue_world(random: np.random.RandomState, n: int, k: int, *, variants: bool) -> tuple[Columns, Columns]:
    classes = CLASSES[:k]
    labels = {"shape": random.choice(classes, n), "texture": random.choice(classes, n)}
    if variants:
        labels["variant"] = random.choice(["conflict", "own_texture", "other_texture"], n)
    cue = random.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])
    guess = random.choice(classes, n)
    said = np.choose(cue, [labels["shape"], labels["texture"], guess, np.full(n, "na")])
    return {"prediction": said}, labels


@pytest.mark.parametrize("seed", range(40))
def test_cue_conflict_equals_its_definition(seed: int) -> None:
    random = np.random.RandomState(seed)
    k = random.randint(2, 7)
    predictions, labels = cue_world(random, random.randint(1, 300), k, variants=bool(seed % 2))
    found = cue_conflict(predictions, labels, {"n_classes": k})
    expected = slow.inclination(rows_of(predictions, labels), k)
    names = {"texture_inclination": "raw", "texture_inclination_corrected": "corrected", "decided": "decided"}
    names |= {"shape_accuracy": "shape", "texture_accuracy": "texture"}
    wanted = {name: expected[short] for name, short in names.items()}
    if seed % 2:
        wanted["texture_gap"] = slow.texture_gap(rows_of(predictions, labels))
    same_as(found, wanted)
    n_decided = sum(n for _, n, _ in found.per_class)
    assert n_decided == values(found)["texture_inclination"].n
    if n_decided:
        mean = sum(n * value for _, n, value in found.per_class) / n_decided
        assert mean == pytest.approx(values(found)["texture_inclination"].value)


@pytest.mark.parametrize("seed", range(40))
def test_context_bias_equals_its_definition(seed: int) -> None:
    random = np.random.RandomState(seed)
    n, k = random.randint(1, 400), random.randint(1, 7)
    classes = CLASSES[:k]
    labels = {"class_id": random.choice(classes, n), "n_uncommon": random.choice(4, n, p=[0.5, 0.3, 0.15, 0.05])}
    wrong = random.choice(np.concatenate([classes, NOTHING]), n)
    predictions = {"prediction": np.where(random.random_sample(n) < 0.6, labels["class_id"], wrong)}
    found = context_bias(predictions, labels, {})
    same_as(found, slow.context_bias(rows_of(predictions, labels)))
    right = predictions["prediction"] == labels["class_id"]
    attributes = {f"uncommon_{j}": (labels["n_uncommon"] > j).astype(int) for j in range(3)}
    assert found == context_bias({"correct": right.astype(int)}, {"class_id": labels["class_id"], **attributes}, {})


@pytest.mark.parametrize("seed", range(40))
def test_background_gap_equals_its_definition(seed: int) -> None:
    random = np.random.RandomState(seed)
    n, classes = random.randint(1, 200), CLASSES[: random.randint(1, 7)]
    kinds = random.choice(classes, n)
    paired = bool(seed % 2) or n < 5  # so few may pair by luck
    labels = {
        "class_id": np.concatenate([kinds, kinds]),
        "variant": np.repeat(["same", "rand"], n) if paired else random.choice(["same", "rand"], 2 * n),
        "foreground": np.tile(np.arange(n), 2),
    }
    said = random.choice(np.concatenate([classes, NOTHING]), 2 * n)
    predictions = {"prediction": np.where(random.random_sample(2 * n) < 0.6, labels["class_id"], said)}
    order = random.permutation(2 * n)
    predictions, labels = ({name: c[order] for name, c in t.items()} for t in (predictions, labels))
    found = background_gap(predictions, labels, {})
    same_as(found, slow.background_gap(rows_of(predictions, labels)))
    gap = values(found)["background_gap"]
    if gap.value is not None:
        assert item_values(found, 2 * n) is not None  # their mean is the gap
        assert gap.ci is not None and ("unpaired" not in gap.ci.method) == paired and gap.n == (n if paired else 2 * n)


def test_figures_do_not_depend_on_the_order_of_rows() -> None:
    random = np.random.RandomState(1)
    predictions, labels = cue_world(random, 200, 6, variants=True)
    order = random.permutation(200)
    shuffled = ({name: c[order] for name, c in t.items()} for t in (predictions, labels))
    assert cue_conflict(predictions, labels, {}) == cue_conflict(*shuffled, {})


# ── What is withheld ─────────────────────────────────────────────────────────────────────────────


def test_no_trial_decided_gives_no_inclination() -> None:
    labels = {"shape": np.repeat(CLASSES, 10), "texture": np.repeat(np.roll(CLASSES, 1), 10)}
    found = values(cue_conflict({"prediction": np.full(60, "na")}, labels, {}))
    assert found["texture_inclination"].value is None and found["decided"].value == 0.0
    assert "none of 60 trials" in (found["texture_inclination"].reason or "")
    assert found["texture_inclination_corrected"].value is None


@pytest.mark.parametrize("scorer", [cue_conflict, context_bias, background_gap])
def test_no_items_give_no_values_and_a_reason(scorer: Scorer) -> None:
    empty = np.zeros(0, "<U3")
    labels = dict.fromkeys(["shape", "texture", "class_id", "variant", "foreground"], empty)
    found = scorer({"prediction": empty}, {**labels, "n_uncommon": np.zeros(0, int)}, {})
    assert all(value.value is None and value.reason and value.n == 0 for value in found.metrics)


def test_trials_without_conflict_are_dropped_whatever_was_answered() -> None:
    labels = {"shape": np.array(["ant", "ant", "bee"]), "texture": np.array(["ant", "bee", "bee"])}
    found = values(cue_conflict({"prediction": np.array(["bee", "bee", "na"])}, labels, {"n_classes": 6}))
    assert found["texture_inclination"].value == 1.0 and found["decided"].n == 1


def test_two_categories_leave_no_room_for_a_correction() -> None:
    labels = {"shape": np.repeat(["ant", "bee"], 50), "texture": np.repeat(["bee", "ant"], 50)}
    found = values(cue_conflict({"prediction": labels["shape"]}, labels, {}))
    assert found["texture_inclination"].value == 0.0
    assert "2 categories" in (found["texture_inclination_corrected"].reason or "")


def test_correction_takes_off_what_guessing_adds() -> None:
    shape, texture = corrected(0.3 + 0.5 / 16, 0.2 + 0.5 / 16, 1, 16)
    assert (float(shape), float(texture)) == (pytest.approx(0.3), pytest.approx(0.2))


def test_few_answers_above_chance_give_no_corrected_inclination() -> None:
    shape = np.repeat(CLASSES, 2000)
    labels = {"shape": shape, "texture": np.repeat(np.roll(CLASSES, 1), 2000)}
    said = np.tile(CLASSES, 2000)
    said[::50] = shape[::50]  # 2 % know the shape
    found = values(cue_conflict({"prediction": said}, labels, {}))["texture_inclination_corrected"]
    assert found.value is None and "under 0.05" in (found.reason or "")


def test_empty_partition_withholds_what_needs_it_only() -> None:
    labels = {"class_id": np.repeat(CLASSES, 30), "n_uncommon": np.tile([0, 1, 2], 60)}
    found = values(context_bias({"prediction": labels["class_id"]}, labels, {}))
    assert found["context_bias_12"].value == 1.0 and found["accuracy_p3"].reason == "P3 has no images"
    for name in ("context_bias_avg", "context_bias_3"):
        assert found[name].value is None and found[name].reason == "P3 has no images"


def test_ratio_to_a_low_accuracy_is_withheld() -> None:
    labels = {"class_id": np.repeat(CLASSES, 40), "n_uncommon": np.tile([0, 1, 2, 3], 60)}
    said = np.where(np.arange(240) % 40 < 16, labels["class_id"], "na")  # .4 of P0, below 3/6
    found = values(context_bias({"prediction": said}, labels, {}))
    assert found["context_bias_avg"].value is None and "below 3/6" in (found["context_bias_avg"].reason or "")
    assert found["accuracy_p0"].value == pytest.approx(0.4)
    assert values(context_bias({"prediction": said}, labels, {"n_classes": 10}))["context_bias_avg"].value == 1.0


def test_relative_gap_of_guesses_is_withheld() -> None:
    random = np.random.RandomState(0)
    labels = {"class_id": random.choice(CLASSES, 800), "variant": np.repeat(["same", "rand"], 400)}
    found = values(background_gap({"prediction": random.choice(CLASSES, 800)}, labels, {}))
    assert found["background_gap"].value is not None
    assert "not above 1/6" in (found["background_gap_relative"].reason or "")


@pytest.mark.parametrize(
    ("scorer", "biases", "shares"),
    [
        (
            cue_conflict,
            {"texture_inclination", "texture_inclination_corrected", "texture_gap"},
            {"shape_accuracy", "texture_accuracy", "decided"},
        ),
        (
            context_bias,
            {f"context_bias_{x}" for x in ("avg", "12", "12_reweighted", "1", "2", "3")},
            {f"accuracy_p{k}" for k in range(4)},
        ),
        (background_gap, {"background_gap", "background_gap_relative"}, {"accuracy_same", "accuracy_rand"}),
    ],
)
def test_row_no_better_than_an_untrained_network_has_no_bias(
    scorer: Scorer, biases: set[str], shares: set[str]
) -> None:
    n = 600
    kinds = np.repeat(CLASSES, n // 6)
    labels: dict[str, Any] = {"class_id": kinds, "shape": kinds, "texture": np.roll(kinds, 100)}
    labels["n_uncommon"] = np.tile([0, 1, 2, 3], n // 4)
    variants = ["conflict", "own_texture", "other_texture"] if scorer is cue_conflict else ["same", "rand"]
    labels["variant"] = np.resize(variants, n)
    said = np.where(np.arange(n) % 10 < 8, kinds, "na")
    as_good = {"prediction": said}
    worse = {"prediction": np.where(np.arange(n) % 10 < 1, kinds, "na")}
    for options in ({"floor": 0.9}, {"random_init": as_good}, {"floor": 0.1, "random_init": as_good}):
        found = values(scorer(as_good, labels, options))
        assert {name for name, value in found.items() if value.value is None} == biases
        assert all("an untrained network" in (found[name].reason or "") for name in biases)
    for options in ({}, {"floor": 0.5}, {"random_init": worse}, {"floor": None, "random_init": None}):
        found = values(scorer(as_good, labels, options))
        assert all(found[name].value is not None for name in biases | shares)


def test_floor_is_exceeded_not_reached() -> None:
    assert (
        reason_at_floor(30, 100, 0.3, "accuracy")
        == "accuracy 0.300 is not above 0.300, what an untrained network reaches"
    )
    assert reason_at_floor(31, 100, 0.3, "accuracy") is None and reason_at_floor(0, 100, None, "accuracy") is None
    assert "of no items" in (reason_at_floor(0, 0, 0.3, "accuracy") or "")


@pytest.mark.parametrize("scorer", [cue_conflict, context_bias, background_gap])
def test_other_numbers_of_rows_are_refused(scorer: Scorer) -> None:
    two = np.array(["ant", "bee"])
    labels = {"class_id": two, "shape": two, "texture": two[::-1], "variant": np.array(["same", "rand"])}
    with pytest.raises(ValueError, match="3 predictions for 2"):
        scorer({"prediction": CLASSES[:3]}, {**labels, "n_uncommon": np.array([0, 1])}, {})


# ── Intervals ────────────────────────────────────────────────────────────────────────────────────


def test_intervals_of_context_bias_cover_the_truth() -> None:
    """FOCUS in small: P3 with 21 images, P2 with some 10 of each category."""
    random = np.random.RandomState(7)
    uncommon = np.repeat([0, 1, 2, 3], [600, 250, 60, 21])
    kinds = np.resize(CLASSES, len(uncommon))
    accuracy = np.array([0.75, 0.5, 0.4, 0.5])
    truth = {f"context_bias_{k}": accuracy[k] / 0.75 for k in (1, 2, 3)}
    truth |= {"context_bias_avg": 1.4 / 3 / 0.75, "context_bias_12": 0.6, "context_bias_12_reweighted": 0.6}
    covered: dict[str, list[bool]] = {name: [] for name in truth}
    for _ in range(WORLDS):
        right = (random.random_sample(len(uncommon)) < accuracy[uncommon]).astype(int)
        found = context_bias({"correct": right}, {"class_id": kinds, "n_uncommon": uncommon}, {"n_classes": 10})
        for name, value in truth.items():
            ci = values(found)[name].ci
            assert ci is not None
            covered[name].append(ci.lo <= value <= ci.hi)
    assert {name for name, held in covered.items() if np.mean(held) < LEAST} == set()


def test_interval_of_a_corrected_inclination_covers_the_truth() -> None:
    """One half follows a cue (.3 shape, .2 texture), one half guesses among 16."""
    random, covered = np.random.RandomState(3), []
    for _ in range(WORLDS):
        kinds = np.array([f"k{i:02d}" for i in range(16)])
        shape = np.resize(kinds, 800)
        texture = np.roll(kinds, 1)[np.arange(800) % 16]
        cue = random.choice(3, 800, p=[0.3, 0.2, 0.5])
        said = np.choose(cue, [shape, texture, random.choice(kinds, 800)])
        found = values(cue_conflict({"prediction": said}, {"shape": shape, "texture": texture}, {}))
        ci = found["texture_inclination_corrected"].ci
        assert ci is not None
        covered.append(ci.lo <= 0.4 <= ci.hi)
    assert np.mean(covered) >= LEAST


@pytest.mark.parametrize("paired", [True, False])
def test_interval_of_a_relative_gap_covers_the_truth(paired: bool) -> None:
    random, covered = np.random.RandomState(5), []
    for _ in range(WORLDS):
        kinds = np.resize(CLASSES, 450)
        ease = random.random_sample(450)  # shared by both images of a foreground
        again = ease if paired else random.random_sample(450)
        right = np.concatenate([ease < 0.86, again < 0.79]).astype(int)
        labels = {"class_id": np.tile(kinds, 2), "variant": np.repeat(["same", "rand"], 450)}
        if paired:
            labels["foreground"] = np.tile(np.arange(450), 2).astype(str)
        ci = values(background_gap({"correct": right}, labels, {}))["background_gap_relative"].ci
        assert ci is not None
        covered.append(ci.lo <= 1 - 0.79 / 0.86 <= ci.hi)
    assert np.mean(covered) >= LEAST


def test_newcombes_unpaired_interval_equals_published_figures() -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 873–890, table II, method 10."""
    from vgbench.stats import newcombe_unpaired

    for counts, lo, hi in [((56, 70, 48, 80), 0.0524, 0.3339), ((9, 10, 3, 10), 0.1705, 0.8090)]:
        found = newcombe_unpaired(*counts)
        assert (round(found.lo, 4), round(found.hi, 4)) == (lo, hi)
    with pytest.raises(ValueError, match="no items"):
        newcombe_unpaired(0, 0, 1, 2)
