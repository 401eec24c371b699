"""Find the asked classes among the names that some files use: by id, then name, then synonyms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vgbench.errors import nearest

SHOWN = 5
_SPLITS = {"train", "val", "valid", "validation", "test"}


def match(names: Iterable[str], classes: Sequence[Mapping[str, Any]], *, partial: bool, hint: str) -> dict[str, int]:
    """Return name → position in ``classes`` of the names that were asked for; the others are missing from the result.

    Case, spaces, ``_`` and ``-`` do not count. A name that is one class's id is no other's synonym. Raises
    ``ValueError``, with the nearest names, when a class has no name (unless ``partial``), or when a name fits several.
    """
    written = {name: plain(name) for name in names}
    found: dict[str, int] = {}
    for keys in (_by_id, _by_name, _by_synonym):
        positions: dict[str, list[int]] = {}
        for position, entry in enumerate(classes):
            for key in {plain(text) for text in keys(entry)}:
                positions.setdefault(key, []).append(position)
        for name, key in written.items():
            fitting = positions.get(key, [])
            if name in found or not fitting:
                continue
            if len(fitting) > 1:
                ids = " or ".join(classes[position]["id"] for position in fitting)
                raise ValueError(f"{name!r} could be {ids}: name it by class id")
            found[name] = fitting[0]
    _refuse_doubles(found, classes)
    missing = [entry for position, entry in enumerate(classes) if position not in set(found.values())]
    if missing and not partial:
        raise ValueError(_missing(missing, len(classes), sorted(set(written) - set(found)), hint))
    return found


def same(one: str, other: str) -> bool:
    """Say whether two names differ at most in case, spaces, ``_`` and ``-``."""
    return plain(one) == plain(other)


def _by_id(entry: Mapping[str, Any]) -> list[str]:
    return [entry["id"]]


def _by_name(entry: Mapping[str, Any]) -> list[str]:
    return [entry["name"]]


def _by_synonym(entry: Mapping[str, Any]) -> list[str]:
    return list(entry["synonyms"])


def plain(text: str) -> str:
    """Return a name without what does not count when names are compared."""
    return re.sub(r"[\s_-]+", " ", text).strip().lower()


def _refuse_doubles(found: Mapping[str, int], classes: Sequence[Mapping[str, Any]]) -> None:
    first: dict[int, str] = {}
    for name, position in found.items():
        if position in first:
            raise ValueError(
                f"{first[position]!r} and {name!r} both name the class {classes[position]['id']}: join or rename them"
            )
        first[position] = name


def _missing(missing: Sequence[Mapping[str, Any]], n_classes: int, strangers: Sequence[str], hint: str) -> str:
    unknown = {plain(name): name for name in strangers}
    lines = []
    for entry in missing[:SHOWN]:
        close = nearest(plain(entry["name"]), unknown) or nearest(plain(entry["id"]), unknown)
        label = entry["id"] if entry["id"] == entry["name"] else f"{entry['id']} ({entry['name']})"
        lines.append(f"{label}, nearest {unknown[close]!r}" if close else label)
    more = ", …" if len(missing) > SHOWN else ""
    there = ", ".join(strangers[:SHOWN]) + (", …" if len(strangers) > SHOWN else "")
    text = f"{len(missing)} of {n_classes} classes are not there: {'; '.join(lines)}{more}"
    text += f". Unknown names there: {there}" if strangers else ""
    splits = [name for name in strangers if plain(name) in _SPLITS]
    if splits:
        return f"{text}. {splits[0]!r} is a split: name it in the path"
    return f"{text}. {hint}" if hint else text
