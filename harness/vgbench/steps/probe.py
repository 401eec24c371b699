"""Fit a probe on what it reads of a lesson and predict the test features; or, as the control, on permuted labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vgbench.images import read_table, write_table
from vgbench.steps.embed import FEATURES_FILE, ROWS_FILE
from vgbench.types import Artifact, Made, Step

PREDICTIONS_FILE = "predictions.parquet"
CHUNK = 250_000  # scores of a fit held at a time: 100 MB for 50 epochs in float64

Features: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int64] | NDArray[np.bool_]
Predict: TypeAlias = Callable[[Features], NDArray[np.floating[Any]]]


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What a probe is taught; only what its part's ``values["reads"]`` names (train, text, val) is there.

    ``x`` (N, D) float32: features of the training images as the encoder gave them, not normalised; None without train.
    ``labels``: P label vectors for the same rows, (P, N) int64 in 0..C-1, or (P, N, C) bool where images have several
    labels. P is 1, and in the control the number of permutations. Every class has an image. Without train N is 0.
    ``ids``: the N image ids. ``text`` (C, D) float32, L2-normalised: the classes' text features. ``val``: features
    (M, D) and labels, (M,) int64 or (M, C) bool, of real validation images, where the task was given some.
    """

    x: Features | None
    labels: Labels
    ids: list[str]
    n_classes: int
    text: Features | None
    val: tuple[Features, Labels] | None
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Noted:
    """A probe's ``predict`` with what it wants to be read beside it (JSON): the strength it chose, how far it got."""

    predict: Predict
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, test_x: Features) -> NDArray[np.floating[Any]]:
        return self.predict(test_x)


def probe(step: Step) -> Made:
    """Write ``predictions.parquet``: sample_id, prediction, scores; and ``permutation`` when it is the control.

    The probe part is called as ``fit(lesson, values) -> predict``; ``predict(test_x)`` of M test features (M, D), some
    at a time, gives scores (P, M, C), one matrix for each label vector, or (1, E, M, C) when it reports each of E
    epochs: then a sample has E rows, with a column ``epoch``, 0..E-1. The prediction is the highest score, the lowest
    class on a tie. A control, and a probe of epochs, keep no scores unless ``keep_scores``. What a ``Noted`` notes
    becomes ``meta.json``.

    Raises ``ValueError`` for a class without a training image, and for scores of another shape or not finite.
    """
    part, class_ids = step.params["probe"], step.params["class_ids"]
    n_permutations: int = step.params["permutations"]
    lesson = _lesson(step)
    test_x, rows = _read(step.inputs["test"])
    sample_ids: list[str] = rows["image_id"].to_pylist()
    predict = step.load(part)(lesson, part.values)
    has_epochs = False
    has_scores = True
    highest, kept = [], []
    n_rows = max(1, CHUNK // len(class_ids))
    for start in range(0, len(test_x), n_rows):
        some = test_x[start : start + n_rows]
        scores = np.asarray(predict(some), dtype=np.float32)
        has_epochs = scores.ndim == 4 and not n_permutations
        sides = (len(lesson.labels), len(some), len(class_ids))
        if scores.ndim != 3 + has_epochs or (len(scores), *scores.shape[-2:]) != sides:
            raise ValueError(f"probe {part.name} gave scores of shape {scores.shape}")
        if not np.isfinite(scores).all():
            raise ValueError(f"probe {part.name} gave a score that is not finite")
        has_scores = step.params.get("keep_scores", not (n_permutations or has_epochs))
        tables = scores[0] if has_epochs else scores  # (T, M, C)
        highest.append(tables.argmax(axis=2))
        kept.append(tables if has_scores else tables[:, :0])
    positions = np.concatenate(highest, axis=1)  # (T, M)
    columns: dict[str, object] = {
        "sample_id": sample_ids * len(positions),
        "prediction": np.asarray(class_ids)[positions].reshape(-1).tolist(),
    }
    if n_permutations or has_epochs:
        number = pa.array(np.repeat(np.arange(len(positions)), len(test_x)), pa.int32())
        columns["epoch" if has_epochs else "permutation"] = number
    if has_scores:
        lists = [pa.array(list(table), pa.list_(pa.float32())) for table in np.concatenate(kept, axis=1)]
        columns["scores"] = pa.chunked_array(lists)
    write_table(step.out / PREDICTIONS_FILE, pa.table(columns))
    if isinstance(predict, Noted):
        meta = {"probe": part.key(), "notes": dict(predict.notes)}
        (step.out / "meta.json").write_text(json.dumps(meta, indent=1, sort_keys=True, allow_nan=False) + "\n")
    return Made(len(sample_ids))


def _lesson(step: Step) -> Lesson:
    """Read what is wired in. In a control every class has the same text, or the text would tell the classes apart."""
    class_ids: list[str] = step.params["class_ids"]
    n_classes, n_permutations = len(class_ids), step.params["permutations"]
    x, labels, ids = None, np.empty((1, 0), np.int64), []
    if "train" in step.inputs:
        x, rows = _read(step.inputs["train"])
        ids = rows["image_id"].to_pylist()
        own = _labels(rows, step)
        missing = [class_ids[k] for k in np.flatnonzero(_counts(own, n_classes) == 0)]
        if missing:
            raise ValueError(f"{len(missing)} of {n_classes} classes have no training image: {', '.join(missing[:5])}")
        labels = np.stack(list(_permuted(own, n_permutations, step.seed or 0)) or [own])
    text = val = None
    if "text" in step.inputs:
        text = np.load(step.inputs["text"].path / FEATURES_FILE)
        if len(text) != n_classes:
            raise ValueError(f"there are {len(text)} text features for {n_classes} classes")
        if n_permutations:
            mean = text.mean(axis=0, keepdims=True)
            text = np.repeat(mean / np.linalg.norm(mean), n_classes, axis=0)
    if "val" in step.inputs:
        val_x, rows = _read(step.inputs["val"])
        val = (val_x, _labels(rows, step))
    return Lesson(x, labels, ids, n_classes, text, val, step.seed or 0)


def _read(artifact: Artifact) -> tuple[Features, pa.Table]:
    return np.load(artifact.path / FEATURES_FILE, mmap_mode="r"), read_table(artifact.path / ROWS_FILE)


def _labels(rows: pa.Table, step: Step) -> Labels:
    """Return labels (N,) int64; (N, C) bool where images have several: their ``labels``, or the one they have."""
    is_multi = step.params.get("multi_label", False)
    if is_multi and "labels" in rows.column_names:
        lists = rows["labels"].combine_chunks()
        label, image = lists.flatten().to_numpy(), lists.value_parent_indices().to_numpy()
    else:
        label = rows["label"].to_numpy()
        image = np.arange(len(label))
    if (label < 0).any():
        raise ValueError("the training features have no labels")
    if not is_multi:
        return np.asarray(label, dtype=np.int64)
    several = np.zeros((rows.num_rows, len(step.params["class_ids"])), dtype=np.bool_)
    several[image, label] = True
    return several


def _counts(labels: Labels, n_classes: int) -> NDArray[np.int64]:
    """Return how many images each class has, (C,)."""
    return labels.sum(axis=0) if labels.ndim == 2 else np.bincount(labels, minlength=n_classes)


def _permuted(labels: Labels, n: int, seed: int) -> Iterator[Labels]:
    """Yield ``n`` permutations of the labels; the k-th is the same however many follow."""
    for k in range(n):
        yield np.random.default_rng([seed, k]).permutation(labels)
