"""What a user's tables say about FOCUS images: categories by name or number, attributes, answers in several forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vgbench import UsageError
from vgbench.types import Columns
from vgbench_tasks.focus import categories
from vgbench_tasks.usercolumns import binary, predicted, refuse_unknown, whole

ATTRIBUTES = ("uncommon_time", "uncommon_weather", "uncommon_location")
KNOWN = list(categories.LISTED)


def predictions(columns: Columns) -> Columns:
    """Return ``prediction`` (N,), category ids or ``na``, or ``correct`` (N,) of 0 and 1.

    A prediction is a category, ``na``, or an ImageNet class 0..999, which counts as its category. In its place
    ``top1_correct`` or ``correct``, 0 or 1, may say whether it was right.
    """
    if "prediction" in columns:
        found = predicted(columns["prediction"], categories.CATEGORIES)
        return {"sample_id": columns["sample_id"], "prediction": found}
    name = "top1_correct" if "top1_correct" in columns else "correct"
    return {"sample_id": columns["sample_id"], "correct": binary(name, columns[name])}


def labels(columns: Columns) -> Columns:
    """Return ``class_id`` (N,) and, of 0 and 1, ``uncommon_time``, ``uncommon_weather``, ``uncommon_location`` (N,).

    The category is ``category`` or ``class_id`` (a name), or ``category_index``, its number in the annotation. What is
    uncommon is given in these columns, or follows from the annotations ``time``, ``weather`` and ``locations`` (names
    or numbers; several locations joined by a comma, of which one uncommon one is enough).
    """
    if "category_index" in columns:
        category = _named("category_index", columns["category_index"], KNOWN)
    else:
        category = columns["category" if "category" in columns else "class_id"].tolist()
    refuse_unknown("categories of FOCUS", category, KNOWN)
    found: dict[str, Any] = {"sample_id": columns["sample_id"], "class_id": np.asarray(category)}
    if ATTRIBUTES[0] in columns:
        return {**found, **{name: binary(name, columns[name]) for name in ATTRIBUTES}}
    annotated: tuple[tuple[str, Sequence[str], Mapping[str, frozenset[str]]], ...] = (
        ("time", categories.TIMES, categories.UNCOMMON_TIMES),
        ("weather", categories.WEATHERS, categories.UNCOMMON_WEATHERS),
        ("locations", categories.LOCATIONS, categories.UNCOMMON_LOCATIONS),
    )
    for attribute, (name, known, uncommon) in zip(ATTRIBUTES, annotated, strict=True):
        values = [[item.strip() for item in value.split(",")] for value in columns[name].tolist()]
        flat = iter(_named(name, [item for items in values for item in items], known))
        read = [{next(flat) for _ in items} for items in values]
        found[attribute] = np.asarray([int(bool(r & uncommon[c])) for r, c in zip(read, category, strict=True)])
    return found


def _named(column: str, values: Any, known: Sequence[str]) -> list[str]:
    """Return values as names: a whole number is a position in ``known``."""
    texts = [whole(value) for value in values]
    outside = sorted({text for text in texts if text.isdecimal() and int(text) >= len(known)})
    if outside:
        raise UsageError(f"{column} {outside[0]} lies outside 0..{len(known) - 1}", hint=f"0 is {known[0]!r}")
    names = [known[int(text)] if text.isdecimal() else text for text in texts]
    refuse_unknown(f"values of {column}", names, list(known))
    return names
