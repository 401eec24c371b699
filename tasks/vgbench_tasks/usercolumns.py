"""Columns of users' tables: answers, numbers and names as people write them, checked and brought to one form."""

from __future__ import annotations

from typing import Any

from vgbench import UsageError
from vgbench.errors import nearest
from vgbench_tasks.imagenet import N_CLASSES

NOTHING = "na"  # an answer that counts as wrong


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
