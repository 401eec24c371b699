"""Probe ``knn``: the labels of the nearest training images; nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.steps.probe import Features, Labels, Lesson, Predict
from vgbench_tasks.probes.scores import Floats, unit

CHUNK = 16_000_000  # similarities held at a time: 64 MB of float32


def fit(lesson: Lesson, values: Mapping[str, Any]) -> Predict:
    """Score by the share of the ``k`` nearest training images that have the label: ``image_topk_label_mean``.

    Nearest by cosine, in float32 as GenBench computes it; all images where there are fewer than ``k``. Of equally near
    images the lower image id is taken (GenBench leaves it to torch.topk), so the order of the rows changes nothing.
    """
    assert lesson.x is not None
    by_id = np.argsort(np.asarray(lesson.ids), kind="stable")
    x = unit(lesson.x)[by_id].astype(np.float32)
    labels = lesson.labels[:, by_id]
    k = min(values["k"], len(x))

    def predict(test_x: Features) -> Floats:
        size = max(1, CHUNK // len(x))
        tests = unit(test_x).astype(np.float32)
        near = np.concatenate([nearest(tests[i : i + size] @ x.T, k) for i in range(0, len(tests), size)])
        return np.stack([_shares(row[near], lesson.n_classes) for row in labels])

    return predict


def _shares(found: Labels, n_classes: int) -> Floats:
    """Return the share of each class (M, C) in the labels found, (M, k), or (M, k, C) where images have several."""
    if found.ndim == 3:
        return np.asarray(found.mean(axis=1))
    counts = np.zeros((len(found), n_classes))
    for column in found.T:
        counts[np.arange(len(found)), column] += 1
    return np.asarray(counts / found.shape[1])


def nearest(similarities: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Return the columns (M, k) of the ``k`` highest of each row (M, N), in their order; of equals the first."""
    n = similarities.shape[1]
    last = np.partition(similarities, n - k, axis=1)[:, n - k, None]
    above, equal = similarities > last, similarities == last
    chosen = above | (equal & (equal.cumsum(axis=1) <= k - above.sum(axis=1, keepdims=True)))
    return np.nonzero(chosen)[1].reshape(-1, k)
