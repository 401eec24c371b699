"""What a user's files can be wrong in: the kind of message, the exit code, no traceback, nothing half-made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import Answer
from tests.sources.drawn import digit_folder, digit_members, digit_rows, write_parquet, write_tar
from tests.sources.test_decode import encoded, png


def empty(root: Path) -> str:
    (root / "in" / "zero").mkdir(parents=True)
    return "folder:in"


def missing(root: Path) -> str:
    (root / "inn").mkdir()
    return "folder:in"


def corrupt_parquet(root: Path) -> str:
    write_parquet(root / "in.parquet", digit_rows()).write_bytes(b"PAR1" + bytes(500) + b"PAR1")
    return "parquet:in.parquet"


def truncated_parquet(root: Path) -> str:
    path = write_parquet(root / "in.parquet", digit_rows())
    path.write_bytes(path.read_bytes()[:-30])
    return "parquet:in.parquet"


def double_id(root: Path) -> str:
    write_parquet(root / "in.parquet", [{**row, "uid": "x"} for row in digit_rows()])
    return "parquet:in.parquet,id=uid"


def cut_tar(root: Path) -> str:
    path = write_tar(root / "in.tar", digit_members())
    path.write_bytes(path.read_bytes()[: 20 * 512])
    return "wds:in.tar"


def broken_images(root: Path) -> str:
    folder = digit_folder(root / "in")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    (folder / "six" / "0.jpg").write_bytes(encoded(noise, "JPEG")[:900])
    (folder / "six" / "1.jpg").write_bytes(png((60_000, 60_000), 8, 2, b""))
    return "folder:in"


def mismatched(root: Path) -> str:
    digit_folder(root / "in", names=[f"letter-{c}" for c in "abcdefghij"])
    return "folder:in"


def permuted(root: Path) -> str:
    write_parquet(root / "in.parquet", digit_rows(), names=[str(9 - d) for d in range(10)])
    return "parquet:in.parquet,labels=positions"


def no_path(root: Path) -> str:
    return "folder"


@pytest.mark.parametrize(
    ("make", "code", "what"),
    [
        (empty, 2, "in: the folder is empty"),
        (missing, 2, "did you mean"),
        (no_path, 2, "which files?"),
        (corrupt_parquet, 1, "in.parquet: not a whole Parquet or Arrow file"),
        (truncated_parquet, 1, "in.parquet: not a whole Parquet or Arrow file"),
        (double_id, 1, "the id 'x' stands twice"),
        (cut_tar, 1, "in.tar: it has no end-of-archive blocks"),
        (broken_images, 1, "2 of 32 images do not decode, more than 1%: six/0.jpg"),
        (mismatched, 1, "10 of 10 classes are not there"),
        (permuted, 1, "label 0 is '9' in the files, digit-0 (zero) in the class list"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_bad_input(
    vgbench: Callable[..., Answer], tmp_path: Path, home: Path, make: Callable[[Path], str], code: int, what: str
) -> None:
    answer = vgbench("run", "--source", make(tmp_path), "--tasks", "digits", "-o", "run")
    assert answer.code == code and what in answer.err
    assert "Traceback" not in answer.err + answer.out
    assert code != 2 or not home.exists(), "something was made"


def test_a_bad_source_does_not_stop_the_others(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    answer = vgbench("run", "--source", cut_tar(tmp_path), "original", "--tasks", "digits", "--json")
    assert answer.code == 1
    assert {cell["source"]: cell["status"] for cell in answer.json["cells"]} == {"wds": "failed", "original": "ok"}


def test_odd_images_are_handled(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    folder = digit_folder(tmp_path / "in", n=6)
    for digit, name in enumerate(("zero", "Digit_1", "2")):
        with Image.open(folder / name / "0.png") as image:
            grey = image.convert("L")
        odd = [grey.convert("RGB").convert("CMYK"), Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), grey][
            digit
        ]
        kind = ["JPEG", "PNG", "GIF"][digit]
        (folder / name / f"odd.{kind.lower()}").write_bytes(encoded(odd, kind))
    answer = vgbench("run", "--source", "folder:in", "--tasks", "digits", "--json")
    assert answer.code == 0 and answer.json["cells"][0]["value"] > 0.3, answer.err
