"""Transfer: top-1 on all classes of a downstream set, and on those that the pre-training classes do not contain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from vgbench.metrics import classify
from vgbench.stats import wilson
from vgbench.types import Columns, Scored, Value

NOVEL = "top1_novel"


def top1(predictions: Columns, labels: Columns, options: Mapping[str, Any]) -> Scored:
    """Score predicted class ids as ``classify.top1`` does; and once more, over the images of novel classes.

    Option ``known``: the class ids that the network may have been taught under another name. ``top1_novel`` leaves
    their images out, not their answers: an image of a novel class that is called a known one is wrong.
    """
    scored = classify.top1(predictions, labels, options)
    truth = np.asarray(labels["class_id"])
    novel = ~np.isin(truth, np.asarray(options.get("known", ()), dtype=truth.dtype))
    n, right = int(novel.sum()), int((novel & (np.asarray(predictions["prediction"]) == truth)).sum())
    value = Value(NOVEL, right / n, n, wilson(right, n)) if n else Value(NOVEL, None, 0, reason="no novel class")
    return replace(scored, metrics=(*scored.metrics, value))
