"""Probes ``cler`` and ``cler+text``: the class whose centre is nearest; nothing is trained.

GenBench's class-centred recognition (arXiv 2307.13697; evaluation_utils.zeroshot_metric of its code): CLIP's zero-shot
rule with centres of the source's images in place of texts, or beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vgbench.steps.probe import Features, Labels, Lesson, Predict
from vgbench_tasks.probes.scores import Floats, softmax, unit


def fit(lesson: Lesson, values: Mapping[str, Any]) -> Predict:
    """Score by softmax(f · c) without a temperature, as coded, with the class centres c (P, C, D).

    A centre is the mean of its images' unit features, at unit length. Where the part reads text, text and image centre
    are added, and brought to unit length again (``image_MeanTextImageCLSCenter_contrastive``).
    """
    assert lesson.x is not None
    x = unit(lesson.x)
    centres = unit(np.stack([means(x, labels) for labels in lesson.labels]))
    if lesson.text is not None:
        centres = unit(centres + unit(lesson.text))

    def predict(test_x: Features) -> Floats:
        return softmax(np.einsum("md,pcd->pmc", unit(test_x), centres, optimize=True))

    return predict


def means(x: Floats, labels: Labels) -> Floats:
    """Return the mean (C, D) of each class's rows of ``x``: of all rows that have the label, where there are several.

    Every class has a row: the step sees to it.
    """
    if labels.ndim == 2:
        return np.asarray(labels.T.astype(np.float64) @ x / labels.sum(axis=0)[:, None])
    order = np.argsort(labels, kind="stable")
    n_of_class = np.bincount(labels)
    starts = np.cumsum(n_of_class) - n_of_class
    return np.asarray(np.add.reduceat(x[order], starts, axis=0) / n_of_class[:, None])
