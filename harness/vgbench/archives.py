"""What lies in an archive, without unpacking it: the samples of webdataset's tars, the files of tars and zips."""

from __future__ import annotations

import re
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

END = bytes(1024)  # two zero blocks end an archive (POSIX.1-2001, pax, "ustar Interchange Format")
READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what every zlib reads; the other methods are rare
_ENCRYPTED = 0x1  # bit 0 of a member's flags (PKWARE's APPNOTE, 4.4.4)
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of an archive that is no folder, by the name that the archive gives it.

    ``offset``: where its bytes begin in a tar. ``fault``: why it is not read, None if it can be. Nothing is ever
    written under a member's name, and no link is followed.
    """

    name: str
    size: int
    offset: int = 0
    fault: str | None = None


def tar_files(path: Path) -> Iterator[Member]:
    """Yield what lies in a tar that is whole; ``ValueError`` for one that is compressed or cut short."""
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                if not info.isdir():
                    yield Member(_printable(info.name), info.size, info.offset_data, _fault_of_tar(info))
                tar.members.clear()  # type: ignore[attr-defined]  # untyped; else it keeps every header
            end = tar.offset  # where the next header would be
    except (tarfile.TarError, ValueError, OverflowError, struct.error) as error:  # what its parsing raises
        with path.open("rb") as start:
            compressed = start.read(2) == b"\x1f\x8b"
        why = "a compressed tar cannot be read in place: gunzip it" if compressed else f"not a whole tar: {error}"
        raise ValueError(f"{path}: {why}") from error
    with path.open("rb") as archive:
        archive.seek(end)
        if archive.read(len(END)) != END:
            raise ValueError(f"{path}: it has no end-of-archive blocks, so it was cut short")


def tar_members(path: Path) -> Iterator[tuple[str, str, int, int]]:
    """Yield (key, kind, offset, size) of the files of a tar that is whole: ``KEY.KIND``, as webdataset names them.

    Raises ``ValueError`` for a tar that is compressed or cut short.
    """
    for member in tar_files(path):
        folder, _, base = member.name.rpartition("/")
        key, dot, kind = base.partition(".")
        if member.fault in (None, OUTSIDE) and dot and not base.startswith((".", "__")):
            yield f"{folder}/{key}" if folder else key, kind.lower(), member.offset, member.size


def zip_files(path: Path) -> list[Member]:
    """Return what lies in a zip.

    Raises ``ValueError`` when it is none or was cut short, and naming a member that is encrypted or compressed by a
    method other than deflate.
    """
    found: list[Member] = []
    for info in _infos(path):
        if info.flag_bits & _ENCRYPTED:
            raise ValueError(f"{path}: {info.filename} is encrypted: unpack it with its password, and name the folder")
        if info.compress_type not in READABLE:
            raise ValueError(
                f"{path}: {info.filename} is compressed by method {info.compress_type}, which cannot be read in place: "
                "unpack it, and name the folder"
            )
        fault = (
            "a link" if stat.S_ISLNK(info.external_attr >> 16) else OUTSIDE if _leads_outside(info.filename) else None
        )
        found.append(Member(info.filename, info.file_size, fault=fault))
    return found


def zip_members(path: Path) -> list[str]:
    """Return the names of a zip's files; ``ValueError`` when it is none, or was cut short."""
    return [info.filename for info in _infos(path)]


OUTSIDE = "a name that leads outside its archive"


def _infos(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            return [info for info in archive.infolist() if not info.filename.endswith("/")]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error) as error:
        raise ValueError(f"{path}: not a whole zip: {error}") from error


def _fault_of_tar(info: tarfile.TarInfo) -> str | None:
    if info.issym() or info.islnk():
        return "a link"
    if not info.isreg() or info.issparse():  # of a sparse file the tar does not hold the bytes as they are
        return "neither a file nor a folder"
    return OUTSIDE if _leads_outside(info.name) else None


def _leads_outside(name: str) -> bool:
    plain = name.replace("\\", "/")
    return plain.startswith("/") or ".." in plain.split("/") or _DRIVE.match(plain) is not None


def _printable(name: str) -> str:
    """Return a member's name as text that can be written: bytes that are no UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
