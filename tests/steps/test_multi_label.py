"""Sets in which an image has several classes: joined, chosen, united and taken apart without losing a label."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from vgbench.images import FoundImage, Judged, write_found, write_index, write_labels
from vgbench.steps.label import label
from vgbench.steps.select import select
from vgbench.steps.truth import truth
from vgbench.steps.union import union
from vgbench.types import Artifact, Made, Step

CLASSES = ["cat", "dog", "car"]
LABELS = {"a": [0, 1], "b": [1], "c": [2], "d": [0, 2], "e": [], "f": [0], "g": [1, 2]}


def call(body: Any, folder: Path, inputs: Mapping[str, Artifact], **params: Any) -> tuple[Made, Path]:
    folder.mkdir()
    made = body(
        Step("", params, inputs, None, 0, folder, folder, "cpu", lambda *_: None, lambda _, make: make(), lambda _: max)
    )
    return made, folder


def images(folder: Path, names: str) -> Artifact:
    folder.mkdir()
    write_found(folder, [FoundImage(f"{n}.jpg", n, None, Judged(n * 64)) for n in names])
    return Artifact("i", (folder,))


def image_set(folder: Path, labels: Mapping[str, list[int]]) -> Artifact:
    member = images(folder, "".join(labels))
    rows = [(n, of[0] if of else -1, 0, 0, row, n * 64) for row, (n, of) in enumerate(labels.items())]
    write_index(folder, rows, label_lists=list(labels.values()))
    return Artifact("s", (folder,), members=(member,))


def lists_of(folder: Path) -> dict[str, list[int]]:
    table = pq.read_table(folder / "index.parquet")
    assert table["label"].to_pylist() == [of[0] if of else -1 for of in table["labels"].to_pylist()]
    return dict(zip(table["image_id"].to_pylist(), table["labels"].to_pylist(), strict=True))


def test_labels_join_and_come_apart_again(tmp_path: Path) -> None:
    shard = images(tmp_path / "images", "".join(LABELS))
    named = [[CLASSES[i] for i in of] for of in LABELS.values()]
    truth_folder = tmp_path / "labels"
    truth_folder.mkdir()
    write_labels(
        truth_folder, [(n, of[0] if of else None) for n, of in zip(LABELS, named, strict=True)], class_lists=named
    )
    made, joined = call(
        label, tmp_path / "joined", {"images": shard, "labels": Artifact("l", (truth_folder,))}, class_ids=CLASSES
    )
    assert lists_of(joined) == LABELS and made.items == 7 and made.per_class == {"cat": 3, "dog": 3, "car": 3}
    again, apart = call(
        truth, tmp_path / "apart", {"images": Artifact("x", (joined,), members=(shard,))}, class_ids=CLASSES
    )
    assert pq.read_table(apart / "labels.parquet").equals(pq.read_table(truth_folder / "labels.parquet"))
    assert again.per_class == made.per_class


def test_a_class_outside_the_list_is_named(tmp_path: Path) -> None:
    shard = images(tmp_path / "images", "a")
    truth_folder = tmp_path / "labels"
    truth_folder.mkdir()
    write_labels(truth_folder, [("a", "cat")], class_lists=[["cat", "cow"]])
    with pytest.raises(ValueError, match="outside the class list: cow"):
        call(label, tmp_path / "joined", {"images": shard, "labels": Artifact("l", (truth_folder,))}, class_ids=CLASSES)


@pytest.mark.parametrize("n", [1, 2, None])
def test_each_class_gets_its_lowest_by_hash_and_an_image_stands_once(tmp_path: Path, n: int | None) -> None:
    found = image_set(tmp_path / "set", LABELS)
    made, chosen = call(select, tmp_path / "chosen", {"set": found}, class_ids=CLASSES, images_per_class=n)
    by_hash = sorted(LABELS, key=lambda name: hashlib.sha256(name.encode()).digest())
    expected = {name for i in range(3) for name in [m for m in by_hash if i in LABELS[m]][:n]}
    assert lists_of(chosen) == {name: LABELS[name] for name in expected}
    assert made.items == len(expected) and "e" not in expected
    assert made.per_class == {c: sum(i in LABELS[name] for name in expected) for i, c in enumerate(CLASSES)}


def test_labels_of_classes_not_asked_for_fall_away(tmp_path: Path) -> None:
    found = image_set(tmp_path / "set", LABELS)
    _, chosen = call(
        select,
        tmp_path / "chosen",
        {"set": found},
        class_ids=["car", "dog"],
        set_class_ids=CLASSES,
        images_per_class=None,
    )
    assert lists_of(chosen) == {"a": [1], "b": [1], "c": [0], "d": [0], "g": [0, 1]}


def test_union_with_a_set_of_one_label_each(tmp_path: Path) -> None:
    single = tmp_path / "single"
    member = images(single, "z")
    write_index(single, [("z", 2, 0, 0, 0, "z" * 64)])
    parts = {
        "part-many": image_set(tmp_path / "set", {"a": [0, 1]}),
        "part-one": Artifact("1", (single,), members=(member,)),
    }
    made, joined = call(union, tmp_path / "union", parts, class_ids=CLASSES)
    assert lists_of(joined) == {"many/a": [0, 1], "one/z": [2]} and made.per_class == {"cat": 1, "dog": 1, "car": 1}
    _, plain = call(union, tmp_path / "plain", {"part-one": parts["part-one"]}, class_ids=CLASSES)
    assert "labels" not in pq.read_schema(plain / "index.parquet").names
