"""Join the image sets of a mixture's components: an index over the members of all, no copies."""

from __future__ import annotations

from collections import Counter

from vgbench.images import ImageSet, write_index
from vgbench.types import Made, Step

PREFIX = "part-"


def union(step: Step) -> Made:
    """Write ``index.parquet`` over the sets ``part-NAME``, in the order of their names.

    Each image id gets ``NAME/`` ahead: components may use the same ids, and ids are unique in a set.
    """
    class_ids: list[str] = step.params["class_ids"]
    per_class: Counter[str] = Counter(dict.fromkeys(class_ids, 0))
    rows: list[tuple[str, int, int, int, int, str]] = []
    first_member = 0
    for name in sorted(name for name in step.inputs if name.startswith(PREFIX)):
        part = ImageSet.open(step.inputs[name])
        columns = (
            part.table[column].to_pylist() for column in ("image_id", "label", "member", "shard", "row", "sha256")
        )
        for image_id, label, member, shard, row, sha256 in zip(*columns, strict=True):
            rows.append((f"{name.removeprefix(PREFIX)}/{image_id}", label, first_member + member, shard, row, sha256))
            per_class[class_ids[label]] += 1
        first_member += len(part.members)
    write_index(step.out, rows)
    return Made(len(rows), per_class)
