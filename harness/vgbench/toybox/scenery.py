"""Backgrounds, places and weather of Toybox's scenes: maps of tones, without colours of their own."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from vgbench.toybox.random import uniform, words
from vgbench.toybox.textures import soften

BACKGROUNDS = ("grey", "hills", "skyline", "forest", "mountains", "sea", "room", "shelves", "space")
GREY = 0  # the neutral background: plain, and grey whatever the image's colours
TIMES = ("day", "dawn", "dusk", "night")
WEATHERS = ("clear", "fog", "rain", "snow")
FOG = 1  # the weather that veils evenly
LOCATIONS = ("grass", "pavement", "sand", "fence")

# A background map is wider and higher than what an image shows of it (VIEW), so that the crop is random; it wraps
# around sideways only. All maps: 2 cells a pixel at 64 px.
WIDTH, HEIGHT, VIEW = 256, 176, 128
STRIP = 40  # height of a place's strip at the lower edge, in cells: 20 px of 64
_Bool = NDArray[np.bool_]
_Int = NDArray[np.int64]


@cache
def background_maps(size_px: int) -> NDArray[np.uint8]:
    """Return the backgrounds' maps: (B, HEIGHT, WIDTH, 2) uint8, how much of the second and of the third colour."""
    width = max(VIEW // size_px, 1)
    maps = [np.zeros((HEIGHT, WIDTH, 2), np.uint8)]
    for drawing in (_hills, _skyline, _forest, _mountains, _sea, _room, _shelves, _space):
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
        maps.append(np.stack([soften(tone, width) for tone in drawing(x, y)], axis=-1))
    return np.stack(maps)


@cache
def place_maps(size_px: int) -> NDArray[np.uint8]:
    """Return the places' strips: (L, STRIP, WIDTH, 2) uint8, how much covers the background, and the second colour."""
    width = max(VIEW // size_px, 1)
    y, x = np.mgrid[0:STRIP, 0:WIDTH]
    pad = np.zeros((STRIP, WIDTH), np.bool_)
    strips = []
    for drawing in (_grass, _pavement, _sand, _fence):
        tones = []
        for tone in drawing(x, y):
            # The strip wraps sideways only: below it the last row goes on, above it is nothing.
            tall = np.concatenate((pad, tone, np.repeat(tone[-1:], STRIP, axis=0)))
            tones.append(soften(tall, width)[STRIP : 2 * STRIP])
        strips.append(np.stack(tones, axis=-1))
    return np.stack(strips)


@cache
def weather_maps(size_px: int) -> NDArray[np.uint8]:
    """Return how much the weather covers a cell: (W, VIEW, VIEW) uint8, periodic; 255 is all of its strength."""
    width = max(VIEW // size_px, 1)
    y, x = np.mgrid[0:VIEW, 0:VIEW]
    fog = np.ones((VIEW, VIEW), np.bool_)
    rain = np.zeros((VIEW, VIEW), np.bool_)
    snow = np.zeros((VIEW, VIEW), np.bool_)
    for px, py in (_chance("rain", 2 * 22).reshape(2, -1) * VIEW).astype(np.int64).T:
        dx, dy = (x - px) % VIEW, (y - py) % VIEW
        rain |= (dy < 26) & ((dx + dy // 3) % VIEW < 2)
    for px, py in (_chance("snow", 2 * 30).reshape(2, -1) * VIEW).astype(np.int64).T:
        dx, dy = (x - px + 8) % VIEW - 8, (y - py + 8) % VIEW - 8
        snow |= dx * dx + dy * dy < 10
    return np.stack([soften(tone, width) for tone in (fog & False, fog, rain, snow)])


def _chance(name: str, n: int) -> NDArray[np.float64]:
    """Return ``n`` fixed deviates in [0, 1) that belong to a drawing's name."""
    seed = np.array([int.from_bytes(name.encode()[:7], "big")], np.uint64)
    return np.asarray(uniform(words(seed, n))[0])


def _ridge(x: _Int, name: str, n: int, low: int, high: int, *, sharp: bool) -> _Int:
    """Return a periodic skyline of ``n`` knots: heights in cells from the top, between ``low`` and ``high``."""
    knots = low + _chance(name, n) * (high - low)
    at = x * n
    i, t = at // WIDTH, (at % WIDTH) / WIDTH
    if not sharp:
        t = t * t * (3 - 2 * t)
    return np.asarray(knots[i] + t * (knots[(i + 1) % n] - knots[i])).astype(np.int64)


# ── Backgrounds: (x, y) cells to where the second and where the third colour is ──────────────────


def _hills(x: _Int, y: _Int) -> tuple[_Bool, _Bool]:
    far = y > _ridge(x, "hills-far", 6, 50, 80, sharp=False)
    near = y > _ridge(x, "hills-near", 4, 92, 128, sharp=False)
    sun = np.zeros(x.shape, np.bool_)
    for cx in (50, 180):
        sun |= (x - cx) * (x - cx) + (y - 30) * (y - 30) < 14 * 14
    return far, near | sun


def _skyline(x: _Int, y: _Int) -> tuple[_Bool, _Bool]:
    block = x // 16
    top = (30 + _chance("skyline", 16) * 70).astype(np.int64)[block]
    towers = (y > top) & (x % 16 < 15)
    windows = towers & (x % 16 % 5 > 2) & (y % 8 < 4) & (y > top + 5)
    return towers, windows


def _forest(x: _Int, y: _Int) -> tuple[_Bool, _Bool]:
    trunk = np.zeros(x.shape, np.bool_)
    crown = np.zeros(x.shape, np.bool_)
    jitter = (_chance("forest", 16) * 14).astype(np.int64)
    for i in range(8):
        cx, top = i * 32 + int(jitter[i]), 20 + 3 * int(jitter[8 + i])
        dx = np.abs((x - cx + 128) % 256 - 128)
        trunk |= (dx < 4) & (y > top + 60)
        for tier in range(3):
            down = y - (top + 22 * tier)
            crown |= (down > 0) & (down < 34) & (dx * 2 < down)
    return crown, trunk & ~crown


def _mountains(x: _Int, y: _Int) -> tuple[_Bool, _Bool]:
    top = _ridge(x, "mountain", 10, 20, 100, sharp=True)
    return y > top, (y > top) & (y < top + 12) & (top < 70)


def _sea(x: _Int, y: _Int) -> tuple[_Bool, _Bool]:
    water = y > 62
    u = (x + y // 14 % 2 * 16) % 32
    arc = np.where(u < 16, u * (16 - u), 0) // 10
    crest = water & ((y + arc) % 14 < 3) & (u < 26)
    return water, crest


def _room(x: _Int, y: _Int) -> tuple[_Bool, _Bool]:
    floor = y > 112
    boards = floor & (((x + (y - 112) // 16 % 2 * 24) % 48 < 2) | ((y - 112) % 16 < 2))
    u, v = x % 128 - 64, y - 52
    frame = (np.abs(u) < 34) & (np.abs(v) < 34)
    glass = (np.abs(u) < 30) & (np.abs(v) < 30) & (np.abs(u) > 1) & (np.abs(v) > 1)
    return floor | (frame & ~glass), boards | glass


def _shelves(x: _Int, y: _Int) -> tuple[_Bool, _Bool]:
    row = y // 44
    book = x // 8
    chance = _chance("shelves", 4 * 32).reshape(4, 32)
    height = (14 + chance * 20).astype(np.int64)[row % 4, book]
    books = (y % 44 > 38 - height) & (y % 44 <= 38) & (x % 8 < 7)
    board = y % 44 > 38
    other = (chance * 64).astype(np.int64)[row % 4, book] % 2 == 0
    return board | (books & other), books & ~other


def _space(x: _Int, y: _Int) -> tuple[_Bool, _Bool]:
    dots = np.zeros(x.shape, np.bool_)
    planets = np.zeros(x.shape, np.bool_)
    for px, py in (_chance("dots", 2 * 110).reshape(2, -1) * WIDTH).astype(np.int64).T:
        dots |= np.abs(x - px) + np.abs(y - py) < 3
    for cx, cy, r in ((40, 40, 18), (120, 110, 14), (200, 50, 12), (220, 140, 20), (70, 140, 10)):
        u, v = x - cx, y - cy
        planets |= u * u + v * v < r * r
        planets |= (np.abs(v * 3 + u) < 5) & (u * u + v * v < 3 * r * r)
    return planets, dots & ~planets


# ── Places: (x, y) cells of the strip to where it is, and where its second colour is ─────────────


def _grass(x: _Int, y: _Int) -> tuple[_Bool, _Bool]:
    blade = (_chance("grass", 64) * 16).astype(np.int64)[x // 4]
    lean = np.abs(x % 8 - 4) * 3
    return y > 4 + blade // 2 + lean // 2, (x % 8 < 2) & (y > 16 + blade)


def _pavement(x: _Int, y: _Int) -> tuple[_Bool, _Bool]:
    slab = (x + y // 14 % 2 * 16) % 32
    return y > 10, (y > 10) & ((slab < 3) | (y % 14 > 11))


def _sand(x: _Int, y: _Int) -> tuple[_Bool, _Bool]:
    u = x % 64
    dune = np.where(u < 32, u * (32 - u), 0) // 24
    grains = np.zeros(x.shape, np.bool_)
    for px, py in (_chance("sand", 2 * 120).reshape(2, -1) * WIDTH).astype(np.int64).T:
        grains |= np.abs(x - px) + np.abs(y - py % STRIP) < 3
    return y > 14 - dune // 2 + 4, grains & (y > 20)


def _fence(x: _Int, y: _Int) -> tuple[_Bool, _Bool]:
    u = x % 20 - 10
    picket = (np.abs(u) < 7) & (y > np.abs(u))
    rail = (y % 20 > 12) & (y % 20 < 18)
    return picket | rail, rail & ~picket
