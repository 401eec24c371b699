"""Parquet files and Hugging Face data sets: columns, labels by name, splits, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.conftest import Answer
from tests.sources.drawn import NAMES, by_digit, call, digit_png, digit_rows, drawn, opened, write_parquet

HF = {"split": "train", "config": ""}


def test_rows_are_read_in_place(tmp_path: Path) -> None:
    write_parquet(tmp_path / "digits" / "a.parquet", digit_rows()[:17])
    write_parquet(tmp_path / "digits" / "b.parquet", digit_rows()[17:])
    made = call("index_parquet", tmp_path / "digits", tmp_path)
    assert made.items == 30
    found = opened(tmp_path, tmp_path / "digits")
    assert by_digit(found) == drawn() and found.ids[0] == "a.parquet#0"


def test_single_file_may_be_renamed(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "mine.parquet", digit_rows())
    call("index_parquet", path, tmp_path)
    assert by_digit(opened(tmp_path, path.rename(tmp_path / "yours.parquet"))) == drawn()


def test_binary_column_and_ids_by_option(tmp_path: Path) -> None:
    rows = [{"pixels": r["image"]["bytes"], "what": NAMES[r["label"]], "uid": r["uid"]} for r in digit_rows()]
    path = write_parquet(tmp_path / "mine.parquet", rows)
    call("index_parquet", path, tmp_path, image="pixels", label="what", id="uid")
    found = opened(tmp_path, path)
    assert by_digit(found) == drawn() and sorted(found.ids) == sorted(r["uid"] for r in rows)


def test_declared_names_go_before_the_order_of_labels(tmp_path: Path) -> None:
    """A data set whose classes are numbered in another order is matched by name, or refused."""
    order = NAMES[5:] + NAMES[:5]
    rows = [{**row, "label": (row["label"] + 5) % 10} for row in digit_rows()]
    path = write_parquet(tmp_path / "permuted.parquet", rows, names=order)
    call("index_parquet", path, tmp_path)
    assert by_digit(opened(tmp_path, path)) == drawn()
    with pytest.raises(ValueError, match=r"label 0 is 'FIVE' in the files, digit-0 \(zero\) in the class list"):
        call("index_parquet", path, tmp_path / "positions", labels="positions")


def test_numbers_without_names_need_a_word(tmp_path: Path) -> None:
    classes = [{"id": f"n{i}", "name": f"thing {i}", "synonyms": []} for i in range(10)]
    path = write_parquet(tmp_path / "mine.parquet", digit_rows())
    with pytest.raises(ValueError, match=r"10 of 10 classes are not there.*labels=positions"):
        call("index_parquet", path, tmp_path, classes=classes)
    made = call("index_parquet", path, tmp_path, classes=classes, labels="positions")
    assert made.per_class["n7"] == 3
    (tmp_path / "names.txt").write_text("\n".join(f"Thing_{i}" for i in reversed(range(10))))
    from vgbench.locate import Locator

    names = Locator().path(str(tmp_path / "names.txt"))
    call("index_parquet", path, tmp_path, classes=classes, names=names)
    assert by_digit(opened(tmp_path, path))[9] == drawn()[0]


@pytest.mark.parametrize(
    ("spoil", "params", "what"),
    [
        (lambda rows: [{**r, "uid": "same"} for r in rows], {"id": "uid"}, "the id 'same' stands twice"),
        (lambda rows: [{**r, "label": 12} for r in rows], {"labels": "positions"}, "label 12 lies outside the 10"),
        (lambda rows: [{**r, "label": [1]} for r in rows], {}, "not one label for each image"),
        (lambda rows: [{**r, "img": b""} for r in rows], {}, "image and img could be the column of the image"),
        (lambda rows: [{"image": r["image"]} for r in rows], {}, "no column with a usual name of the label"),
        (lambda rows: rows, {"label": "lable"}, "has no column 'lable'; its columns: image, label, uid"),
        (lambda rows: [{**r, "image": {"bytes": None, "path": "x"}} for r in rows], {}, "do not decode.*no bytes"),
    ],
    ids=["double-id", "label-outside", "list", "two-images", "no-label", "wrong-column", "no-bytes"],
)
def test_table_that_cannot_be_read_so_is_refused(
    tmp_path: Path, spoil: Callable[[Any], Any], params: dict[str, str], what: str
) -> None:
    path = write_parquet(tmp_path / "mine.parquet", spoil(digit_rows()))
    with pytest.raises(ValueError, match=what):
        call("index_parquet", path, tmp_path, **params)


def test_rows_without_label_are_counted(tmp_path: Path) -> None:
    rows = [*digit_rows(), {**digit_rows()[0], "label": None}]
    made = call("index_parquet", write_parquet(tmp_path / "mine.parquet", rows), tmp_path)
    assert made.items == 30 and made.rejected == {"without a label": 1}


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_truncated_parquet_is_named(tmp_path: Path, keep: int) -> None:
    path = write_parquet(tmp_path / "mine.parquet", digit_rows())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"mine\.parquet: not a whole Parquet or Arrow file"):
        call("index_parquet", path, tmp_path)


def test_corrupt_page_is_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "mine.parquet", digit_rows())
    data = bytearray(path.read_bytes())
    data[4:60] = bytes(56)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"mine\.parquet"):
        call("index_parquet", path, tmp_path)


def test_parquet_run(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    write_parquet(tmp_path / "d" / "a.parquet", digit_rows(6))
    answer = vgbench("run", "--source", "parquet:d/*.parquet", "--tasks", "digits", "--json")
    assert answer.code == 0 and answer.json["cells"][0]["value"] > 0.3, answer.err


# ── hf ───────────────────────────────────────────────────────────────────────────────────────────


def test_repository_of_parquet_files(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    for split, rows in (("train", digit_rows()), ("test", digit_rows(1))):
        for part in range(2):
            name = f"{split}-0000{part}-of-00002.parquet"
            write_parquet(root / "data" / name, rows[part::2], names=[str(d) for d in range(10)])
    assert call("index_hf", root, tmp_path, **HF).items == 30
    assert by_digit(opened(tmp_path, root)) == drawn()
    assert call("index_hf", root, tmp_path / "test", **{**HF, "split": "test"}).items == 10
    with pytest.raises(ValueError, match=r"no Parquet file of split 'val'.*there are data/test-00000"):
        call("index_hf", root, tmp_path / "val", **{**HF, "split": "val"})
    (root / "data" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(ValueError, match="1 of 2 files of split 'train': a download was cut off"):
        call("index_hf", root, tmp_path / "cut", **HF)


def test_several_configurations_need_one_named(tmp_path: Path) -> None:
    for config in ("small", "large"):
        write_parquet(tmp_path / "repo" / config / "train.parquet", digit_rows())
    with pytest.raises(ValueError, match="say config= large or small"):
        call("index_hf", tmp_path / "repo", tmp_path, **HF)
    assert call("index_hf", tmp_path / "repo", tmp_path, **{**HF, "config": "small"}).items == 30


def test_folder_that_datasets_saved(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    rows = [{"image": row["image"], "label": row["label"]} for row in digit_rows()]
    data = datasets.Dataset.from_list(rows, features=features)
    data.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=data, test=data.select(range(10))).save_to_disk(tmp_path / "dict")
    for name in ("one", "dict"):
        call("index_hf", tmp_path / name, tmp_path / f"{name}-made", **HF)
        assert by_digit(opened(tmp_path / f"{name}-made", tmp_path / name)) == drawn()
    with pytest.raises(ValueError, match="has no split 'val'; its splits: train, test"):
        call("index_hf", tmp_path / "dict", tmp_path / "val", **{**HF, "split": "val"})


def test_repository_of_the_hub_comes_from_its_cache(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "hf" / "hub" / "datasets--me--digits" / "snapshots" / commit
    write_parquet(snapshot / "data" / "train-00000-of-00001.parquet", digit_rows(6))
    env = {"HF_HOME": str(tmp_path / "hf")}
    asked = ("--tasks", "digits", "--offline", "--json")
    answer = vgbench("run", "--source", f"hf://me/digits@{commit}", *asked, env=env)
    assert answer.code == 0 and answer.json["cells"][0]["value"] > 0.3, answer.err
    other = commit.replace("0", "f")
    absent = vgbench("run", "--source", f"hf://me/digits@{other}", *asked, env=env)
    assert absent.code == 1 and "Traceback" not in absent.err
    moving = vgbench("run", "--source", "hf://me/digits", *asked, env=env)
    assert moving.code == 3 and "vgbench data fetch --source hf://me/digits" in moving.json["cells"][0]["reason"]
    assert vgbench("data", "fetch", "--source", "hf://me/digits", env={**env, "HF_HUB_OFFLINE": "1"}).code == 1


def test_observed_commit_of_a_branch_is_used(tmp_path: Path) -> None:
    from vgbench.locate import Locator

    locator = Locator(tmp_path)
    locator.lock_hub("me/digits@main", "a" * 40)
    assert locator.path("//me/digits").identity == f"hf:me/digits@{'a' * 40}"


def test_arrow_file_of_the_file_format_is_read(tmp_path: Path) -> None:
    from vgbench.inplace import InPlace

    table = pa.table({"image": [digit_png(d) for d in range(10)]})
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    place = InPlace(str(tmp_path))
    assert [place.read(f"x.arrow#image[{d}]") for d in (7, 0, 9)] == [digit_png(d) for d in (7, 0, 9)]
    with pytest.raises(ValueError, match="cannot be read"):
        place.read("x.arrow#image[10]")


def test_row_groups_beyond_the_budget_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vgbench.inplace import InPlace

    monkeypatch.setattr("vgbench.inplace.GROUPS_BYTES", 1)
    write_parquet(tmp_path / "x.parquet", digit_rows())
    place = InPlace(str(tmp_path))
    rows = pq.read_table(tmp_path / "x.parquet")["image"].to_pylist()
    for row in (0, 29, 8, 1, 29):
        assert place.read(f"x.parquet#image[{row}]") == rows[row]["bytes"]


def test_json_of_metadata_is_not_needed(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "mine.parquet", digit_rows())
    table = pq.read_table(path).replace_schema_metadata({"huggingface": json.dumps({})})
    pq.write_table(table, path)
    assert call("index_parquet", path, tmp_path).items == 30
