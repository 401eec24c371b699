"""What becomes of a check: it passes, or it raises one of these with a reason."""

from __future__ import annotations

from typing import Literal, TypeAlias

Status: TypeAlias = Literal["ok", "failed", "warning", "skipped", "expected"]


class Broken(AssertionError):
    """Say that the rule does not hold, and where."""


class Refused(Broken):
    """Say that the form under test is refused or blocked offline: one check fails for it, the others are skipped."""


class Doubtful(Exception):
    """Say that something is not declared that a reader will miss: a warning."""


class NotApplicable(Exception):
    """Say why a check has nothing to look at: *skipped*."""


class ConformanceWarning(UserWarning):
    """Carry a doubtful outcome through pytest."""


def require(holds: object, reason: str) -> None:
    """Raise ``Broken(reason)`` unless ``holds``."""
    if not holds:
        raise Broken(reason)
