"""Errors that a user can act on: what happened, the nearest right thing, what to type."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from difflib import get_close_matches


class VgbenchError(Exception):
    """Carry a message for the user; printed without a traceback.

    ``hint`` is what to type or to look at next. ``exit_code`` follows design §4.
    """

    exit_code = 1

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class UsageError(VgbenchError):
    """Refuse a command before anything is made: unknown name, wrong option, impossible request."""

    exit_code = 2


class UnknownName(UsageError):
    """Say that nobody declares a name."""


class CannotServe(VgbenchError):
    """Raised by a source that cannot make a request (``reason``): its cell becomes *blocked*."""

    exit_code = 3


class NotObserved(VgbenchError):
    """Say that the identity of an outside thing is unknown, so that its nodes are *blocked*."""

    exit_code = 3


class NoSuchSplit(VgbenchError):
    """Say that a copy of a data set lacks one of its splits, or has another one of its name: the others can be used."""


class CorruptArtifact(VgbenchError):
    """Say that a stored file no longer has the bytes that its commit record names."""

    exit_code = 4


class StepFailed(VgbenchError):
    """Say that a step's body raised or that its worker died."""


class DiskFull(VgbenchError):
    """Say that there is no room left; what is finished stays, and the same command goes on."""

    def __init__(self, place: str) -> None:
        super().__init__(
            f"no space left in {place}", hint="what is finished is kept: make room and type the same command again"
        )


class Terminated(KeyboardInterrupt):
    """Say that the process was asked to end (SIGTERM)."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name in ``known`` that ``name`` was probably meant to be, or None."""
    matches = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown(kind: str, name: str, known: Iterable[str], *, listing: str | None = None) -> UnknownName:
    """Build the error for a name that nobody declares; ``listing`` is the command that lists the right ones."""
    known = sorted(known)
    close = nearest(name, known)
    what = f"no {kind} is called {name!r}"
    if close:
        return UnknownName(what, hint=f"did you mean {close!r}?")
    if listing:
        return UnknownName(what, hint=f"see: {listing}")
    return UnknownName(what, hint=f"known: {', '.join(known)}" if known else None)


def is_disk_full(error: BaseException) -> bool:
    """Say whether an error means that there is no room: full disk, quota, file size limit; pyarrow gives text only."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    texts = [os.strerror(code) for code in full]
    return isinstance(error, OSError) and (error.errno in full or any(text in str(error) for text in texts))
