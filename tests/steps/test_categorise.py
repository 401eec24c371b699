"""categorise and score, as steps: categories of a head's classes, the scorer's options, the untrained floor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vgbench.metrics.bias import cue_conflict
from vgbench.metrics.categories import by_restricted
from vgbench.metrics.declared import texture_metrics
from vgbench.results import MetricValue, control_of, metric_values
from vgbench.steps.categorise import categorise
from vgbench.steps.score import score
from vgbench.types import Artifact, Part, Step

CATEGORIES = [["cat", [0, 1]], ["dog", [2]], ["eel", [3]]]
SCORER = Part("scorer", "s", "1", "vgbench.metrics.bias:cue_conflict", {"n_classes": 4})


def step(out: Path, inputs: Mapping[str, Path], params: Mapping[str, Any]) -> Step:
    out.mkdir()
    return Step(
        node="0" * 64,
        params=params,
        inputs={name: Artifact("", (path,)) for name, path in inputs.items()},
        seed=None,
        shard=0,
        out=out,
        scratch=out,
        device="cpu",
        progress=lambda done, total: None,
        resident=lambda key, make: make(),
        load=lambda part: cue_conflict,
    )


def answers(folder: Path, columns: Mapping[str, Any], *, name: str = "predictions") -> Path:
    folder.mkdir()
    pq.write_table(pa.table(dict(columns)), folder / f"{name}.parquet")
    return folder


def test_scores_of_a_head_become_categories(tmp_path: Path) -> None:
    scores = [[0.3, 0.1, 0.25, 0.35], [0.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.0, 0.0], [0.1, 0.1, 0.4, 0.4]]
    given = answers(tmp_path / "p", {"sample_id": list("dcba"), "scores": pa.array(scores, pa.list_(pa.float32()))})
    for rule, expected in (("mean", ["eel", "eel", "cat", "dog"]), ("top1", ["na", "na", "cat", "dog"])):
        categories = CATEGORIES if rule == "mean" else CATEGORIES[:2]
        made = categorise(step(tmp_path / rule, {"predictions": given}, {"categories": categories, "rule": rule}))
        table = pq.read_table(tmp_path / rule / "predictions.parquet")
        assert made.items == 4 and table.to_pydict() == {"sample_id": list("dcba"), "prediction": expected}


@pytest.mark.parametrize(
    ("scores", "rule", "what"),
    [
        (None, "mean", "no scores"),
        ([[0.5, 0.5], [0.1, 0.2, 0.7]], "mean", "of one length"),
        ([[0.5, 0.5], [0.5, 0.5]], "mean", r"outside 0\.\.1"),
        ([[0.25] * 4] * 2, "max", "must be mean, top1 or restricted"),
    ],
)
def test_predictions_without_usable_scores_are_refused(tmp_path: Path, scores: Any, rule: str, what: str) -> None:
    columns: dict[str, Any] = {"sample_id": ["a", "b"]}
    if scores:
        columns["scores"] = pa.array(scores, pa.list_(pa.float32()))
    given = answers(tmp_path / "p", columns)
    with pytest.raises(ValueError, match=what):
        categorise(step(tmp_path / "out", {"predictions": given}, {"categories": CATEGORIES, "rule": rule}))


def scored(tmp_path: Path, right: int, untrained: int) -> dict[str, Any]:
    """Score 40 trials of which a network names ``right`` shapes and its initialisation ``untrained``."""
    ids = [f"{i:02d}" for i in range(40)]
    shape = np.resize(["cat", "dog", "eel", "fox"], 40)
    labels = answers(tmp_path / "l", {"sample_id": ids, "shape": shape, "texture": np.roll(shape, 1)}, name="labels")
    said = {name: [s if i < n else "na" for i, s in enumerate(shape)] for name, n in (("p", right), ("u", untrained))}
    given = {name: answers(tmp_path / name, {"sample_id": ids, "prediction": said[name]}) for name in said}
    inputs = {"predictions": given["p"], "labels": labels, "random_init": given["u"]}
    score(step(tmp_path / "out", inputs, {"scorer": SCORER}))
    score(step(tmp_path / "control", {"predictions": given["u"], "labels": labels}, {"scorer": SCORER}))
    return {name: json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("out", "control")}


def metrics_of(found: dict[str, Any]) -> list[MetricValue]:
    return metric_values(found["metrics"], {m.id: m for m in texture_metrics(4)})


def test_network_no_better_than_its_initialisation_gets_no_bias_and_says_why(tmp_path: Path) -> None:
    main = metrics_of(scored(tmp_path, 20, 18)["out"])[0]
    assert main.main and main.value is None and "an untrained network" in (main.reason or "")


def test_network_that_learnt_something_gets_its_bias(tmp_path: Path) -> None:
    main = metrics_of(scored(tmp_path, 36, 10)["out"])[0]
    assert main.value == 0.0 and main.reason is None


@pytest.mark.parametrize(("right", "untrained"), [(36, 10), (20, 18), (20, 0)])
def test_control_of_a_bias_is_shown_by_its_accuracy(tmp_path: Path, right: int, untrained: int) -> None:
    """A bias has no chance level, and the initialisation may have no bias: the first share that has both is shown."""
    found = scored(tmp_path, right, untrained)
    control = control_of("random_init", found["control"], metrics_of(found["out"]))
    assert control.metric == "shape_accuracy" and control.values == [untrained / 40]
    assert control.chance == 0.25 and not control.gated


def test_row_whose_order_is_lost_is_refused() -> None:
    """All of a row's probability lies outside the test's classes, and float32 leaves none for these."""
    with pytest.raises(ValueError, match="they cannot be told apart"):
        by_restricted(
            np.asarray([[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0]], np.float32), [("cat", (1, 2)), ("dog", (3,))]
        )
