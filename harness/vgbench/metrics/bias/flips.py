"""Interventional truth: how often does an answer change when one factor of the image alone is changed?

What the other bias metrics infer from tests that can be had of photographs, a world that is drawn can be asked
directly. It is the truth against which they are calibrated (design §5; docs/calibration.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vgbench.metrics.declared import CHANGED_FACTORS
from vgbench.stats import wilson
from vgbench.types import Columns, Scored, Value

BASE = "base"  # value of the column ``variant``; the others name the factor that was changed


def flips(predictions: Columns, labels: Columns, options: Mapping[str, Any]) -> Scored:
    """Score answers to unbiased images and to the same images with one factor changed.

    ``predictions["prediction"]`` (N,) class ids or ``na``; ``labels["class_id"]`` (N,), ``variant`` (N,) ``base`` or a
    factor, ``pair`` (N,) which base image it belongs to. All figures are fractions with Wilson's interval:

    ``top1``          accuracy on the base images, n images; the main metric
    ``flip_FACTOR``   share of n pairs whose two answers differ

    ``ValueError`` when a changed image has no base image, or two.
    """
    answer, variant = np.asarray(predictions["prediction"]), np.asarray(labels["variant"])
    pair = np.asarray(labels["pair"]).astype(np.int64)
    base = variant == BASE
    pairs, first = np.unique(pair[base], return_index=True)
    if len(pairs) != base.sum():
        raise ValueError("a pair has two base images")
    base_answer = answer[base][first]
    right = int((answer[base] == np.asarray(labels["class_id"])[base]).sum())
    values = [Value("top1", right / base.sum(), int(base.sum()), wilson(right, int(base.sum())))]
    for factor in CHANGED_FACTORS:
        changed = variant == factor
        at = np.searchsorted(pairs, pair[changed])
        if (at >= len(pairs)).any() or (pairs[np.minimum(at, len(pairs) - 1)] != pair[changed]).any():
            raise ValueError(f"an image with another {factor} has no base image")
        n, flipped = int(changed.sum()), int((answer[changed] != base_answer[at]).sum())
        name = f"flip_{factor}"
        values.append(Value(name, flipped / n, n, wilson(flipped, n)) if n else Value(name, None, 0, reason="no pairs"))
    return Scored(tuple(values))
