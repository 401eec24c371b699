"""How many cores are ours: a cluster's scheduler or a cpuset may lend a few of a large machine's."""

from __future__ import annotations

import os


def cores() -> int:
    """Return how many cores this process may run on, at least 1; where a system does not say (macOS), all of them.

    A container's quota of time (``docker run --cpus``) is not seen: it names no cores.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
