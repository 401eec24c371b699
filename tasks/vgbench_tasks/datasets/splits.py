"""Our splits of a data set, made of upstream's: taken as they are, joined, or derived by a rule without a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from vgbench.errors import NoSuchSplit
from vgbench_tasks.datasets.samples import Copy, Sample

ALL = "all"  # every sample of a copy, whatever split it lies in


def samples_of(copy: Copy, split: str, rules: Mapping[str, Any], *, n: int | None = None) -> list[Sample]:
    """Return the samples of one of our splits, ``n`` of them where that is known.

    A rule is the name of an upstream split ("val|test": the first that is there), or {"of": names, "from", "to"}: of
    each class the samples at these positions in the order of the SHA-256 of their ids; fractions of the class rounded
    down, but at least one. Without "from" and "to" the named splits are joined. Of a list of rules, for upstreams that
    differ, the first counts that can be followed and gives ``n`` samples. Raises ``NoSuchSplit``.
    """
    if copy.is_protocol and split in copy.splits:
        return list(copy.splits[split]())
    given = rules.get(split, split)
    *others, last = given if isinstance(given, list) else [given]
    for rule in others:
        try:
            found = _followed(copy, rule, rules)
        except NoSuchSplit:
            continue
        if len(found) == n:
            return found
    return _followed(copy, last, rules)


def _followed(copy: Copy, rule: Any, rules: Mapping[str, Any]) -> list[Sample]:
    if isinstance(rule, str):
        return _first_of(copy, rule)
    joined = [sample for name in rule["of"] for sample in _named(copy, name, rules)]
    return cut(joined, rule.get("from", 0), rule.get("to")) if "from" in rule or "to" in rule else joined


def _named(copy: Copy, name: str, rules: Mapping[str, Any]) -> list[Sample]:
    if name == ALL:
        return [sample for read in copy.splits.values() for sample in read()]
    return samples_of(copy, name, rules)


def _first_of(copy: Copy, names: str) -> list[Sample]:
    for name in names.split("|"):
        if name in copy.splits:
            return list(copy.splits[name]())
    raise NoSuchSplit(f"{names.replace('|', ' or ')} is not among its splits: {', '.join(sorted(copy.splits))}")


def cut(samples: Sequence[Sample], first: float, last: float | None) -> list[Sample]:
    """Return of each class the samples between two places in the order of the SHA-256 of their ids.

    A place is a position, or a fraction of the class rounded down, but at least one; ``last`` None is the end.
    """
    by_class: dict[tuple[str, ...], list[Sample]] = {}
    for sample in samples:
        by_class.setdefault(sample.class_ids[:1], []).append(sample)
    return [
        s for of_class in by_class.values() for s in sorted(of_class, key=_hash)[_places(len(of_class), first, last)]
    ]


def _places(n: int, first: float, last: float | None) -> slice:
    def place(value: float) -> int:
        return value if isinstance(value, int) else max(1, int(value * n))

    return slice(place(first), n if last is None else place(last))


def _hash(sample: Sample) -> bytes:
    return hashlib.sha256(sample.sample_id.encode()).digest()
