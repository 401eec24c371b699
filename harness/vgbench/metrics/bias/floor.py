"""The common rule: a network that answers no better than an untrained one has no bias to measure.

A ratio or difference of accuracies near chance is noise that looks like a finding: in a trial, label noise alone
moved the raw texture inclination to .40 (docs/bias.md). So every scorer of this package takes two options:

``floor``        a share 0..1 that the row's accuracy must exceed; None: no such rule
``random_init``  predictions of the untrained network on the same rows; the upper end of its interval is the floor
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vgbench.stats import wilson
from vgbench.types import Columns

FLOOR = "floor"
RANDOM_INIT = "random_init"


def floor_of(options: Mapping[str, Any], count: Callable[[Columns], tuple[int, int]]) -> float | None:
    """Return the share that the row must exceed, or None; ``count`` gives (right, n) of a network's predictions."""
    given: list[float] = [float(options[FLOOR])] if options.get(FLOOR) is not None else []
    if options.get(RANDOM_INIT) is not None:
        interval = wilson(*count(options[RANDOM_INIT]))
        if interval is not None:
            given.append(interval.hi)
    return max(given, default=None)


def reason_at_floor(n_right: int, n: int, floor: float | None, what: str) -> str | None:
    """Return why a row gets no bias value: its share n_right / n does not exceed ``floor``; None where it may have one.

    ``what`` names the share in the reason. Shares are compared with the upper end of the untrained network's 95 %
    interval (issue 4): a point, not an interval, against an interval.
    """
    if floor is None or (n and n_right / n > floor):
        return None
    found = f"{n_right / n:.3f}" if n else "of no items"
    return f"{what} {found} is not above {floor:.3f}, what an untrained network reaches"
