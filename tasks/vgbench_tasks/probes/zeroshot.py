"""Probe ``zeroshot``: the class whose text is nearest. It reads no image of the source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vgbench.steps.probe import Features, Lesson, Predict
from vgbench_tasks.probes.scores import Floats, softmax, unit


def fit(lesson: Lesson, values: Mapping[str, Any]) -> Predict:
    """Score by softmax(``logit_scale`` · f · t), both of unit length: GenBench's ``image_text_contrastive``."""
    assert lesson.text is not None
    text = unit(lesson.text)

    def predict(test_x: Features) -> Floats:
        return softmax(values["logit_scale"] * unit(test_x) @ text.T)[None]

    return predict
