"""Where bodies run. An executor is given ready jobs and answers with events; truth is what the store holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Job:
    """One shard to make: ``owner`` is whose worker may run it, ``message`` what the worker is sent."""

    digest: str
    shard: int
    owner: str
    message: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """What became of a job: ``kind`` is started, progress, made or failed; ``detail`` is the worker's answer."""

    kind: str
    job: Job
    detail: Mapping[str, Any]


class Executor(Protocol):
    """Run jobs somewhere."""

    @property
    def free(self) -> int:
        """How many more jobs could start now."""
        ...

    @property
    def idle_owners(self) -> set[str]:
        """The owners that have an idle worker: a job of theirs costs no process start."""
        ...

    def can_start(self, owner: str) -> bool:
        """Whether an owner that has no idle worker can have one now; where that changes with time, ``wait`` returns."""
        ...

    def submit(self, job: Job) -> None:
        """Start a job; only when ``free`` is above zero, and its owner idles or ``can_start`` one."""
        ...

    def wait(self, timeout_seconds: float | None = None) -> list[Event]:
        """Block until something happens, or the time is over."""
        ...

    def close(self) -> None:
        """Stop all workers."""
        ...
