"""Fit a probe on labelled features and predict the test features; or, as the control, on permuted labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vgbench.images import read_table, write_table
from vgbench.steps.embed import FEATURES_FILE, ROWS_FILE
from vgbench.types import Artifact, Made, Step

PREDICTIONS_FILE = "predictions.parquet"


def probe(step: Step) -> Made:
    """Write ``predictions.parquet``: sample_id, prediction, scores; and ``permutation`` when it is the control.

    The probe part is called as ``fit(train_x, labels, n_classes=, values=, seed=) -> predict`` with train_x (N, D)
    float32 and labels (P, N) int64, one row for each fit over the same features; ``predict(test_x)`` gives scores
    (P, M, C) float. The prediction is the highest score, the lowest class on a tie.
    """
    train_x, train_labels, _ = _read(step.inputs["train"])
    test_x, _, sample_ids = _read(step.inputs["test"])
    class_ids: list[str] = step.params["class_ids"]
    if train_labels.min(initial=0) < 0:
        raise ValueError("the training features have no labels")
    n_permutations: int = step.params["permutations"]
    labels = np.stack(list(_permuted(train_labels, n_permutations, step.seed or 0)) or [train_labels])
    part = step.params["probe"]
    predict = step.load(part)(train_x, labels, n_classes=len(class_ids), values=part.values, seed=step.seed)
    scores = np.asarray(predict(test_x), dtype=np.float32)
    if scores.shape != (len(labels), len(test_x), len(class_ids)):
        raise ValueError(f"probe {part.name} gave scores of shape {scores.shape}")
    names = np.asarray(class_ids)
    columns: dict[str, object] = {
        "sample_id": sample_ids * len(labels),
        "prediction": names[scores.argmax(2)].reshape(-1).tolist(),
    }
    if n_permutations:
        columns["permutation"] = pa.array(np.repeat(np.arange(n_permutations), len(test_x)), pa.int32())
    else:
        columns["scores"] = pa.array(list(scores[0]), pa.list_(pa.float32()))
    write_table(step.out / PREDICTIONS_FILE, pa.table(columns))
    return Made(len(sample_ids))


def _permuted(labels: NDArray[np.int64], n: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield ``n`` permutations of the labels; the k-th is the same however many follow."""
    for k in range(n):
        yield np.random.default_rng([seed, k]).permutation(labels)


def _read(artifact: Artifact) -> tuple[NDArray[np.float32], NDArray[np.int64], list[str]]:
    rows = read_table(artifact.path / ROWS_FILE)
    features = np.load(artifact.path / FEATURES_FILE, mmap_mode="r")
    return features, rows["label"].to_numpy(), rows["image_id"].to_pylist()
