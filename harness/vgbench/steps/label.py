"""Join a real split's images with its labels: an image set that can teach."""

from __future__ import annotations

from collections import Counter

from vgbench.images import LABELS_FILE, ImageSet, read_table, write_index
from vgbench.types import Made, Step


def label(step: Step) -> Made:
    """Write ``index.parquet`` of ``images`` with the label positions of ``labels`` in ``class_ids``.

    Raises ``ValueError`` when the two do not name the same samples, or a label is not in the class list.
    """
    found = ImageSet.open_unlabelled(step.inputs["images"])
    table = read_table(step.inputs["labels"].path / LABELS_FILE)
    class_of = dict(zip(table["sample_id"].to_pylist(), table["class_id"].to_pylist(), strict=True))
    if len(class_of) != table.num_rows or set(class_of) != set(found.ids):
        raise ValueError(f"{len(found)} images and {table.num_rows} labels do not name the same samples")
    position = {class_id: i for i, class_id in enumerate(step.params["class_ids"])}
    strangers = sorted(set(class_of.values()) - set(position))
    if strangers:
        raise ValueError(f"labels outside the class list: {', '.join(strangers[:5])}")
    shards, lines, hashes = (found.table[name].to_pylist() for name in ("shard", "row", "sha256"))
    rows = [
        (image_id, position[class_of[image_id]], 0, shard, row, sha256)
        for image_id, shard, row, sha256 in zip(found.ids, shards, lines, hashes, strict=True)
    ]
    write_index(step.out, rows)
    return Made(len(rows), dict(Counter(class_of.values())))
