"""Join a real split's images with its labels: an image set that can teach."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pyarrow as pa

from vgbench.images import CLASS_LISTS, LABELS_FILE, ImageSet, read_table, write_index
from vgbench.types import Made, Step


def label(step: Step) -> Made:
    """Write ``index.parquet`` of ``images`` with the label positions of ``labels`` in ``class_ids``.

    Of a multi-label set the index holds all labels of each image, and every class of an image is counted. Raises
    ``ValueError`` when the two do not name the same samples, or a label is not in the class list.
    """
    found = ImageSet.open_unlabelled(step.inputs["images"])
    table = read_table(step.inputs["labels"].path / LABELS_FILE)
    classes_of = dict(zip(table["sample_id"].to_pylist(), _class_lists(table), strict=True))
    if len(classes_of) != table.num_rows or set(classes_of) != set(found.ids):
        raise ValueError(f"{len(found)} images and {table.num_rows} labels do not name the same samples")
    position = {class_id: i for i, class_id in enumerate(step.params["class_ids"])}
    strangers = sorted(set(chain.from_iterable(classes_of.values())) - set(position))
    if strangers:
        raise ValueError(f"labels outside the class list: {', '.join(strangers[:5])}")
    lists = [sorted(position[class_id] for class_id in classes_of[image_id]) for image_id in found.ids]
    shards, lines, hashes = (found.table[name].to_pylist() for name in ("shard", "row", "sha256"))
    rows = [
        (image_id, labels[0] if labels else -1, 0, shard, row, sha256)
        for image_id, labels, shard, row, sha256 in zip(found.ids, lists, shards, lines, hashes, strict=True)
    ]
    write_index(step.out, rows, label_lists=lists if CLASS_LISTS.name in table.column_names else None)
    return Made(len(rows), dict(Counter(chain.from_iterable(classes_of.values()))))


def _class_lists(table: pa.Table) -> list[list[str]]:
    """Return the class ids of each sample: one, or those of a multi-label set."""
    if CLASS_LISTS.name in table.column_names:
        lists: list[list[str]] = table[CLASS_LISTS.name].to_pylist()
        return lists
    return [[class_id] for class_id in table["class_id"].to_pylist()]
