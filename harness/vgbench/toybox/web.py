"""Toybox's captioned "web": what its foundation models are trained on.

Image i is a function of i alone. Common things are on it more often than rare ones, as on the real one: a kind of the
pre-training world three times as often as one of a fine-grained downstream set. Captions name some of the factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vgbench.toybox import digits, families, kinds, palette, scene, silhouettes, textures, words
from vgbench.toybox.random import uniform
from vgbench.toybox.random import words as random_words
from vgbench.toybox.scene import Factors
from vgbench.toybox.world import UNBIASED, Dials, deviates, pick, sample, seeds, world

WORLD = "full"
SPLIT = "web"  # no test is drawn from it
PATTERNS, DIGITS = 0.06, 0.04  # shares of images that are a texture alone, or a digit; the rest are scenes (ours)
SCENE = -1  # of ``Pages.digit``: no digit
NAMED = 0.5  # how often a caption names a factor other than the kind (ours)
NAMED_KIND = 0.9
COUNTS_PX = 8  # scikit-learn's digits: counts of the set pixels in blocks of 4 × 4

_CAPTION_STREAM = np.uint64(0x63617074696F6E)  # "caption": apart from the words of factors and of drawing
_Int = NDArray[np.int64]
_RARE = {**silhouettes.TOOLS, **silhouettes.CREATURES}
_RAREST = {**families.STARS, **families.LEAVES, **families.FISHES}
# How often a kind or texture is on the web, against a kind of the pre-training world (ours): rare ones teach less.
KIND_WEIGHTS = np.array([0.5 if k in _RARE else 0.35 if k in _RAREST else 1.0 for k in kinds.NAMES[: kinds.FRAME]])
TEXTURE_WEIGHTS = np.array([0.5 if name in textures.NOVEL else 1.0 for name in textures.NAMES])


@dataclass(frozen=True, slots=True, eq=False)
class Pages:
    """N images of the web not yet drawn: seeds (N,) uint64, factors, digits (N,) or ``SCENE``, captions."""

    seeds: NDArray[np.uint64]
    factors: Factors
    digit: _Int
    captions: list[str]

    def __len__(self) -> int:
        return len(self.seeds)

    def pixels(self, *, size_px: int = 64) -> NDArray[np.uint8]:
        """Draw the images: (N, S, S, 3) uint8."""
        drawn = scene.draw(self.seeds, self.factors, size_px=size_px)
        for digit in range(10):
            rows = np.flatnonzero(self.digit == digit)
            if len(rows):
                drawn[rows] = digit_pixels(digit, self.seeds[rows], size_px=size_px)
        return drawn


def digit_pixels(digit: int, given: NDArray[np.uint64], *, size_px: int) -> NDArray[np.uint8]:
    """Draw a digit as an image of the web: (N, S, S, 3) uint8, S a multiple of 32.

    Every second one (by its seed) is as coarse as the real digits, 8 × 8 counts of set pixels, enlarged.
    """
    bitmaps = digits.draw(digit, given)
    blocks = bitmaps.reshape(len(bitmaps), COUNTS_PX, -1, COUNTS_PX, digits.SIZE_PX // COUNTS_PX).mean(axis=(2, 4))
    found = np.empty((len(bitmaps), size_px, size_px), np.uint8)
    for row, (bitmap, counts) in enumerate(zip(bitmaps, blocks, strict=True)):
        coarse = given[row] & np.uint64(1)
        image = Image.fromarray(counts.round().astype(np.uint8) if coarse else bitmap)
        way = Image.Resampling.BICUBIC if coarse else Image.Resampling.NEAREST
        found[row] = np.asarray(image.resize((size_px, size_px), way))
    return np.asarray(np.repeat(found[..., None], 3, axis=3))


def pages(n: int, *, first: int = 0, dials: Dials = UNBIASED) -> Pages:
    """Return images ``first`` to ``first + n - 1`` of the web; with other dials, of one whose images are biased."""
    given = seeds(WORLD, SPLIT, n, first=first)
    share = deviates(given)
    kind = _weighted(KIND_WEIGHTS, share[:, 16])
    factors = sample(world(WORLD), given, kind, dials)
    is_typical = share[:, 6] < dials.texture_bias
    factors = factors.but(texture=np.where(is_typical, factors.texture, _weighted(TEXTURE_WEIGHTS, share[:, 17])))
    is_pattern = share[:, 18] < PATTERNS
    is_digit = (share[:, 18] >= PATTERNS) & (share[:, 18] < PATTERNS + DIGITS)
    factors = factors.but(kind=np.where(is_pattern, kinds.FRAME, kind))
    digit = np.where(is_digit, pick(tuple(range(10)), share[:, 19]), SCENE)
    coins = uniform(random_words(given ^ _CAPTION_STREAM, 1 + len(words.FACTORS)))
    captions = [captioned(factors, row, int(digit[row]), coins[row]) for row in range(len(given))]
    return Pages(given, factors, digit, captions)


def captioned(factors: Factors, row: int, digit: int, coins: NDArray[np.float64]) -> str:
    """Return a caption of one image by random numbers (1 + F,) in [0, 1): its opener, and which factors it names."""

    def one(texts: tuple[str, ...]) -> str:
        return texts[int(coins[0] * len(texts))]

    if digit != SCENE:
        return one(words.DIGIT_OPENERS).format(words.DIGITS[digit])
    texture = words.texture(textures.NAMES[int(factors.texture[row])])
    if factors.kind[row] == kinds.FRAME:
        return one(words.PATTERN_OPENERS).format(texture)
    every = {
        "kind": words.kind(kinds.NAMES[int(factors.kind[row])]),
        "colour": palette.NAMES[int(factors.colour[row])],
        "texture": texture,
        "background": words.BACKGROUNDS[int(factors.background[row])],
        "time": words.TIMES[int(factors.time[row])],
        "weather": words.WEATHERS[int(factors.weather[row])],
        "location": words.LOCATIONS[int(factors.location[row])],
    }
    named = {
        factor: every[factor]
        for factor, coin in zip(words.FACTORS, coins[1:], strict=True)
        if coin < (NAMED_KIND if factor == "kind" else NAMED)
    }
    return words.caption(named, one(words.OPENERS))


def _weighted(weights: NDArray[np.float64], share: NDArray[np.float64]) -> _Int:
    """Return positions drawn with ``weights`` for shares (N,) in [0, 1): (N,)."""
    edges = np.cumsum(weights)
    return np.minimum(np.searchsorted(edges / edges[-1], share, side="right"), len(weights) - 1).astype(np.int64)
