"""Take the labels of an image set apart from its images: the truth for scoring."""

from __future__ import annotations

from collections import Counter
from itertools import chain

from vgbench.images import ImageSet, write_labels
from vgbench.types import Made, Step


def truth(step: Step) -> Made:
    """Write ``labels.parquet`` of an image set whose label positions refer to ``class_ids``."""
    found = ImageSet.open(step.inputs["images"])
    class_ids: list[str] = step.params["class_ids"]
    lists = found.label_lists
    rows = [
        (image_id, class_ids[label] if label >= 0 or lists is None else None)
        for image_id, label in zip(found.ids, found.labels.tolist(), strict=True)
    ]
    if lists is None:
        write_labels(step.out, rows)
        return Made(len(rows), dict(Counter(class_id for _, class_id in rows if class_id is not None)))
    named = [[class_ids[label] for label in labels] for labels in lists]
    write_labels(step.out, rows, class_lists=named)
    return Made(len(rows), dict(Counter(chain.from_iterable(named))))
