"""Turn an object kind's text into a map of signed distances that images are sampled from."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vgbench.toybox.kinds import SHAPES

# 1/100 of an object's half size a cell: at 64 px an object's pixel is at least 3 cells wide, so that the nearest cell
# moves an edge by less than a fifth of a pixel.
GRID = 256
REACH = 1.25  # the map covers -REACH..REACH of the half size: room for deformation
STEP = 1.0 / 1000  # of a stored distance; int8 then reaches ±0.127, more than the softened edge of a 32 px image
OUTSIDE, BODY, SECOND, LIGHT = 0, 1, 2, 3
OUTLINE = 0.055  # width of the ink along edges and seams, in half sizes: about 1.4 px at 64 px; by eye
_SEAM = 0.035
_STEPS = 6  # straight segments of a curve between two points: finer is not seen at 64 px
_ROUND = 24  # sides of an ellipse, likewise

_Float = NDArray[np.float32]
_Points = list[tuple[float, float]]


@cache
def distance_map(kind: int) -> NDArray[np.int8]:
    """Return a kind's map: (GRID, GRID, 4) int8 signed distances in STEPs, negative inside.

    Channels: the silhouette · ink · second tone · plain body colour. A pure function of its argument, remembered
    because it costs 20 to 60 ms.
    """
    text = SHAPES[kind]
    whole, ink, second, light = (np.full((GRID, GRID), 9.0, np.float32) for _ in range(4))
    seam = np.full((GRID, GRID), 9.0, np.float32)
    for role, form, numbers in _parts(text):
        d = _distance(form, numbers)
        if role == "c":
            whole, second, light, ink = (np.maximum(plane, -d) for plane in (whole, second, light, ink))
            seam = np.maximum(seam, -d)
        elif role == "i":
            ink, light = np.minimum(ink, d), np.maximum(light, -d)
        elif role == "l":
            light, ink = np.minimum(light, d), np.maximum(ink, -d)
            seam = np.maximum(seam, -d)
        else:
            # A part hides what lies under it, and leaves a line where it meets another.
            edge = np.maximum(np.abs(d) - np.float32(_SEAM), whole)
            ink, seam, light = (np.maximum(plane, -d) for plane in (ink, seam, light))
            seam = np.minimum(seam, edge)
            whole = np.minimum(whole, d)
            second = np.minimum(second, d) if role == "s" else np.maximum(second, -d)
    # Seams between two parts of one tone would cut a body that is drawn as a union; only changes of tone are inked.
    seam = np.maximum(seam, np.abs(second) - np.float32(_SEAM))
    ink = np.minimum(np.minimum(ink, seam), -whole - np.float32(OUTLINE))
    planes = np.stack((whole, ink, second, light), axis=-1) / np.float32(STEP)
    return np.clip(np.floor(planes + np.float32(0.5)), -127, 127).astype(np.int8)


def _parts(text: str) -> list[tuple[str, str, list[str]]]:
    """Split a kind's text into parts: (role, form, numbers); a line without a role goes on with the one before."""
    parts: list[tuple[str, str, list[str]]] = []
    for line in text.split("\n"):
        words = line.split()
        if words and words[0] in ("b", "s", "l", "i", "c"):
            parts.append((words[0], words[1], words[2:]))
        elif words:
            parts[-1][2].extend(words)
    return parts


def _distance(form: str, numbers: list[str]) -> _Float:
    """Return the signed distance of every cell to a part, negative inside: (GRID, GRID) float32."""
    if form in ("k", "n"):
        half, points = float(numbers[0]) / 200, numbers[1:]
        line = _curve(points, closed=False) if form == "n" else [_point(p) for p in points]
        return _to_segments(line) - np.float32(half)
    if form == "e":
        (cx, cy), (rx, ry) = _point(numbers[0]), _point(numbers[1])
        ring = [(cx + rx * x, cy + ry * y) for x, y in _circle()]
    else:
        ring = _curve(numbers, closed=True) if form == "o" else [_point(p) for p in numbers]
    far = _to_segments([*ring, ring[0]])
    return np.where(_inside(ring), -far, far)


def _point(text: str) -> tuple[float, float]:
    x, y = text.removesuffix("/").split(",")
    return float(x) / 100, float(y) / 100


def _circle() -> _Points:
    """Return points of the unit circle by its rational parametrisation: no sine is rounded alike everywhere."""
    quarter = []
    for i in range(_ROUND // 4):
        t = i * 4 / _ROUND
        quarter.append(((1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)))
    return [
        *quarter,
        *((-y, x) for x, y in quarter),
        *((-x, -y) for x, y in quarter),
        *((y, -x) for x, y in quarter),
    ]


def _curve(texts: list[str], *, closed: bool) -> _Points:
    """Return a Catmull-Rom curve through the points, in straight pieces; "/" after a point makes a corner."""
    points = [_point(text) for text in texts]
    corner = [text.endswith("/") for text in texts]
    n = len(points)
    curve: _Points = []
    for i in range(n if closed else n - 1):
        j = (i + 1) % n
        # At a corner or an open end the point serves as its own neighbour.
        before = points[i] if corner[i] or (not closed and i == 0) else points[i - 1]
        after = points[j] if corner[j] or (not closed and j == n - 1) else points[(j + 1) % n]
        if corner[i] and corner[j]:
            curve.append(points[i])
            continue
        for step in range(_STEPS):
            t = step / _STEPS
            w0 = (-t + 2 * t * t - t * t * t) / 2
            w1 = (2 - 5 * t * t + 3 * t * t * t) / 2
            w2 = (t + 4 * t * t - 3 * t * t * t) / 2
            w3 = (-t * t + t * t * t) / 2
            (ax, ay), (bx, by), (cx, cy), (dx, dy) = before, points[i], points[j], after
            curve.append((w0 * ax + w1 * bx + w2 * cx + w3 * dx, w0 * ay + w1 * by + w2 * cy + w3 * dy))
    return curve if closed else [*curve, points[-1]]


def _axis() -> _Float:
    return ((np.arange(GRID, dtype=np.float32) + np.float32(0.5)) / np.float32(GRID / 2) - 1) * np.float32(REACH)


def _to_segments(line: _Points) -> _Float:
    """Return every cell's distance to a line of straight pieces: (GRID, GRID) float32."""
    x, y = _axis()[None, :], _axis()[:, None]
    nearest = np.full((GRID, GRID), 81.0, np.float32)
    for (ax, ay), (bx, by) in pairwise(line):
        vx, vy = bx - ax, by - ay
        length = max(vx * vx + vy * vy, 1e-9)  # a piece may be a point
        dx, dy = x - np.float32(ax), y - np.float32(ay)
        t = np.clip(dx * np.float32(vx / length) + dy * np.float32(vy / length), np.float32(0), np.float32(1))
        across, down = dx - t * np.float32(vx), dy - t * np.float32(vy)
        nearest = np.minimum(nearest, across * across + down * down)
    return np.sqrt(nearest)


def _inside(ring: _Points) -> NDArray[np.bool_]:
    """Return which cells lie inside a ring, by the parity of its crossings: (GRID, GRID)."""
    x, y = _axis()[None, :], _axis()[:, None]
    inside = np.zeros((GRID, GRID), np.bool_)
    for (ax, ay), (bx, by) in pairwise([*ring, ring[0]]):
        if ay == by:
            continue
        spans = (y < np.float32(ay)) != (y < np.float32(by))
        at = np.float32(ax) + (y - np.float32(ay)) * np.float32((bx - ax) / (by - ay))
        inside ^= spans & (x < at)
    return inside
