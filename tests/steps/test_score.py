"""score, as a step: scores and several labels reach the scorer; controls are judged as they must be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vgbench.metrics.classify import mean_per_class, top1
from vgbench.metrics.declared import ranking_metrics
from vgbench.metrics.multilabel import eleven_point_map
from vgbench.metrics.ranking import roc_auc
from vgbench.results import control_of, metric_values
from vgbench.steps.score import columns_of, score
from vgbench.types import Artifact, Part, Scorer, Step

CLASSES = ["ant", "bee", "cat"]
SCORES = pa.list_(pa.float32())


def scored(
    folder: Path, scorer: Scorer, predictions: Mapping[str, Any], labels: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    inputs = {"predictions": predictions, "labels": labels}
    for name, columns in inputs.items():
        (folder / name).mkdir(parents=True)
        pq.write_table(pa.table(dict(columns)), folder / name / f"{name}.parquet")
    (folder / "out").mkdir()
    step = Step(
        node="0" * 64,
        params={"scorer": Part("scorer", "s", "1", values=values)},
        inputs={name: Artifact("", (folder / name,)) for name in inputs},
        seed=None,
        shard=0,
        out=folder / "out",
        scratch=folder,
        device="cpu",
        progress=lambda done, total: None,
        resident=lambda key, make: make(),
        load=lambda part: scorer,
    )
    score(step)
    found: dict[str, Any] = json.loads((folder / "out" / "metrics.json").read_text())
    return found


def several(n: int = 40) -> tuple[dict[str, Any], dict[str, Any]]:
    random = np.random.RandomState(0)
    truth = random.rand(n, 3) < 0.4
    truth[:3] = np.eye(3, dtype=bool)
    truth[:, 0] |= ~truth.any(axis=1)
    rows = (truth + random.randn(n, 3)).astype(np.float32)
    ids = [f"s{i:02d}" for i in range(n)]
    lists = [[c for c, has in zip(CLASSES, row, strict=True) if has] for row in truth]
    labels = {"sample_id": ids[::-1], "class_id": [row[0] for row in lists[::-1]], "class_ids": lists[::-1]}
    best = [CLASSES[k] for k in rows.argmax(axis=1)]
    return {"sample_id": ids, "prediction": best, "scores": pa.array(rows.tolist(), SCORES)}, labels


def test_scores_and_several_labels_are_aligned_and_scored(tmp_path: Path) -> None:
    predictions, labels = several()
    found = scored(tmp_path / "a", eleven_point_map, predictions, labels, {"class_ids": CLASSES})
    expected = eleven_point_map(
        {"scores": np.asarray(predictions["scores"].to_pylist(), np.float32)},
        {"class_ids": labels["class_ids"][::-1]},
        {"class_ids": CLASSES},
    )
    assert [(m["metric"], m["value"]) for m in found["metrics"]] == [(v.metric, v.value) for v in expected.metrics]
    cells = metric_values(found["metrics"], {m.id: m for m in ranking_metrics(several_labels=True)})
    assert [(v.main, v.chance) for v in cells] == [(True, None), (False, 0.5)]
    kept = pq.read_table(tmp_path / "a" / "out" / "per_class.parquet").to_pydict()
    assert kept["class_id"] == CLASSES and kept["value"] == [row[2] for row in expected.per_class]
    assert not (tmp_path / "a" / "out" / "items.parquet").exists()


def test_control_of_several_labels_is_judged_by_the_area_whose_chance_is_known(tmp_path: Path) -> None:
    predictions, labels = several()
    real = scored(tmp_path / "real", eleven_point_map, predictions, labels, {"class_ids": CLASSES})
    random = np.random.RandomState(1)
    guesses = random.randn(20 * 40, 3).astype(np.float32)
    control = {
        "sample_id": predictions["sample_id"] * 20,
        "prediction": ["ant"] * 800,
        "scores": pa.array(guesses.tolist(), SCORES),
        "permutation": pa.array(np.repeat(np.arange(20), 40), pa.int32()),
    }
    found = scored(tmp_path / "control", eleven_point_map, control, labels, {"class_ids": CLASSES})
    assert found["metric"] == "mean_auc" and len(set(found["permutations"])) == 20
    declared = {m.id: m for m in ranking_metrics(several_labels=True)}
    judged = control_of("permuted_labels", found, metric_values(real["metrics"], declared))
    assert judged.chance == 0.5 and judged.gated and judged.at_chance


def test_control_of_two_classes_keeps_the_main_metric(tmp_path: Path) -> None:
    random = np.random.RandomState(0)
    control = {
        "sample_id": [f"s{i:02d}" for i in range(30)] * 20,
        "prediction": ["ant"] * 600,
        "scores": pa.array(random.rand(600, 2).tolist(), SCORES),
        "permutation": pa.array(np.repeat(np.arange(20), 30), pa.int32()),
    }
    labels = {"sample_id": [f"s{i:02d}" for i in range(30)], "class_id": ["ant", "bee", "bee"] * 10}
    found = scored(tmp_path / "a", roc_auc, control, labels, {"class_ids": ["ant", "bee"], "positive": "bee"})
    assert found["metric"] == "roc_auc" and abs(np.mean(found["permutations"]) - 0.5) < 0.1


@pytest.mark.parametrize("scorer", [top1, mean_per_class])
def test_control_of_one_label_needs_no_scores(tmp_path: Path, scorer: Scorer) -> None:
    control = {
        "sample_id": ["a", "b", "a", "b"],
        "prediction": ["ant", "ant", "bee", "ant"],
        "permutation": pa.array([0, 0, 1, 1], pa.int32()),
    }
    found = scored(tmp_path / "a", scorer, control, {"sample_id": ["a", "b"], "class_id": ["ant", "bee"]}, {})
    assert found == {"metric": "mean_per_class", "permutations": [0.5, 0.0]}


def test_columns_become_arrays() -> None:
    table = pa.table(
        {"sample_id": ["a", "b"], "scores": pa.array([[1, 2], [3, 4]], SCORES), "class_ids": [["x"], ["y"]]}
    )
    found = columns_of(pa.concat_tables([table, table]))
    assert found["scores"].dtype == np.float32 and found["scores"].tolist() == [[1, 2], [3, 4], [1, 2], [3, 4]]
    assert found["class_ids"].dtype == object and found["class_ids"][1] == ["y"]
    assert columns_of(table.slice(1))["scores"].tolist() == [[3, 4]]


@pytest.mark.parametrize("scores", [[[1.0, 2.0], [3.0]], [[1.0], None]])
def test_scores_of_unequal_length_are_refused(scores: list[list[float] | None]) -> None:
    with pytest.raises(ValueError, match="each sample needs one for each class"):
        columns_of(pa.table({"scores": pa.array(scores, SCORES)}))
