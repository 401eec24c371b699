"""``vgbench preview``: a contact sheet of any source and classes, and no more images than it shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import Answer

from vgbench.steps.sheet import CELLS_PX, GAP_PX, HEAD_PX, LABEL_PX, MARGIN_PX, PAGE_PX, capacity, laid_out, thumbnail

PREVIEW = ["preview", "--source", "toybox:micro_batch=4", "--classes", "digits/digit-3,digit-5,digit-7"]


def test_sheet_shows_each_image_where_its_class_lies(
    vgbench: Callable[..., Answer], tmp_path: Path, home: Path
) -> None:
    answer = vgbench(*PREVIEW, "-n", "3", "--sheet", "out/s.png", "--json")
    assert answer.code == 0, answer.err
    found = answer.json
    assert found["sheet"] == "out/s.png" and found["images"] == 9 and found["images_made"] == 12
    assert found["sizes_px"] == {"32x32": 9} and found["formats"] == {"png L": 9} and found["prompts"] == []
    assert found["per_class"] == {"digit-3": 3, "digit-5": 3, "digit-7": 3} and not any(found["cut"].values())
    page = np.asarray(Image.open(tmp_path / "out" / "s.png").convert("L"))
    exported = vgbench("generate", *PREVIEW[1:], "--images-per-class", "3", "-o", "data", "--format", "folder")
    assert exported.code == 0
    cell = CELLS_PX[0]
    for row, digit in enumerate((3, 5, 7)):
        shown = []
        for column in range(3):
            left = MARGIN_PX + LABEL_PX + column * (cell + GAP_PX)
            top = HEAD_PX + row * (cell + GAP_PX)
            shown.append(page[top : top + cell : 5, left : left + cell : 5])  # 160 px: five for one
        files = sorted((tmp_path / "data" / f"digit-{digit}").iterdir())
        assert [np.array_equal(np.asarray(Image.open(f)), s) for f, s in zip(files, shown, strict=True)] == [True] * 3
        assert page[HEAD_PX + row * (cell + GAP_PX) :, : MARGIN_PX + LABEL_PX][:40].min() < 60  # its name, in ink


def test_preview_again_makes_nothing_and_gives_the_same_bytes(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    vgbench(*PREVIEW, "--sheet", "a.png")
    again = vgbench(*PREVIEW, "--sheet", "b.png", "--json")
    assert again.json["images_made"] == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_real_images_need_a_task_and_keep_their_labels(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    asked = ["preview", "--source", "original", "--classes", "digits/digit-7"]
    alone = vgbench(*asked)
    assert alone.code == 3 and "names no real training images" in alone.err and not (tmp_path / "sheet.png").exists()
    answer = vgbench(*asked, "--tasks", "digits", "-n", "2", "--json")
    assert answer.code == 0 and answer.json["per_class"] == {"digit-7": 2} and answer.json["sizes_px"] == {"8x8": 2}
    vgbench("generate", *asked[1:], "--tasks", "digits", "--images-per-class", "2", "-o", "d", "--format", "folder")
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())
    whole = ["generate", "--source", "original", "--tasks", "digits", "--images-per-class", "all", "-o", "all"]
    vgbench(*whole, "--format", "folder")
    labels = {
        i["image_id"]: i["class_id"] for i in json.loads((tmp_path / "all" / "manifest.json").read_text())["images"]
    }
    assert all(labels[image["image_id"]] == "digit-7" for image in manifest["images"])


def test_class_list_may_be_a_file(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    entry = {"id": "digit-2", "name": "zwei"}
    (tmp_path / "mine.json").write_text(json.dumps({"name": "mine", "version": "1", "classes": [entry]}))
    answer = vgbench("preview", "--source", "toybox:micro_batch=4", "--classes", "mine.json", "-n", "1", "--json")
    assert answer.code == 0 and answer.json["per_class"] == {"digit-2": 1}


@pytest.mark.parametrize(
    ("args", "code", "what", "hint"),
    [
        (["--classes", "digts"], 2, "no class list is called 'digts'", "did you mean 'digits'?"),
        (["--classes", "digits/digit-33"], 2, "no class of digits is called 'digit-33'", "did you mean 'digit-3'?"),
        (["--classes", "digits/digit-3,digit-3"], 2, "stands twice", None),
        (["--classes", "nowhere.json"], 2, "nowhere.json: No such file", None),
        (["--classes", "broken.json"], 2, "broken.json is no class list", '"classes"'),
        (["--classes", "stranger.json"], 3, "Toybox cannot draw the class 'papillon'", None),
        (
            ["--classes", "stranger.json", "--tasks", "digits"],
            2,
            "no class of the task digits is called 'papillon'",
            None,
        ),
        (["--classes", "digits", "-n", "0"], 2, "-n 0", None),
        (["--classes", "digits", "--sheet", "s.jpg"], 2, "a contact sheet is a PNG file", "s.png"),
        (["--classes", "digits", "--workers", "0"], 2, "--workers 0", None),
        ([], 2, "of which classes?", "--classes NAME"),
    ],
)
def test_wrong_preview_is_refused(
    vgbench: Callable[..., Answer], tmp_path: Path, home: Path, args: list[str], code: int, what: str, hint: str | None
) -> None:
    (tmp_path / "broken.json").write_text('{"name": "x", "classes": [3]}')
    stranger = {"name": "x", "version": "1", "classes": [{"id": "papillon", "name": "papillon"}]}
    (tmp_path / "stranger.json").write_text(json.dumps(stranger))
    answer = vgbench("preview", "--source", "toybox", *args)
    assert answer.code == code and what in answer.err and "Traceback" not in answer.err
    assert hint is None or hint in answer.err
    assert not home.exists() and not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(("n_classes", "n"), [(1, 1), (10, 4), (100, 4), (190, 4), (1000, 4), (5, 500), (1000, 500)])
def test_page_keeps_its_size_and_cuts_nothing_that_fits(n_classes: int, n: int) -> None:
    layout = laid_out(n_classes, n)
    assert layout.size_px[0] <= PAGE_PX[0] and layout.size_px[1] <= PAGE_PX[1]
    most = capacity(n)
    assert layout.columns == min(n, most.columns)
    assert layout.classes >= min(n_classes, most.classes) and most.classes >= 30


def test_tiny_images_grow_by_a_whole_factor_and_large_ones_shrink() -> None:
    tiny = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)
    grown = np.asarray(thumbnail(tiny, 100))
    assert grown.shape == (96, 96, 3) and np.array_equal(grown[::12, ::12, 0], np.asarray(tiny))
    assert thumbnail(Image.new("RGB", (640, 480)), 160).size == (160, 120)
    assert thumbnail(Image.new("L", (5000, 1)), 64).size == (64, 1)
