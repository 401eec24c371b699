"""Worlds of scenes: which kinds there are, what is typical of each, and how images' factors are drawn from that."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from vgbench.toybox import kinds, palette, scenery, textures
from vgbench.toybox.random import uniform, words
from vgbench.toybox.scene import Factors

CONTEXT = ("time", "weather", "location")
N_CONTEXT = 4  # values of each attribute
GREY_SHARE = 0.1  # of images on plain grey whatever the dials, so that the cue-conflict test's ground is not unknown

_Int = NDArray[np.int64]
_Seeds = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Dials:
    """How often an image has what is typical of its kind: P(typical) = dial + (1 − dial)/N.

    N is the number of values: the world's backgrounds (grey apart: 10 % of images are grey at any setting, the formula
    holds for the rest), its textures, 4 for each of the three attributes of the context (a coin each), 10 colours.
    ``label_noise``: the share of images that show another of the world's kinds than their label says.
    """

    background_bias: float = 0.0
    texture_bias: float = 0.0
    context_bias: float = 0.0
    colour_bias: float = 0.0
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        for dial in fields(self):
            value = getattr(self, dial.name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{dial.name}={value!r}: a dial of the world is a number from 0 to 1")


UNBIASED = Dials()


@dataclass(frozen=True, slots=True)
class World:
    """What is typical of each kind. Tuples over ``kinds`` hold one value for each of them.

    name         ``full`` or ``coarse``, with ``-N`` for world number N > 0
    kinds        numbers in ``kinds.NAMES``; a label is a position here
    textures     the textures that occur; ``typical_texture`` of a coarse kind is its own, others share the neutral ones
    backgrounds  the backgrounds that occur beside grey; each is typical of several kinds
    context      of each kind, its (time, weather, location): one of four profiles that differ in all three
    """

    name: str
    kinds: tuple[int, ...]
    textures: tuple[int, ...]
    backgrounds: tuple[int, ...]
    typical_texture: tuple[int, ...]
    typical_background: tuple[int, ...]
    context: tuple[tuple[int, int, int], ...]
    typical_colour: tuple[int, ...]

    @property
    def class_ids(self) -> tuple[str, ...]:
        return tuple(kinds.NAMES[kind] for kind in self.kinds)

    @property
    def coarse(self) -> tuple[int, ...]:
        """The kinds of the coarse map, each with a texture of its own: what cue conflict is made of."""
        return tuple(kind for kind in self.kinds if kind < kinds.N_COARSE)

    def typical(self, factor: str, kind: _Int) -> _Int:
        """Return the typical value of ``texture``, ``background``, ``colour`` or a context attribute: (N,) to (N,).

        A kind that the world does not have, one of a downstream set, has a typical value by hash.
        """
        if factor in CONTEXT:
            values = [profile[CONTEXT.index(factor)] for profile in self.context]
        else:
            values = list(getattr(self, f"typical_{factor}"))
        number, every = kinds.preset(self.name)[1], self.values(factor)
        table = np.array([every[_hashed(f"{number}/{factor}/of/{kind}", len(every))] for kind in kinds.NAMES])
        table[list(self.kinds)] = values
        return np.asarray(table[kind])

    def values(self, factor: str) -> tuple[int, ...]:
        """Return the values a factor takes in this world (of the background: those beside grey)."""
        if factor == "texture":
            return self.textures
        if factor == "background":
            return self.backgrounds
        return tuple(range(N_CONTEXT if factor in CONTEXT else len(palette.NAMES)))


def world(name: str) -> World:
    """Return the world of a name: ``full`` (40 kinds), ``coarse`` (16), or ``full-3``: the same with world number 3.

    A world's number permutes what is typical of what. ``coarse`` is the smaller one of the calibration: 16 kinds, each
    with its own texture, 4 backgrounds shared by 4 kinds each. Raises ``ValueError`` for another name.
    """
    n, number = kinds.preset(name)
    is_full = n == kinds.N_TRAINING
    coarse_textures = _shuffled(f"{number}/textures", kinds.N_COARSE)
    neutral = [textures.N_COARSE + i for i in _shuffled(f"{number}/neutral", len(textures.NEUTRAL))]
    scenes = [1 + i for i in _shuffled(f"{number}/backgrounds", len(scenery.BACKGROUNDS) - 1)]
    backgrounds = scenes if is_full else scenes[:4]
    profiles = list(zip(*(_shuffled(f"{number}/{attribute}", N_CONTEXT) for attribute in CONTEXT), strict=True))
    # Which kinds share a background, and which a profile, is decided apart, over the 16 coarse kinds and the others.
    shares = {
        what: [*_shuffled(f"{number}/{what}/coarse", kinds.N_COARSE), *_shuffled(f"{number}/{what}/others", 24)]
        for what in ("ground", "profile", "colour", "neutral-of")
    }
    return World(
        name=name,
        kinds=tuple(range(n)),
        textures=tuple(range(textures.N_TRAINING if is_full else textures.N_COARSE)),
        backgrounds=tuple(sorted(backgrounds)),
        typical_texture=tuple(
            coarse_textures[k] if k < kinds.N_COARSE else neutral[shares["neutral-of"][k] % len(neutral)]
            for k in range(n)
        ),
        typical_background=tuple(backgrounds[shares["ground"][k] % len(backgrounds)] for k in range(n)),
        context=tuple(profiles[shares["profile"][k] % N_CONTEXT] for k in range(n)),
        typical_colour=tuple(shares["colour"][k] % len(palette.NAMES) for k in range(n)),
    )


def _shuffled(what: str, n: int) -> list[int]:
    """Return 0..n-1 in the fixed order that belongs to ``what``."""
    return sorted(range(n), key=lambda i: hashlib.sha256(f"toybox/world/{what}/{i}".encode()).digest())


def _hashed(what: str, n: int) -> int:
    """Return the number 0..n-1 that belongs to ``what``."""
    return int.from_bytes(hashlib.sha256(f"toybox/world/{what}".encode()).digest()[:8], "big") % n


# ── Seeds ────────────────────────────────────────────────────────────────────────────────────────


def seed(world_name: str, split: str, index: int) -> int:
    """Return the 63-bit seed of image ``index`` of a split of a world: a hash of the three and of nothing else."""
    digest = hashlib.sha256(f"toybox/{world_name}/{split}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seeds(world_name: str, split: str, n: int, *, first: int = 0) -> _Seeds:
    """Return the seeds of images ``first`` to ``first + n - 1`` of a split: (n,) uint64.

    Splits whose name begins with ``source/`` are the sources'; no test has one of these.
    """
    return np.array([seed(world_name, split, index) for index in range(first, first + n)], np.uint64)


# ── Factors ──────────────────────────────────────────────────────────────────────────────────────

_FACTOR_STREAM = np.uint64(0x746F79626F78)  # "toybox": keeps the factors' words apart from the drawing's
_N_WORDS = 24


def deviates(given: _Seeds) -> NDArray[np.float64]:
    """Return the deviates that decide images' factors: (N,) seeds to (N, 24) in [0, 1), apart from the drawing's.

    Columns 0 to 15 are those of ``sample`` (a coin and a value for each factor), 16 to 23 those of the test sets.
    """
    return uniform(words(given ^ _FACTOR_STREAM, _N_WORDS))


def pick(values: tuple[int, ...] | _Int, share: NDArray[np.float64]) -> _Int:
    """Return one of ``values`` for each of (N,) shares in [0, 1): (N,)."""
    return np.asarray(np.asarray(values)[(share * len(values)).astype(np.int64)])


def pick_other(values: tuple[int, ...], share: NDArray[np.float64], avoid: _Int) -> _Int:
    """Return one of ``values`` that is not ``avoid`` (N,), evenly among the others (all, where it is none): (N,)."""
    table = np.asarray(values)
    at = np.searchsorted(table, avoid)  # values are in rising order
    is_known = (at < len(values)) & (table[np.minimum(at, len(values) - 1)] == avoid)
    place = (share * np.where(is_known, len(values) - 1, len(values))).astype(np.int64)
    return np.asarray(table[np.where(is_known & (place >= at), place + 1, place)])


def sample(here: World, given: _Seeds, labels: _Int, dials: Dials = UNBIASED) -> Factors:
    """Draw the factors of N images from their seeds (N,) uint64 and the kinds of their labels (N,).

    The same words are used for every label and setting, so that of two settings of a dial only images whose coin lies
    between them differ, and only in that dial's factor. What is typical follows the kind shown, not the label.
    """
    share = deviates(given)
    kind = np.where(share[:, 0] < dials.label_noise, pick_other(here.kinds, share[:, 1], labels), labels)

    def one(factor: str, dial: float, at: int) -> _Int:
        return np.where(share[:, at] < dial, here.typical(factor, kind), pick(here.values(factor), share[:, at + 1]))

    ground = one("background", dials.background_bias, 4)
    return Factors(
        kind=kind,
        texture=one("texture", dials.texture_bias, 6),
        colour=one("colour", dials.colour_bias, 8),
        background=np.where(share[:, 3] < GREY_SHARE, scenery.GREY, ground),
        time=one("time", dials.context_bias, 10),
        weather=one("weather", dials.context_bias, 12),
        location=one("location", dials.context_bias, 14),
    )
