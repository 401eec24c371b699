"""A folder of class folders: whose class is whose, what is refused, and what a key knows of the place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Answer
from tests.sources.drawn import CLASSES, by_digit, call, digit_folder, digit_png, drawn, opened


def run(vgbench: Callable[..., Answer], path: Path, *more: str) -> Answer:
    return vgbench("run", "--source", f"folder:{path}", "--tasks", "digits", "--json", *more)


def test_class_folders_are_found_by_id_name_and_synonym(tmp_path: Path) -> None:
    root = digit_folder(tmp_path / "digits")
    made = call("index_folder", root, tmp_path)
    assert made.items == 30 and set(made.per_class.values()) == {3} and not made.rejected
    assert by_digit(opened(tmp_path, root)) == drawn()


def test_nothing_is_copied(tmp_path: Path) -> None:
    root = digit_folder(tmp_path / "digits", n=40)
    call("index_folder", root, tmp_path)
    assert digit_png(3, 1) not in (tmp_path / "out" / "images.parquet").read_bytes()


def test_extra_classes_are_counted_and_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = digit_folder(tmp_path / "digits")
    digit_folder(root, names=["letter-a"])
    (root / "README.txt").write_text("digits")
    (root / "stray.png").write_bytes(digit_png(0, 9))
    made = call("index_folder", root, tmp_path)
    assert made.items == 30
    assert made.rejected == {"class not asked for": 3, "not an image file": 1, "not in a class folder": 1}
    assert "1 extra classes ignored: letter-a" in capsys.readouterr().err


def test_missing_class_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    root = digit_folder(tmp_path / "digits")
    (root / "three").rename(root / "tree")
    with pytest.raises(ValueError, match=r"1 of 10 classes are not there: digit-3 \(three\), nearest 'tree'"):
        call("index_folder", root, tmp_path)
    assert call("index_folder", root, tmp_path / "partial", partial=True).items == 27


def test_splits_are_recognised(tmp_path: Path) -> None:
    digit_folder(tmp_path / "digits" / "train")
    with pytest.raises(ValueError, match="'train' is a split: name it in the path"):
        call("index_folder", tmp_path / "digits", tmp_path)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["zero", "digit-0"], "'digit-0' and 'zero' both name the class digit-0"),
        (["zero", "0"], "'zero' and '0' both name the class digit-0"),
    ],
)
def test_two_folders_of_one_class_are_refused(tmp_path: Path, names: list[str], what: str) -> None:
    root = digit_folder(tmp_path / "digits", names=["0", *(f"digit-{d}" for d in range(1, 10))])
    shutil.rmtree(root / "0")
    digit_folder(root, names=names)
    with pytest.raises(ValueError, match=what):
        call("index_folder", root, tmp_path)


def test_name_that_fits_two_classes_is_refused(tmp_path: Path) -> None:
    classes = [{"id": "n1", "name": "crane", "synonyms": []}, {"id": "n2", "name": "Crane", "synonyms": []}]
    with pytest.raises(ValueError, match="'crane' could be n1 or n2: name it by class id"):
        call("index_folder", digit_folder(tmp_path / "d", names=["crane", "n3"]), tmp_path, classes=classes)
    made = call("index_folder", digit_folder(tmp_path / "e", names=["n1", "n2"]), tmp_path / "ok", classes=classes)
    assert made.per_class == {"n1": 3, "n2": 3}


def test_up_to_one_percent_may_not_decode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = digit_folder(tmp_path / "digits", n=20)
    (root / "six" / "7.png").write_bytes(digit_png(6, 7)[:-40])
    (root / "six" / "8.png").write_bytes(b"<html>")
    made = call("index_folder", root, tmp_path)
    assert made.items == 198 and made.rejected == {"does not decode": 2} and made.per_class["digit-6"] == 18
    lines = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]
    assert [line["image_id"] for line in lines] == ["six/7.png", "six/8.png"]
    assert lines[1]["reason"] == "not an image of a known format" and "six/7.png" in capsys.readouterr().err


def test_more_than_one_percent_fails_with_the_names(tmp_path: Path) -> None:
    root = digit_folder(tmp_path / "digits", n=10)
    for i in range(2):
        (root / "six" / f"{i}.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"2 of 100 images do not decode, more than 1%: six/0\.png: no bytes; six/1"):
        call("index_folder", root, tmp_path)


def test_killed_index_goes_on_from_its_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vgbench.judging.CHECKPOINT", 16)
    root = digit_folder(tmp_path / "digits")
    call("index_folder", root, tmp_path)
    parts = sorted((tmp_path / "scratch").iterdir())
    assert len(parts) == 2
    first = (tmp_path / "out" / "images.parquet").read_bytes()
    before = parts[0].stat().st_mtime_ns
    parts[1].unlink()
    call("index_folder", root, tmp_path)
    assert (tmp_path / "out" / "images.parquet").read_bytes() == first and parts[0].stat().st_mtime_ns == before


def test_folder_that_changes_between_plan_and_run_is_refused(tmp_path: Path) -> None:
    from vgbench.locate import Locator

    root = digit_folder(tmp_path / "digits")
    planned = Locator().path(str(root))
    (root / "six" / "1.png").write_bytes(digit_png(6, 99))
    with pytest.raises(ValueError, match="changed after it was planned with"):
        call("index_folder", root, tmp_path, place=planned)


def test_image_that_changes_after_it_was_indexed_is_named(tmp_path: Path) -> None:
    root = digit_folder(tmp_path / "digits")
    call("index_folder", root, tmp_path)
    (root / "six" / "1.png").write_bytes(digit_png(6, 99))
    with pytest.raises(ValueError, match=r"six/1\.png changed after it was indexed"):
        list(opened(tmp_path, root).encoded())
    (root / "six" / "1.png").unlink()
    with pytest.raises(ValueError, match=r"six/1\.png: cannot be read"):
        list(opened(tmp_path, root).encoded())


def test_renamed_folder_keeps_its_cell_and_is_read_at_its_new_place(
    vgbench: Callable[..., Answer], tmp_path: Path
) -> None:
    first = run(vgbench, digit_folder(tmp_path / "before", n=6), "--images-per-class", "6")
    assert first.code == 0, first.err
    (tmp_path / "before").rename(tmp_path / "after")
    again = run(vgbench, tmp_path / "after", "--images-per-class", "6")
    assert again.json["shards_made"] == 0 and again.json["cells"][0]["digest"] == first.json["cells"][0]["digest"]
    fewer = run(vgbench, tmp_path / "after", "--images-per-class", "4")  # reads images, by an index made elsewhere
    assert fewer.code == 0 and "index_folder" not in fewer.err


def test_equal_names_with_other_content_never_share_a_cell(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    a, b = digit_folder(tmp_path / "a" / "digits"), digit_folder(tmp_path / "b" / "digits")
    planned = [
        vgbench("plan", "--source", "folder:digits", "--tasks", "digits", "--json", cwd=p.parent) for p in (a, b)
    ]
    one, two = (answer.json["cells"][0]["digest"] for answer in planned)
    assert one == two, "equal bytes are equal sources"
    (b / "six" / "1.png").write_bytes(digit_png(6, 99))  # one file, changed in place
    changed = vgbench("plan", "--source", "folder:digits", "--tasks", "digits", "--json", cwd=b.parent).json
    assert changed["cells"][0]["digest"] != one
    before, after = ({node["digest"] for node in plan["nodes"]} for plan in (planned[0].json, changed))
    assert {n["step"] for n in changed["nodes"] if n["digest"] in after - before} >= {"vgbench.index_folder"}


def test_classes_of_the_task_come_from_its_list(tmp_path: Path) -> None:
    root = digit_folder(tmp_path / "digits")
    made = call("index_folder", root, tmp_path, classes=CLASSES[:2])
    assert made.per_class == {"digit-0": 3, "digit-1": 3} and made.rejected == {"class not asked for": 24}
