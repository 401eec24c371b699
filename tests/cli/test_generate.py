"""``vgbench generate``: what is exported opens in other people's loaders, with the same images and labels."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.conftest import Answer

from vgbench.registry import Registry

# How each built-in source is spelt for ten classes of digits; a new source without a spelling fails the test below.
# Sources over files read what was exported: {folder}, {wds} and {parquet}.
SPELT = {
    "toybox": "toybox:micro_batch=8",
    "sd": "sd:model=toybox,steps=1,micro_batch=8",
    "retrieval": "retrieval:corpus=toybox,pages=400,micro_batch=8",
    "original": "original",
    "mix": "mix:0.5*(toybox:micro_batch=8)+0.5*(original)",
    "folder": "folder:{folder}",
    "published": "published:{folder}",
    "realfake": "realfake:{folder}",
    "genrobust": "genrobust:{folder}",
    "genrobust-base": "genrobust-base:{folder}",
    "lbgen": "lbgen:{folder}",
    "wds": "wds:{wds},label=json.class_id",
    "parquet": "parquet:{parquet}/data,label=class_id",
    "hf": "hf:{parquet},label=class_id",
}
# torchvision closes what it opens; these loaders leave that to the garbage collector
leaves_files_open = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
ASKED = ["--source", "mix:1*(toybox:micro_batch=8)+1*(original)", "--tasks", "digits", "--images-per-class", "12"]
Labelled = set[tuple[int, str]]  # label and hash of the pixels


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Export one image set in every format."""
    folder = tmp_path_factory.mktemp("exported")
    environment = {**os.environ, "VGBENCH_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    for kind in ("folder", "wds", "parquet"):
        command = [sys.executable, "-m", "vgbench.cli", "generate", *ASKED, "--format", kind, "-o", str(folder / kind)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)
        assert done.returncode == 0, done.stderr
    return folder


def manifest_of(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text())


def pixels(image: Image.Image) -> str:
    grey = image.convert("RGB")
    return hashlib.sha256(repr(grey.size).encode() + grey.tobytes()).hexdigest()


def expected(folder: Path) -> Labelled:
    """Read the images as the manifest lists them."""
    listed = manifest_of(folder)["images"]
    found = {(image["label"], pixels(Image.open(folder / image["file"]))) for image in listed}
    assert len(listed) == 120 and len(found) == 120
    return found


# ── other people's loaders ───────────────────────────────────────────────────────────────────────


def test_folder_opens_in_torchvision(exported: Path) -> None:
    from torchvision.datasets import ImageFolder

    found = ImageFolder(str(exported / "folder"))
    assert found.classes == [f"digit-{i}" for i in range(10)]
    assert {(label, pixels(image)) for image, label in found} == expected(exported / "folder")


@leaves_files_open
def test_folder_opens_in_timm_with_our_labels(exported: Path) -> None:
    from timm.data import create_dataset

    found = create_dataset("", str(exported / "folder"), class_map="classes.txt")
    assert {(label, pixels(image)) for image, label in found} == expected(exported / "folder")


@leaves_files_open
def test_tars_open_in_webdataset(exported: Path) -> None:
    import webdataset

    tars = sorted(str(path) for path in (exported / "wds").glob("*.tar"))
    found = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil").to_tuple("png", "cls", "json"))
    assert {(label, pixels(image)) for image, label, _ in found} == expected(exported / "folder")
    assert all(about["label"] == label and about["class_id"] == f"digit-{label}" for _, label, about in found)


@leaves_files_open
def test_tars_open_in_timm(exported: Path) -> None:
    from timm.data import create_dataset

    found = create_dataset("wds/mine", str(exported / "wds"), split="train", is_training=False, batch_size=1)
    assert {(int(label), pixels(image)) for image, label in found} == expected(exported / "folder")


def test_parquet_opens_in_datasets(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    found = datasets.load_dataset(str(exported / "parquet"), cache_dir=str(tmp_path / "cache"))
    assert list(found) == ["train"]
    train = found["train"]
    assert train.features["label"].names == [f"digit-{i}" for i in range(10)]
    assert {(row["label"], pixels(row["image"])) for row in train} == expected(exported / "folder")
    assert all(row["class_id"] == f"digit-{row['label']}" for row in train)


# ── the bytes, and what is said of them ──────────────────────────────────────────────────────────


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


def test_bytes_are_those_of_the_store(exported: Path) -> None:
    stored = set()
    for path in exported.glob("home/store/*/*/*/images.parquet"):
        stored |= {hashlib.sha256(row["bytes"]).hexdigest() for row in pq.read_table(path)["image"].to_pylist()}
    hashes = {
        kind: {i["image_id"]: i["sha256"] for i in manifest_of(exported / kind)["images"]}
        for kind in ("folder", "wds", "parquet")
    }
    assert hashes["folder"] == hashes["wds"] == hashes["parquet"] and set(hashes["folder"].values()) <= stored
    for image in manifest_of(exported / "folder")["images"]:
        assert hashlib.sha256((exported / "folder" / image["file"]).read_bytes()).hexdigest() == image["sha256"]
    tars = {path.name: members(path) for path in (exported / "wds").glob("*.tar")}
    for image in manifest_of(exported / "wds")["images"]:
        tar, _, name = image["file"].partition(":")
        assert hashlib.sha256(tars[tar][name]).hexdigest() == image["sha256"]
    for image in manifest_of(exported / "parquet")["images"]:
        file, _, row = image["file"].rpartition(":")
        data = pq.read_table(exported / "parquet" / file)["image"][int(row)]["bytes"].as_py()
        assert hashlib.sha256(data).hexdigest() == image["sha256"]


def test_manifest_says_what_the_images_are(exported: Path) -> None:
    about = manifest_of(exported / "folder")
    assert about["source"]["name"] == "mix" and about["source"]["options"] == {
        "parts": "1*(original)+1*(toybox:micro_batch=8)"
    }
    assert about["counts"] == {
        "images": 120,
        "per_class": {f"digit-{i}": 12 for i in range(10)},
        "shortfall": {},
        "rejected": {},
        "rejected_per_class": {},
    }
    assert [c["id"] for c in about["classes"]["classes"]] == [f"digit-{i}" for i in range(10)]
    assert about["real_data"] == [
        {"name": "digits", "license": "CC BY 4.0", "citation": about["real_data"][0]["citation"]}
    ]
    assert (
        len(about["recipe"]) == 64 and len({manifest_of(exported / kind)["recipe"] for kind in ("folder", "wds")}) == 1
    )


def test_large_sets_are_cut_into_tars_and_files_that_hold_all_classes(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vgbench import formats
    from vgbench.images import ImageSet, write_index
    from vgbench.types import Artifact, ClassEntry, ClassList

    monkeypatch.setattr(formats, "TAR_SAMPLES", 7)
    monkeypatch.setattr(formats, "OPEN_TARS", 2)
    monkeypatch.setattr(formats, "PARQUET_ROWS", 50)
    (shard,) = [
        p.parent for p in exported.glob("home/store/*/*/*/images.parquet") if pq.read_metadata(p).num_rows > 1000
    ]
    table = pq.read_table(shard / "images.parquet", columns=["image_id", "sha256"]).slice(0, 120).to_pylist()
    write_index(tmp_path, [(row["image_id"], i % 3, 0, 0, i, row["sha256"]) for i, row in enumerate(table)])
    found = ImageSet.open(Artifact("x", (tmp_path,), members=(Artifact("y", (shard,)),)))
    classes = ClassList("c", "1", tuple(ClassEntry(f"a.b{i}", str(i)) for i in range(3)))
    for kind in formats.FORMATS:
        (tmp_path / kind).mkdir()
        assert formats.export(tmp_path / kind, found, classes, kind=kind, about={"x": 1}) == 120
    tars = [members(path) for path in sorted((tmp_path / "wds").glob("*.tar"))]
    assert len(tars) == 18 and sum(len(tar) for tar in tars) == 360
    assert all(
        len(tar) in (18, 21) and {tar[n] for n in tar if n.endswith(".cls")} == {b"0", b"1", b"2"} for tar in tars
    )
    lengths = json.loads((tmp_path / "wds" / "_info.json").read_text())["splits"]["train"]["shard_lengths"]
    assert lengths == [len(tar) // 3 for tar in tars]
    files = sorted(path.name for path in (tmp_path / "parquet" / "data").iterdir())
    assert files == [f"train-{i:05d}-of-00003.parquet" for i in range(3)]
    assert [pq.read_metadata(tmp_path / "parquet" / "data" / f).num_rows for f in files] == [50, 50, 20]


def test_doubtful_names_stay_apart() -> None:
    from vgbench.formats import _Names, _stem
    from vgbench.samples import Sample

    ids = [
        "c/a b.png",
        "c/a_b.png",
        "c/A_B.jpg",
        "c/../a_b",
        "c/" + "x" * 300,
        "c/" + "x" * 299 + "y",
        "c/.hidden",
        "c/",
        "c/é",
    ]
    names = _Names()
    given = [names.of(s, "c/", _stem(s, "c")) for s in (Sample(i, 0, "", b"", None) for i in ids)]
    assert len({name.casefold() for name in given}) == len(ids)
    assert all(name.startswith("c/") and name.count("/") == 1 and len(name) < 150 for name in given)
    assert not any(name.startswith("c/.") for name in given)


# ── whole or not at all ──────────────────────────────────────────────────────────────────────────


def test_same_command_into_another_folder_makes_nothing_and_gives_equal_bytes(
    vgbench: Callable[..., Answer], tmp_path: Path
) -> None:
    trees = []
    for out, format_ in (
        ("a", "wds"),
        ("b", "wds"),
        ("c", "parquet"),
        ("d", "parquet"),
        ("e", "folder"),
        ("f", "folder"),
    ):
        answer = vgbench("generate", *ASKED, "-o", out, "--format", format_, "--json")
        assert answer.code == 0 and (answer.json["images_made"] == 0) == (out != "a")
        files = [p for p in (tmp_path / out).rglob("*") if p.is_file()]
        trees.append({p.relative_to(tmp_path / out).as_posix(): p.read_bytes() for p in files})
    assert trees[0] == trees[1] and trees[2] == trees[3] and trees[4] == trees[5]


def test_folder_that_holds_something_is_never_touched(
    vgbench: Callable[..., Answer], tmp_path: Path, home: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out in ("full", "file"):
        answer = vgbench("generate", *ASKED, "-o", out, "--format", "folder")
        assert answer.code == 2 and "not an empty folder" in answer.err
    assert not home.exists() and [p.name for p in (tmp_path / "full").iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert vgbench("generate", *ASKED, "-o", "empty", "--format", "folder").code == 0
    assert manifest_of(tmp_path / "empty")["counts"]["images"] == 120


def test_failed_export_leaves_nothing(vgbench: Callable[..., Answer], tmp_path: Path, home: Path) -> None:
    assert vgbench("generate", *ASKED, "-o", "out", "--format", "wds").code == 0
    (path,) = [p for p in home.glob("store/*/*/*/images.parquet") if pq.read_metadata(p).num_rows > 1000]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    answer = vgbench("generate", *ASKED, "-o", "again", "--format", "folder")
    assert answer.code == 4 and "does not have the bytes it was committed with" in answer.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "out"]


def test_export_without_room_leaves_nothing(vgbench: Callable[..., Answer], tmp_path: Path, home: Path) -> None:
    assert vgbench("generate", *ASKED, "-o", "out", "--format", "parquet").code == 0
    command = [sys.executable, "-m", "vgbench.cli", "--home", str(home), "generate", *ASKED, "-o", "again"]
    command += ["--format", "parquet"]
    small = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    small += "os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", small, *command], capture_output=True, text=True, cwd=tmp_path, timeout=100
    )
    assert done.returncode == 1 and "no space left" in done.stderr and "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "out"]


@pytest.mark.parametrize("delay_seconds", [0.0, 0.02, 0.1])
def test_killed_export_leaves_no_half_folder_and_the_next_one_sweeps_up(
    vgbench: Callable[..., Answer], tmp_path: Path, home: Path, delay_seconds: float
) -> None:
    asked = ["--source", "toybox", "--classes", "digits", "--images-per-class", "400", "--format", "folder"]
    assert vgbench("generate", *asked, "-o", "first").code == 0
    command = [
        sys.executable,
        "-m",
        "vgbench.cli",
        "--home",
        str(home),
        "generate",
        *asked,
        "-o",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None and not list(tmp_path.glob(".out.partial-*")):
        time.sleep(0.002)
    time.sleep(delay_seconds)
    process.kill()
    process.communicate()
    killed_in_time = not (tmp_path / "out").exists()
    if killed_in_time:
        assert list(tmp_path.glob(".out.partial-*"))
        assert vgbench("generate", *asked, "-o", "out").code == 0
    assert not list(tmp_path.glob(".out.partial-*"))
    assert (tmp_path / "out" / "manifest.json").read_bytes() == (tmp_path / "first" / "manifest.json").read_bytes()


def test_wrong_generate_is_refused(vgbench: Callable[..., Answer], tmp_path: Path, home: Path) -> None:
    asked = ["generate", "--source", "toybox", "--classes", "digits", "-o", "out"]
    for more, code, what in (
        (["--images-per-class", "0", "--format", "wds"], 2, "at least 1"),
        (["--images-per-class", "many", "--format", "wds"], 2, "not a whole number"),
        (["--images-per-class", "all", "--format", "wds"], 3, "'all' means nothing"),
        (["--images-per-class", "3", "--format", "zip"], 2, "--format"),
        (["--format", "wds"], 2, "--images-per-class"),
    ):
        answer = vgbench(*asked, *more)
        assert answer.code == code and what in answer.err and "Traceback" not in answer.err
    assert not home.exists() and not (tmp_path / "out").exists()


# ── every built-in source ────────────────────────────────────────────────────────────────────────

BUILT_IN = [o.spec.name for o in Registry().sources if o.distribution == "vgbench" and not o.spec.backbone_graph]


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_source_previews_and_generates(
    vgbench: Callable[..., Answer], exported: Path, tmp_path: Path, name: str
) -> None:
    assert name in SPELT, f"say in SPELT how the source {name} is asked for ten classes of digits"
    source = SPELT[name].format(**{kind: exported / kind for kind in ("folder", "wds", "parquet")})
    asked = ["--source", source, "--tasks", "digits"]
    sheet = vgbench("preview", *asked, "-n", "2", "--sheet", "s.png", "--json")
    assert sheet.code == 0 and sheet.json["images"] == 20, sheet.err
    assert Image.open(io.BytesIO((tmp_path / "s.png").read_bytes())).size[0] > 300
    answer = vgbench("generate", *asked, "--images-per-class", "3", "-o", "out", "--format", "folder")
    assert answer.code == 0, answer.err
    listed = manifest_of(tmp_path / "out")["images"]
    assert np.bincount([i["label"] for i in listed]).tolist() == [3] * 10
    if "{" in SPELT[name]:  # there and back: the bytes and labels of the first export
        known = {(i["sha256"], i["label"]) for i in manifest_of(exported / "folder")["images"]}
        assert {(i["sha256"], i["label"]) for i in listed} <= known
