"""One command to a leaderboard, and the same command again."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Answer

from vgbench.results import SCHEMAS, Cell, Leaderboard

RUN = [
    "run",
    "--source",
    "original",
    "toybox:micro_batch=64",
    "--tasks",
    "digits",
    "--images-per-class",
    "60",
    "-o",
    "out",
]


def board(folder: Path) -> Leaderboard:
    return Leaderboard.model_validate_json((folder / "out" / "leaderboard.json").read_text())


def test_run_writes_a_leaderboard_with_values_intervals_and_controls(
    vgbench: Callable[..., Answer], tmp_path: Path
) -> None:
    answer = vgbench(*RUN)
    assert answer.code == 0 and "leaderboard: out/leaderboard.json" in answer.out
    rows = {row.source: row for row in board(tmp_path).rows}
    assert set(rows) == {"original", "toybox"}
    for row in rows.values():
        (value,) = row.values.values()
        assert value.value is not None and value.ci is not None and value.controls_hold
        assert 0.5 < value.ci.lo < value.value < value.ci.hi <= 1 and value.n == 359
        assert row.images == 600 and value.tie_groups is None
    for digest in [cell for row in rows.values() for cell in row.cells]:
        folder = tmp_path / "out" / "cells" / digest
        cell = Cell.model_validate_json((folder / "result.json").read_text())
        assert (folder / "predictions.parquet").exists() and cell.counts is not None
        assert len(cell.controls[0].values) == 20 and cell.controls[0].holds
        assert cell.counts.per_class == {f"digit-{i}": 60 for i in range(10)}
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert all(len(node["digest"]) == 64 for node in plan["nodes"])


def test_same_command_again_makes_nothing_also_without_the_image_shards(
    vgbench: Callable[..., Answer], tmp_path: Path, home: Path
) -> None:
    first = vgbench(*RUN, "--json")
    rows = [row.model_dump() for row in board(tmp_path).rows]
    shards = [p.parent for p in home.glob("store/*/*/*/images.parquet")]
    assert first.json["shards_made"] > 20 and len(shards) >= 10
    for shard in shards:
        shutil.rmtree(shard)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    again = vgbench(*RUN, "--json")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert again.json["shards_made"] == 0 and again.json["cells"] == first.json["cells"]
    assert [row.model_dump() for row in board(tmp_path).rows] == rows
    assert not list(home.glob("store/*/*/*/images.parquet"))
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 3.0


def test_leaderboard_is_the_same_bytes_however_often_and_from_any_order(
    vgbench: Callable[..., Answer], tmp_path: Path
) -> None:
    vgbench(*RUN)
    path = tmp_path / "out" / "leaderboard.json"
    first = path.read_bytes()
    assert vgbench("leaderboard", "build", "out").code == 0
    assert path.read_bytes() == first
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    plan["cells"].reverse()
    (tmp_path / "out" / "plan.json").write_text(json.dumps(plan))
    vgbench("leaderboard", "build", "out")
    assert path.read_bytes() == first
    reversed_sources = ["run", "--source", "toybox:micro_batch=64", "original", *RUN[4:]]
    vgbench(*reversed_sources)
    assert path.read_bytes() == first


def test_changed_byte_is_found_by_verify_and_refused_by_run(vgbench: Callable[..., Answer], home: Path) -> None:
    vgbench("run", "--source", "original", "--tasks", "digits", "-o", "out")
    assert vgbench("cache", "verify").code == 0
    packs = sorted(home.glob("store/*/*/*/pack-00000.parquet"))  # the training copies, which a network would read
    for path in packs:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    verify = vgbench("cache", "verify", "--json")
    assert verify.code == 4 and [f["folder"] for f in verify.json["failures"]] == [str(path.parent) for path in packs]
    run = vgbench("run", "--source", "original", "--tasks", "digits:backbone", "-o", "out", "--json")
    assert run.code == 1 and "does not have the bytes it was committed with" in run.json["cells"][0]["reason"]


def test_every_result_file_validates_against_its_schema(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    vgbench(*RUN)
    for name, model in SCHEMAS.items():
        answer = vgbench("schema", name)
        assert answer.code == 0 and answer.json["title"] == model.__name__
    for path in (tmp_path / "out" / "cells").glob("*/observed.json"):
        SCHEMAS["observed"].model_validate_json(path.read_text())


def test_listings_have_name_kind_and_summary(vgbench: Callable[..., Answer], home: Path) -> None:
    entries = vgbench("list", "--json").json
    assert {"original", "toybox"} <= {e["name"] for e in entries if e["kind"] == "source"}
    assert all(entry["name"] and entry["kind"] and entry["summary"] for entry in entries)
    plan = vgbench("plan", "--source", "toybox", "--tasks", "digits", "--json").json
    assert {node["state"] for node in plan["nodes"]} == {"make"} and plan["totals"]["make"] == len(plan["nodes"])
    assert all(node["digest"] and node["step"] for node in plan["nodes"])
    assert not home.exists()


@pytest.mark.parametrize("name", ["original", "toybox", "digits", "probe/logreg", "recipe/digits-small"])
def test_show_prints_every_option(vgbench: Callable[..., Answer], name: str) -> None:
    text, described = vgbench("show", name), vgbench("show", name, "--json")
    assert text.code == described.code == 0
    for thing in described.json:
        for option in thing.get("options", []):
            assert f"{option['name']}=" in text.out and option["help"] in text.out


def test_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m vgbench.cli list | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=dict(os.environ), check=False)
    assert done.returncode == 0 and done.stderr == ""
