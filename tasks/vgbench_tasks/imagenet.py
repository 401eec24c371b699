"""What the real bias tasks share: positions of ImageNet's 1,000 classes, and a floor of one's own.

Positions are those of ILSVRC 2012's classes sorted by wnid, as the papers list them: "8,10-16".
"""

from __future__ import annotations

from collections.abc import Mapping

from vgbench import Option

N_CLASSES = 1000
FLOOR = Option(
    "floor", "float", None, "accuracy of an untrained network: a row that is not above it gets no bias value", minimum=0
)


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
