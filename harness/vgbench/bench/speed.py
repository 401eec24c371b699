"""How speeds are compared: what is compared takes turns, in one process of its own, and medians are divided.

A module here that measures has ``measure() -> list[Measured]``; ``python -m vgbench.bench.speed MODULE '{}'`` prints
them. Its arguments, if any, are texts with defaults.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module, metadata
from statistics import median
from typing import Any

ROUNDS = 7  # odd, so that the median is a measurement


@dataclass(frozen=True, slots=True)
class Measured:
    """A ratio of two medians over ``n`` interleaved rounds, and the bound that it keeps or breaks.

    ``goal``: the least ratio, or with ``is_limit`` the greatest. ``medians`` in seconds a round, ``threads`` by what
    was timed, ``load`` the machine's own before it began (runnable processes, 1 minute). ``breaks``: what besides the
    ratio does not hold. ``facts``: what else was found.
    """

    id: str
    ratio: float
    goal: float
    is_limit: bool
    n: int
    medians: Mapping[str, float]
    threads: Mapping[str, int]
    load: float
    breaks: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Measured:
        """Return what another process printed."""
        return cls(
            **{name: value for name, value in told.items() if name != "holds"} | {"breaks": tuple(told["breaks"])}
        )

    @property
    def holds(self) -> bool:
        kept = self.ratio <= self.goal if self.is_limit else self.ratio >= self.goal
        return kept and not self.breaks


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Call each once to warm up, then in ``rounds`` turns; return the median seconds of each.

    Every other round goes backwards, so that a machine that slows down slows all alike. ``clock``: of what all do on
    one thread, ``time.process_time`` does not count what other processes take.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for turn in range(rounds):
        for name in list(calls) if turn % 2 == 0 else reversed(list(calls)):
            began = clock()
            calls[name]()
            seconds[name].append(clock() - began)
    return {name: median(found) for name, found in seconds.items()}


def load() -> float:
    """Return the machine's load over the last minute."""
    return round(os.getloadavg()[0], 2)


def versions(*distributions: str) -> dict[str, str]:
    """Return the installed versions of what is measured."""
    return {name: metadata.version(name) for name in distributions}


def apart(module: str, **arguments: str) -> list[dict[str, Any]]:
    """Measure in a process of its own, which shares no thread or cache with the caller; raises ``RuntimeError``."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, module, json.dumps(arguments)], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or done.stdout.strip() or str(done.returncode)).splitlines()[-1])
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _main(module: str, arguments: str) -> None:
    found: Sequence[Measured] = import_module(module).measure(**json.loads(arguments))
    sys.stdout.write(json.dumps([{**asdict(one), "holds": one.holds} for one in found]) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2])
