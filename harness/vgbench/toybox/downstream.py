"""Toybox's downstream sets: classes that no pre-training image shows, as pure functions to seeds and factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from vgbench.toybox import families, kinds, silhouettes, textures
from vgbench.toybox.sets import Examples
from vgbench.toybox.world import deviates, pick, sample, seeds, world

# The factors that a set's classes do not decide are drawn as in this world, unbiased.
WORLD = "full"
Split = Literal["train", "val", "test"]


@dataclass(frozen=True, slots=True)
class Downstream:
    """A downstream set: what its classes are. ``numbers`` are kinds or textures, one for each class.

    decides  which factor a class decides: ``kind`` (an object in a scene); ``texture`` (a pattern that fills the
             image, or, where ``on_objects``, covers an object of a random pre-training kind)
    """

    name: str
    concept: Literal["common", "fine-grained", "texture-like"]
    summary: str
    class_names: tuple[str, ...]
    numbers: tuple[int, ...]
    decides: Literal["kind", "texture"] = "kind"
    on_objects: bool = False


def _kinds(names: dict[str, str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    return tuple(names), tuple(kinds.NUMBER[name] for name in names)


_NOVEL = tuple(textures.NUMBER[name] for name in textures.NOVEL)

DOWNSTREAM: dict[str, Downstream] = {
    one.name: one
    for one in (
        Downstream("tools", "common", "things of the kitchen and the workshop", *_kinds(silhouettes.TOOLS)),
        Downstream("creatures", "common", "animals", *_kinds(silhouettes.CREATURES)),
        Downstream("stars", "fine-grained", "stars by the number of their points", *_kinds(families.STARS)),
        Downstream("leaves", "fine-grained", "leaves by their outline", *_kinds(families.LEAVES)),
        Downstream("fishes", "fine-grained", "fishes by body, tail and fins", *_kinds(families.FISHES)),
        Downstream("patterns", "texture-like", "patterns that fill the image", textures.NOVEL, _NOVEL, "texture"),
        Downstream("coats", "texture-like", "patterns on any object", textures.NOVEL, _NOVEL, "texture", True),
    )
}


def downstream(name: str, split: Split, n_per_class: int) -> Examples:
    """Return a downstream set's split: classes take turns; ``label`` is the class's position in ``class_names``.

    The first images of a larger set are those of a smaller one. Raises ``KeyError`` for another name, ``ValueError``
    for another split.
    """
    chosen = DOWNSTREAM[name]
    if split not in get_args(Split):
        raise ValueError(f"split {split!r}: {', '.join(get_args(Split))}")
    n = n_per_class * len(chosen.class_names)
    here = world(WORLD)
    given = seeds(WORLD, f"downstream/{name}/{split}", n)
    label = np.arange(n) % len(chosen.class_names)
    number = np.asarray(chosen.numbers)[label]
    factors = sample(here, given, pick(here.kinds, deviates(given)[:, 16]))
    if chosen.decides == "kind":
        factors = factors.but(kind=number)
    else:
        factors = factors.but(texture=number)
        if not chosen.on_objects:
            factors = factors.but(kind=np.full(n, kinds.FRAME))
    return Examples(given, factors, label)
