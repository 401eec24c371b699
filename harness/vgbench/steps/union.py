"""Join the image sets of a mixture's components: an index over the members of all, no copies."""

from __future__ import annotations

from collections import Counter

from vgbench.images import ImageSet, write_index
from vgbench.types import Made, Step

PREFIX = "part-"


def union(step: Step) -> Made:
    """Write ``index.parquet`` over the sets ``part-NAME``, in the order of their names.

    Each image id gets ``NAME/`` ahead: components may use the same ids, and ids are unique in a set. Where one part is
    multi-label, so is the union; an image of another part has its one label.
    """
    class_ids: list[str] = step.params["class_ids"]
    per_class: Counter[str] = Counter(dict.fromkeys(class_ids, 0))
    rows: list[tuple[str, int, int, int, int, str]] = []
    label_lists: list[list[int]] = []
    multi_label = False
    first_member = 0
    for name in sorted(name for name in step.inputs if name.startswith(PREFIX)):
        part = ImageSet.open(step.inputs[name])
        columns = (
            part.table[column].to_pylist() for column in ("image_id", "label", "member", "shard", "row", "sha256")
        )
        for image_id, label, member, shard, row, sha256 in zip(*columns, strict=True):
            rows.append((f"{name.removeprefix(PREFIX)}/{image_id}", label, first_member + member, shard, row, sha256))
        lists = part.label_lists
        multi_label = multi_label or lists is not None
        label_lists += [[label] for label in part.labels.tolist()] if lists is None else lists
        first_member += len(part.members)
    per_class.update(class_ids[label] for labels in label_lists for label in labels)
    write_index(step.out, rows, label_lists=label_lists if multi_label else None)
    return Made(len(rows), per_class)
