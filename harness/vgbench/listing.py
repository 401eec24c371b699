"""What lies at a path: the files of a folder, one file, or those a pattern names, and the identity of their bytes.

Standard library only: a plan lists a folder to know what it is, a worker lists it again to read it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vgbench.errors import UsageError, nearest
from vgbench.types import canonical_json, sha256_hex

_MAGIC = re.compile(r"[*?\[{]")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class File(NamedTuple):
    """What the file system says of a file; any change of its bytes changes one of these (a tuple: there are many)."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Files by their name relative to ``root``, in the order of the names. A single file is the root, named "".

    So nothing that is remembered of a place holds the name of the place itself: it can be renamed.
    """

    root: Path
    files: Mapping[str, File]

    def path(self, name: str) -> Path:
        """Return where a file of the listing lies."""
        return self.root / name

    def identity(self, sha256: Callable[[str], str]) -> str:
        """Return the SHA-256 of the sorted (name, size, sha256) listing; of a single file that of its bytes."""
        if self.files.keys() == {""}:
            return sha256("")
        return sha256_hex(canonical_json([[name, file.size, sha256(name)] for name, file in self.files.items()]))


def scan(path: str) -> Listing:
    """List a folder, a file, or a pattern (``*``, ``?``, ``[…]``, ``{000..127}``).

    Names that begin with a dot are left out; links are followed. Raises ``UsageError`` when nothing lies there, when
    the folder holds no file, a number of a range is missing, or something cannot be read.
    """
    root = root_of(path)
    try:
        if root == Path(path):
            status = root.stat()
            if stat.S_ISDIR(status.st_mode):
                found = dict(_walk(str(root), "", frozenset({(status.st_dev, status.st_ino)})))
            else:
                found = {"": _file(status)}
        else:
            found = {p.relative_to(root).as_posix(): _file(p.stat()) for p in _matching(root, path)}
    except OSError as error:
        raise UsageError(f"{error.filename}: {(error.strerror or 'cannot be read').lower()}") from None
    if not found:
        raise UsageError(f"{path}: the folder is empty" if root == Path(path) else f"{path}: no file matches")
    return Listing(root, dict(sorted(found.items())))


def root_of(path: str) -> Path:
    """Return what the names in a listing of ``path`` are relative to: itself, or the fixed part of a pattern.

    Raises ``UsageError`` when there is nothing.
    """
    if Path(path).exists():
        return Path(path)
    root = Path(path)
    while _MAGIC.search(str(root)):
        root = root.parent
    if root != Path(path) and root.is_dir():
        return root
    while not root.parent.exists():
        root = root.parent
    close = nearest(root.name, [p.name for p in root.parent.iterdir()]) if root.parent.is_dir() else None
    raise UsageError(
        f"{path}: no such file or folder", hint=f"did you mean {str(root.parent / close)!r}?" if close else None
    )


def _walk(folder: str, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, File]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            status = entry.stat()
            if stat.S_ISDIR(status.st_mode):
                key = status.st_dev, status.st_ino
                if key in above:
                    raise UsageError(f"{entry.path}: a link that leads back to a folder above it")
                yield from _walk(entry.path, f"{prefix}{entry.name}/", above | {key})
            elif stat.S_ISREG(status.st_mode):
                yield prefix + entry.name, _file(status)


def _matching(root: Path, path: str) -> Iterator[Path]:
    for pattern in _expanded(Path(path).relative_to(root).as_posix()):
        found = sorted(p for p in root.glob(pattern) if p.is_file())
        if not found and "{" in path:
            raise UsageError(f"{root / pattern}: missing, though {path} names it")
        yield from found


def _expanded(pattern: str) -> list[str]:
    """Expand ``{000..127}``; the numbers keep the width they are written with."""
    match = _RANGE.search(pattern)
    if match is None:
        return [pattern]
    first, last = match[1], match[2]
    numbers = [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
    return [one for n in numbers for one in _expanded(pattern[: match.start()] + n + pattern[match.end() :])]


def _file(status: os.stat_result) -> File:
    return File(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
