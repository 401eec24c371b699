"""Choose the images of a request: an index into what holds the bytes, no copies."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np

from vgbench.copies import copies
from vgbench.images import INDEX_FILE, SHARD_FILE, ImageSet, read_table, write_index
from vgbench.steps.fingerprint import read_prints
from vgbench.types import Artifact, Made, Step

Row = tuple[str, int, int, int, int, str]  # image id, label, member, shard, row, sha256


def select(step: Step) -> Made:
    """Write ``index.parquet`` with the first ``images_per_class`` images of each class.

    Of class nodes the lowest indices are kept; of a whole set the lowest by SHA-256 of the image id, so that a
    smaller request is always part of a larger one. Copies of excluded images are left out and counted: equal bytes,
    and where images come with fingerprints (inputs ``prints`` and ``exclude_prints``) whatever `vgbench.copies` tells.
    An image of a multi-label set counts for each of its classes: it is kept if it is among the first of one of them,
    once, with all its labels. Raises ``ValueError`` naming the classes that end up without an image, unless the choice
    is partial.
    """
    class_ids: list[str] = step.params["class_ids"]
    limit: int | None = step.params["images_per_class"]
    excluded = _hashes(step.inputs["exclude"]) if "exclude" in step.inputs else set()
    if "prints" in step.inputs:
        excluded |= _copies(step.inputs["prints"], step.inputs["exclude_prints"])
    label_lists: dict[Row, list[int]] | None = None
    if "set" in step.inputs:
        found = ImageSet.open(step.inputs["set"])
        groups, label_lists = _classes_of_set(found, class_ids, step.params.get("set_class_ids", class_ids))
    else:
        groups = [_rows_of_class(member, label) for label, member in enumerate(step.inputs["member"].members)]
    chosen: dict[Row, None] = {}  # in order; an image stands once, whatever the number of its classes
    left_out: set[Row] = set()
    for group in groups:
        left_out.update(row for row in group if row[5] in excluded)
        chosen.update(dict.fromkeys([row for row in group if row[5] not in excluded][:limit]))
    rows = list(chosen)
    lists = [[row[1]] for row in rows] if label_lists is None else [label_lists[row] for row in rows]
    counts = Counter(label for labels in lists for label in labels)
    per_class = {class_id: counts[label] for label, class_id in enumerate(class_ids)}
    empty = [class_id for class_id, n in per_class.items() if n == 0]
    if empty and not step.params.get("partial"):
        raise ValueError(f"{len(empty)} of {len(class_ids)} classes have no image: {', '.join(empty[:5])}")
    write_index(step.out, rows, label_lists=None if label_lists is None else lists)
    return Made(len(rows), per_class, {"copy of an excluded image": len(left_out)} if left_out else {})


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


def _classes_of_set(
    found: ImageSet, class_ids: list[str], set_class_ids: list[str]
) -> tuple[list[list[Row]], dict[Row, list[int]] | None]:
    """Split a set by class, each class ordered by the hash of its image ids; classes not asked for are left out.

    Of a multi-label set an image's row stands in each of its classes, and its labels are returned too.
    """
    labels = {class_id: label for label, class_id in enumerate(class_ids)}
    label_of = [labels.get(class_id) for class_id in set_class_ids]
    lists = found.label_lists
    of_set = [[label] for label in found.labels.tolist()] if lists is None else lists
    groups: list[list[Row]] = [[] for _ in class_ids]
    labels_of: dict[Row, list[int]] = {}
    names = ("image_id", "member", "shard", "row", "sha256")
    columns = (found.table[name].to_pylist() for name in names)
    for set_labels, image_id, member, shard, row, sha256 in zip(of_set, *columns, strict=True):
        wanted = sorted(label for label in (label_of[i] for i in set_labels) if label is not None)
        if wanted:
            one: Row = (image_id, wanted[0], member, shard, row, sha256)
            labels_of[one] = wanted
            for label in wanted:
                groups[label].append(one)
    for group in groups:
        group.sort(key=lambda row: hashlib.sha256(row[0].encode()).digest())
    return groups, None if lists is None else labels_of


def _hashes(excluded: Artifact) -> set[str]:
    """Return the byte hashes of every excluded image."""
    hashes: set[str] = set()
    for artifact in excluded.members:
        for folder in artifact.shards:
            name = SHARD_FILE if (folder / SHARD_FILE).exists() else INDEX_FILE
            hashes.update(read_table(folder / name, ["sha256"])["sha256"].to_pylist())
    return hashes


def _copies(found: Artifact, excluded: Artifact) -> set[str]:
    """Return the byte hashes of the found images that are copies of an excluded one."""
    hashes, prints = read_prints(found)
    known = np.concatenate([read_prints(artifact)[1] for artifact in excluded.members])
    return {hashes[i] for i in np.flatnonzero(copies(prints, known))}
