"""Our splits of a data set, made of upstream's: taken as they are, joined, or derived by a rule without a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from vgbench.errors import NoSuchSplit
from vgbench_tasks.datasets.samples import Copy, Sample

ALL = "all"  # every sample of a copy, whatever split it lies in


@dataclass(frozen=True, slots=True)
class Splits:
    """Our splits of a copy, by the rules that say what each is made of, and the sizes that are known.

    A rule is the name of an upstream split ("val|test": the first that is there), or {"of": names, "from", "to"}: of
    each class the samples at these positions in the order of the SHA-256 of their ids; fractions of the class rounded
    down, but at least one. Without "from" and "to" the named splits are joined. Of a list of rules, for upstreams that
    differ, the first counts that can be followed and gives as many samples as are expected.
    """

    copy: Copy
    rules: Mapping[str, Any]
    sizes: Mapping[str, int | None]

    def samples(self, split: str) -> list[Sample]:
        """Return the samples of a split.

        Raises ``NoSuchSplit`` when the copy lacks it, it has another size, or what it is made of has.
        """
        if self.copy.is_protocol and split in self.copy.splits:
            return self._sized(split, list(self.copy.splits[split]()))
        given = self.rules.get(split, split)
        *others, last = given if isinstance(given, list) else [given]
        for rule in others:
            try:
                return self._sized(split, self._followed(rule))
            except NoSuchSplit:
                continue
        return self._sized(split, self._followed(last))

    def _sized(self, split: str, found: list[Sample]) -> list[Sample]:
        n = self.sizes.get(split)
        if n is not None and len(found) != n:
            raise NoSuchSplit(f"{len(found):,} samples, {n:,} expected; what lies there: {', '.join(self._there())}")
        return found

    def _there(self) -> Iterator[str]:
        for name, read in sorted(self.copy.splits.items()):
            with suppress(ValueError):  # a split that nobody asks for may be unlabelled
                yield f"{name} {len(read()):,}"

    def _followed(self, rule: Any) -> list[Sample]:
        if isinstance(rule, str):
            return self._first_of(rule)
        joined = [sample for name in rule["of"] for sample in self._named(name)]
        if "from" not in rule and "to" not in rule:
            return joined
        self._refuse_another_whole(rule["of"], joined)
        return _cut(joined, rule)

    def _named(self, name: str) -> list[Sample]:
        if name == ALL:
            return [sample for read in self.copy.splits.values() for sample in read()]
        try:
            return self.samples(name)
        except NoSuchSplit as error:
            raise NoSuchSplit(f"it is made of {name}: {error}") from error

    def _refuse_another_whole(self, of: Sequence[str], whole: Sequence[Sample]) -> None:
        """Raise ``NoSuchSplit`` where another split that is cut from the same samples has not its size.

        These are then not the samples that were meant, and a cut that has its size by chance is another one.
        """
        for split, rule in self.rules.items():
            n = self.sizes.get(split)
            if n is not None and isinstance(rule, Mapping) and rule["of"] == of and len(_cut(whole, rule)) != n:
                raise NoSuchSplit(f"not cut from {len(whole):,} samples, of which {split} would not be {n:,}")

    def _first_of(self, names: str) -> list[Sample]:
        for name in names.split("|"):
            if name in self.copy.splits:
                return list(self.copy.splits[name]())
        there = ", ".join(sorted(self.copy.splits))
        raise NoSuchSplit(f"{names.replace('|', ' or ')} is not among its splits: {there}")


def _cut(samples: Sequence[Sample], rule: Mapping[str, Any]) -> list[Sample]:
    return cut(samples, rule.get("from", 0), rule.get("to"))


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
