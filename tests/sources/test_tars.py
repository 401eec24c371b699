"""Tars in webdataset's layout: what is read, and that a tar that was cut anywhere is noticed."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import Answer
from tests.sources.drawn import by_digit, call, digit_members, digit_png, drawn, opened, write_tar

WDS = {"label": "cls"}


def test_members_are_read_in_place(tmp_path: Path) -> None:
    members = digit_members()
    write_tar(tmp_path / "d" / "train-000.tar", members[:30])
    write_tar(tmp_path / "d" / "train-001.tar", members[30:])
    call("index_tars", tmp_path / "d", tmp_path, **WDS)
    found = opened(tmp_path, tmp_path / "d")
    assert by_digit(found) == drawn() and found.ids[0] == "train-000.tar/0_0"
    pattern = f"{tmp_path}/d/train-{{000..001}}.tar"
    call("index_tars", pattern, tmp_path / "p", **WDS)
    assert by_digit(opened(tmp_path / "p", pattern)) == drawn()


def test_missing_tar_of_a_range_is_refused(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    write_tar(tmp_path / "train-000.tar", digit_members())
    answer = vgbench("plan", "--source", "wds:train-{000..002}.tar", "--tasks", "digits")
    assert answer.code == 2 and "train-001.tar: missing" in answer.err


def test_label_of_a_json_member(tmp_path: Path) -> None:
    members = [
        (name.replace(".cls", ".json"), json.dumps({"digit": int(name[0])}).encode() if ".cls" in name else data)
        for name, data in digit_members()
    ]
    path = write_tar(tmp_path / "x.tar", members)
    call("index_tars", path, tmp_path, label="json.digit")
    assert by_digit(opened(tmp_path, path)) == drawn()
    with pytest.raises(ValueError, match=r"x\.tar: 0_0\.json has no 'label'"):
        call("index_tars", path, tmp_path / "other", label="json.label")


def test_positions(tmp_path: Path) -> None:
    members = [(name, name[:1].encode() if name.endswith(".cls") else data) for name, data in digit_members()]
    path = write_tar(tmp_path / "x.tar", members)
    call("index_tars", path, tmp_path, labels="positions", **WDS)
    assert by_digit(opened(tmp_path, path)) == drawn()


def boundaries(path: Path) -> list[int]:
    with tarfile.open(path) as tar:
        return [info.offset for info in tar]


def test_tar_cut_at_a_member_boundary_is_detected(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "whole.tar", digit_members(1))
    data, path = whole.read_bytes(), tmp_path / "cut.tar"
    for offset in boundaries(whole):
        path.write_bytes(data[:offset])
        with pytest.raises(ValueError, match=r"cut\.tar: (it has no end-of-archive blocks|not a whole tar)"):
            call("index_tars", path, tmp_path, **WDS)


@given(st.floats(0, 0.999))
@settings(max_examples=40, deadline=None)
def test_tar_cut_anywhere_is_detected(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = write_tar(folder / "cut.tar", digit_members(1))
    with tarfile.open(path) as tar:
        last = max(info.offset_data + info.size for info in tar)
    path.write_bytes(path.read_bytes()[: int(share * (last + 1024))])
    with pytest.raises(ValueError, match=r"cut\.tar"):
        call("index_tars", path, folder, **WDS)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda members: members[:-1], r"sample '9_2' has no member \.cls, only \.png"),
        (lambda members: members[1:], r"sample '0_0' has no image, only \.cls"),
        (lambda members: [*members, members[0]], r"two members are called 0_0\.png"),
        (lambda members: [("0_0.jpg", b"x"), *members], "sample '0_0' has several images"),
        (lambda members: [*members[:1], ("0_0.cls", b""), *members[2:]], r"0_0\.cls is empty"),
    ],
    ids=["no-label", "no-image", "double", "two-images", "empty-label"],
)
def test_sample_that_is_not_whole_is_named(tmp_path: Path, change: Callable[..., object], what: str) -> None:
    path = write_tar(tmp_path / "x.tar", change(digit_members()))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"x\.tar: .*" + what + "|" + what):
        call("index_tars", path, tmp_path, **WDS)


def test_compressed_tar_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w:gz"):
        pass
    with pytest.raises(ValueError, match="gunzip it"):
        call("index_tars", tmp_path / "x.tar", tmp_path, **WDS)


def test_tar_that_changes_after_it_was_indexed_is_named(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", digit_members())
    call("index_tars", path, tmp_path, **WDS)
    members = digit_members()
    members[0] = ("0_0.png", digit_png(0, 50))
    write_tar(path, members)
    with pytest.raises(ValueError, match="changed after it was indexed"):
        list(opened(tmp_path, path).encoded())


def test_wds_run(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar", digit_members(6))
    answer = vgbench("run", "--source", "wds:x.tar", "--tasks", "digits", "--json")
    assert answer.code == 0 and answer.json["cells"][0]["value"] > 0.3, answer.err
