"""Metadata of others holds anything under a usual name: what is no text is none, and the other pages are read."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.core.test_copies import step
from tests.retrieval import made

from vgbench.listing import scan
from vgbench.types import Made, Place
from vgbench_plugins.retrieval.captioned import page_of, read_corpus
from vgbench_plugins.retrieval.corpus import pages_of, read_pages
from vgbench_plugins.retrieval.layouts import ClipRetrieval
from vgbench_plugins.retrieval.remote import Remote

NO_TEXTS: Sequence[object] = (5, 0, -1.5, True, None, [], ["a star"], {}, {"a": [1]}, 10**400)
FIELDS = ("url", "URL", "caption", "text", "key", "uid", "id", "punsafe", "NSFW", "AESTHETIC_SCORE", "prediction")


def read(folder: Path, out: Path) -> tuple[Made, list[Any]]:
    listing = scan(str(folder))
    identity = listing.identity(lambda name: hashlib.sha256(listing.path(name).read_bytes()).hexdigest())
    found = read_corpus(step(out, {}, place=Place(identity, str(folder))))
    table = read_pages(out)
    return found, pages_of(table, list(range(table.num_rows)))


def tar(folder: Path, told: Sequence[Mapping[str, object]]) -> Path:
    """Write one tar of KEY.jpg and KEY.json, without KEY.txt: the caption is what the JSON says."""
    folder.mkdir()
    (entry,) = made.entries("train", 1)[:1]
    with tarfile.open(folder / "0.tar", "w") as file:
        for i, one in enumerate(told):
            for kind, data in (("jpg", entry.data), ("json", json.dumps(one).encode())):
                info = tarfile.TarInfo(f"{i:04d}.{kind}")
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
    return folder


def test_no_value_of_a_tars_json_fails_the_corpus(tmp_path: Path) -> None:
    odd = [{"caption": "a star", field: value} for field in FIELDS if field != "caption" for value in NO_TEXTS]
    halves: list[Mapping[str, object]] = [{"caption": "half \ud800", "url": "http://a.example/\udc00"}]
    silent: list[Mapping[str, object]] = [{"caption": value} for value in NO_TEXTS]
    found, pages = read(
        tar(tmp_path / "tars", [*odd, *halves, *silent, {"caption": 5, "text": "a fish"}]), tmp_path / "out"
    )
    assert (found.items, found.rejected) == (len(odd) + 2, {"no caption": len(NO_TEXTS)})
    assert all(page.url is None and page.caption == "a star" for page in pages[: len(odd)])
    assert [page.caption for page in pages[len(odd) :]] == ["half ?", "a fish"]


def test_json_that_goes_too_deep_is_named(tmp_path: Path) -> None:
    folder = tar(tmp_path / "tars", [{"caption": "a star"}])
    with tarfile.open(folder / "0.tar", "a") as file:
        data = b'{"a":' * 100_000
        for kind, member in (("jpg", b"x"), ("json", data)):
            info = tarfile.TarInfo(f"deep.{kind}")
            info.size = len(member)
            file.addfile(info, io.BytesIO(member))
    with pytest.raises(ValueError, match=r"0.tar: deep.json: not JSON"):
        read(folder, tmp_path / "out")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([5, None]),
        pa.array([[1], None]),
        pa.array([{"a": 1}, None]),
        pa.array([1, None], pa.timestamp("ns")),  # no datetime holds a nanosecond
        pa.array([b"\xff", None]),
        pa.array([b"\xff", None], pa.binary()).view(pa.string()),  # as writers do that check nothing
        pa.array([["\x00"], None]),
        pa.nulls(2),
    ],
    ids=lambda column: str(column.type),
)
def test_no_column_of_a_table_fails_the_corpus(column: pa.Array, tmp_path: Path) -> None:
    entries = made.entries("train", 1)[:2]
    images = pa.array([{"bytes": one.data, "path": None} for one in entries])
    more = dict.fromkeys(("url", "caption", "key", "punsafe", "NSFW", "AESTHETIC_SCORE", "created"), column)
    columns = {"image": images, "text": pa.array(["a star", "a fish"]), **more}
    (tmp_path / "own").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "own" / "t.parquet")
    _, pages = read(tmp_path / "own", tmp_path / "out")
    assert [page.caption for page in pages][-1] == "a fish"

    folder = made.clip_retrieval(tmp_path / "idx", entries, tmp_path / "pictures")
    for path in (folder / "metadata").iterdir():
        paths = pa.array([f"{entries[0].key}.jpg"])
        pq.write_table(pa.table({"image_path": paths, "text": ["a star"]} | {k: v[:1] for k, v in more.items()}), path)
    corpus = ClipRetrieval(folder, "image", tmp_path / "pictures")
    assert [page.location for page in corpus.pages([0, 1])] == [f"{entries[0].key}.jpg"] * 2
    assert corpus.read(corpus.pages([0])[0], 0) == entries[0].data


@pytest.mark.parametrize("value", NO_TEXTS, ids=lambda value: str(value)[:9])
def test_no_value_of_a_service_fails_the_class(value: object) -> None:
    one = {"id": value, "similarity": 0.5, **dict.fromkeys(("url", "caption", "punsafe", "NSFW", "image"), value)}
    remote = Remote("http://knn.example", "x", "image")
    remote._found = [one]
    (page,) = remote.pages([0])
    assert page.url is None and page.caption == "" and isinstance(page.image_id, str)
    assert remote.read(page, 0) in (None, b"")


def test_scores_are_finite_numbers_or_unknown() -> None:
    told = {"punsafe": "0.25", "aesthetic": 6}
    assert (page_of(told, "a", "b").unsafe, page_of(told, "a", "b").aesthetic) == (0.25, 6.0)
    assert page_of({"NSFW": "UNLIKELY"}, "a", "b").unsafe == 0.0
    for value in ("nan", "inf", [0.5], {"a": 1}, "much", 10**400, True):
        page = page_of({"punsafe": value, "aesthetic": value}, "a", "b")
        assert page.unsafe is None and page.aesthetic is None
