"""Choose the images of a request: an index into what holds the bytes, no copies."""

from __future__ import annotations

import hashlib
from collections import Counter

from vgbench.images import INDEX_FILE, SHARD_FILE, ImageSet, read_table, write_index
from vgbench.types import Artifact, Made, Step

Row = tuple[str, int, int, int, int, str]  # image id, label, member, shard, row, sha256


def select(step: Step) -> Made:
    """Write ``index.parquet`` with the first ``images_per_class`` images of each class.

    Of class nodes the lowest indices are kept; of a whole set the lowest by SHA-256 of the image id, so that a
    smaller request is always part of a larger one. Copies of excluded images (equal bytes) are left out and
    counted. Raises ``ValueError`` naming the classes that end up without an image, unless the choice is partial.
    """
    class_ids: list[str] = step.params["class_ids"]
    limit: int | None = step.params["images_per_class"]
    excluded = _hashes(step.inputs["exclude"]) if "exclude" in step.inputs else set()
    if "set" in step.inputs:
        groups = _classes_of_set(
            ImageSet.open(step.inputs["set"]), class_ids, step.params.get("set_class_ids", class_ids)
        )
    else:
        groups = [_rows_of_class(member, label) for label, member in enumerate(step.inputs["member"].members)]
    rows: list[Row] = []
    rejected: Counter[str] = Counter()
    per_class: dict[str, int] = {}
    for class_id, group in zip(class_ids, groups, strict=True):
        kept = [row for row in group if row[5] not in excluded]
        rejected["copy of an excluded image"] += len(group) - len(kept)
        kept = kept[:limit]
        per_class[class_id] = len(kept)
        rows += kept
    empty = [class_id for class_id, n in per_class.items() if n == 0]
    if empty and not step.params.get("partial"):
        raise ValueError(f"{len(empty)} of {len(class_ids)} classes have no image: {', '.join(empty[:5])}")
    write_index(step.out, rows)
    return Made(len(rows), per_class, {reason: n for reason, n in rejected.items() if n})


def _rows_of_class(member: Artifact, label: int) -> list[Row]:
    """Return the first ``member.n`` images of one class's node."""
    rows: list[Row] = []
    for shard, folder in enumerate(member.shards):
        table = read_table(folder / SHARD_FILE, ["index", "image_id", "sha256"])
        columns = (table[name].to_pylist() for name in ("index", "image_id", "sha256"))
        for row, (index, image_id, sha256) in enumerate(zip(*columns, strict=True)):
            if member.n is None or index < member.n:
                rows.append((image_id, label, label, shard, row, sha256))
    return rows


def _classes_of_set(found: ImageSet, class_ids: list[str], set_class_ids: list[str]) -> list[list[Row]]:
    """Split a set by class, each class ordered by the hash of its image ids; classes not asked for are left out."""
    labels = {class_id: label for label, class_id in enumerate(class_ids)}
    label_of = [labels.get(class_id) for class_id in set_class_ids]
    groups: list[list[Row]] = [[] for _ in class_ids]
    names = ("image_id", "label", "member", "shard", "row", "sha256")
    columns = (found.table[name].to_pylist() for name in names)
    for image_id, set_label, member, shard, row, sha256 in zip(*columns, strict=True):
        label = label_of[set_label]
        if label is not None:
            groups[label].append((image_id, label, member, shard, row, sha256))
    for group in groups:
        group.sort(key=lambda row: hashlib.sha256(row[0].encode()).digest())
    return groups


def _hashes(excluded: Artifact) -> set[str]:
    """Return the byte hashes of every excluded image."""
    hashes: set[str] = set()
    for artifact in excluded.members:
        for folder in artifact.shards:
            name = SHARD_FILE if (folder / SHARD_FILE).exists() else INDEX_FILE
            hashes.update(read_table(folder / name, ["sha256"])["sha256"].to_pylist())
    return hashes
