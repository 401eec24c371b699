"""Retrieval finds a class's images, in whatever layout the corpus lies, and tells what it left out."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.conftest import Answer
from tests.retrieval import made

from vgbench.commands.answers import IndexAnswer
from vgbench.neighbours import META_FILE
from vgbench.toybox import downstream
from vgbench_plugins.retrieval.layouts import ClipRetrieval, DataComp

CLASSES = "toybox-tools"
NAMES = downstream.DOWNSTREAM["tools"].class_names
TOYBOX = "retrieval:corpus=toybox,pages=400,micro_batch=4"


def asked(**options: object) -> str:
    given = {"encoder": "toybox-clip", "micro_batch": 4, **options}
    return "retrieval:" + ",".join(f"{name}={value}" for name, value in given.items())


def export(vgbench: Callable[..., Answer], source: str, n: int, target: Path, *more: str) -> dict[str, Any]:
    request = ("--source", source, "--classes", CLASSES, "--images-per-class", str(n), "--format", "parquet")
    answer = vgbench("generate", *request, "-o", str(target), "--json", *more)
    assert answer.code == 0, answer.err
    found: dict[str, Any] = answer.json
    return found


def hashes(folder: Path) -> dict[str, list[str]]:
    """Return the SHA-256 of each class's images, in their order, of an exported folder."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("**/*.parquet")):
        for row in pq.read_table(path).to_pylist():
            found.setdefault(row["class_id"], []).append((row["image_id"], row["sha256"]))  # type: ignore[arg-type]
    return {name: [sha256 for _, sha256 in sorted(rows)] for name, rows in found.items()}


def captions(folder: Path) -> dict[str, set[str]]:
    """Return the captions of each class's images in an exported folder."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.glob("**/*.parquet")):
        for row in pq.read_table(path).to_pylist():
            found.setdefault(row["class_id"], set()).add(row["prompt"])
    return found


def beside(home: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of every file of a name in a home's store."""
    return [row for path in sorted(home.glob(f"store/*/*/*/{name}")) for row in pq.read_table(path).to_pylist()]


def test_a_class_gets_its_own_images_first(vgbench: Callable[..., Answer], home: Path, tmp_path: Path) -> None:
    corpus = made.tars(tmp_path / "tars", made.entries("train", 8))
    export(vgbench, asked(path=corpus), 4, tmp_path / "out")
    found = beside(home, "images.parquet")
    captions = Counter((row["class_id"], row["prompt"]) for row in found if row["class_id"])
    right = sum(n for (class_id, caption), n in captions.items() if caption.endswith(made.words.kind(class_id)))
    assert right / captions.total() > 0.5, captions  # ten classes: a tenth by chance
    rows = beside(home, "found.parquet")
    assert all(row["corpus_id"].startswith(("00000.tar/train-", "00001.tar/train-")) for row in rows)
    by_class = [rows[i : i + 4] for i in range(0, len(rows), 4)]
    assert all(near == sorted(near, reverse=True) for near in ([r["similarity"] for r in part] for part in by_class))


def test_one_corpus_in_four_layouts_gives_the_same_images(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    entries = made.entries("train", 6)
    pictures = tmp_path / "pictures"
    layouts = {
        "tars": {"path": made.tars(tmp_path / "tars", entries)},
        "parquet": {"path": made.parquet(tmp_path / "parquet", entries)},
        "clip-retrieval": {"index": made.clip_retrieval(tmp_path / "idx", entries, pictures), "images": pictures},
        "datacomp": {"index": made.datacomp(tmp_path / "dc", entries, pictures), "images": pictures},
    }
    for by in ("image", "text"):
        found = {}
        for name, options in layouts.items():
            export(vgbench, asked(**options, by=by, duplicates="keep"), 3, tmp_path / f"{by}-{name}")
            found[name] = hashes(tmp_path / f"{by}-{name}")
        if by == "text":  # equal captions are equally near, and each layout has an order of its own
            found = {name: captions(tmp_path / f"{by}-{name}") for name in layouts}
        assert all(one == found["tars"] for one in found.values())


def test_indexes_of_every_kind_serve(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    corpus = made.tars(tmp_path / "tars", made.entries("train", 40))
    exact = None
    for kind in ("flat", "ivf-flat", "ivf-pq"):
        export(vgbench, asked(path=corpus, kind=kind), 4, tmp_path / kind)
        found = {name: set(rows) for name, rows in hashes(tmp_path / kind).items()}
        exact = exact or found
        shared = np.mean([len(found[name] & exact[name]) / 4 for name in exact])
        assert shared >= 0.9, kind


def test_smaller_requests_begin_larger_ones_however_they_are_made(
    vgbench: Callable[..., Answer], home: Path, tmp_path: Path
) -> None:
    """One worker at once; two workers, classes in another order, fewer first, killed twice on the way."""
    export(vgbench, TOYBOX, 10, tmp_path / "a", "--workers=1")
    whole = hashes(tmp_path / "a")
    other, chance = tmp_path / "other", random.Random(1)
    shuffled = f"{CLASSES}/" + ",".join(reversed(NAMES))

    def command(n: int, target: str) -> Sequence[str]:
        request = ("--source", TOYBOX, "--classes", shuffled, "--images-per-class", str(n), "--workers", "2")
        where = ("--format", "parquet", "-o", str(tmp_path / target))
        return (sys.executable, "-m", "vgbench.cli", f"--home={other}", "generate", *request, *where)

    for attempt in range(2):
        with subprocess.Popen(
            command(6, f"killed-{attempt}"), start_new_session=True, stderr=subprocess.DEVNULL
        ) as one:
            time.sleep(chance.uniform(2, 5))
            os.killpg(one.pid, signal.SIGKILL)
        assert one.returncode == -signal.SIGKILL  # it was not done yet
    subprocess.run(command(6, "six"), check=True)
    subprocess.run(command(10, "b"), check=True)
    assert hashes(tmp_path / "b") == whole
    assert {name: rows[:6] for name, rows in whole.items()} == hashes(tmp_path / "six")


def test_copies_of_test_images_are_not_trained_on(vgbench: Callable[..., Answer], home: Path, tmp_path: Path) -> None:
    """A corpus half of which are test images, stored otherwise: none is left."""
    test = [replace(one, data=_smaller(one.data)) for one in made.entries("test", 4)]
    corpus = made.tars(tmp_path / "tars", [*test, *made.entries("train", 4)])
    options = ("--images-per-class", "8", "--offline", "-o", "run")
    answer = vgbench("run", "--source", asked(path=corpus), "--tasks", "toybox/genbench/tools:n_test=10", *options)
    assert answer.code == 0, answer.err
    (cell,) = [made_cell(path) for path in tmp_path.glob("run/cells/*/result.json")]
    assert cell["counts"]["rejected"]["copy of an excluded image"] >= 10
    (index,) = home.glob("store/*/*/*/index.parquet")
    chosen = set(pq.read_table(index)["sha256"].to_pylist())
    planted = {hashlib.sha256(one.data).hexdigest() for one in test}
    found = {row["sha256"] for row in beside(home, "images.parquet") if row["class_id"]}
    assert planted & found and not planted & chosen  # retrieved, and left out when the images were chosen
    assert sum(cell["counts"]["shortfall"].values()) > 0  # and nothing filled their places


def made_cell(path: Path) -> Mapping[str, Any]:
    cell: Mapping[str, Any] = json.loads(path.read_text())
    return cell


def _smaller(data: bytes) -> bytes:
    image = Image.open(io.BytesIO(data)).resize((52, 52))
    return made.stored(np.asarray(image), quality=75)


def test_what_is_left_out_is_counted(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    entries = made.entries("train", 6)
    scored = [
        replace(one, more={"punsafe": i % 10 / 10, "AESTHETIC_SCORE": 4.0 + i % 2}) for i, one in enumerate(entries)
    ]
    twice = [*scored, *(replace(one, key=f"again-{one.key}") for one in scored[:9])]
    twice += [replace(one, key=f"like-{one.key}", data=_smaller(one.data)) for one in scored[10:15]]
    broken = [replace(one, key=f"cut-{one.key}", data=one.data[:200]) for one in scored[:2]]
    corpus = made.tars(tmp_path / "tars", [*twice, *broken])
    answer = export(vgbench, asked(path=corpus, max_unsafe=0.5, min_aesthetic=4.5, depth=76), 30, tmp_path / "out")
    n = len(NAMES)
    per_class = answer["rejected_per_class"]
    assert set(per_class) == set(NAMES) and len({tuple(sorted(one.items())) for one in per_class.values()}) == 1
    assert answer["rejected"]["unsafe"] == n * sum(one.more["punsafe"] > 0.5 for one in twice)
    left = [one for one in twice if one.more["punsafe"] <= 0.5]
    assert answer["rejected"]["plain"] == n * sum(one.more["AESTHETIC_SCORE"] < 4.5 for one in left)
    assert answer["rejected"]["the same bytes as a nearer one"] > 0
    kept = answer["per_class"][NAMES[0]]
    assert kept + sum(per_class[NAMES[0]].values()) == 74  # all that decode: every page is kept or counted
    assert answer["shortfall"] == dict.fromkeys(NAMES, 30 - kept)


def test_images_behind_addresses_are_not_fetched_unasked(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    """DataComp's metadata alone: addresses. Without fetch nothing goes out; with it a private address is refused."""
    entries = made.entries("train", 2)
    folder = made.datacomp(tmp_path / "dc", entries, tmp_path / "pictures")
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path).drop_columns(["image_path"])
        urls = [f"http://127.0.0.1:1/{i}.jpg" for i in range(len(table))]
        pq.write_table(table.set_column(1, "url", [urls]), path)

    def reasons(**more: object) -> str:
        request = (
            "--source",
            asked(**{"index": folder, **more}),
            "--classes",
            f"{CLASSES}/{NAMES[0]}",
            "-n",
            "1",
            "--json",
        )
        answer = vgbench("preview", *request)
        assert answer.code == 1
        return answer.err

    assert "classes have no image" in reasons()
    rejected = [made_cell(path)["rejected"] for path in (tmp_path / "home").glob("store/*/*/*/commit.json")]
    assert {"only its address is known": 20} in rejected
    assert "classes have no image" in reasons(fetch="true")
    rejected = [made_cell(path)["rejected"] for path in (tmp_path / "home").glob("store/*/*/*/commit.json")]
    assert {"not fetched: not a public address": 20} in rejected
    request = ("--source", asked(index=folder, fetch="true"), "--classes", f"{CLASSES}/{NAMES[1]}", "-n", "1")
    offline = vgbench("preview", *request, "--offline")
    assert offline.code == 2 and "--offline forbids the network, and vgbench.retrieve asks it" in offline.err
    gone = path_of_no_host(folder)
    assert "is there a network?" in reasons(index=gone, fetch="true")  # a failed cell, and nothing is committed


def path_of_no_host(folder: Path) -> Path:
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        urls = [f"http://no-such-host.invalid/{i}.jpg" for i in range(len(table))]
        pq.write_table(table.set_column(1, "url", [urls]), path)
    return folder


def test_paths_in_metadata_stay_in_their_folder(vgbench: Callable[..., Answer], home: Path, tmp_path: Path) -> None:
    """Metadata of others names a file of this machine, through a link too, or nonsense: counted, and not read."""
    entries = made.entries("train", 4)
    pictures = tmp_path / "pictures"
    folder = made.clip_retrieval(tmp_path / "idx", entries, pictures)
    first = f"{entries[0].key}.jpg"
    (tmp_path / "secret.jpg").write_bytes(entries[0].data)
    (pictures / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (pictures / f"{first}@").mkdir()  # in which what splits at the first "@" and what does not differ
    pq.write_table(pa.table({"text": ["a reason"], "n": [5]}), pictures / "t.parquet")
    outside = ["../secret.jpg", str(tmp_path / "secret.jpg"), "link.jpg", "/dev/zero", f"{first}@/../../secret.jpg"]
    outside += ["link.jpg#0+9", "../secret.jpg#0+9", "../secret.zip@x", f"{first}@/../{first}"]
    missing = ["missing.jpg", f"{first}#x", f"{first}@x", ""]
    nonsense = [f"{first}#0+99999999999999", f"{first}#99999999999999999999+1", f"{first}#0+{'9' * 5_000}"]
    nonsense += [f"{first}\0", "x" * 5_000, f"{first}#border=999", f"{first}#image[0]", "t.parquet#text[0]"]
    nonsense += ["t.parquet#n[0]", "t.parquet#none[0]", "t.parquet#text[77]"]
    there = ["cat@2x.jpg", "n#1.jpg", "a..b.jpg", "@x.jpg"]
    for name, one in zip(there, entries, strict=False):
        (pictures / name).write_bytes(one.data)
    told = [*there, *outside, *missing, *nonsense]
    for number in range(2):
        file = folder / "metadata" / f"metadata_{number}.parquet"
        table = pq.read_table(file)
        own = table["image_path"].to_pylist()
        paths = [*told[: len(own)], *own[len(told) :]]
        told = told[len(own) :]
        pq.write_table(table.set_column(0, "image_path", [paths]), file)
    answer = export(vgbench, asked(index=folder, images=pictures, duplicates="keep"), 40, tmp_path / "out")
    assert answer["rejected"] == {
        "a path outside the images' folder": len(outside) * len(NAMES),
        "no such file": len(missing) * len(NAMES),
        "cannot be read": len(nonsense) * len(NAMES),
    }
    assert answer["per_class"][NAMES[0]] == 40 - len(outside) - len(missing) - len(nonsense)  # `there` is


def test_disk_that_fails_is_no_property_of_a_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made.clip_retrieval(tmp_path / "idx", made.entries("train", 1), tmp_path / "pictures")
    corpus = ClipRetrieval(folder, "image", tmp_path / "pictures")

    def broken(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", broken)
    with pytest.raises(ValueError, match="Input/output error"):
        corpus.read(corpus.pages([0])[0], 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "retrieval from which corpus? none given"),
        ({"corpus": "toybox", "path": "."}, "corpus and path given"),
        ({"corpus": "laion"}, "corpus=laion"),
        ({"corpus": "toybox", "depth": 3}, "4 images per class of 3 neighbours looked at"),
        ({"corpus": "toybox", "encoder": "dinov2/vit-b-14"}, "has no text tower"),
        ({"corpus": "toybox", "prompts": "simpel"}, "did you mean 'simple'"),
        ({"index": "nowhere"}, "nowhere: no such file or folder"),
        ({"corpus": "toybox", "prompts": "hypernym"}, "prompts=hypernym reads wordnet"),
    ],
)
def test_what_cannot_be_served_is_refused_before_anything_is_made(
    options: dict[str, object], message: str, vgbench: Callable[..., Answer], home: Path
) -> None:
    answer = vgbench("preview", "--source", asked(**options), "--classes", f"{CLASSES}/{NAMES[0]}", "-n", "4")
    assert answer.code in (2, 3) and message in answer.err, answer.err
    assert not (home / "store").exists()


def test_folders_that_are_no_index_say_why(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    entries = made.entries("train", 2)
    whole = made.clip_retrieval(tmp_path / "idx", entries, tmp_path / "pictures")

    def error(**options: object) -> str:
        request = ("--source", asked(**options), "--classes", f"{CLASSES}/{NAMES[0]}", "-n", "1")
        answer = vgbench("preview", *request)
        assert answer.code == 1, answer.out
        return answer.err

    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "x.txt").write_text("x")
    assert "neither a clip-retrieval index" in error(index=empty)
    assert "no captioned images" in error(path=empty)
    (whole / "text.index").unlink()
    assert "text.index is missing (there: image.index)" in error(index=whole, by="text")
    assert "max_unsafe or min_aesthetic is set, and the metadata has no such scores" in error(
        index=whole, images=tmp_path / "pictures", max_unsafe=0.5
    )
    (whole / "metadata" / "metadata_1.parquet").unlink()
    assert "image.index has 20 vectors, the metadata 10 rows" in error(index=whole)
    dc = made.datacomp(tmp_path / "dc", entries, tmp_path / "pictures")
    assert "has no l14_img; it has b32_img, b32_txt" in error(index=dc, embeddings="l14")
    next(dc.glob("*.npz")).unlink()
    assert "each .parquet of DataComp's metadata has its .npz" in error(index=dc)


def test_rows_without_a_vector_are_counted_and_the_others_found(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    """DataComp's downloads hold some: all zeros, or not finite. One file has no other."""
    entries = made.entries("train", 4)
    folder = made.datacomp(tmp_path / "dc", entries, tmp_path / "pictures")
    first, last = sorted(folder.glob("*.npz"))
    _change(first, "b32_img", lambda vectors: vectors * np.where(np.arange(len(vectors)) < 3, 0, 1)[:, None])
    _change(first, "b32_img", lambda vectors: np.where(np.arange(len(vectors))[:, None] == 5, np.nan, vectors))
    asking = asked(index=folder, images=tmp_path / "pictures", duplicates="keep")
    answer = export(vgbench, asking, 40, tmp_path / "some")
    assert answer["rejected"] == {"no vector to compare": 4 * len(NAMES)}
    kept = set(answer["per_class"].values())
    named = {hashlib.sha256(one.data).hexdigest() for i, one in enumerate(entries) if i not in (0, 1, 2, 5)}
    assert kept == {36} and set(hashes(tmp_path / "some")[NAMES[0]]) == named
    _change(last, "b32_img", np.zeros_like)
    answer = export(vgbench, asking, 40, tmp_path / "fewer")
    assert set(answer["per_class"].values()) == {16}


def _change(path: Path, name: str, change: Callable[[Any], Any]) -> None:
    with np.load(path) as arrays:
        kept = dict(arrays)
    np.savez(path, **kept | {name: change(kept[name]).astype(np.float16)})


@pytest.mark.parametrize("size", [0, 10, 700])
def test_damaged_files_are_named(size: int, tmp_path: Path) -> None:
    entries = made.entries("train", 1)
    query = np.ones(made.vectors(entries)[0].shape[1], np.float32)

    def error(path: Path, folder: Path) -> str:
        whole = path.read_bytes()
        path.write_bytes(whole[:size])
        try:
            with pytest.raises(ValueError) as told:
                if path.suffix == ".npz" or folder.name == "dc":
                    DataComp(folder, "image", "b32", folder).search(query, 3)
                else:
                    ClipRetrieval(folder, "image", folder).search(query, 3)
        finally:
            path.write_bytes(whole)
        return str(told.value)

    dc = made.datacomp(tmp_path / "dc", entries, tmp_path / "pictures")
    cr = made.clip_retrieval(tmp_path / "cr", entries, tmp_path / "pictures")
    for folder, pattern in ((dc, "*.npz"), (dc, "*.parquet"), (cr, "image.index"), (cr, "metadata/*.parquet")):
        path = sorted(folder.glob(pattern))[-1]
        message = error(path, folder)
        assert message.startswith(f"{path}: ") and "get" in message and "pickle" not in message, message
        assert "\n" not in message and "faiss/impl" not in message, message
    (cr / "image").mkdir()
    (cr / "image" / META_FILE).write_text("{}")
    with pytest.raises(ValueError, match=r"cr/image: cannot be opened: .*index build"):
        ClipRetrieval(cr, "image", cr)


def test_vectors_of_another_kind_are_refused(tmp_path: Path) -> None:
    dc = made.datacomp(tmp_path / "dc", made.entries("train", 1), tmp_path / "pictures")
    path = sorted(dc.glob("*.npz"))[0]
    for values, message in (
        (np.array(["a"] * 5), "b32_img holds <U1"),
        (np.array([None] * 5), "cannot be read"),
        (np.ones(5, np.float16), "b32_img is 5 numbers"),
    ):
        np.savez(path, b32_img=values)
        with pytest.raises(ValueError, match=message) as told:
            DataComp(dc, "image", "b32", dc).search(np.ones(4, np.float32), 3)
        assert str(path) in str(told.value)


def test_index_of_distances_is_refused(tmp_path: Path) -> None:
    folder = made.clip_retrieval(tmp_path / "idx", made.entries("train", 1), tmp_path / "pictures")
    index = faiss.IndexFlatL2(8)
    index.add(np.ones((10, 8), np.float32))
    faiss.write_index(index, str(folder / "image.index"))
    with pytest.raises(ValueError, match=r"image.index compares by distances .*metric_type='ip'"):
        ClipRetrieval(folder, "image", folder)


def test_an_index_is_built_in_clip_retrievals_layout_and_serves(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    entries = made.entries("train", 40)
    corpus = made.tars(tmp_path / "tars", entries)
    build = ("index", "build", str(corpus), "--encoder", "toybox-clip", "--by", "both", "--json")
    answer = vgbench(*build, "--kind", "ivf-flat", "-o", "idx")
    assert answer.code == 0, answer.err
    found = IndexAnswer.model_validate(answer.json)
    assert found.images == 400 and set(found.indexes) == {"image", "text"}
    for by, values in zip(("image", "text"), made.vectors(entries), strict=True):
        index = faiss.read_index(str(tmp_path / "idx" / f"{by}.index"))  # as clip-retrieval opens it
        assert (index.ntotal, index.d) == (400, values.shape[1])
    export(vgbench, asked(index=tmp_path / "idx", images=corpus), 4, tmp_path / "by-index")
    export(vgbench, asked(path=corpus, kind="ivf-flat"), 4, tmp_path / "by-corpus")
    assert hashes(tmp_path / "by-index") == hashes(tmp_path / "by-corpus")
    again = vgbench(*build, "-o", "idx")
    assert again.code == 2 and "not an empty folder" in again.json["error"]["what"]
    assert vgbench("index", "build", "nowhere", "-o", "x").code == 2
