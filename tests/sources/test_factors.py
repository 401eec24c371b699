"""Cue conflict, FOCUS and ImageNet-9 are read as upstream's archives unpack, or from Parquet; faults are named."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.tasks import mini

from vgbench.locate import Locator
from vgbench.registry import Registry
from vgbench.types import Split, Step
from vgbench.worker import resolve

NINE = [("mixed_same", c, f"f{c}", f"b{c}", c) for c in range(9)] + [
    ("mixed_rand", c, f"f{c}", f"b{c + 1}", c) for c in range(9)
]
SHAPES = (
    *("airplane", "bear", "bicycle", "bird", "boat", "bottle", "car", "cat"),
    *("chair", "clock", "dog", "elephant", "keyboard", "knife", "oven", "truck"),
)
CUES = [(shape, "dog", i) for i, shape in enumerate(SHAPES)]
TEN = [(c, 1 if c == 0 else 0, 3 if c < 2 else 5, "7" if c == 3 else "1", c) for c in range(10)]


def read(name: str, root: Path, out: Path, *, n: int | None = None) -> list[dict[str, Any]]:
    """Read the labels of the test split as a worker would, after its images; return the rows."""
    spec = Registry().datasets.get(name).spec
    spec = replace(spec, splits={"test": Split(n, None)})
    params = spec.params("test", sample_ids=None, classes=Registry().class_list(spec.classes))
    for entry in (spec.read_images.entry, spec.read_labels.entry):
        folder = out / entry.rpartition(":")[2]
        folder.mkdir(parents=True)
        told = {**params, "place": Locator().path(str(root))}
        step = Step(
            "", told, {}, None, 0, folder, folder, "cpu", lambda *_: None, lambda _, make: make(), lambda _: max
        )
        resolve(entry)(step)
    rows: list[dict[str, Any]] = pq.read_table(out / "labels" / "labels.parquet").to_pylist()
    images = pq.read_table(out / "images" / "images.parquet")["image_id"].to_pylist()
    assert images == [row["sample_id"] for row in rows] == sorted(images)
    return rows


def test_cue_conflict_is_read_from_names(tmp_path: Path) -> None:
    rows = read("cue-conflict", mini.cue_conflict(tmp_path / "c", CUES), tmp_path / "out", n=16)
    assert {"sample_id": "cat7-dog7", "class_id": "cat", "shape": "cat", "texture": "dog"} in rows


def test_focus_is_read_from_its_database(tmp_path: Path) -> None:
    rows = read("focus", mini.focus(tmp_path / "f", TEN), tmp_path / "out")
    uncommon = {r["class_id"]: [v for k, v in sorted(r.items()) if k.startswith("uncommon")] for r in rows}
    assert uncommon["truck"] == [0, 1, 1] and uncommon["car"] == [0, 0, 1] and uncommon["ship"] == [0, 0, 0]
    assert rows[0]["sample_id"] == "0/0.jpg"


def test_backgrounds_pair_by_foreground_if_files_say_it(tmp_path: Path) -> None:
    root = mini.backgrounds(tmp_path / "b", NINE)
    rows = read("background-gap", root, tmp_path / "out")
    assert Counter(row["variant"] for row in rows) == {"same": 9, "rand": 9}
    assert all(n == 2 for n in Counter(row["foreground"] for row in rows).values())
    next(root.rglob("mixed_rand/val/00_dog/*")).rename(root / "bg_challenge/mixed_rand/val/00_dog/1.JPEG")
    assert all("foreground" not in row for row in read("background-gap", root, tmp_path / "again"))


def table(rows: Sequence[Mapping[str, Any]], root: Path) -> Path:
    root.mkdir()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), root / "copy.parquet")
    return root


def test_parquet_holds_the_columns_that_score_accepts(tmp_path: Path) -> None:
    image = {"bytes": mini.png(0), "path": None}
    rows = [
        {
            "sample_id": str(c),
            "split": "test",
            "image": image,
            "category_index": c,
            "time": t,
            "weather": w,
            "locations": o,
        }
        for c, t, w, o, _ in TEN
    ]
    found = read("focus", table(rows, tmp_path / "p"), tmp_path / "out")
    assert [row["uncommon_weather"] for row in found[:3]] == [1, 1, 0] and found[0]["class_id"] == "truck"
    lacking = [{k: v for k, v in row.items() if k != "time"} for row in rows]
    with pytest.raises(ValueError, match="no column 'time'"):
        read("focus", table(lacking, tmp_path / "q"), tmp_path / "no")


@pytest.mark.parametrize("name", ["cue-conflict", "focus", "background-gap"])
def test_another_number_of_images_than_released_is_refused(name: str, tmp_path: Path) -> None:
    root = {
        "cue-conflict": lambda: mini.cue_conflict(tmp_path / "x", CUES),
        "focus": lambda: mini.focus(tmp_path / "x", TEN),
        "background-gap": lambda: mini.backgrounds(tmp_path / "x", NINE),
    }[name]()
    with pytest.raises(ValueError, match=r"\d+ samples, 99 expected$"):
        read(name, root, tmp_path / "out", n=99)


def test_what_is_amiss_is_named(tmp_path: Path) -> None:
    cues = mini.cue_conflict(tmp_path / "c", CUES)
    (cues / "cue-conflict" / "cat" / "cat7-dog7.png").rename(cues / "cue-conflict" / "bear" / "cat7-dog7.png")
    with pytest.raises(ValueError, match="the shape is 'cat', the folder's 'bear'"):
        read("cue-conflict", cues, tmp_path / "o1")
    nine = mini.backgrounds(tmp_path / "b", NINE)
    (nine / "bg_challenge" / "mixed_same" / "val" / "08_fish").rename(nine / "bg_challenge/mixed_same/val/09_fish")
    with pytest.raises(ValueError, match="'09_fish' is none of 00_dog to 08_fish"):
        read("background-gap", nine, tmp_path / "o2")
    focus = mini.focus(tmp_path / "f", TEN)
    (focus / "0" / "0.jpg").unlink()
    with pytest.raises(ValueError, match=r"1 annotated photographs are not there: 0/0\.jpg"):
        read("focus", focus, tmp_path / "o3")
    with closing(sqlite3.connect(focus / "annotations.db")) as connection:
        connection.execute("DROP TABLE annotations")
        connection.commit()
    with pytest.raises(ValueError, match="no such table: annotations"):
        read("focus", focus, tmp_path / "o4")
    (focus / "annotations.db").write_bytes(b"no database at all")
    with pytest.raises(ValueError, match=r"annotations\.db: file is not a database"):
        read("focus", focus, tmp_path / "o5")
    (focus / "annotations.db").unlink()
    with pytest.raises(ValueError, match=r"one annotations\.db is needed, 0 lie there"):
        read("focus", focus, tmp_path / "o6")
