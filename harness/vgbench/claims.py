"""Advisory claims: who is making which shard, so that N copies of one command share the work.

A claim is a small file with a heartbeat. Correctness never rests on it: where locks lie, or two processes take one
stale claim over, a shard is made twice and the first commit wins.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vgbench.errors import DiskFull, VgbenchError, is_disk_full

BEAT_SECONDS = 5.0
STALE_SECONDS = 30.0  # six missed beats: long enough for a busy network file system


@dataclass(frozen=True, slots=True)
class Holder:
    """What a claim's file says: whose it is, and the digests of the nodes that are read meanwhile."""

    host: str
    pid: str
    reads: tuple[str, ...]

    @classmethod
    def of(cls, path: Path) -> Holder:
        """Read a claim; its file may be empty for a moment. Raises ``FileNotFoundError`` when it was given back."""
        words = path.read_text().split()
        return cls(words[0], words[1], tuple(words[2:])) if len(words) >= 2 else cls("", "", ())


class Claims(Protocol):
    """Say which shards this process may make."""

    def take(self, name: str, reads: Sequence[str] = ()) -> bool:
        """Claim a shard that is made from the nodes ``reads``; False while a live process elsewhere holds it."""
        ...

    def release(self, name: str) -> None:
        """Give a claim back."""
        ...

    def close(self) -> None:
        """Give all claims back."""
        ...


class NoClaims:
    """Every process makes everything: correct, and double work."""

    def take(self, name: str, reads: Sequence[str] = ()) -> bool:
        return True

    def release(self, name: str) -> None:
        return None

    def close(self) -> None:
        return None


@dataclass(slots=True)
class FileClaims:
    """Claims as files in one folder; a thread keeps those of this process alive."""

    folder: Path
    stale_seconds: float = STALE_SECONDS
    beat_seconds: float = BEAT_SECONDS
    _held: set[str] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def take(self, name: str, reads: Sequence[str] = ()) -> bool:
        try:
            is_taken = self._create(self.folder / name, reads)
        except OSError as error:
            if is_disk_full(error):
                raise DiskFull(str(self.folder)) from error
            raise VgbenchError(
                f"cannot write to {self.folder}: {error.strerror}", hint="choose another place with --home"
            ) from error
        if is_taken:
            self._held.add(name)
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, daemon=True)
                self._thread.start()
        return is_taken

    def _create(self, path: Path, reads: Sequence[str]) -> bool:
        """Make a claim's file; one that a dead process left is taken over. False while a live process holds it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            try:
                handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                if self._is_alive(path):
                    return False
                path.unlink(missing_ok=True)
                continue
            os.write(handle, " ".join([os.uname().nodename, str(os.getpid()), *reads]).encode())
            os.close(handle)
            return True
        return False

    def release(self, name: str) -> None:
        self._held.discard(name)
        (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        self._stop.set()
        for name in list(self._held):
            self.release(name)
        if self._thread is not None:
            self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self.beat_seconds):
            for name in list(self._held):
                with contextlib.suppress(OSError):
                    os.utime(self.folder / name)

    def _is_alive(self, path: Path) -> bool:
        """Say whether a claim's holder lives: its heart beats, and on this machine its process exists."""
        try:
            age = time.time() - path.stat().st_mtime
            holder = Holder.of(path)
        except FileNotFoundError:
            return False
        if age > self.stale_seconds:
            return False
        return holder.host != os.uname().nodename or not holder.pid or process_exists(int(holder.pid))


def process_exists(pid: int) -> bool:
    """Say whether a process of this machine exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
