"""How many cores are ours: a cluster's scheduler or a container may lend a few of a large machine's."""

from __future__ import annotations

import os


def cores() -> int:
    """Return how many cores this process may run on; where the system does not say (macOS), how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
