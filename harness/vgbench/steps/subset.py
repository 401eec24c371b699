"""Some of each class's images: a draw by hash, without an order of files or a generator whose stream may change."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pyarrow as pa

from vgbench.images import INDEX_FILE, ImageSet, write_table
from vgbench.types import Made, Step


def subset(step: Step) -> Made:
    """Write ``index.parquet`` of a part of the image set ``images``: rows in their order, all columns.

    Params: ``fraction`` of each class (rounded to the nearest, at least one image), or ``shots``, images of each class;
    ``least``, how many must be left of each; ``class_ids``. The kept images are the lowest of their class by SHA-256 of
    "seed/image id", so that a smaller fraction lies inside a larger one of the same seed, and every seed is another
    draw. Raises ``ValueError`` for a fraction outside 0..1, images of several labels, a class with fewer images than
    ``shots``, and one of which fewer than ``least`` are left.
    """
    fraction, shots = step.params["fraction"], step.params["shots"]
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}: it must be above 0 and at most 1")
    found = ImageSet.open(step.inputs["images"])
    if found.label_lists is not None:
        raise ValueError("images of several labels cannot be drawn class by class")
    seed = step.seed or 0
    digests = np.asarray([hashlib.sha256(f"{seed}/{image_id}".encode()).hexdigest() for image_id in found.ids])
    kept = np.zeros(len(found), dtype=np.bool_)
    for label in np.unique(found.labels):
        rows = np.flatnonzero(found.labels == label)
        n = shots if shots is not None else max(1, round(fraction * len(rows)))
        least = step.params["least"]
        if n < least:
            raise ValueError(
                f"of class {step.params['class_ids'][label]} {n} of {len(rows)} images are kept, and {least} are needed"
            )
        if n > len(rows):
            raise ValueError(f"class {step.params['class_ids'][label]} has {len(rows)} images, {n} are asked for")
        kept[rows[np.argsort(digests[rows], kind="stable")[:n]]] = True
    write_table(step.out / INDEX_FILE, found.table.filter(pa.array(kept)))
    counts = Counter(step.params["class_ids"][label] for label in found.labels[kept].tolist())
    return Made(int(kept.sum()), dict(counts))
