"""`vgbench data`: data sets that are absent, not observed, copied elsewhere, changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.conftest import Answer
from tests.guards.product import install
from tests.sources.drawn import digit_png, write_parquet

from vgbench.steps.copy import labels
from vgbench.types import Place, Step, sha256_hex

IDS = [f"s{i}" for i in range(100)]
PLUGIN = f"""
from dataclasses import replace
from vgbench import DatasetSpec, Split, hookimpl
from vgbench_tasks import digits as theirs

SPLITS = {{"train": Split(80, "{sha256_hex(chr(10).join(sorted(IDS[:80])))}"),
           "test": Split(20, "{sha256_hex(chr(10).join(sorted(IDS[80:])))}")}}

class Renamed:
    '''The digits task, asking for another data set.'''
    def __init__(self, g, name): self._g, self._name = g, name
    def __getattr__(self, what): return getattr(self._g, what)
    def dataset(self, name, split): return self._g.dataset(self._name, split)

def task(name):
    (digits,) = theirs.vgbench_offer_tasks()
    return replace(digits, name=name + "-task", datasets=(name,), labels=(name, "test"),
                   request=lambda g, options: theirs.request(Renamed(g, name), options),
                   graph=lambda g, subject, options: theirs.graph(Renamed(g, name), subject, options))

@hookimpl
def vgbench_offer_tasks():
    yield task("faraway")
    yield task("unseen")

@hookimpl
def vgbench_offer_datasets():
    def spec(name, place, sha256):
        return DatasetSpec(name, "for a test", "digits", SPLITS, place, sha256, theirs.READ_IMAGES, theirs.READ_LABELS)
    yield spec("faraway", "", "{"0" * 64}")
    yield spec("unseen", "unseen_package:data.bin", None)
"""


@pytest.fixture
def data(vgbench: Callable[..., Answer], tmp_path: Path) -> Callable[..., Answer]:
    """Run vgbench with two more data sets: one that is not here, one whose bytes nobody has observed."""
    plugins = install(tmp_path / "plugins", "test-data", PLUGIN)
    (plugins / "unseen_package").mkdir()
    (plugins / "unseen_package" / "__init__.py").write_text("")
    (plugins / "unseen_package" / "data.bin").write_bytes(b"bytes")
    env = {"PYTHONPATH": os.pathsep.join([str(plugins), os.environ.get("PYTHONPATH", "")])}
    return lambda *args: vgbench(*args, env=env)


def states(answer: Answer) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in answer.json["datasets"]}


def copy_of_digits(path: Path) -> Path:
    rows: list[dict[str, Any]] = [
        {
            "sample_id": sample_id,
            "split": "train" if i < 80 else "test",
            "image": {"bytes": digit_png(i % 10, i), "path": None},
            "class_id": f"digit-{i % 10}",
        }
        for i, sample_id in enumerate(IDS)
    ]
    return write_parquet(path, rows)


def test_doctor_says_how_each_stands(data: Callable[..., Answer]) -> None:
    answer = data("data", "doctor", "--json")
    assert answer.code == 3
    own = {"digits": "present", "faraway": "absent", "unseen": "not observed"}
    assert states(answer) == {**states(answer), **own}
    text = data("data", "doctor", "--tasks", "faraway-task")
    assert text.code == 3 and "vgbench data add faraway PATH" in text.out and "digits" not in text.out
    assert data("data", "doctor", "--tasks", "digits").code == 0


def test_fetch_observes_and_unblocks(data: Callable[..., Answer], home: Path) -> None:
    plan = ["plan", "--source", "original", "--tasks", "unseen-task", "--json"]
    blocked = data(*plan).json["cells"][0]
    assert blocked["state"] == "blocked" and "nobody has observed its checksum" in blocked["reason"]
    assert data("data", "fetch", "--tasks", "unseen-task").code == 0
    lock = json.loads((home / "lock.json").read_text())
    assert lock["datasets"]["unseen"] == {"identity": sha256_hex("bytes")}
    assert data(*plan).json["cells"][0]["state"] == "make"
    assert data("data", "fetch").code == 3, "the one that is absent is still absent"


def test_changed_after_it_was_observed(data: Callable[..., Answer], tmp_path: Path) -> None:
    data("data", "fetch", "--tasks", "unseen-task")
    assert data("data", "verify", "--tasks", "unseen-task").code == 0
    (tmp_path / "plugins" / "unseen_package" / "data.bin").write_bytes(b"other")
    assert states(data("data", "doctor", "--tasks", "unseen-task", "--json")) == {"unseen": "changed"}
    assert data("data", "verify").code == 4
    answer = data("run", "--source", "original", "--tasks", "unseen-task", "--json")
    assert answer.code == 3 and "results would not be comparable" in answer.json["cells"][0]["reason"]


def test_local_copy_in_parquet_is_used(data: Callable[..., Answer], tmp_path: Path) -> None:
    run = ["run", "--source", "original", "--tasks", "faraway-task", "--json"]
    blocked = data(*run)
    assert blocked.code == 3 and "vgbench data add faraway PATH" in blocked.json["cells"][0]["reason"]
    path = copy_of_digits(tmp_path / "copy" / "digits.parquet")
    added = data("data", "add", "faraway", str(path), "--json")
    assert added.code == 0 and added.json["datasets"][0]["layout"] == "parquet"
    answer = data(*run)
    assert answer.code == 0 and answer.json["cells"][0]["value"] > 0.3, answer.err
    path.rename(path.with_name("moved.parquet"))
    gone = data(*run)
    assert gone.code == 3 and "the copy that was added is gone" in gone.json["cells"][0]["reason"]
    data("data", "add", "faraway", str(path.parent / "moved.parquet"))
    assert data(*run).json["shards_made"] == 0, "the same bytes elsewhere are the same data set"


def test_copy_with_other_samples_fails(data: Callable[..., Answer], tmp_path: Path) -> None:
    rows = [
        {"sample_id": "x", "split": s, "image": {"bytes": b"", "path": ""}, "class_id": "c"} for s in ("train", "test")
    ]
    data("data", "add", "faraway", str(write_parquet(tmp_path / "x.parquet", rows)))
    answer = data("run", "--source", "original", "--tasks", "faraway-task", "--json")
    assert answer.code == 1 and "sample ids of split" in answer.json["cells"][0]["reason"]


def test_wrong_copies_are_refused(data: Callable[..., Answer], tmp_path: Path, home: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"x")
    for args, what in (
        (["faraway", "x.zip"], "is declared as 000000000000"),
        (["faraway", "nowhere"], "no such file or folder"),
        (["farawy", "x.zip"], "did you mean 'faraway'?"),
    ):
        answer = data("data", "add", *args)
        assert answer.code == 2 and what in answer.err and "Traceback" not in answer.err
    assert not (home / "lock.json").exists()


def test_further_columns_of_a_copy_travel_with_the_labels(tmp_path: Path) -> None:
    """What a bias task's scorer reads besides the class: shape, texture, uncommon attributes."""
    rows = [
        {"sample_id": i, "split": "test", "image": {"bytes": b"", "path": ""}, "class_id": c, "texture": t, "pair": k}
        for i, c, t, k in (("b", "cat", "dog", 1), ("a", "dog", "cat", 0))
    ]
    path = write_parquet(tmp_path / "copy.parquet", rows)
    place = Place("i", str(path))
    params = {"place": place, "dataset": "d", "split": "test", "sample_ids": sha256_hex("a\nb")}
    step = Step(
        "", params, {}, None, 0, tmp_path, tmp_path, "cpu", lambda *_: None, lambda _, make: make(), lambda _: max
    )
    assert labels(step).per_class == {"cat": 1, "dog": 1}
    assert pq.read_table(tmp_path / "labels.parquet").to_pydict() == {
        "sample_id": ["a", "b"],
        "class_id": ["dog", "cat"],
        "pair": [0, 1],
        "texture": ["cat", "dog"],
    }
