"""What lies in an archive, without unpacking it: the samples of webdataset's tars, the files of zips."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

END = bytes(1024)  # two zero blocks end an archive (POSIX.1-2001, pax, "ustar Interchange Format")


def tar_members(path: Path) -> Iterator[tuple[str, str, int, int]]:
    """Yield (key, kind, offset, size) of the files of a tar that is whole: ``KEY.KIND``, as webdataset names them.

    Raises ``ValueError`` for a tar that is compressed or cut short.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                folder, _, base = info.name.rpartition("/")
                key, dot, kind = base.partition(".")
                if info.isreg() and dot and not base.startswith((".", "__")):
                    yield f"{folder}/{key}" if folder else key, kind.lower(), info.offset_data, info.size
                tar.members.clear()  # type: ignore[attr-defined]  # untyped; else it keeps every header
            end = tar.offset  # where the next header would be
    except tarfile.TarError as error:
        with path.open("rb") as start:
            compressed = start.read(2) == b"\x1f\x8b"
        why = "a compressed tar cannot be read in place: gunzip it" if compressed else f"not a whole tar: {error}"
        raise ValueError(f"{path}: {why}") from error
    with path.open("rb") as archive:
        archive.seek(end)
        if archive.read(len(END)) != END:
            raise ValueError(f"{path}: it has no end-of-archive blocks, so it was cut short")


def zip_members(path: Path) -> list[str]:
    """Return the names of a zip's files; ``ValueError`` when it is none, or was cut short."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [info.filename for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: not a whole zip: {error}") from error
