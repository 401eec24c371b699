"""Toybox's test sets as pure functions: (world, n) to seeds, factors and labels; ``scene.draw`` makes the pixels.

Image i of a set has the seed of (world, the set's split, i); kinds take turns, so that every kind has equally many
images. Paired sets share seeds: their images differ in the factor under test and in nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgbench.toybox import scene, scenery, textures
from vgbench.toybox.scene import Factors
from vgbench.toybox.world import (
    CONTEXT,
    UNBIASED,
    Dials,
    World,
    deviates,
    pick,
    pick_other,
    sample,
    seeds,
)

_Int = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """N images not yet drawn: seeds (N,) uint64, their factors, and the kinds that are right answers (N,)."""

    seeds: NDArray[np.uint64]
    factors: Factors
    label: _Int

    def __len__(self) -> int:
        return len(self.seeds)

    def but(self, **changed: _Int) -> Examples:
        """Return the same images with some factors replaced."""
        return Examples(self.seeds, self.factors.but(**changed), self.label)

    def pixels(
        self,
        *,
        size_px: int = 64,
        style: scene.Style = scene.DEFAULT_STYLE,
        with_object: bool = True,
        rows: slice = slice(None),
    ) -> NDArray[np.uint8]:
        """Draw the images (or some rows of them): (N, S, S, 3) uint8."""
        return scene.draw(self.seeds[rows], self.factors[rows], size_px=size_px, style=style, with_object=with_object)


def examples(here: World, split: str, n: int, *, dials: Dials = UNBIASED, among: tuple[int, ...] = ()) -> Examples:
    """Return the first ``n`` images of a split; kinds (all of the world's, or ``among``) take turns."""
    given = seeds(here.name, split, n)
    label = _in_turn(among or here.kinds, n)
    return Examples(given, sample(here, given, label, dials), label)


def val(here: World, n: int) -> Examples:
    """Return the unbiased validation set."""
    return examples(here, "val", n)


def cue_conflict(here: World, n: int) -> tuple[Examples, _Int]:
    """Return objects of a coarse kind A in the typical texture of another, B, on plain grey, and the kinds B (N,).

    ``label`` is A. The context is drawn evenly: a fixed one would speak for the kinds whose profile holds it.
    """
    base = examples(here, "cue-conflict", n, among=here.coarse)
    texture_kind = pick_other(here.coarse, deviates(base.seeds)[:, 16], base.label)
    ground = np.full(n, scenery.GREY)
    return base.but(texture=here.typical("texture", texture_kind), background=ground), texture_kind


def texture_pair(here: World, n: int) -> tuple[Examples, Examples]:
    """Return paired sets on even backgrounds: objects in their own typical texture, and in another coarse kind's."""
    base = _on_scenes(here, examples(here, "texture-pair", n, among=here.coarse))
    other = here.typical("texture", pick_other(here.coarse, deviates(base.seeds)[:, 16], base.label))
    return base.but(texture=here.typical("texture", base.label)), base.but(texture=other)


def background_pair(here: World, n: int) -> tuple[Examples, Examples]:
    """Return paired sets: *mixed-same* on the kind's typical background, *mixed-rand* on one typical of others only."""
    base = examples(here, "background-pair", n)
    typical = here.typical("background", base.label)
    other = pick_other(here.backgrounds, deviates(base.seeds)[:, 16], typical)
    return base.but(background=typical), base.but(background=other)


def focus(here: World, n: int) -> tuple[Examples, Examples, Examples, Examples]:
    """Return the paired partitions P0 to P3: exactly k of time, weather and location are uncommon for the kind.

    Which k is random and evenly so; an uncommon value is drawn evenly among the other three. Backgrounds are even.
    """
    base = _on_scenes(here, examples(here, "focus", n))
    share = deviates(base.seeds)
    rank = np.argsort(np.argsort(share[:, 17:20], axis=1, kind="stable"), axis=1, kind="stable")
    partitions = []
    for k in range(4):
        values = {}
        for i, attribute in enumerate(CONTEXT):
            common = here.typical(attribute, base.label)
            uncommon = pick_other(here.values(attribute), share[:, 20 + i], common)
            values[attribute] = np.where(rank[:, i] < k, uncommon, common)
        partitions.append(base.but(**values))
    first, second, third, fourth = partitions
    return first, second, third, fourth


def sketches(here: World, n: int) -> Examples:
    """Return objects on plain grey in a texture that is typical of no coarse kind: what is left is the outline."""
    base = examples(here, "sketches", n)
    neutral = tuple(textures.NUMBER[name] for name in textures.NEUTRAL)
    return base.but(texture=pick(neutral, deviates(base.seeds)[:, 16]), background=np.full(n, scenery.GREY))


def renditions(here: World, n: int) -> Examples:
    """Return coarse kinds in the typical texture and on the typical background of others."""
    base = examples(here, "renditions", n, among=here.coarse)
    share = deviates(base.seeds)
    texture = here.typical("texture", pick_other(here.coarse, share[:, 16], base.label))
    background = pick_other(here.backgrounds, share[:, 17], here.typical("background", base.label))
    return base.but(texture=texture, background=background)


def poses(here: World, n: int) -> Examples:
    """Return coarse kinds, to be drawn turned and covered as far as the dials go (`POSES`)."""
    return examples(here, "poses", n, among=here.coarse)


POSES = scene.Style(pose_range=scene.MAX_DIAL, occlusion=scene.MAX_DIAL)


def changed(here: World, base: Examples, factor: str) -> Examples:
    """Return the same images with one factor alone changed, to another value drawn evenly: interventional truth.

    ``factor``: ``texture``, ``background`` (never to grey), ``colour``, ``context`` (all three attributes), or one of
    ``time``, ``weather``, ``location``. Raises ``ValueError`` for another.
    """
    if factor not in ("texture", "background", "colour", "context", *CONTEXT):
        raise ValueError(
            f"{factor!r} cannot be changed alone: texture, background, colour, context, or one of its three"
        )
    share = deviates(base.seeds)[:, 20:24]
    names = CONTEXT if factor == "context" else (factor,)
    return base.but(
        **{
            name: pick_other(here.values(name), share[:, i], getattr(base.factors, name))
            for i, name in enumerate(names)
        }
    )


def _on_scenes(here: World, base: Examples) -> Examples:
    """Put all images on one of the world's backgrounds, evenly, none on grey."""
    return base.but(background=pick(here.backgrounds, deviates(base.seeds)[:, 5]))


def _in_turn(values: tuple[int, ...], n: int) -> _Int:
    return np.asarray(np.asarray(values)[np.arange(n) % len(values)])
