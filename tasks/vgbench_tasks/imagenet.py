"""What the bias tasks share: positions of ImageNet's 1,000 classes, and what their graphs still lack.

Positions are those of ILSVRC 2012's classes sorted by wnid, as the papers list them: "8,10-16".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from vgbench import CannotServe, Option, UsageError
from vgbench.errors import nearest

N_CLASSES = 1000
NOTHING = "na"
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


def predicted(values: Any, categories: tuple[tuple[str, tuple[int, ...]], ...]) -> Any:
    """Return predictions as category ids or ``na`` (N,): a number 0..999 is an ImageNet class, which may have none."""
    import numpy as np

    of_class = {str(member): category for category, members in categories for member in members}
    classes = {str(i): NOTHING for i in range(N_CLASSES)} | of_class
    texts = [classes.get(whole(value), str(value)) for value in values]
    refuse_unknown("categories or ImageNet classes 0..999", texts, [*(name for name, _ in categories), NOTHING])
    return np.asarray(texts)


def binary(column: str, values: Any) -> Any:
    """Return a column of 0 and 1, or false and true, as numbers (N,)."""
    import numpy as np

    known = {"0": 0, "1": 1, "false": 0, "true": 1}
    given = [whole(value).lower() for value in values]
    refuse_unknown(f"values of {column} (0 or 1)", given, list(known))
    return np.asarray([known[value] for value in given])


def whole(value: Any) -> str:
    """Return a value as text; ``407.0``, as pandas writes a column of whole numbers with gaps, is ``407``."""
    text = str(value)
    return text.removesuffix(".0") if text.removesuffix(".0").isdecimal() else text


def refuse_unknown(what: str, values: list[str], known: list[str]) -> None:
    """Raise ``UsageError`` for values that are none of ``known``, with their number and the nearest right one."""
    strange = [value for value in dict.fromkeys(values) if value not in set(known)]
    if strange:
        close = nearest(strange[0], known)
        hint = f"did you mean {close!r}?" if close else f"known: {', '.join(known)}"
        shown = ", ".join(strange[:3]) + (", …" if len(strange) > 3 else "")
        raise UsageError(f"{len(strange)} values are no {what}: {shown}", hint=hint)
