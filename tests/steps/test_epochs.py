"""score, of a probe that reports every epoch: the best one on the test set, called that."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vgbench.errors import CorruptArtifact
from vgbench.metrics.classify import METRICS, top1
from vgbench.metrics.multilabel import eleven_point_map
from vgbench.results import metric_values
from vgbench.steps.score import score
from vgbench.types import Artifact, Part, Step

IDS, TRUTH = list("abcd"), ["x", "x", "y", "y"]
RIGHT = (["x", "y", "x", "x"], ["x", "x", "y", "x"], ["x", "x", "x", "y"], ["x", "y", "y", "x"])  # 1, 3, 3, 2 of 4


def scored(
    tmp_path: Path, predictions: Mapping[str, Any], *, scorer: Callable[..., Any] = top1, **options: Any
) -> tuple[dict[str, Any], Path]:
    folders = {name: tmp_path / name for name in ("predictions", "labels", "out")}
    for folder in folders.values():
        folder.mkdir()
    pq.write_table(pa.table(dict(predictions)), folders["predictions"] / "predictions.parquet")
    labels = {"sample_id": IDS, "class_id": TRUTH, "class_ids": [[k] for k in TRUTH]}
    pq.write_table(pa.table(labels), folders["labels"] / "labels.parquet")
    score(
        Step(
            node="0" * 64,
            params={"scorer": Part("scorer", "s", "1", values=options)},
            inputs={name: Artifact("", (folders[name],)) for name in ("predictions", "labels")},
            seed=None,
            shard=0,
            out=folders["out"],
            scratch=folders["out"],
            device="cpu",
            progress=lambda done, total: None,
            resident=lambda key, make: make(),
            load=lambda part: scorer,
        )
    )
    return json.loads((folders["out"] / "metrics.json").read_text()), folders["out"]


def of_epochs(said: tuple[list[str], ...]) -> dict[str, Any]:
    return {
        "sample_id": IDS * len(said),
        "prediction": [class_id for epoch in said for class_id in epoch],
        "epoch": pa.array([k for k in range(len(said)) for _ in IDS], pa.int32()),
    }


def test_best_epoch_has_a_name_of_its_own_and_the_last_one_the_metrics(tmp_path: Path) -> None:
    found, _ = scored(tmp_path, of_epochs(RIGHT))
    values = {value["metric"]: value["value"] for value in found["metrics"]}
    assert values == {"best_test_epoch": 0.75, "top1": 0.5, "mean_per_class": 0.5}
    assert next(iter(values)) == "best_test_epoch" and found["epochs"] == [0.25, 0.75, 0.75, 0.5]
    intervals = {value["metric"]: value["ci"] for value in found["metrics"]}
    assert intervals["best_test_epoch"] is None and intervals["top1"] is not None


def test_items_and_classes_are_the_best_epochs_the_first_of_equals(tmp_path: Path) -> None:
    _, out = scored(tmp_path, of_epochs(RIGHT))
    assert pq.read_table(out / "items.parquet").to_pydict() == {"sample_id": IDS, "value": [1.0, 1.0, 1.0, 0.0]}
    assert pq.read_table(out / "per_class.parquet")["value"].to_pylist() == [1.0, 0.5]


def test_kept_predictions_are_the_best_and_the_last_epochs_and_give_the_same_metrics_again(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "again").mkdir()
    found, out = scored(tmp_path / "first", of_epochs(RIGHT))
    kept = pq.read_table(out / "predictions.parquet")
    assert sorted(set(kept["epoch"].to_pylist())) == [1, 3] and kept["sample_id"].to_pylist() == sorted(IDS * 2)
    as_two = kept.to_pydict() | {"epoch": [k // 2 for k in kept["epoch"].to_pylist()]}
    again, _ = scored(tmp_path / "again", as_two)
    assert again["metrics"] == found["metrics"]


def test_task_does_not_declare_the_best_epoch_and_it_has_no_chance_level(tmp_path: Path) -> None:
    found, _ = scored(tmp_path, of_epochs(RIGHT))
    declared = {metric.id: metric.of(2) for metric in METRICS}
    values = metric_values(found["metrics"], declared)
    assert [(value.name, value.main) for value in values] == [
        ("best_test_epoch", True),
        ("top1", False),
        ("mean_per_class", False),
    ]
    assert values[0].chance is None and values[1].chance == 0.5
    with pytest.raises(CorruptArtifact, match="outside its bounds"):
        metric_values([found["metrics"][0] | {"value": 1.5}], declared)


def test_scores_of_several_labels_are_scored_by_epoch_too(tmp_path: Path) -> None:
    good = [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8]]
    table = of_epochs((TRUTH, TRUTH)) | {"scores": pa.array(good + [row[::-1] for row in good], pa.list_(pa.float32()))}
    found, _ = scored(tmp_path, table, scorer=eleven_point_map, class_ids=["x", "y"], resamples=20)
    assert found["epochs"][0] == 1.0 > found["epochs"][1] and found["metrics"][0]["value"] == 1.0
    assert [value["metric"] for value in found["metrics"]] == ["best_test_epoch", "eleven_point_map", "mean_auc"]
