"""What may go goes, what must stay stays, and what rests on bytes that nobody has any more is made again."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Answer

Command = Callable[..., Answer]

GREYS = '''"""Squares of one grey, brighter for larger digits."""
import numpy as np
from vgbench import Made, Sees, SourceSpec, StepRef, hookimpl
from vgbench.images import ImageRow, encode_png, write_shard
FILL = StepRef("greys.fill", "1", "greys:fill", seed="source", shards="index:micro_batch")
BRIGHTEST = 200
def draw(g, entry, request, options):
    return g.node(FILL, params={"digit": int(entry.id[-1]), "micro_batch": 16})
@hookimpl
def vgbench_offer_sources():
    yield SourceSpec("greys", "squares of grey", "rendered", Sees("class names"), draw)
def fill(step):
    rows = []
    for index in step.range(16):
        side = 3 * step.params["digit"] + 2
        pixels = np.zeros((32, 32), np.uint8)
        pixels[:side, : side - index % 3] = BRIGHTEST
        rows.append(ImageRow(encode_png(pixels), index, f"{step.params['digit']}-{index}", 32, 32))
    write_shard(step.out, rows)
    return Made(len(rows))
'''


@pytest.fixture
def greys(tmp_path: Path) -> Path:
    """A source whose code a test can change, found through PYTHONPATH."""
    folder = tmp_path / "plugins"
    (folder / "greys-1.0.dist-info").mkdir(parents=True)
    (folder / "greys-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: greys\nVersion: 1.0\n")
    (folder / "greys-1.0.dist-info" / "entry_points.txt").write_text("[vgbench]\ngreys = greys\n")
    (folder / "greys.py").write_text(GREYS)
    return folder


def run(vgbench: Command, n: int, *more: str, source: str = "toybox:micro_batch=16", path: str = "") -> Answer:
    arguments = ["run", "--source", source, "--tasks", "digits", "--images-per-class", str(n), "-o", f"out{n}", *more]
    return vgbench(*arguments, "--json", env={"PYTHONPATH": path} if path else {})


def payloads(home: Path) -> set[str]:
    return {path.name for path in home.glob("store/*/*/*/*")}


def test_gc_lists_first_and_frees_what_finished_cells_do_not_need(vgbench: Command, home: Path) -> None:
    assert run(vgbench, 12).code == 0
    young = vgbench("cache", "gc", "--json").json
    assert young["shards"] == 0, "what was made a moment ago stays"
    listed = vgbench("cache", "gc", "--older-than", "0", "--json").json
    assert listed["freed"] is False and listed["shards"] > 10 and listed["bytes"] > 10_000
    assert "images.parquet" in payloads(home)
    freed = vgbench("cache", "gc", "--older-than", "0", "--yes", "--json").json
    assert freed == {**listed, "freed": True}
    left = payloads(home)
    assert not left & {"images.parquet", "features.npy"} and not any(name.startswith("pack-") for name in left)
    assert {"metrics.json", "predictions.parquet", "commit.json"} <= left
    assert vgbench("cache", "verify").code == 0
    again = run(vgbench, 12)
    assert again.code == 0 and again.json["shards_made"] == 0
    assert vgbench("cache", "gc", "--older-than", "0", "--json").json["shards"] == 0


def test_larger_request_after_gc_makes_the_freed_images_again(vgbench: Command) -> None:
    first = run(vgbench, 12).json
    vgbench("cache", "gc", "--older-than", "0", "--yes")
    assert run(vgbench, 14).code == 0
    assert vgbench("cache", "verify", "--json").json["stale"] == []
    assert run(vgbench, 12).json == {**first, "shards_made": 0}


def test_pinned_run_keeps_its_images(vgbench: Command, home: Path) -> None:
    run(vgbench, 12)
    assert "1 cells pinned" in vgbench("cache", "pin", "out12").out
    assert vgbench("cache", "gc", "--older-than", "0", "--yes", "--json").json["shards"] == 0
    (digest,) = (path.name for path in home.glob("cells/*/*"))
    assert "0 pinned in all" in vgbench("cache", "unpin", digest[:8]).out
    assert vgbench("cache", "gc", "--older-than", "0", "--json").json["shards"] > 0
    wrong = vgbench("cache", "pin", "zz")
    assert wrong.code == 2 and "begins 0 cells' digests" in wrong.err


def test_gc_leaves_unfinished_work_and_what_a_live_process_is_making(vgbench: Command, home: Path) -> None:
    answer = vgbench(
        "preview", "--source", "toybox:micro_batch=16", "--classes", "digits", "-n", "2", "--sheet", "s.png"
    )
    assert answer.code == 0
    assert vgbench("cache", "gc", "--older-than", "0", "--json").json["shards"] == 0, "no cell rests on these images"
    digest, host = "ab" * 32, socket.gethostname()
    (home / "claims").mkdir(exist_ok=True)
    (home / "claims" / f"{digest}-000000").write_text(f"{host} {os.getpid()}")
    mine = home / "tmp" / f"vgbench.pretrain-{host}-{os.getpid()}-x7"
    dead = home / "tmp" / f"vgbench.pretrain-{host}-999999999-x8"
    checkpoint, orphan = home / "scratch" / f"{digest}-000000", home / "scratch" / f"{'cd' * 32}-000000"
    for folder in (mine, dead, checkpoint, orphan):
        folder.mkdir(parents=True)
    assert vgbench("cache", "gc", "--older-than", "0", "--yes", "--json").json["leftovers"] == 2
    assert mine.exists() and checkpoint.exists() and not dead.exists() and not orphan.exists()


def test_gc_keeps_what_a_live_process_reads(vgbench: Command, home: Path) -> None:
    run(vgbench, 12)
    pack = next(path for path in home.glob("store/*/*/*/*") if path.name.startswith("pack-")).parent.parent.name
    (home / "claims" / f"{'ef' * 32}-000000").write_text(f"{socket.gethostname()} {os.getpid()} {pack}")
    vgbench("cache", "gc", "--older-than", "0", "--yes")
    assert [path.parent.parent.name for path in home.glob("store/*/*/*/pack-*")] == [pack]


def test_repair_moves_what_changed_and_the_next_run_remakes_only_that(vgbench: Command, home: Path) -> None:
    first = run(vgbench, 12).json
    shard = next(home.glob("store/*/*/*/images.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    assert vgbench("cache", "verify").code == 4
    (moved,) = vgbench("cache", "repair", "--json").json["moved"]
    assert (Path(moved["to"]) / "images.parquet").exists() and not shard.parent.exists()
    assert vgbench("cache", "verify").code == 0
    assert run(vgbench, 12).json == {**first, "shards_made": 0}, "the finished cell needs no images"
    larger = run(vgbench, 14)
    assert larger.code == 0 and shard.exists()
    assert vgbench("cache", "verify", "--json").json["stale"] == [], "remade with the same bytes: nothing is stale"


def test_remade_with_other_bytes_marks_what_rested_on_it_as_stale(vgbench: Command, greys: Path, home: Path) -> None:
    def made(n: int, *more: str) -> Answer:
        return run(vgbench, n, *more, source="greys", path=str(greys))

    first = made(12)
    assert first.code == 0, first.err
    vgbench("cache", "gc", "--older-than", "0", "--yes")
    (greys / "greys.py").write_text(GREYS.replace("BRIGHTEST = 200", "BRIGHTEST = 250"))  # and forgets the version
    assert made(14).code == 0
    stale = vgbench("cache", "verify", "--json").json["stale"]
    assert any("/cells/" in folder for folder in stale) and len(stale) > 5
    again = made(12).json
    assert again["shards_made"] > 3 and again["cells"][0]["status"] == "ok"
    assert not [f for f in vgbench("cache", "verify", "--json").json["stale"] if "/cells/" in f]
    assert made(12).json["shards_made"] == 0


def test_other_code_under_an_equal_version_is_told_and_remake_makes_it_again(vgbench: Command, greys: Path) -> None:
    def made(n: int, *more: str) -> Answer:
        return run(vgbench, n, *more, source="greys", path=str(greys))

    assert "warning" not in made(12).err
    (greys / "greys.py").write_text(GREYS.replace("BRIGHTEST = 200", "BRIGHTEST = 250"))
    larger = made(20)  # a second shard of each class, by other code than the first
    assert larger.code == 0 and "greys.fill has other code" in larger.err and "--remake greys.fill" in larger.err
    again = made(20, "--remake", "greys.fill")
    assert again.code == 0 and again.json["shards_made"] > 20 and "warning" not in again.err
    wrong = made(20, "--remake", "greys.full")
    assert wrong.code == 2 and "did you mean 'greys.fill'" in wrong.err
