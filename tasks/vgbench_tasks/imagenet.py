"""What the real bias tasks share: positions of ImageNet's 1,000 classes, and what their graphs still lack.

Positions are those of ILSVRC 2012's classes sorted by wnid, as the papers list them: "8,10-16".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

from vgbench import CannotServe, Option

N_CLASSES = 1000
FLOOR = Option(
    "floor", "float", None, "accuracy of an untrained network: a row that is not above it gets no bias value", minimum=0
)


def refusing(task: str) -> Callable[..., NoReturn]:
    """Return a task's ``request`` and ``graph`` for as long as nothing here trains on ImageNet's 1,000 classes.

    The graph from a network's answers on is ``stages.answered``, which the task's Toybox twin uses too.
    """

    def refuse(*_: object) -> NoReturn:
        raise CannotServe(
            f"{task} reads a network trained on ImageNet's 1,000 classes; this version lacks their list and a recipe",
            hint=f"score predictions made elsewhere: vgbench score {task} FILE",
        )

    return refuse


def positions(text: str) -> tuple[int, ...]:
    """Return the positions of a list of numbers and ranges, both ends included: "8,10-12" → (8, 10, 11, 12)."""
    found: list[int] = []
    for item in text.split(","):
        first, _, last = item.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return tuple(found)


def categories_of(listed: Mapping[str, str]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return pairs of (category id, positions), in the order of the list."""
    return tuple((name, positions(text)) for name, text in listed.items())
