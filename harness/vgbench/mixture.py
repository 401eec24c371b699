"""The grammar of mixtures, ``0.5*(toybox)+0.5*(original)`` or ``100x(original)+1*(toybox)``, and how many of each."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from vgbench.errors import UsageError

_TERM = re.compile(r"(?:(?P<weight>[^*()]*)\*|(?P<count>[^x()]*)x)?\s*\((?P<source>.*)\)", re.DOTALL)
_EXAMPLE = "write e.g. 0.5*(toybox)+0.5*(toybox:noise=2), or 100x(original)+1*(toybox)"


@dataclass(frozen=True, slots=True)
class Component:
    """One source of a mixture: its ``count`` of images per class, and its ``weight`` in sharing what is left."""

    source: str
    weight: Fraction = Fraction(0)
    count: int = 0

    def terms(self) -> Iterator[str]:
        """Yield the component as typed: one term for its count, one for its weight."""
        if self.count:
            yield f"{self.count}x({self.source})"
        if self.weight:
            yield f"{self.weight}*({self.source})"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A component with the digest of its source's recipe, which does not depend on how the source was written."""

    recipe: str
    component: Component

    @property
    def name(self) -> str:
        """What the component's image ids begin with in the union."""
        return self.recipe[:8]

    @property
    def key(self) -> list[Any]:
        return [self.recipe, str(self.component.weight), self.component.count]


def parse(text: str) -> tuple[Component, ...]:
    """Read a mixture as typed; ``UsageError`` says which component is wrong."""
    components = tuple(_component(term) for term in split_outside(text, "+"))
    if not components:
        raise UsageError("a mixture of nothing", hint=_EXAMPLE)
    return components


def canonical(text: str) -> str:
    """Return the one spelling of a mixture: components sorted, equal ones joined, weights as whole numbers."""
    joined = _joined(parse(text), lambda source: source)
    return "+".join(term for _, component in sorted(joined.items()) for term in component.terms())


def text_of(components: Sequence[Mapping[str, Any]]) -> str:
    """Return the canonical text of parts given as ``{source, weight}`` or ``{source, count}``, as TOML holds them."""
    terms = []
    for part in components:
        wrong = set(part) - {"source", "weight", "count"}
        if wrong or "source" not in part or {"weight", "count"} <= set(part):
            raise UsageError(
                f"component {dict(part)} of a mixture: {'unknown ' + min(wrong) if wrong else 'source and weight'}",
                hint="give each a source, and a weight or a count",
            )
        times = f"{part['count']}x" if "count" in part else f"{part.get('weight', 1)}*"
        terms.append(f"{times}({part['source']})")
    return canonical("+".join(terms))


def resolved(text: str, recipe: Callable[[str], str]) -> tuple[Resolved, ...]:
    """Return the components in the order of their recipes' digests; those of one recipe are joined."""
    joined = _joined(parse(text), recipe)
    return tuple(Resolved(digest, joined[digest]) for digest in sorted(joined))


def counts(components: Sequence[Component], n: int) -> tuple[int, ...]:
    """Return how many of ``n`` images each component gives. From n to n + 1 exactly one of them gives one more.

    Counted components come first: each in proportion to its count until all are complete; the weighted ones share
    the rest. The sum is below ``n`` only when all are counted and complete.
    """
    fixed = [component.count for component in components]
    first = min(n, sum(fixed))
    weights = [component.weight for component in components]
    given = apportioned(fixed, first)
    rest = apportioned(weights, n - first) if any(weights) else (0,) * len(weights)
    return tuple(a + b for a, b in zip(given, rest, strict=True))


def apportioned(weights: Sequence[Fraction | int], n: int) -> tuple[int, ...]:
    """Share ``n`` seats so that each of m states is within 1 - 1/(2(m-1)) of its exact share, for every n at once.

    Plain largest remainders can take a seat back when one more is shared (the Alabama paradox), so smaller requests
    would not nest in larger ones. Seats are dealt one by one instead (R. Tijdeman, "The chairman assignment problem",
    Discrete Mathematics 32, 1980, p. 323-330): among the states that a seat would not put too far ahead, the one that
    would soonest be too far behind. Two states get exactly their largest remainders; a tie goes to the earlier state.
    """
    scale = math.lcm(*(Fraction(weight).denominator for weight in weights)) if weights else 1
    shares = [int(weight * scale) for weight in weights]
    total = sum(shares)
    if n == 0 or total == 0:
        return (0,) * len(shares)
    rounds, left = divmod(n, total)  # after each round of `total` seats every state has exactly its share
    m = sum(share > 0 for share in shares)
    double = max(2 * m - 2, 1)
    seats = [0] * len(shares)
    for seat in range(1, left + 1):
        ahead = [share * seat - taken * total for share, taken in zip(shares, seats, strict=True)]
        able = [i for i, share in enumerate(shares) if share and double * ahead[i] >= total]
        winner = min(able, key=lambda i: (Fraction((double - 1) * total - double * ahead[i], shares[i]), i))
        seats[winner] += 1
    return tuple(rounds * share + taken for share, taken in zip(shares, seats, strict=True))


def split_outside(text: str, separator: str, *, strict: bool = True) -> list[str]:
    """Split at the separators that stand outside parentheses.

    Parentheses that do not match are a ``UsageError``, or leave the text whole if not ``strict`` (a path may hold one).
    """
    pieces, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
        if character == separator and depth == 0:
            pieces.append(text[start:i])
            start = i + 1
    if depth and not strict:
        return [text]
    if depth:
        raise UsageError(f"unbalanced parentheses in {text!r}", hint=_EXAMPLE)
    return [*pieces, text[start:]] if text.strip() else []


def _component(term: str) -> Component:
    match = _TERM.fullmatch(term.strip())
    if match is None or not _is_one_bracket(match["source"]):
        raise UsageError(f"{term.strip()!r} is no component of a mixture", hint=_EXAMPLE)
    source = match["source"].strip()
    if not source:
        raise UsageError(f"{term.strip()!r} names no source", hint=_EXAMPLE)
    if source.startswith("mix:"):
        source = "mix:" + canonical(source.removeprefix("mix:").removeprefix("parts="))
    if match["count"] is not None:
        text = match["count"].strip()
        if not text.isdecimal() or int(text) < 1:
            raise UsageError(f"{text!r} images of {source}: not a whole number of at least 1", hint=_EXAMPLE)
        return Component(source, count=int(text))
    text = (match["weight"] or "1").strip()
    try:
        weight = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"weight {text!r} of {source} is not a number", hint=_EXAMPLE) from None
    if weight <= 0:
        raise UsageError(f"weight {text} of {source}: must be above 0", hint=_EXAMPLE)
    return Component(source, weight=weight)


def _is_one_bracket(inside: str) -> bool:
    """Say whether the parentheses inside match by themselves, as they do not in ``a)(b``."""
    depth = 0
    for character in inside:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0


def _joined(components: Iterable[Component], name: Callable[[str], str]) -> dict[str, Component]:
    """Join the components of one name, and bring the weights to the smallest whole numbers."""
    joined: dict[str, Component] = {}
    for component in components:
        key = name(component.source)
        before = joined.get(key, Component(component.source))
        joined[key] = Component(before.source, before.weight + component.weight, before.count + component.count)
    weights = [component.weight for component in joined.values() if component.weight]
    unit = Fraction(math.gcd(*(w.numerator for w in weights)), math.lcm(*(w.denominator for w in weights)) or 1)
    return {key: replace(c, weight=c.weight / unit if unit else c.weight) for key, c in joined.items()}
