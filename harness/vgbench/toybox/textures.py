"""The textures of Toybox: two-tone periodic patterns, without colours of their own."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from vgbench.toybox.patterns import COARSE, N_COARSE, N_TRAINING, NAMES, NEUTRAL, NOVEL, NUMBER
from vgbench.toybox.random import uniform, words

__all__ = ["COARSE", "NAMES", "NEUTRAL", "NOVEL", "NUMBER", "N_COARSE", "N_TRAINING", "tiles"]

# A tile covers half of an image's side at the mean frequency: 32 px at 64 px, so 4 cells a pixel; patterns repeat 2 to
# 4 times in it, which leaves 4 px and more for each tone. Finer ones were not told apart at 48 px.
TILE = 128
TILES_PER_IMAGE = 2

_Int = NDArray[np.int64]
_Bool = NDArray[np.bool_]


@cache
def tiles(size_px: int) -> NDArray[np.uint8]:
    """Return all tiles softened for images of ``size_px``: (T, TILE, TILE) uint8, 0 first tone, 255 second tone.

    Softening is a box as wide as a pixel, periodic and in integers. A pure function, remembered.
    """
    width = max(TILE * TILES_PER_IMAGE // size_px, 1)
    return np.stack([soften(_tile(name), width) for name in NAMES])


def soften(tile: _Bool, width: int) -> NDArray[np.uint8]:
    """Average a periodic tile over boxes of ``width`` cells: (H, W) bool to (H, W) uint8, 255 where all were set."""
    total = np.zeros(tile.shape, np.int64)
    for dy in range(width):
        for dx in range(width):
            total += np.roll(tile, (dy - width // 2, dx - width // 2), (0, 1))
    return (total * 255 // (width * width)).astype(np.uint8)


def _tile(name: str) -> _Bool:
    y, x = np.arange(TILE)[:, None], np.arange(TILE)[None, :]
    y, x = y + 0 * x, x + 0 * y
    return np.asarray(_PATTERNS[name](x, y))


def _local(x: _Int, n: int) -> _Int:
    """Return the position in a cell of the ``n`` across a tile, from the cell's centre, in 1/64 of its half size."""
    size = TILE // n
    return (x % size * 2 + 1 - size) * 64 // size


def _chance(name: str, n: int) -> NDArray[np.float64]:
    """Return ``n`` fixed deviates in [0, 1) that belong to a pattern's name."""
    seed = 0
    for letter in name.encode():
        seed = (seed * 257 + letter) % (1 << 62)
    return np.asarray(uniform(words(np.array([seed], np.uint64), n))[0])


def _noise(name: str, n: int) -> NDArray[np.float64]:
    """Return periodic value noise with ``n`` knots across: (TILE, TILE) float64."""
    knots = _chance(name, n * n).reshape(n, n)
    at = np.arange(TILE) * n
    i, t = at // TILE, (at % TILE) / TILE
    t = t * t * (3 - 2 * t)
    rows = knots[i] + t[:, None] * (knots[(i + 1) % n] - knots[i])
    return np.asarray(rows[:, i] + t * (rows[:, (i + 1) % n] - rows[:, i]))


def _upper(values: NDArray[np.float64], share: float) -> _Bool:
    """Return where ``values`` are among their largest ``share``."""
    ordered = np.sort(values, axis=None)
    return np.asarray(values > ordered[int(values.size * (1 - share))])


def _centres(name: str, n: int) -> tuple[_Int, _Int]:
    """Return squared distances to the nearest and second nearest of n × n jittered centres, periodic."""
    jitter = (_chance(name, 2 * n * n) * (TILE // n) * 3 / 4).astype(np.int64).reshape(2, n, n)
    y, x = np.arange(TILE)[:, None], np.arange(TILE)[None, :]
    first = np.full((TILE, TILE), TILE * TILE * 2)
    second = first.copy()
    for i in range(n):
        for j in range(n):
            dy = np.abs(y - (i * TILE // n + jitter[0, i, j]))
            dx = np.abs(x - (j * TILE // n + jitter[1, i, j]))
            dy, dx = np.minimum(dy, TILE - dy), np.minimum(dx, TILE - dx)
            d = dx * dx + dy * dy
            second = np.minimum(second, np.maximum(first, d))
            first = np.minimum(first, d)
    return first, second


# ── Patterns: (x, y) cells to True where the second tone is ──────────────────────────────────────


def _dots(x: _Int, y: _Int) -> _Bool:
    u, v = _local(x + (y // 32 % 2) * 16, 4), _local(y, 4)
    return u * u + v * v < 44 * 44


def _rings(x: _Int, y: _Int) -> _Bool:
    u, v = _local(x, 2), _local(y, 2)
    r = u * u + v * v
    return (r < 18 * 18) | ((r > 36 * 36) & (r < 56 * 56))


def _bricks(x: _Int, y: _Int) -> _Bool:
    row = y // 32
    return (y % 32 < 9) | ((x + row % 2 * 32) % 64 < 9)


def _scales(x: _Int, y: _Int) -> _Bool:
    # Rows of parabolic scales, each over the one above; the rim is the second tone.
    tone = np.zeros(x.shape, np.bool_)
    for row in range(-1, 5):
        u, v = (x + row % 2 * 16) % 32 - 16, y - row * 32
        bow = u * u // 16
        tone = np.where((v >= 0) & (u * u + v * v < 34 * 34), (v > 20 - bow) & (v < 34 - bow), tone)
    return tone


def _honeycomb(x: _Int, y: _Int) -> _Bool:
    # Walls where two of the nearest centres are about equally near; two shifted grids of 43 × 64 cells are nearly
    # regular hexagons. In half cells; 5 of them are half a wall.
    near: list[tuple[_Int, _Int]] = []
    for shift in (0, 1):
        u = np.abs((x * 2 + shift * 43) % 86 - 43)
        v = np.abs((y * 2 + shift * 64) % 128 - 64)
        near.append((u * u + v * v, u))
    (first, u), (second, w) = near
    return np.asarray((np.abs(first - second) < 2 * 77 * 5) | (np.where(first < second, u, w) > 43 - 5))


def _waves(x: _Int, y: _Int) -> _Bool:
    # Parabolic arcs for a sine, 64 cells long, 8 high.
    u = x % 64
    arc = np.where(u < 32, u * (32 - u), -(u - 32) * (64 - u)) // 22
    return np.asarray((y + arc) % 32 < 14)


def _tartan(x: _Int, y: _Int) -> _Bool:
    across = (x % 64 < 22) | (x % 64 // 4 == 10)
    down = (y % 64 < 22) | (y % 64 // 4 == 10)
    return np.asarray((across & down) | ((across ^ down) & ((x + y) % 8 < 4)))


def _basket(x: _Int, y: _Int) -> _Bool:
    even = (x // 32 + y // 32) % 2 == 0
    return np.where(even, y % 32 % 11 < 5, x % 32 % 11 < 5)


def _wood(x: _Int, y: _Int) -> _Bool:
    bend = (_noise("wood", 3) * 60).astype(np.int64)
    return (x + bend) % 18 < 7


def _pebbles(x: _Int, y: _Int) -> _Bool:
    first, second = _centres("pebbles", 5)
    return second - first < 230


def _leopard(x: _Int, y: _Int) -> _Bool:
    first, _ = _centres("leopard", 4)
    broken = _noise("leopard", 12) > 0.36
    return (first > 5 * 5) & (first < 12 * 12) & broken


def _bubbles(x: _Int, y: _Int) -> _Bool:
    tone = np.zeros(x.shape, np.bool_)
    for cx, cy, r in (
        (28, 30, 26),
        (88, 24, 18),
        (104, 80, 24),
        (52, 92, 20),
        (12, 84, 12),
        (66, 58, 9),
        (120, 120, 9),
    ):
        dx, dy = np.abs(x - cx), np.abs(y - cy)
        dx, dy = np.minimum(dx, TILE - dx), np.minimum(dy, TILE - dy)
        d = dx * dx + dy * dy
        tone |= (d < r * r) & (d > (r - 6) * (r - 6))
    return tone


def _houndstooth(x: _Int, y: _Int) -> _Bool:
    u, v = x % 64, y % 64
    a, b = u < 32, v < 32
    stripes = (u + v) % 32 < 16
    return (a & b) | ((a ^ b) & stripes)


def _herringbone(x: _Int, y: _Int) -> _Bool:
    left = x // 32 % 2 == 0
    return (np.where(left, y + x, y - x) % 32 < 5) | (x % 32 < 4)


def _crescents(x: _Int, y: _Int) -> _Bool:
    u, v = _local(x + (y // 64 % 2) * 32, 2), _local(y, 2)
    return (u * u + v * v < 50 * 50) & ((u - 22) * (u - 22) + (v + 8) * (v + 8) > 44 * 44)


def _stars(x: _Int, y: _Int) -> _Bool:
    u, v = np.abs(_local(x + (y // 64 % 2) * 32, 2)), np.abs(_local(y, 2))
    return (u * v < 190) & (np.maximum(u, v) < 60)


def _patchwork(x: _Int, y: _Int) -> _Bool:
    # Squares cut along either diagonal, the halves of opposite tones.
    square = (x // 16, y // 16)
    turned = (_chance("patchwork", 64).reshape(8, 8) < 0.5)[square]
    swapped = (_chance("patchwork-tone", 64).reshape(8, 8) < 0.5)[square]
    u, v = x % 16, y % 16
    return np.where(turned, u < v, u + v < 16) ^ swapped


def _arches(x: _Int, y: _Int) -> _Bool:
    u, v = _local(x + (y // 64 % 2) * 32, 2), 64 - y % 64
    r = u * u + v * v
    return (r < 20 * 20) | ((r > 34 * 34) & (r < 50 * 50))


def _cubes(x: _Int, y: _Int) -> _Bool:
    u, v = x % 64, y % 64
    top = np.abs(u - 32) + 2 * np.abs(v - 16) < 32
    return np.asarray(top | ((u < 32) & (2 * v > u + 32) & (2 * v < u + 96) & (v > 16)))


_PATTERNS = {
    "stripes-level": lambda x, y: y % 32 < 15,
    "stripes-upright": lambda x, y: x % 32 < 15,
    "stripes-slanted": lambda x, y: (x + y) % 64 < 30,
    "checks": lambda x, y: (x // 32 + y // 32) % 2 == 0,
    "dots": _dots,
    "rings": _rings,
    "chevrons": lambda x, y: (y + np.abs(x % 64 - 32)) % 43 < 19,
    "bricks": _bricks,
    "grid": lambda x, y: (x % 43 < 12) | (y % 43 < 12),
    "triangles": lambda x, y: np.abs(x % 64 - 32) * 2 < y % 64,
    "scales": _scales,
    "camouflage": lambda x, y: _upper(_noise("camouflage", 6), 0.5),
    "plusses": lambda x, y: (
        (np.minimum(np.abs(_local(x, 2)), np.abs(_local(y, 2))) < 17)
        & (np.maximum(np.abs(_local(x, 2)), np.abs(_local(y, 2))) < 50)
    ),
    "speckles": lambda x, y: _upper(_noise("speckles", 26), 0.4),
    "waves": _waves,
    "honeycomb": _honeycomb,
    "diamonds": lambda x, y: np.abs(x % 64 - 32) + np.abs(y % 64 - 32) < 26,
    "tartan": _tartan,
    "basket": _basket,
    "wood": _wood,
    "pebbles": _pebbles,
    "dashes": lambda x, y: ((x - y) % 32 < 13) & ((x + y) % 64 < 42),
    "nested-squares": lambda x, y: np.maximum(np.abs(_local(x, 2)), np.abs(_local(y, 2))) // 16 % 2 == 1,
    "lattice": lambda x, y: ((x + y) % 32 < 7) | ((x - y) % 32 < 7),
    "pinwheels": lambda x, y: (_local(x, 2) * _local(y, 2) > 0) ^ (np.abs(_local(x, 2)) > np.abs(_local(y, 2))),
    "leopard": _leopard,
    "herringbone": _herringbone,
    "crescents": _crescents,
    "houndstooth": _houndstooth,
    "bubbles": _bubbles,
    "stars": _stars,
    "patchwork": _patchwork,
    "arches": _arches,
    "cubes": _cubes,
}
