"""Experiment files, grids, tasks of one's own, and backbones in place of sources."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import Answer

from vgbench.toybox.digits import draw

EXPERIMENT = """
[sources.original]
[sources.shaky]
source = "toybox"
warp = [1, 2]

[tasks.digits]

[options]
images_per_class = [20, 40]

[seeds]
source = 2

[run]
output = "here"
"""


@pytest.fixture
def signs(tmp_path: Path) -> Path:
    """A test set of one's own and a training folder: three drawn digits, in class-named folders."""
    for split, start, n in (("train", 0, 40), ("test", 10_000, 25)):
        for digit, name in ((1, "one"), (4, "four"), (7, "seven")):
            folder = tmp_path / "signs" / split / name
            folder.mkdir(parents=True)
            for i, pixels in enumerate(draw(digit, np.arange(start, start + n, dtype=np.uint64))):
                Image.fromarray(pixels).save(folder / f"{i:03d}.png")
    return tmp_path / "signs"


def plan(vgbench: Callable[..., Answer], *args: str) -> dict[str, object]:
    answer = vgbench("plan", *args, "--json")
    assert answer.code == 0, answer.err
    value: dict[str, object] = answer.json
    return value


def test_file_and_command_line_plan_the_same(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    flags = ["--source", "original", "toybox", "--grid", "toybox.warp=1,2", "--tasks", "digits"]
    flags += ["--images-per-class", "20", "40", "--source-seeds", "2"]
    from_file, from_flags = plan(vgbench, "e.toml"), plan(vgbench, *flags)
    assert from_file == from_flags
    assert len(from_file["cells"]) == 2 + 2 * 2 * 2  # type: ignore[arg-type]  # original draws from no source seed


def test_output_of_the_file_is_used_and_flags_come_first(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text('[sources.original]\n[tasks.digits]\n[run]\noutput = "here"\n')
    assert vgbench("run", "e.toml", "--images-per-class", "30").code == 0
    board = json.loads((tmp_path / "here" / "leaderboard.json").read_text())
    assert board["rows"][0]["images"] == 300


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("[source.original]", "no key is called 'source'", "did you mean 'sources'?"),
        ("[sources.original]\n[tasks.digits]\n[seeds]\ntrian = 2", "no key of [seeds] is called 'trian'", "'train'"),
        ("[sources.original]\n[tasks.digits]\n[seeds]\ntrain = 0", "seeds.train = 0", None),
        ("[sources.original]\nwarp = 1\n[tasks.digits]", "no option of original is called 'warp'", None),
        ("[sources.orignal]\n[tasks.digits]", "no source is called 'orignal'", "did you mean 'original'?"),
        ("[sources.original]\n[tasks.mine]\nprobe = 'logreg'", "no task is called 'mine'", None),
        ("[sources.original]", "names no tasks", "[tasks.NAME]"),
        ("[sources.half]\nmix = [{weight = 1}]\n[tasks.digits]", "names no source", None),
        ("[sources.half]\nmix = [{source = 'toybox', wieght = 1}]\n[tasks.digits]", "'wieght'", "'weight'"),
        ("sources = 3\n[tasks.digits]", "sources must be a table", None),
        ("[sources", "is not TOML", None),
    ],
)
def test_wrong_file_is_refused(
    vgbench: Callable[..., Answer], tmp_path: Path, home: Path, text: str, what: str, hint: str | None
) -> None:
    (tmp_path / "e.toml").write_text(text)
    answer = vgbench("run", "e.toml")
    assert answer.code == 2 and what in answer.err and "Traceback" not in answer.err
    assert hint is None or hint in answer.err
    assert not home.exists()


def test_missing_file_and_doubled_sources_are_refused(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    assert "No such file" in vgbench("plan", "nowhere.toml").err
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    assert "names its own sources" in vgbench("plan", "e.toml", "--source", "original").err


def test_mixture_in_a_file_is_the_mixture_on_the_command_line(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    parts = '[{ source = "toybox", weight = 0.5 }, { source = "original", weight = 0.5 }]'
    (tmp_path / "e.toml").write_text(f"[sources.half]\nmix = {parts}\n[tasks.digits]\n")
    assert plan(vgbench, "e.toml") == plan(vgbench, "--source", "mix:0.5*(toybox)+0.5*(original)", "--tasks", "digits")


def test_grid_of_a_source_that_was_not_asked_for_is_refused(vgbench: Callable[..., Answer]) -> None:
    asked = ["plan", "--source", "original", "--tasks", "digits", "--grid"]
    assert "'toybox' is not among the sources" in vgbench(*asked, "toybox.warp=1").err
    assert "is not SOURCE.OPT=A,B,C" in vgbench(*asked, "toybox=1").err


def test_own_test_set_without_a_plugin(vgbench: Callable[..., Answer], signs: Path, tmp_path: Path) -> None:
    """Classes come from the test set's folders; the source is another folder, the pool serves ``original``."""
    (tmp_path / "e.toml").write_text(
        f"""
        [sources.folder]
        path = "{signs}/train"
        [sources.original]
        [tasks.mine]
        dataset = "folder:{signs}/test"
        pool = "folder:{signs}/train"
        metric = "mean_per_class"
        [run]
        output = "out"
        """
    )
    answer = vgbench("run", "e.toml", "--json")
    assert answer.code == 0, answer.err
    for cell in answer.json["cells"]:
        assert cell["task"] == "mine" and cell["metric"] == "mean_per_class" and cell["value"] > 0.8
    board = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert [c["task"] for c in board["columns"]] == ["mine"] and board["columns"][0]["chance"] == pytest.approx(1 / 3)
    assert [row["images"] for row in board["rows"]] == [120, 120]


def test_own_task_on_the_command_line_leaves_out_copies_of_test_images(
    vgbench: Callable[..., Answer], signs: Path, tmp_path: Path
) -> None:
    (signs / "train" / "one" / "copied.png").write_bytes((signs / "test" / "one" / "000.png").read_bytes())
    answer = vgbench("run", "--source", f"folder:{signs}/train", "--tasks", f"own:folder:{signs}/test", "-o", "out")
    assert answer.code == 0, answer.err
    (cell,) = (tmp_path / "out" / "cells").glob("*/result.json")
    counts = json.loads(cell.read_text())["counts"]
    assert counts["rejected"] == {"copy of an excluded image": 1} and counts["images"] == 120


def test_renaming_the_test_folder_keeps_the_cell(vgbench: Callable[..., Answer], signs: Path) -> None:
    def cells(where: Path) -> list[str]:
        made = plan(vgbench, "--source", f"folder:{where}/train", "--tasks", f"own:folder:{where}/test")
        return [cell["digest"] for cell in made["cells"]]  # type: ignore[attr-defined]

    before = cells(signs)
    moved = signs.rename(signs.parent / "moved")
    assert cells(moved) == before


def test_own_task_says_what_it_lacks(vgbench: Callable[..., Answer], signs: Path) -> None:
    assert "needs a test set" in vgbench("plan", "--source", "toybox", "--tasks", "own").err
    backbone = vgbench("plan", "--source", "random-init", "--tasks", f"own:folder:{signs}/test")
    assert backbone.code == 2 and "no images to fit the probe on" in backbone.err and "pool" in backbone.err
