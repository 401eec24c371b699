"""Top-1 of a network whose head knows only some of a test's classes: over the images of those, the share beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from vgbench.metrics import classify
from vgbench.types import Columns, Scored, Value

COVERAGE = "coverage"


def top1(predictions: Columns, labels: Columns, options: Mapping[str, Any]) -> Scored:
    """Score predicted class ids as ``classify.top1`` does, over the images whose class the head has.

    Option ``covered``: the class ids that the head can answer (default: all that occur). ``coverage`` is the share of
    the test's images that have one of them: with 1 the figure is the test's own, below it is that of a part of it,
    comparable with the same part alone. Per item only where coverage is 1.
    """
    truth = np.asarray(labels["class_id"])
    known = np.isin(truth, np.asarray(options["covered"])) if "covered" in options else np.ones(truth.shape, np.bool_)
    answers, wanted = ({n: np.asarray(table[n])[known] for n in table} for table in (predictions, labels))
    scored = classify.top1(answers, wanted, options)
    coverage = Value(COVERAGE, float(known.mean()) if truth.size else None, truth.size)
    return replace(scored, metrics=(*scored.metrics, coverage), per_item=scored.per_item if bool(known.all()) else None)
