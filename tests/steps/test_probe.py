"""probe, as a step: what a probe is given, what it may give back, and what is written of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from vgbench.steps.probe import Lesson, Noted, probe
from vgbench.types import Artifact, Part, Step

CLASSES = ["ant", "bee", "cow"]
LABELS = [0, 1, 2, 0, 1, 2, 0, 0, 1, 1, 2, 0]


def features(folder: Path, labels: list[int], lists: list[list[int]] | None = None, *, prefix: str = "image") -> Path:
    """Write features that are the row's number, with labels, and lists of labels where there are some."""
    folder.mkdir()
    n = len(labels)
    np.save(folder / "features.npy", np.arange(2 * n, dtype=np.float32).reshape(n, 2))
    columns: dict[str, Any] = {"image_id": [f"{prefix}-{i}" for i in range(n)], "label": pa.array(labels, pa.int64())}
    if lists is not None:
        columns["labels"] = pa.array(lists, pa.list_(pa.int64()))
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return folder


def run(
    tmp_path: Path, fit: Callable[[Lesson, Mapping[str, Any]], Any], inputs: Mapping[str, Path], **params: Any
) -> tuple[dict[str, list[Any]], Path]:
    out = tmp_path / "out"
    out.mkdir()
    test = features(tmp_path / "test", [-1] * 4, prefix="test")
    made = probe(
        Step(
            node="0" * 64,
            params={"probe": Part("probe", "p", "1", values={"k": 3}), "class_ids": CLASSES, "permutations": 0}
            | params,
            inputs={name: Artifact("", (path,)) for name, path in {**inputs, "test": test}.items()},
            seed=7,
            shard=0,
            out=out,
            scratch=out,
            device="cpu",
            progress=lambda done, total: None,
            resident=lambda key, make: make(),
            load=lambda part: fit,
        )
    )
    assert made.items == 4
    return pq.read_table(out / "predictions.parquet").to_pydict(), out


def constant(scores: NDArray[Any]) -> Callable[[Lesson, Mapping[str, Any]], Any]:
    return lambda lesson, values: lambda test_x: scores


ONES = np.ones((1, 4, 3))


def given(tmp_path: Path, inputs: Mapping[str, Path], **params: Any) -> Lesson:
    """Return the lesson that a probe is given."""
    found: list[Lesson] = []

    def fit(lesson: Lesson, values: Mapping[str, Any]) -> Any:
        assert values == {"k": 3}
        found.append(lesson)
        return lambda test_x: np.ones((len(lesson.labels), len(test_x), 3))

    run(tmp_path, fit, inputs, **params)
    return found[0]


def test_lesson_holds_the_training_images_and_nothing_that_is_not_wired_in(tmp_path: Path) -> None:
    lesson = given(tmp_path, {"train": features(tmp_path / "train", LABELS)})
    assert lesson.x is not None and lesson.x.shape == (12, 2) and lesson.x[5, 0] == 10
    assert lesson.labels.tolist() == [LABELS] and lesson.ids[5] == "image-5"
    assert (lesson.n_classes, lesson.text, lesson.val, lesson.seed) == (3, None, None, 7)


def test_lesson_without_training_images_has_one_empty_label_vector(tmp_path: Path) -> None:
    lesson = given(tmp_path, {"text": features(tmp_path / "text", [0, 1, 2])})
    assert lesson.x is None and lesson.labels.shape == (1, 0) and lesson.ids == []
    assert lesson.text is not None and lesson.text.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_several_labels_are_a_matrix_and_a_source_that_knows_one_has_a_row_with_one(tmp_path: Path) -> None:
    several = features(tmp_path / "several", [0, 1, 2], [[0, 2], [1], [2, 1]])
    lesson = given(tmp_path, {"train": several, "val": features(tmp_path / "one", [2, 0])}, multi_label=True)
    assert lesson.labels.dtype == bool and lesson.val is not None
    assert lesson.labels.astype(int).tolist() == [[[1, 0, 1], [0, 1, 0], [0, 1, 1]]]
    assert lesson.val[1].astype(int).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_label_is_the_first_of_several_where_one_is_asked_for(tmp_path: Path) -> None:
    lesson = given(tmp_path, {"train": features(tmp_path / "several", [0, 1, 2], [[0, 2], [1], [2, 1]])})
    assert lesson.labels.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("lists", [None, [[k] for k in LABELS]])
def test_control_permutes_the_training_labels_and_keeps_no_scores(tmp_path: Path, lists: Any) -> None:
    train = features(tmp_path / "train", LABELS, lists)
    lesson = given(tmp_path, {"train": train}, permutations=5, multi_label=lists is not None)
    rows = lesson.labels.argmax(axis=2) if lists else lesson.labels
    assert rows.shape == (5, 12) and len({tuple(row) for row in rows.tolist()}) == 5
    assert {tuple(sorted(row)) for row in rows.tolist()} == {tuple(sorted(LABELS))}
    written = pq.read_table(tmp_path / "out" / "predictions.parquet")
    assert written.column_names == ["sample_id", "prediction", "permutation"]
    assert written["permutation"].to_pylist() == [k for k in range(5) for _ in range(4)]


def test_text_of_the_control_tells_no_class_from_another(tmp_path: Path) -> None:
    """Real text beside permuted labels would be right far more often than chance, and the control would fail."""
    inputs = {name: features(tmp_path / name, [0, 1, 2]) for name in ("train", "text")}
    lesson = given(tmp_path, inputs, permutations=2)
    assert lesson.text is not None
    np.testing.assert_allclose(lesson.text, np.tile(np.array([2, 3]) / np.sqrt(13), (3, 1)), rtol=1e-6)


def test_control_keeps_scores_for_a_scorer_of_rankings(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random((2, 4, 3)).astype(np.float32)
    train = features(tmp_path / "train", LABELS)
    table, _ = run(tmp_path, constant(scores), {"train": train}, permutations=2, keep_scores=True)
    assert table["scores"] == scores.reshape(8, 3).tolist()


def test_prediction_is_the_highest_score_and_the_lowest_class_on_a_tie(tmp_path: Path) -> None:
    scores = np.array([[[1, 2, 3], [3, 3, 1], [0, 5, 5], [2, 2, 2]]])
    table, out = run(tmp_path, constant(scores), {"train": features(tmp_path / "train", LABELS)})
    assert table == {
        "sample_id": [f"test-{i}" for i in range(4)],
        "prediction": ["cow", "ant", "bee", "ant"],
        "scores": scores[0].tolist(),
    }
    assert [path.name for path in out.iterdir()] == ["predictions.parquet"]


@pytest.mark.parametrize("kept", [True, False])
def test_probe_that_reports_epochs_writes_them_all(tmp_path: Path, kept: bool) -> None:
    """Their scores only where the metric ranks: of 50 epochs on ImageNet they are 10 GB."""
    scores = np.random.default_rng(0).random((1, 2, 4, 3)).astype(np.float32)
    params = {"keep_scores": True} if kept else {}
    table, _ = run(tmp_path, constant(scores), {"train": features(tmp_path / "train", LABELS)}, **params)
    assert table["epoch"] == [0] * 4 + [1] * 4 and table["sample_id"] == [f"test-{i}" for i in range(4)] * 2
    assert table.get("scores") == (scores.reshape(8, 3).tolist() if kept else None)
    assert table["prediction"] == [CLASSES[k] for k in scores.reshape(8, 3).argmax(axis=1)]


def test_what_a_probe_notes_is_written_beside_its_predictions(tmp_path: Path) -> None:
    def fit(lesson: Lesson, values: Mapping[str, Any]) -> Noted:
        return Noted(lambda test_x: ONES, {"c": 0.5})

    _, out = run(tmp_path, fit, {"train": features(tmp_path / "train", LABELS)})
    meta = json.loads((out / "meta.json").read_text())
    assert meta["notes"] == {"c": 0.5} and meta["probe"]["name"] == "p"


@pytest.mark.parametrize(
    ("labels", "lists", "what"),
    [
        ([0, 0, 2], None, "1 of 3 classes have no training image: bee"),
        ([0, 0, 0], [[0], [0], [0, 1]], "1 of 3 classes have no training image: cow"),
        ([-1, -1], None, "no labels"),
    ],
)
def test_class_without_a_training_image_is_named(tmp_path: Path, labels: list[int], lists: Any, what: str) -> None:
    train = features(tmp_path / "train", labels, lists)
    with pytest.raises(ValueError, match=what):
        run(tmp_path, constant(ONES), {"train": train}, multi_label=lists is not None)


@pytest.mark.parametrize(
    ("scores", "permutations", "what"),
    [
        (np.ones((4, 3)), 0, r"shape \(4, 3\)"),
        (np.ones((1, 3, 4)), 0, r"shape \(1, 3, 4\)"),
        (np.ones((1, 4, 3)), 2, r"shape \(1, 4, 3\)"),
        (np.ones((2, 5, 4, 3)), 2, r"shape \(2, 5, 4, 3\)"),  # a control of every epoch: there is none
        (np.full((1, 4, 3), np.nan), 0, "not finite"),
    ],
)
def test_scores_that_cannot_be_written_are_refused(
    tmp_path: Path, scores: NDArray[Any], permutations: int, what: str
) -> None:
    train = features(tmp_path / "train", LABELS)
    with pytest.raises(ValueError, match=what):
        run(tmp_path, constant(scores), {"train": train}, permutations=permutations)


def test_text_of_other_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 text features for 3 classes"):
        run(tmp_path, constant(ONES), {"text": features(tmp_path / "text", [0, 1])})
