"""Keep of an image set, class by class, a multiple of what another set has: real and added images in one ratio."""

from __future__ import annotations

from collections import Counter

from vgbench.images import LABELS_FILE, ImageSet, read_table, write_index
from vgbench.types import Made, Step


def proportion(step: Step) -> Made:
    """Write ``index.parquet`` with the first ``ratio`` × n images of each class of the set ``set``.

    n is the number of the class's samples in the label tables ``like``. The order is the set's own, so that a smaller
    ratio's images are among a larger one's. A class that has fewer is kept whole, and counted as it is.
    """
    class_ids: list[str] = step.params["class_ids"]
    wanted: Counter[str] = Counter()
    for artifact in step.inputs["like"].members:
        wanted.update(read_table(artifact.path / LABELS_FILE)["class_id"].to_pylist())
    left = {label: step.params["ratio"] * wanted[class_id] for label, class_id in enumerate(class_ids)}
    found = ImageSet.open(step.inputs["set"])
    columns = (found.table[name].to_pylist() for name in ("image_id", "label", "member", "shard", "row", "sha256"))
    rows = []
    for row in zip(*columns, strict=True):
        if left[row[1]] > 0:
            left[row[1]] -= 1
            rows.append(row)
    write_index(step.out, rows)
    return Made(len(rows), {class_ids[label]: n for label, n in sorted(Counter(row[1] for row in rows).items())})
