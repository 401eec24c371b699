"""The store: absent or complete, checked on use, first writer wins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vgbench.errors import CorruptArtifact
from vgbench.store import RECORD, Store, write_file

DIGEST = "ab" + "0" * 62
RECORD_VALUES = {"items": 1, "per_class": {}, "rejected": {}}


def make(store: Store, text: str, shard: int = 0) -> Path:
    staging = store.staging("test")
    (staging / "payload.txt").write_text(text)
    return store.commit(staging, store.folder(DIGEST, shard), RECORD_VALUES, observed={"seconds": 1.0}).folder


def test_shard_is_absent_until_committed_then_complete(home: Path) -> None:
    store = Store(home)
    staging = store.staging("test")
    (staging / "payload.txt").write_text("half")
    assert not store.has(DIGEST) and list(store.all_shards()) == []
    store.discard(staging)
    make(store, "whole")
    assert store.has(DIGEST) and (store.use(DIGEST) / "payload.txt").read_text() == "whole"


def test_first_of_two_writers_wins_and_nothing_is_left(home: Path) -> None:
    store = Store(home)
    first, second = make(store, "first"), make(store, "second")
    assert first == second and (first / "payload.txt").read_text() == "first"
    assert list((home / "tmp").iterdir()) == []


def test_changed_byte_is_found_on_use_and_again_on_the_second_use(home: Path) -> None:
    store = Store(home)
    path = make(store, "payload") / "payload.txt"
    store.use(DIGEST)
    path.write_text("Payload")
    for _ in range(2):
        with pytest.raises(CorruptArtifact, match=r"payload\.txt does not have the bytes"):
            store.use(DIGEST)


def test_missing_file_is_named(home: Path) -> None:
    store = Store(home)
    (make(store, "x") / "payload.txt").unlink()
    with pytest.raises(CorruptArtifact, match="is missing"):
        store.use(DIGEST)


def test_observed_is_outside_the_hashes(home: Path) -> None:
    store = Store(home)
    folder = make(store, "x")
    before = store.commit_of(DIGEST).content
    (folder / "observed.json").write_text('{"seconds": 99}')
    assert store.commit_of(DIGEST).content == before and store.use(DIGEST)
    assert "observed.json" not in json.loads((folder / RECORD).read_text())["files"]


def test_torn_record_is_refused(home: Path) -> None:
    store = Store(home)
    (make(store, "x") / RECORD).write_text('{"items": 1')
    with pytest.raises(CorruptArtifact, match="not a commit record"):
        store.use(DIGEST)


def test_write_file_replaces_whole_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file.json"
    write_file(path, "one")
    write_file(path, "two")
    assert path.read_text() == "two" and list(path.parent.iterdir()) == [path]
