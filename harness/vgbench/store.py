"""What has been made: shard folders addressed by recipe, each absent or complete, checked when used.

The only module that commits. A shard is made in a staging folder, hashed, fsynced and renamed into place; of two
writers the first wins and the other discards. No lock is needed for correctness.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vgbench.errors import CorruptArtifact, DiskFull, VgbenchError, is_disk_full
from vgbench.types import canonical_json, sha256_hex

RECORD = "commit.json"
FREED = "freed"  # marks a folder whose payload was removed; its record stays, and what is made again is compared
RESERVE_BYTES = 1 << 20  # never filled up: room for records and results
STALE = "stale.json"  # marks a shard that rests on bytes that nobody has any more, or that was asked to be remade
OBSERVED = "observed.json"  # timing, host, versions: never hashed, never compared


@dataclass(frozen=True, slots=True)
class Commit:
    """A shard's commit record: what its body made, from what, and the hash of every file."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def items(self) -> int:
        return int(self.record["items"])

    @property
    def per_class(self) -> dict[str, int]:
        return dict(self.record["per_class"])

    @property
    def rejected(self) -> dict[str, int]:
        return dict(self.record["rejected"])

    @property
    def content(self) -> str:
        """The content hash: SHA-256 over the names and hashes of the payload files."""
        return sha256_hex(canonical_json({name: f["sha256"] for name, f in self.record["files"].items()}))

    @property
    def observed(self) -> dict[str, Any]:
        path = self.folder / OBSERVED
        return dict(json.loads(path.read_text())) if path.exists() else {}


@dataclass(slots=True)
class Store:
    """The store under ``home``. Makes its folders on the first write."""

    home: Path
    _token: str = field(default_factory=lambda: secrets.token_hex(4))  # tells this store's staging folders from others
    _checked: dict[Path, tuple[int, int, int]] = field(default_factory=dict)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    def folder(self, digest: str, shard: int) -> Path:
        """Return where a shard lies, or would lie."""
        return self.home / "store" / digest[:2] / digest / f"{shard:06d}"

    def cell(self, digest: str) -> Path:
        """Return where a cell lies, or would lie."""
        return self.home / "cells" / digest[:2] / digest

    def has(self, digest: str, shard: int = 0) -> bool:
        """Say whether a shard is complete, neither freed nor stale. A folder under its final name is complete."""
        return _is_here(self.folder(digest, shard))

    def has_cell(self, digest: str) -> bool:
        """Say whether a cell is complete and not stale."""
        return _is_here(self.cell(digest))

    def commit_of(self, digest: str, shard: int = 0) -> Commit:
        """Return a shard's commit record; the payload may have been freed since."""
        return read_commit(self.folder(digest, shard))

    def shards(self, digest: str) -> list[Commit]:
        """Return the commit records of a node's shards that are here, in order."""
        folder = self.folder(digest, 0).parent
        return [read_commit(p) for p in sorted(folder.iterdir())] if folder.is_dir() else []

    def use(self, digest: str, shard: int = 0) -> Path:
        """Return a shard's folder after checking every payload file against its recorded hash.

        Each file is hashed once per process, and again if its inode, size or time has changed since.
        Raises ``CorruptArtifact`` naming the file.
        """
        return self.check(self.folder(digest, shard))

    def check(self, folder: Path) -> Path:
        """Check a committed folder's files against its record; see ``use``."""
        for name, expected in read_commit(folder).record["files"].items():
            path = folder / name
            try:
                stat = path.stat()
            except FileNotFoundError:
                raise CorruptArtifact(f"{path} is missing", hint="vgbench cache verify") from None
            seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if self._checked.get(path) == seen:
                continue
            if stat.st_size != expected["bytes"] or hash_file(path) != expected["sha256"]:
                raise CorruptArtifact(
                    f"{path} does not have the bytes it was committed with",
                    hint=f"delete {folder} and run the same command again; it remakes only that",
                )
            self._checked[path] = seen
        return folder

    def all_shards(self) -> Iterator[Path]:
        """Yield the folder of every committed shard and cell."""
        yield from sorted(p.parent for p in self.home.glob(f"store/*/*/*/{RECORD}"))
        yield from sorted(p.parent for p in self.home.glob(f"cells/*/*/{RECORD}"))

    # ── writing ──────────────────────────────────────────────────────────────────────────────────

    def staging(self, label: str) -> Path:
        """Make a fresh folder on the store's file system, named after this process."""
        root = self.home / "tmp"
        try:
            root.mkdir(parents=True, exist_ok=True)
            return Path(
                tempfile.mkdtemp(prefix=f"{label}-{os.uname().nodename}-{os.getpid()}-{self._token}-", dir=root)
            )
        except OSError as error:
            if is_disk_full(error):
                raise DiskFull(str(self.home)) from error
            raise VgbenchError(
                f"cannot write to {root}: {error.strerror}", hint="choose another place with --home"
            ) from error

    def need(self, n_bytes: int) -> None:
        """Raise ``DiskFull`` unless the store's file system has room for ``n_bytes`` and a reserve."""
        if self.free_bytes() < n_bytes + RESERVE_BYTES:
            raise DiskFull(str(self.home))

    def free_bytes(self) -> int:
        """Return how many bytes the store's file system has left."""
        place = self.home
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free

    def scratch(self, digest: str, shard: int) -> Path:
        """Return the folder that survives kills until this shard is committed."""
        path = self.home / "scratch" / f"{digest}-{shard:06d}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def commit(self, staging: Path, target: Path, record: Mapping[str, Any], *, observed: Mapping[str, Any]) -> Commit:
        """Turn a staging folder into a committed one: hash and fsync every file, write the record, rename.

        When ``target`` is already there the staging folder is discarded and the existing record returned. A freed or
        stale folder is replaced; what was recorded as made from its old bytes becomes stale if the new ones differ.
        """
        try:
            return self._commit(staging, target, record, observed)
        except OSError as error:
            self.discard(staging)
            if is_disk_full(error):
                raise DiskFull(str(self.home)) from error
            raise VgbenchError(f"cannot write to {target}: {error.strerror}") from error

    def _commit(self, staging: Path, target: Path, record: Mapping[str, Any], observed: Mapping[str, Any]) -> Commit:
        files: dict[str, dict[str, Any]] = {}
        for path in sorted(p for p in staging.rglob("*") if p.is_file()):
            files[path.relative_to(staging).as_posix()] = {"sha256": hash_file(path), "bytes": path.stat().st_size}
            _fsync(path)
        _write(staging / OBSERVED, _pretty(observed))
        _write(staging / RECORD, _pretty({**record, "files": files}))
        for folder in sorted({p.parent for p in staging.rglob("*")} | {staging}):
            _fsync(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        former = None
        if target.exists() and not _is_here(target):
            former = read_commit(target)
            target.rename(self.staging("replaced") / "former")
        try:
            staging.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            self.discard(staging)
        _fsync(target.parent)
        made = read_commit(target)
        if former is not None and former.content != made.content:
            self.mark_stale({former.content}, because=f"{target.parent.name[:12]}/{target.name} has other bytes now")
        return made

    def mark_stale(self, contents: set[str], *, because: str) -> list[Path]:
        """Mark every shard and cell that was made from one of these contents, and what was made from those in turn."""
        readers: dict[str, list[Commit]] = {}
        for folder in self.all_shards():
            commit = read_commit(folder)
            for read in commit.record.get("read", {}).values():
                for content in read:
                    readers.setdefault(content, []).append(commit)
        marked: list[Path] = []
        stack = list(contents)
        while stack:
            for commit in readers.pop(stack.pop(), []):
                if commit.folder not in marked:
                    marked.append(commit.folder)
                    stack.append(commit.content)
                    write_file(commit.folder / STALE, _pretty({"because": because}))
        return marked

    def remake(self, steps: Sequence[str]) -> list[Path]:
        """Mark what these steps made, and all that rests on it, so that the next run makes it again."""
        mine = [c for c in map(read_commit, self.all_shards()) if c.record.get("step", [""])[0] in steps]
        for commit in mine:
            write_file(commit.folder / STALE, _pretty({"because": "asked to be remade"}))
        return [c.folder for c in mine] + self.mark_stale({c.content for c in mine}, because="asked to be remade")

    def free(self, folder: Path) -> None:
        """Remove a shard's payload and keep its record: what is made again can still be compared."""
        write_file(folder / FREED, "")
        for name in read_commit(folder).record["files"]:
            (folder / name).unlink(missing_ok=True)

    def quarantine(self, folder: Path) -> Path:
        """Move a shard or cell whose bytes changed out of the way; nothing is deleted."""
        target = self.home / "quarantine" / f"{folder.parent.name}-{folder.name}-{time.time_ns()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)
        return target

    def pins(self) -> set[str]:
        """Return the cell digests that garbage collection leaves whole."""
        path = self.home / "pins.txt"
        return set(path.read_text().split()) if path.exists() else set()

    def set_pins(self, pins: set[str]) -> None:
        """Replace the pinned cell digests."""
        write_file(self.home / "pins.txt", "".join(f"{pin}\n" for pin in sorted(pins)))

    def put(self, staging: Path, name: str, content: str | Path) -> None:
        """Write a text, or copy a file, into a staging folder."""
        if isinstance(content, Path):
            shutil.copyfile(content, staging / name)
        else:
            (staging / name).write_text(content)

    def discard(self, folder: Path) -> None:
        """Remove a staging or scratch folder."""
        shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove every staging folder made through this object: an interrupt may leave one that nobody has noted."""
        for left in self.home.glob(f"tmp/*-{self._token}-*"):
            self.discard(left)

    def copy_cell(self, digest: str, run_dir: Path) -> None:
        """Copy a finished cell into a run's folder, unless the same cell is already there."""
        target = run_dir / "cells" / digest
        if not (target / RECORD).exists():
            run_dir.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".tmp-", dir=run_dir))
            shutil.copytree(self.check(self.cell(digest)), staging, dirs_exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                staging.rename(target)
            except OSError:
                self.discard(staging)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a staging folder that becomes ``target`` when the block ends, and disappears when it raises.

    ``target`` must be absent or an empty folder. What a killed process of this machine left behind is removed.
    """
    target = target.absolute()
    prefix = f".{target.name}.partial-{os.uname().nodename}-"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for left in target.parent.glob(f"{glob.escape(prefix)}*"):
            if not _alive(int(left.name.removeprefix(prefix).partition("-")[0])):
                shutil.rmtree(left, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=target.parent))
    except OSError as error:
        raise VgbenchError(f"cannot write to {target.parent}: {error.strerror}") from error
    try:
        yield staging
        staging.chmod(0o777 & ~_umask())
        os.sync()  # one call: an export may hold a million files
        staging.rename(target)
        _fsync(target.parent)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        if is_disk_full(error):
            raise DiskFull(str(target.parent)) from error
        raise VgbenchError(f"cannot write {target}: {error.strerror}", hint="nothing of it was left") from error
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def copy_file(source: Path, target: Path) -> None:
    """Copy a file out of the store: readers see the old file or the new, whatever happens."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        os.close(handle)
        shutil.copyfile(source, name)
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(target)
    except OSError as error:
        raise VgbenchError(f"cannot write {target}: {error.strerror}") from error


def _umask() -> int:
    """Return the process's umask: what a temporary file's narrow rights are widened to."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_here(folder: Path) -> bool:
    return (folder / RECORD).exists() and not (folder / STALE).exists() and not (folder / FREED).exists()


def read_commit(folder: Path) -> Commit:
    """Read a folder's commit record; raises ``CorruptArtifact`` when it is not one."""
    path = folder / RECORD
    try:
        record = json.loads(path.read_text())
        if not {"files", "items"} <= record.keys():
            raise ValueError("no files or items")
    except (OSError, ValueError, AttributeError) as error:
        raise CorruptArtifact(f"{path} is not a commit record: {error}", hint=f"delete {folder}") from error
    return Commit(folder, record)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_file(path: Path, text: str) -> None:
    """Replace a file atomically: readers see the old text or the new, whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    os.close(handle)
    _write(Path(name), text)
    Path(name).replace(path)
    _fsync(path.parent)


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Let one process at a time change a file, where the file system can; elsewhere the last one's text stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.turn").open("w") as turn:
        with suppress(OSError):
            fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def _pretty(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    _fsync(path)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
