"""Take the labels of an image set apart from its images: the truth for scoring."""

from __future__ import annotations

from collections import Counter

from vgbench.images import ImageSet, write_labels
from vgbench.types import Made, Step


def truth(step: Step) -> Made:
    """Write ``labels.parquet`` of an image set whose label positions refer to ``class_ids``."""
    found = ImageSet.open(step.inputs["images"])
    class_ids: list[str] = step.params["class_ids"]
    rows = [(image_id, class_ids[label]) for image_id, label in zip(found.ids, found.labels.tolist(), strict=True)]
    write_labels(step.out, rows)
    return Made(len(rows), dict(Counter(class_id for _, class_id in rows)))
