"""Archives that were damaged, or made to harm: refused by name, or counted; never followed, never unpacked."""

from __future__ import annotations

import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import Answer
from tests.sources.drawn import digit_png, write_tar
from tests.sources.test_published import index
from tests.sources.twins import WNIDS, N, images, write_folder, write_linked_tar, write_zip

from vgbench.archives import OUTSIDE, tar_files, zip_files
from vgbench.inplace import InPlace

WRITE = {"x.tar": write_tar, "x.zip": write_zip}
LINK = f"{WNIDS[0]}/link.png"


@pytest.mark.parametrize("archive", WRITE)
@pytest.mark.parametrize("prefix", ["/", "../", "train/../../", "C:/", "..\\"])
def test_names_that_lead_outside_are_counted(tmp_path: Path, archive: str, prefix: str) -> None:
    outside = tmp_path / WNIDS[0]
    members = [*images().items(), (f"{prefix}{WNIDS[0]}/evil.png", digit_png(0, 9))]
    made = index(WRITE[archive](tmp_path / "d" / archive, members), tmp_path / "made")
    assert made.items == 3 * N and made.rejected == {OUTSIDE: 1} and not outside.exists()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "neither a file nor a folder"),
        (tarfile.FIFOTYPE, "neither a file nor a folder"),
    ],
)
def test_links_and_devices_of_a_tar_are_counted(tmp_path: Path, kind: bytes, reason: str) -> None:
    made = index(write_linked_tar(tmp_path / "x.tar", images(), kind), tmp_path)
    assert made.items == 3 * N and made.rejected == {reason: 1}


def test_link_of_a_zip_is_counted(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", images().items())
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo(LINK)
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    made = index(path, tmp_path)
    assert made.items == 3 * N and made.rejected == {"a link": 1}


@pytest.mark.parametrize("archive", WRITE)
@pytest.mark.parametrize("again", ["", "./"])
def test_name_that_stands_twice_is_refused(tmp_path: Path, archive: str, again: str) -> None:
    name = f"{WNIDS[1]}/{WNIDS[1]}_1.JPEG"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, on writing it
        path = WRITE[archive](tmp_path / archive, [*images().items(), (f"{again}{name}", digit_png(2))])
    with pytest.raises(ValueError, match=rf"{archive}: two members are called {name}, so which one is meant"):
        index(path, tmp_path)


def test_encrypted_member_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", images().items())
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")  # of the first entry of the central directory; its flags are 8 bytes on
    data[at + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"x\.zip: n01440764/n01440764_0\.JPEG is encrypted: unpack it"):
        index(path, tmp_path)


@pytest.mark.parametrize(("method", "number"), [(zipfile.ZIP_BZIP2, 12), (zipfile.ZIP_LZMA, 14)])
def test_other_compression_is_refused_with_what_to_do(tmp_path: Path, method: int, number: int) -> None:
    path = write_zip(tmp_path / "x.zip", images().items(), method=method)
    with pytest.raises(ValueError, match=rf"is compressed by method {number}, which cannot be read in place: unpack"):
        index(path, tmp_path)


def test_member_that_says_it_is_huge_is_counted(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", [*images().items(), (f"{WNIDS[0]}/bomb.png", b"\0" * 1000)])
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02") + 24  # the last entry's uncompressed size
    data[at : at + 4] = struct.pack("<I", 4_000_000_000)
    path.write_bytes(data)
    made = index(path, tmp_path)
    assert made.items == 3 * N and made.rejected == {"larger than any image": 1}


@pytest.mark.parametrize("inner", ["more.zip", f"{WNIDS[0]}.tar", "more.tar.gz"])
@pytest.mark.parametrize("archive", WRITE)
def test_archive_inside_an_archive_is_refused_with_what_to_do(tmp_path: Path, archive: str, inner: str) -> None:
    path = WRITE[archive](tmp_path / archive, [*images().items(), (inner, b"")])
    with pytest.raises(ValueError, match=rf"{archive}: it holds the archive {inner}: unpack {archive}"):
        index(path, tmp_path)


@pytest.mark.parametrize(
    ("suffix", "mode", "command"),
    [
        (".tar.gz", "w:gz", "gunzip"),
        (".tgz", "w:gz", "gunzip"),
        (".tar.bz2", "w:bz2", "bunzip2"),
        (".tar.xz", "w:xz", "unxz"),
    ],
)
def test_compressed_tar_is_refused_with_what_to_type(tmp_path: Path, suffix: str, mode: str, command: str) -> None:
    path = tmp_path / "data" / f"train{suffix}"
    path.parent.mkdir()
    with tarfile.open(path, mode):  # type: ignore[call-overload]  # a mode as text
        pass
    for place in (path, path.parent):
        with pytest.raises(ValueError, match=f"a compressed tar cannot be read in place; type: {command} {path}"):
            index(place, tmp_path)


def test_compressed_tar_of_another_split_does_not_matter(tmp_path: Path) -> None:
    write_tar(tmp_path / "d" / "train.tar", images().items())
    (tmp_path / "d" / "val.tar.gz").write_bytes(b"")
    assert index(tmp_path / "d", tmp_path).items == 3 * N
    with pytest.raises(ValueError, match=r"type: gunzip .*/val\.tar\.gz"):
        index(tmp_path / "d", tmp_path / "val", split="val")


def test_compressed_tar_by_another_name_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w:gz"):
        pass
    with pytest.raises(ValueError, match="gunzip it"):
        index(tmp_path / "x.tar", tmp_path)


@pytest.mark.parametrize("archive", WRITE)
@given(share=st.floats(0, 0.999))
@settings(max_examples=25, deadline=None)
def test_archive_cut_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, archive: str, share: float) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = WRITE[archive](folder / archive, images(2).items())
    data = path.read_bytes()
    whole = len(data.rstrip(b"\0")) + 1024 if archive == "x.tar" else len(data)  # tars are padded to 10 KiB
    path.write_bytes(data[: int(share * whole)])
    with pytest.raises(ValueError, match=archive):
        index(path, folder)


@pytest.mark.parametrize("archive", WRITE)
@given(st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_archive_with_any_bytes_changed_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, archive: str, changes: list[tuple[float, int]]
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    path = WRITE[archive](folder / archive, [(f"{WNIDS[0]}/{i}.png", b"x" * 30) for i in range(4)])
    data = bytearray(path.read_bytes())
    for share, byte in changes:
        data[int(share * len(data))] = byte
    path.write_bytes(data)
    place = InPlace(str(path))
    try:
        for member in tar_files(path) if archive == "x.tar" else zip_files(path):
            place.read(f"@{member.name}" if archive == "x.zip" else f"#{member.offset}+{member.size}")
    except ValueError as error:
        assert archive in str(error)


def test_member_whose_bytes_were_damaged_is_named(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = write_zip(tmp_path / f"{method}.zip", images().items(), method=method)
        data = bytearray(path.read_bytes())
        start = data.index(b"JPEG") + 4  # the first member's bytes
        data[start + 5 : start + 40] = b"\xff" * 35
        path.write_bytes(data)
        with pytest.raises(ValueError, match=rf"{method}\.zip@?.*n01440764_0\.JPEG: cannot be read"):
            index(path, tmp_path / str(method))


def test_hidden_files_are_counted(tmp_path: Path) -> None:
    members = [
        *images().items(),
        (f"__MACOSX/{WNIDS[0]}/._1.png", b""),
        (f"{WNIDS[0]}/.2.png", b""),
        (".git/3.png", b""),
    ]
    assert index(write_zip(tmp_path / "x.zip", members), tmp_path).rejected == {"a hidden file": 3}


def test_names_of_no_encoding_are_read(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w", errors="surrogateescape") as tar:
        info = tarfile.TarInfo(f"{WNIDS[0]}/\udcff.png")
        data = tmp_path / "one.png"
        data.write_bytes(digit_png(0))
        info.size = data.stat().st_size
        with data.open("rb") as file:
            tar.addfile(info, file)
    assert index(tmp_path / "x.tar", tmp_path, partial=True).items == 1


def test_backslashes_of_a_zip_are_folders(tmp_path: Path) -> None:
    members = [(f"train\\{name}".replace("/", "\\"), data) for name, data in images().items()]
    assert index(write_zip(tmp_path / "x.zip", members), tmp_path).items == 3 * N


def test_hostile_archive_fails_its_cell_only(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "cut.zip").write_bytes(write_zip(tmp_path / "x.zip", images().items()).read_bytes()[:-30])
    answer = vgbench("run", "--source", "published:cut.zip", "original", "--tasks", "digits", "--json")
    cells = {cell["source"]: cell["status"] for cell in answer.json["cells"]}
    assert answer.code == 1 and cells == {"published": "failed", "original": "ok"}
    assert "cut.zip: not a whole zip" in answer.err


def test_links_of_a_folder_are_followed_as_those_of_any_source(tmp_path: Path) -> None:
    write_folder(tmp_path / "elsewhere", images())
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "train").symlink_to(tmp_path / "elsewhere")
    assert index(tmp_path / "d", tmp_path).items == 3 * N
