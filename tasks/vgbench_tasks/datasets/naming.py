"""Which of upstream's labels is which of our classes. A difference is refused, naming both."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from typing import Any

SHOWN = 3


class Naming:
    """The classes of a data set, and the names and orders under which its files may hold them.

    The orders are those that are known: our class list's, the recorded ones of upstream (``upstream.json``), and the
    alphabet's. Names in any other order are refused: nobody can tell whether names or numbers were permuted.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        """Read the params ``dataset``, ``classes`` (pairs of id and names) and ``reading``."""
        self._dataset: str = params["dataset"]
        self._aliases: Mapping[str, str] = params["reading"].get("aliases", {})
        self._numbers: str | None = params["reading"].get("numbers")
        self.ids: list[str] = [class_id for class_id, _ in params["classes"]]
        self._position = {class_id: i for i, class_id in enumerate(self.ids)}
        self._names = [{plain(class_id), *map(plain, names)} for class_id, names in params["classes"]]

    def of_names(self, names: Sequence[str], where: str) -> list[str]:
        """Return the class ids of label numbers 0, 1, … that files declare under ``names``.

        Raises ``ValueError`` naming both when the names are not our classes' in a known order.
        """
        for order in self._orders.values():
            if len(order) == len(names) and all(map(self._fits, names, order)):
                return list(order)
        if list(names) == sorted(names) or list(names) == sorted(names, key=str.lower):
            found = [self.of_name(name) for name in names]
            if None not in found and len(set(found)) == len(self.ids) == len(found):
                return [class_id for class_id in found if class_id is not None]
        raise ValueError(self._difference(names, where))

    def of_numbers(self, where: str) -> list[str]:
        """Return the class ids of label numbers in files that do not name them; ``ValueError`` if nothing says so."""
        if self._numbers is None:
            raise ValueError(f"{where}: labels are numbers, and nothing there says which class is which; {CONVERT}")
        return list(self._orders[self._numbers])

    def of_name(self, name: str) -> str | None:
        """Return the class that a name names: by id, then by a name that only one class has; None if no class."""
        if name in self._aliases:
            return self._aliases[name]
        by_id = [class_id for class_id in self.ids if plain(class_id) == plain(name)]
        found = by_id or [class_id for class_id in self.ids if self._fits(name, class_id)]
        return found[0] if len(found) == 1 else None

    def in_order(self, class_ids: Sequence[str]) -> tuple[str, ...]:
        """Return class ids in the order of the class list, each once."""
        return tuple(sorted(set(class_ids), key=self._position.__getitem__))

    @cached_property
    def _orders(self) -> dict[str, list[str]]:
        recorded = json.loads((files("vgbench_tasks.datasets") / "classes" / "upstream.json").read_text())
        return {"list": self.ids, **recorded.get(self._dataset, {})}

    def _fits(self, name: str, class_id: str) -> bool:
        if name in self._aliases:
            return self._aliases[name] == class_id
        names = self._names[self._position[class_id]]
        return plain(name) in names or any(plain(part) in names for part in name.split(", "))

    def _difference(self, names: Sequence[str], where: str) -> str:
        """Say where names differ from the known order that they are nearest to."""
        if len(names) != len(self.ids):
            strangers = [name for name in names if self.of_name(name) is None]
            named = {self.of_name(name) for name in names}
            lacking = [class_id for class_id in self.ids if class_id not in named]
            return (
                f"{where} names {len(names)} classes, the class list of {self._dataset} has {len(self.ids)}"
                f"{_listed('; unknown there: ', strangers)}{_listed('; missing there: ', lacking)}"
            )
        differ = {
            key: [i for i, n in enumerate(names) if not self._fits(n, order[i])] for key, order in self._orders.items()
        }
        nearest = min(differ, key=lambda key: len(differ[key]))
        order, wrong = self._orders[nearest], differ[nearest]
        lines = [f"label {i} is {names[i]!r} there, {order[i]!r} in the class list" for i in wrong[:SHOWN]]
        more = f"; {len(wrong)} of {len(names)} differ" if len(wrong) > SHOWN else ""
        return f"{where} names other classes than {self._dataset}: {'; '.join(lines)}{more}; {CONVERT}"


CONVERT = "a copy in Parquet with the columns sample_id, split, image, class_id says it beyond doubt"


def plain(name: str) -> str:
    """Return a name without case, and with one space for spaces, ``_``, ``-`` and ``/`` (SUN397 writes /a/abbey)."""
    return re.sub(r"[\s_/-]+", " ", re.sub(r"^/?[a-z]/", "", name)).strip().lower()


def _listed(text: str, names: Sequence[str]) -> str:
    return text + ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "") if names else ""
