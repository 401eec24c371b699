"""What a label in a table or a tar says: a class's name, a number with a name, or a position in the class list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vgbench_plugins.files.matching import same

HINT = (
    "Whole numbers without names need names=FILE (one class name a line), "
    "or labels=positions if they are positions in the task's class list"
)


class Labels:
    """Turn label values into class names. ``declared``: the names that the files give their numbers, in order."""

    def __init__(self, params: Mapping[str, Any], declared: Sequence[str] | None) -> None:
        """Read the params ``labels``, ``names``, ``classes``.

        Raises ``ValueError`` when labels are said to be positions and the declared names are in another order.
        """
        self._positions = [entry["id"] for entry in params["classes"]] if params["labels"] == "positions" else None
        if params.get("names") is not None:
            declared = [line.strip() for line in Path(params["names"].path).read_text().splitlines() if line.strip()]
        self._declared = declared
        if self._positions is not None and declared is not None:
            _refuse_another_order(declared, params["classes"])

    def name(self, value: object) -> str | None:
        """Return the class name of a label; None where there is none. ``ValueError`` for a number without a class."""
        if value is None or value == "":
            return None
        number = int(str(value)) if isinstance(value, int) or _is_number(value) else None
        names = self._positions if self._positions is not None else self._declared
        if number is None or names is None:
            if self._positions is not None:
                raise ValueError(f"label {value!r} is no position in the class list")
            return str(value)
        if number == -1:  # `datasets` marks rows without a label so
            return None
        if not 0 <= number < len(names):
            raise ValueError(f"label {number} lies outside the {len(names)} class names")
        return names[number]


def _is_number(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit()


def _refuse_another_order(declared: Sequence[str], classes: Sequence[Mapping[str, Any]]) -> None:
    if len(declared) != len(classes):
        raise ValueError(
            f"labels=positions: the files declare {len(declared)} classes, the class list has {len(classes)}; "
            "leave it out to match by name"
        )
    for position, (name, entry) in enumerate(zip(declared, classes, strict=True)):
        if not any(same(name, text) for text in (entry["id"], entry["name"], *entry["synonyms"])):
            raise ValueError(
                f"labels=positions: label {position} is {name!r} in the files, {entry['id']} ({entry['name']}) "
                "in the class list; leave it out to match by name"
            )
