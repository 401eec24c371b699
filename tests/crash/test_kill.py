"""SIGKILL in every kind of step, then the same command: equal rows, nothing finished made again, no worker left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.sources.drawn import digit_folder

TINY_RECIPE = """
from dataclasses import replace
from vgbench import Part, hookimpl
from vgbench_tasks.recipes import DIGITS_SMALL
@hookimpl
def vgbench_offer_parts():
    values = {**DIGITS_SMALL.values, "samples_seen": 1024}
    yield Part("recipe", "tiny", "1", "", values)
"""
PROBE = ["--source", "original", "toybox:micro_batch=16", "--tasks", "digits", "--images-per-class", "40"]
ONE = "--workers=1"  # what imports torch, a second worker would import again
BACKBONE = [ONE, "--source", "original", "--tasks", "digits:train=backbone,recipe=tiny", "--images-per-class", "40"]
FILES = [
    *("--source", "mix:0.5*(folder:{plugins}/digits)+0.5*(toybox:micro_batch=16)", "--tasks", "digits"),
    *("--images-per-class", "6"),
]
SCENES = [
    *("--source", "toybox:world=coarse,size_px=32,micro_batch=16", "--images-per-class", "16", "--tasks"),
    "toybox/cue-conflict:world=coarse,size_px=32,recipe=toybox-small,samples_seen=640,n_test=32",
]
GENBENCH = [
    *(ONE, "--source", "toybox:micro_batch=16", "--images-per-class", "8", "--tasks"),
    *(
        "toybox/genbench/stars:readout=linear-probe,n_test=8",
        "toybox/genbench/stars/quality:n_test=8,n=6,n_per_class=2",
    ),
    "toybox/genbench/stars/mts:{plugins}/captions.txt",
]
GENERATED = [
    *(ONE, "--source", "sd:model=toybox,steps=2,micro_batch=4", "--tasks", "digits", "--images-per-class", "6"),
]
RETRIEVED = [
    *(ONE, "--source", "retrieval:corpus=toybox,pages=200,micro_batch=4,by=text", "--tasks", "digits"),
    *("--images-per-class", "6"),
]
TORCH_FREE = [
    "draw_digits",
    "read_digits",
    "read_digit_labels",
    "label",
    "select",
    "digit_counts",
    "embed",
    "probe",
    "score",
]
# (steps, moment): right after a shard of that step was started, or was committed; the third counts from the end
MOMENTS = [
    *(("probe-run", step, "started") for step in TORCH_FREE),
    *(("probe-run", step, "made") for step in TORCH_FREE),
    ("probe-run", "last", "made"),
    ("backbone-run", "pretrain", "started"),
    ("backbone-run", "pretrain", "made"),
    ("backbone-run", "predict", "started"),
    ("files-run", "index_folder", "started"),
    ("files-run", "union", "started"),
    ("files-run", "union", "made"),
    ("scenes-run", "draw_scenes", "started"),
    ("scenes-run", "draw_test", "started"),
    ("scenes-run", "pack", "made"),
    ("scenes-run", "draw_truth", "started"),
    ("scenes-run", "categorise", "started"),
    ("genbench-run", "encode", "started"),
    ("genbench-run", "encode", "made"),
    ("genbench-run", "encode_text", "started"),
    ("genbench-run", "measure", "started"),
    ("genbench-run", "encode_prompts", "made"),
    ("genbench-run", "encode_captions", "started"),
    ("genbench-run", "mts", "started"),
    ("generated-run", "diffuse", "started"),
    ("generated-run", "diffuse", "made"),
    ("retrieved-run", "draw_corpus", "started"),
    ("retrieved-run", "encode_corpus", "started"),
    ("retrieved-run", "index", "started"),
    ("retrieved-run", "retrieve", "made"),
    ("retrieved-run", "fingerprint", "started"),
]
COMMANDS = {
    "probe-run": PROBE,
    "backbone-run": BACKBONE,
    "files-run": FILES,
    "scenes-run": SCENES,
    "genbench-run": GENBENCH,
    "generated-run": GENERATED,
    "retrieved-run": RETRIEVED,
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A distribution with a recipe of eight optimiser steps, found through PYTHONPATH, and a folder of images."""
    folder = tmp_path_factory.mktemp("plugins")
    digit_folder(folder / "digits")
    (folder / "captions.txt").write_text("a photo of a herring\nstar with six points at night\n")
    (folder / "tiny_recipe.py").write_text(TINY_RECIPE)
    info = folder / "tiny_recipe-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-recipe\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vgbench]\ntiny = tiny_recipe\n")
    return folder


def start(command: Sequence[str], home: Path, plugins: Path, *more: str) -> subprocess.Popen[str]:
    env = {**os.environ, "VGBENCH_HOME": str(home), "PYTHONPATH": str(plugins)}
    words = [word.format(plugins=plugins) for word in command]
    return subprocess.Popen(
        [sys.executable, "-m", "vgbench.cli", "run", *words, "-o", str(home.parent / "run"), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        start_new_session=True,
    )


def finish(command: Sequence[str], home: Path, plugins: Path) -> dict[str, Any]:
    process = start(command, home, plugins, "--json")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    answer: dict[str, Any] = json.loads(out)
    return answer


def rows(home: Path) -> str:
    board = json.loads((home.parent / "run" / "leaderboard.json").read_text())
    return json.dumps([board["rows"], board["columns"]])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, plugins: Path) -> dict[str, tuple[str, int, list[str]]]:
    """Rows, number of shards, and the progress lines of each command when nobody disturbs it."""
    found = {}
    for name, command in COMMANDS.items():
        home = tmp_path_factory.mktemp(name) / "home"
        process = start(command, home, plugins)
        _, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        lines = [line for line in err.splitlines() if line.startswith("[")]
        found[name] = rows(home), sum(" made " in line for line in lines), lines
    return found


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def running(pids: Sequence[int]) -> Iterator[int]:
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                yield pid
        except OSError:
            continue


def commits(home: Path) -> dict[str, tuple[int, int]]:
    return {
        str(p.relative_to(home)): (p.stat().st_ino, p.stat().st_mtime_ns) for p in home.glob("store/*/*/*/commit.json")
    }


@pytest.mark.parametrize("number", range(len(MOMENTS)), ids=["-".join(moment) for moment in MOMENTS])
def test_kill_then_the_same_command(
    number: int, tmp_path: Path, plugins: Path, undisturbed: dict[str, tuple[str, int, list[str]]]
) -> None:
    name, step, moment = MOMENTS[number]
    expected, n_shards, lines = undisturbed[name]
    home = tmp_path / "home"
    chance = random.Random(number)
    trigger = f"[{n_shards}/" if step == "last" else f" {moment} vgbench.{step} "
    process = start(COMMANDS[name], home, plugins)
    assert process.stderr is not None
    for line in process.stderr:
        if trigger in line:
            break
    else:
        pytest.fail(f"{trigger!r} never came")
    if moment == "started":  # somewhere inside the body
        typical = next(float(text.split()[-2]) for text in lines if f" made vgbench.{step} " in text)
        time.sleep(chance.random() * typical)
    workers = children(process.pid)
    if number % 2:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()  # the parent alone: workers must leave by themselves
    process.communicate()
    deadline = time.monotonic() + 10
    while list(running(workers)):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.02)
    before = commits(home)
    answer = finish(COMMANDS[name], home, plugins)
    after = commits(home)
    assert rows(home) == expected
    assert {path: after[path] for path in before} == before
    assert answer["shards_made"] == n_shards - len(before)
    assert finish(COMMANDS[name], home, plugins)["shards_made"] == 0


def test_moments_cover_every_kind_of_step(undisturbed: dict[str, tuple[str, int, list[str]]]) -> None:
    steps = {line.split("vgbench.")[1].split()[0] for _, _, lines in undisturbed.values() for line in lines}
    assert steps == {step for _, step, _ in MOMENTS if step != "last"}
    assert len(MOMENTS) >= 20
