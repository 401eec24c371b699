"""Cue conflict, FOCUS, background gap: their maps, published figures, what `score` reads, what `run` waits for."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.golden import golden

from vgbench import stages
from vgbench.cli import main
from vgbench.locate import Locator
from vgbench.planning import Builder
from vgbench.registry import Registry
from vgbench.types import Node, StepRef
from vgbench_tasks import background_gap, cue_conflict, focus
from vgbench_tasks.background_gap.categories import CATEGORIES as NINE
from vgbench_tasks.cue_conflict.categories import CATEGORIES as SIXTEEN
from vgbench_tasks.focus import categories
from vgbench_tasks.focus.categories import CATEGORIES as TEN
from vgbench_tasks.imagenet import positions

HUMANS = {  # golden/README.md
    "subject-01": 0.03828,
    "subject-02": 0.05619,
    "subject-03": 0.03269,
    "subject-04": 0.08091,
    "subject-05": 0.03602,
}


@pytest.fixture
def score(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run ``vgbench score ARGS`` in this process: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> tuple[int, str, str]:
        code = main(["--home", str(tmp_path / "home"), "score", *args])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def values(score: Any, *args: str) -> dict[str, dict[str, Any]]:
    code, out, err = score(*args, "--json")
    assert code == 0, err
    return {metric["name"]: metric for metric in json.loads(out)["metrics"]}


def write(path: Path, names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return str(path)


# ── Maps ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("task", "found", "total", "some"),
    [
        (cue_conflict, SIXTEEN, 207, {"dog": 109, "bird": 49, "oven": 1, "truck": 8}),
        (focus, TEN, 226, {"dog": 121, "bird": 59, "plane": 2, "ship": 11}),
        (background_gap, NINE, 370, {"dog": 116, "bird": 52, "vehicle": 42, "reptile": 36, "carnivore": 35}),
    ],
)
def test_maps_have_the_published_counts(
    task: Any, found: tuple[tuple[str, tuple[int, ...]], ...], total: int, some: dict[str, int]
) -> None:
    listed = [position for _, members in found for position in members]
    assert len(listed) == len(set(listed)) == total and min(listed) >= 0 and max(listed) < 1000
    sizes = {name: len(members) for name, members in found}
    assert sizes | some == sizes
    assert Registry().class_list(task.CLASSES).ids == tuple(name for name, _ in found)
    assert len(found) == task.N_CLASSES


def test_ranges_include_both_ends() -> None:
    assert positions("8,10-12,14") == (8, 10, 11, 12, 14)


def test_every_focus_category_has_its_uncommon_attributes() -> None:
    for table, known in (
        (categories.UNCOMMON_TIMES, categories.TIMES),
        (categories.UNCOMMON_WEATHERS, categories.WEATHERS),
        (categories.UNCOMMON_LOCATIONS, categories.LOCATIONS),
    ):
        assert list(table) == [name for name, _ in TEN]
        assert all(values <= set(known) for values in table.values())


# ── Published figures ────────────────────────────────────────────────────────────────────────────


def test_human_observers_have_their_published_inclinations(score: Any, tmp_path: Path) -> None:
    with golden("cue_conflict_humans.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["observer"] for row in rows} == set(HUMANS)
    for observer, expected in HUMANS.items():
        own = [(row["sample_id"], row["prediction"]) for row in rows if row["observer"] == observer]
        found = values(score, "cue-conflict", write(tmp_path / "p.csv", ["sample_id", "prediction"], own))
        assert len(own) == 1280 and found["shape_accuracy"]["n"] == 1200
        assert abs(found["texture_inclination"]["value"] - expected) <= 1e-5
        assert found["texture_inclination"]["main"] and found["texture_inclination"]["ci"]["method"] == "wilson"


@pytest.mark.parametrize("labels", [True, False])
def test_a_resnet50_has_its_published_context_biases(score: Any, labels: bool) -> None:
    path = str(golden("focus_resnet50.csv.gz"))
    found = values(score, "focus", path, *(["--labels", path] if labels else []))
    for k, (n, accuracy) in enumerate([(14146, 0.7244), (5974, 0.4439), (674, 0.2804), (21, 0.4286)]):
        metric = found[f"accuracy_p{k}"]
        assert metric["n"] == n and metric["value"] == pytest.approx(accuracy, abs=5e-5)
    for name, value in [("1", 0.6128), ("2", 0.3871), ("3", 0.5916), ("avg", 0.5305), ("12", (0.6128 + 0.3871) / 2)]:
        metric = found[f"context_bias_{name}"]
        assert metric["value"] == pytest.approx(value, abs=5.1e-5)
        assert metric["ci"]["lo"] < metric["value"] < metric["ci"]["hi"]
    assert found["context_bias_avg"]["main"]


# ── What `score` reads ───────────────────────────────────────────────────────────────────────────


def test_shape_and_texture_may_be_columns(score: Any, tmp_path: Path) -> None:
    names = ["sample_id", "prediction", "shape", "texture"]
    rows = [(f"x{i}", "cat" if i < 3 else "dog", "cat", "dog") for i in range(4)]
    found = values(score, "cue-conflict", write(tmp_path / "p.csv", names, rows))
    assert found["texture_inclination"]["value"] == 0.25 and found["decided"]["chance"] == 2 / 16
    labels = write(tmp_path / "l.csv", ["sample_id", "shape", "texture"], [(r[0], r[3], r[2]) for r in rows])
    found = values(score, "cue-conflict", str(tmp_path / "p.csv"), "--labels", labels)
    assert found["texture_inclination"]["value"] == 0.75


def test_floor_withholds_a_bias_and_says_why(score: Any, tmp_path: Path) -> None:
    rows = [(f"cat{i}-dog{i}", "cat" if i % 2 else "na") for i in range(40)]
    path = write(tmp_path / "p.csv", ["sample_id", "prediction"], rows)
    code, out, _ = score("cue-conflict:floor=0.6", path, "--per-class")
    assert code == 0 and "– (the share of trials decided, 0.500 is not above 0.600" in out
    assert values(score, "cue-conflict:floor=0.4", path)["texture_inclination"]["value"] == 0.0


def test_focus_reads_annotations_by_name_or_number_and_imagenet_classes(score: Any, tmp_path: Path) -> None:
    names = ["sample_id", "prediction", "category", "time", "weather", "locations"]
    rows = [
        ("a", "404", "plane", "day", "sunny", "none"),  # the ImageNet class airliner: right
        ("b", "plane", "plane", "1", "3", "0, 7"),  # night, raining, forest and water
        ("c", "282", "frog", "night", "foggy", "grass"),  # night is common for a frog; a tabby cat is wrong
        ("d", "999", "cat", "night", "snowing", "indoors"),  # indoors is common for a cat; toilet tissue is no category
    ]
    found = values(score, "focus", write(tmp_path / "p.csv", names, rows))
    assert [found[f"accuracy_p{k}"]["n"] for k in range(4)] == [1, 1, 1, 1]
    assert [found[f"accuracy_p{k}"]["value"] for k in range(4)] == [1, 0, 0, 1]


def test_background_gap_reads_pairs_and_imagenet_classes(score: Any, tmp_path: Path) -> None:
    names = ["sample_id", "prediction", "class_id", "variant", "foreground"]
    rows = []
    for i in range(30):
        rows.append((f"s{i}", "fish" if i % 10 else "42", "fish", "mixed_same", str(i)))
        rows.append((f"r{i}", "389" if i % 2 else "na", "fish", "rand", str(i)))
    found = values(score, "background-gap", write(tmp_path / "p.csv", names, rows))
    assert found["accuracy_same"]["value"] == 0.9 and found["accuracy_rand"]["value"] == 0.5
    assert found["background_gap"]["value"] == pytest.approx(0.4) and found["background_gap"]["n"] == 30
    assert found["background_gap"]["ci"]["method"] == "newcombe, paired"
    assert found["background_gap_relative"]["value"] == pytest.approx(0.4 / 0.9)
    unpaired = write(tmp_path / "q.csv", names[:-1], [row[:-1] for row in rows])
    found = values(score, "background-gap", unpaired)
    assert found["background_gap"]["ci"]["method"] == "newcombe, unpaired"


FOCUS_NAMES = ["sample_id", "top1_correct", "category_index", "uncommon_time", "uncommon_weather", "uncommon_location"]


@pytest.mark.parametrize(
    ("task", "names", "row", "what"),
    [
        ("cue-conflict", ["sample_id", "prediction"], ["cat_7", "cat"], "1 sample ids are not {shape}{n}-{texture}{m}"),
        ("cue-conflict", ["sample_id", "prediction"], ["cat7-dgo3", "cat"], "did you mean 'dog'?"),
        ("cue-conflict", ["sample_id", "prediction"], ["cat7-dog3", "cta"], "did you mean 'cat'?"),
        ("cue-conflict", ["sample_id", "predicted"], ["cat7-dog3", "cat"], "did you mean 'predicted'?"),
        ("cue-conflict", ["sample_id", "prediction"], ["cat7-dog3", ""], "have an empty or NaN prediction"),
        ("cue-conflict", ["name", "prediction"], ["cat7-dog3", "cat"], "has no column 'sample_id'"),
        ("focus", FOCUS_NAMES, ["a", "2", "1", "0", "0", "0"], "values of top1_correct (0 or 1): 2"),
        ("focus", FOCUS_NAMES, ["a", "1", "12", "0", "0", "0"], "category_index 12 lies outside 0..9"),
        ("focus", FOCUS_NAMES, ["a", "1", "1", "", "0", "0"], "samples have an empty or NaN uncommon_time: a"),
        (
            "focus",
            ["sample_id", *FOCUS_NAMES[2:]],
            ["a", "1", "0", "0", "0"],
            "'prediction' or 'top1_correct' or 'correct'",
        ),
        ("focus", ["sample_id", "prediction", "category"], ["a", "dog", "dog"], "has to be got by hand"),
        ("focus", ["sample_id", "prediction"], ["a", "1000"], "categories or ImageNet classes 0..999: 1000"),
        (
            "background-gap",
            ["sample_id", "prediction", "class_id", "variant"],
            ["a", "dog", "dog", "some"],
            "did you mean 'same'?",
        ),
        (
            "background-gap",
            ["sample_id", "correct", "class_id", "variant"],
            ["a", "1", "dgo", "same"],
            "did you mean 'dog'?",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(
    score: Any, tmp_path: Path, task: str, names: list[str], row: list[str], what: str
) -> None:
    code, out, err = score(task, write(tmp_path / "p.csv", names, [row]))
    assert code == (3 if "by hand" in what else 2) and what in err and "Traceback" not in err and out == ""


def test_labels_without_their_columns_are_refused_with_what_is_needed(score: Any, tmp_path: Path) -> None:
    predictions = write(tmp_path / "p.csv", ["sample_id", "prediction"], [["a", "dog"]])
    labels = write(tmp_path / "l.csv", ["sample_id", "class_id"], [["a", "dog"]])
    code, _, err = score("focus", predictions, "--labels", labels)
    assert code == 2 and "category + uncommon_time + uncommon_weather + uncommon_location" in err
    code, _, err = score("background-gap", predictions, "--labels", labels)
    assert code == 2 and "'class_id + variant'" in err and "its columns: 'sample_id', 'class_id'" in err


def test_all_observers_at_once_are_refused(score: Any) -> None:
    code, _, err = score("cue-conflict", str(golden("cue_conflict_humans.csv")))
    assert code == 2 and "sample ids stand more than once" in err


def test_truncated_gzip_is_refused(score: Any, tmp_path: Path) -> None:
    whole = gzip.compress(b"sample_id,prediction\ncat1-dog1,cat\n")
    for n in (len(whole) - 6, 4, 30):
        (tmp_path / "p.csv.gz").write_bytes(whole[:n])
        code, _, err = score("cue-conflict", "p.csv.gz")
        assert code == 2 and "not readable as csv" in err
    (tmp_path / "p.csv.gz").write_bytes(whole)
    assert score("cue-conflict", "p.csv.gz")[0] == 0


# ── The graph ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("task", ["cue-conflict", "focus", "background-gap"])
def test_run_is_blocked_until_the_images_are_here(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = ["--home", str(tmp_path / "home")]
    assert main([*home, "plan", "--source", "sd", "--tasks", task, "--images-per-class", "1", "--json"]) == 3
    answer = json.loads(capsys.readouterr().out)
    (cell,) = answer["cells"]
    assert cell["state"] == "blocked" and answer["if_unblocked"]["make"] > 1000
    assert main([*home, "data", "doctor", "--tasks", task]) == 3
    assert f"vgbench data add {task} PATH" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("task", "found", "rule"),
    [(cue_conflict, SIXTEEN, "mean"), (focus, TEN, "top1"), (background_gap, NINE, "top1")],
)
def test_graph_scores_a_network_in_categories_above_its_initialisation(task: Any, found: Any, rule: Any) -> None:
    g = Builder(Registry(), Locator(), {})
    given, labels, untrained = (g.node(StepRef("vgbench.any", "1", ""), params={"of": i}) for i in range(3))
    scores = stages.answered(g, given, labels, scorer=task.SCORER, categories=found, rule=rule, untrained=untrained)
    answers, floor = (dict(scores.score.inputs)[name] for name in ("predictions", "random_init"))
    assert (
        isinstance(answers, Node) and answers.param["rule"] == rule and len(answers.param["categories"]) == len(found)
    )
    assert dict(scores.controls["random_init"].inputs) == {"predictions": floor, "labels": labels}
    assert dict(answers.inputs) == {"predictions": given}
    assert scores.score.param["scorer"]["values"] == {"n_classes": task.N_CLASSES}
    assert [node for node in answers.walk() if node == labels] == []


def test_probabilities_become_categories_by_their_mean() -> None:
    from vgbench.metrics.categories import by_mean, by_top1

    random = np.random.RandomState(0)
    probabilities = random.dirichlet(np.full(1000, 0.05), 60).astype(np.float32)
    slow = []
    for row in probabilities:
        means = {name: sum(float(row[m]) for m in members) / len(members) for name, members in SIXTEEN}
        slow.append(max(means, key=lambda name: means[name]))
    assert by_mean(probabilities, SIXTEEN).tolist() == slow and len(set(slow)) > 8
    dogs = np.zeros((1, 1000), np.float32)
    dogs[0, 152:192], dogs[0, 766] = 0.02, 0.2  # .8 on forty dogs, .2 on the one oven
    assert by_mean(dogs, SIXTEEN).tolist() == ["oven"]
    of = {member: name for name, members in NINE for member in members}
    assert by_top1(np.arange(1000), NINE, 1000).tolist() == [of.get(i, "na") for i in range(1000)]
    with pytest.raises(ValueError, match=r"outside 0\.\.99"):
        by_mean(probabilities[:, :100], SIXTEEN)
    with pytest.raises(ValueError, match="counts as 'a' and as 'b'"):
        by_top1(np.arange(3), [("a", [0, 1]), ("b", [1])], 3)
