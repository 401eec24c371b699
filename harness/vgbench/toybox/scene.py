"""Draw Toybox's scenes: one object before a background, from explicit factors, the same pixels on every machine.

An image is a function of (its seed, its factors, the style, its size) and of nothing else. All words of the random
stream are drawn for every image in one fixed order, so images of equal seeds share pose, colours' levels, crops and
noise whatever their factors: changing one factor changes nothing else. Up to the pixels only + - × / √, comparisons,
minima, maxima and integers are used, each rounded exactly by IEEE 754; a test refuses anything else here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from vgbench.toybox import atlas, kinds, palette, scenery, textures
from vgbench.toybox.random import bell, octets, uniform, words

SIZES_PX = (32, 48, 64)
MAX_DIAL = 2.0

_Int = NDArray[np.int64]
_Float = NDArray[np.float64]
_Float32 = NDArray[np.float32]
_F = np.float32


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """What N images show: integer arrays (N,), each a position in the names of its module.

    kind        ``kinds.NAMES``
    texture     ``textures.NAMES``
    colour      ``palette.NAMES``: hue of the body's first tone
    background  ``scenery.BACKGROUNDS``, 0 is plain grey
    time, weather, location  ``scenery.TIMES``, ``WEATHERS``, ``LOCATIONS``: together the *context*
    """

    kind: _Int
    texture: _Int
    colour: _Int
    background: _Int
    time: _Int
    weather: _Int
    location: _Int

    def __post_init__(self) -> None:
        n = len(self.kind)
        for name, size in SIZES.items():
            given = getattr(self, name)
            if given.shape != (n,) or given.dtype.kind not in "iu":
                raise ValueError(f"{name}: shape {given.shape}, {given.dtype}; ({n},) integers are needed")
            if n and not (given.min() >= 0 and given.max() < size):
                raise ValueError(f"{name}: from {given.min()} to {given.max()}; it has the values 0 to {size - 1}")

    def __len__(self) -> int:
        return len(self.kind)

    def __getitem__(self, rows: slice | NDArray[np.intp] | NDArray[np.bool_]) -> Factors:
        return Factors(**{name: getattr(self, name)[rows] for name in SIZES})

    def but(self, **changed: _Int) -> Factors:
        """Return these factors with some of them replaced."""
        return replace(self, **changed)


SIZES: dict[str, int] = {
    "kind": len(kinds.NAMES),
    "texture": len(textures.NAMES),
    "colour": len(palette.NAMES),
    "background": len(scenery.BACKGROUNDS),
    "time": len(scenery.TIMES),
    "weather": len(scenery.WEATHERS),
    "location": len(scenery.LOCATIONS),
}


@dataclass(frozen=True, slots=True)
class Style:
    """Placebo dials of the drawing: 1 is the default strength, 0 switches a source of variation off, 2 is the most.

    pose_range  rotation (±20° at 1), shift, aspect and deformation of the object
    occlusion   share of images in which a bar lies before the object (a quarter at 1)
    noise       grain added to every pixel (±6 of 255 at 1)
    """

    pose_range: float = 1.0
    occlusion: float = 1.0
    noise: float = 1.0

    def __post_init__(self) -> None:
        for dial in fields(self):
            value = getattr(self, dial.name)
            if not 0.0 <= value <= MAX_DIAL:
                raise ValueError(f"{dial.name}={value!r}: a dial is a number from 0 to {MAX_DIAL:g}")


DEFAULT_STYLE = Style()

# ── Nuisances ────────────────────────────────────────────────────────────────────────────────────
# Ranges after the trial of the calibration (large objects, gentle weather, nearly upright textures), where a small
# network reaches .9 on 16 kinds with 6,000 images and yet answers every dial.

_SCALE = (0.68, 0.95)  # half size of the object, as a share of half the image
_TURN = 0.176  # tangent of half of 20°
_ASPECT = 0.11  # stretching of width against height: 0.8 to 1.25
_SHIFT = 0.6  # of the room that the object's scale leaves
_BEND = 0.045  # standard deviation of each term of the deformation, in half sizes
_BENDS = 6
_TEXTURE_TURN = 0.044  # tangent of half of 5°
_TEXTURE_FREQUENCY = (0.86, 1.18)  # a wider range, like a freer turn, weakens the texture's dial
_BAR = (0.06, 0.13)  # half width of the occluding bar, in half images
_BAR_SHARE = 0.25
_FOG, _DROPS = (0.25, 0.42), (0.45, 0.7)  # strength of fog; of rain and snow
_NOISE = 6.0
# What the time of day multiplies red, green and blue with, before jitter; and where its light comes from, since tints
# alone are lost among random hues: brightness gained from the middle to the upper edge, and lost to the corners. Both
# survive the mirroring that training adds.
_LIGHT = np.array([(1.0, 1.0, 1.0), (1.0, 0.84, 0.86), (0.95, 0.72, 0.55), (0.6, 0.66, 0.92)], np.float32)
_FROM_ABOVE = np.array([0.0, 0.28, -0.28, 0.0], np.float32)
_TO_CORNERS = np.array([0.0, 0.0, 0.0, 0.3], np.float32)
_WEATHER_COLOUR = np.array([(0, 0, 0), (200, 204, 208), (176, 196, 220), (250, 250, 250)], np.float32)
_BODY, _SECOND, _INK, _GROUND, _PLACE, _BAR_COLOUR = 0, 1, 2, 3, 6, 8  # _GROUND has three colours, _PLACE two
_COLOURS = 9
# How far a further tone of a texture, the ground or the place lies from the first one: less than the ink does, that
# outlines stand out; by eye, and a texture's high enough that its dial is answered.
_CONTRAST = {_BODY: 0.8, _GROUND: 0.6, _PLACE: 0.6}
_GREY = 132.0  # of the neutral background, before jitter
_JITTER = 14.0  # of each colour's channels, at most
_N_UNIFORM = 26
_N_FIRST = _N_UNIFORM + _BENDS + _COLOURS + 4


class _Of(IntEnum):
    """What each of an image's 26 uniform deviates decides."""

    SCALE = 0
    MIRROR = 1
    SHIFT_X = 2
    SHIFT_Y = 3
    LEVELS = 4  # three: of the object's colours, the ground's, the place's and the bar's
    TEXTURE_ZOOM = 7
    TEXTURE_X = 8
    TEXTURE_Y = 9
    GROUND_X = 10
    GROUND_Y = 11
    GROUND_MIRROR = 12
    PLACE_X = 13
    BAR = 14
    BAR_WIDTH = 15
    VEIL = 16
    VEIL_Y = 17
    VEIL_X = 18
    LIGHT = 19
    TURN = 20
    TEXTURE_TURN = 21
    BAR_TURN = 22
    BAR_PLACE = 23
    STRETCH = 24
    SPARE = 25


def n_words(size_px: int) -> int:
    """Return how many random words an image of ``size_px`` uses: a function of its size only."""
    return _N_FIRST + size_px * size_px // 8


@dataclass(frozen=True, slots=True, eq=False)
class _Draws:
    """All that chance decides about N images, in the order of the stream; the same for all factors and styles."""

    share: _Float  # (N, 26) in [0, 1), see _Of
    bends: _Float  # (N, 6) bell
    hue: _Float  # (N, 9) in [0, 1)
    jitter: _Float32  # (N, 32) in [-1, 1)
    noise: _Float32  # (N, S, S) in [-1, 1)


def _draws(seeds: NDArray[np.uint64], size_px: int) -> _Draws:
    bits = words(seeds, n_words(size_px))
    first, second = _N_UNIFORM + _BENDS, _N_UNIFORM + _BENDS + _COLOURS
    grain = octets(bits[:, _N_FIRST:]).reshape(-1, size_px, size_px)
    return _Draws(
        share=uniform(bits[:, :_N_UNIFORM]),
        bends=bell(bits[:, _N_UNIFORM:first]),
        hue=uniform(bits[:, first:second]),
        jitter=_symmetric(octets(bits[:, second:_N_FIRST])),
        noise=_symmetric(grain),
    )


def _symmetric(bytes_: NDArray[np.uint8]) -> _Float32:
    return (bytes_.astype(np.float32) - _F(127.5)) / _F(128)


# ── Drawing ──────────────────────────────────────────────────────────────────────────────────────

_BATCH = 16  # images drawn together: their float32 planes stay in the processor's cache
_CHUNK = 256  # images whose random words are held together


def draw(
    seeds: NDArray[np.uint64],
    factors: Factors,
    *,
    size_px: int = 64,
    style: Style = DEFAULT_STYLE,
    with_object: bool = True,
) -> NDArray[np.uint8]:
    """Draw one image for each of ``seeds`` (N,) uint64 and ``factors`` of length N: (N, S, S, 3) uint8 sRGB.

    ``with_object=False`` leaves the object (and the bar before it) out: what a background-only observer sees.
    Raises ``ValueError`` for another size or unequal lengths, ``TypeError`` for seeds of another type.
    """
    if size_px not in SIZES_PX:
        raise ValueError(f"size_px={size_px}: Toybox draws scenes of {', '.join(map(str, SIZES_PX))} px")
    if len(seeds) != len(factors):
        raise ValueError(f"{len(seeds)} seeds for {len(factors)} images")
    pixels = np.empty((len(seeds), size_px, size_px, 3), np.uint8)
    # Images of one kind read one map: drawn together it stays in the cache. Which others are beside changes nothing.
    order = np.argsort(factors.kind, kind="stable")
    for start in range(0, len(seeds), _CHUNK):
        rows = order[start : start + _CHUNK]
        draws = _draws(seeds[rows], size_px)
        chosen = factors[rows]
        for first in range(0, len(rows), _BATCH):
            part = slice(first, first + _BATCH)
            pixels[rows[part]] = _render(
                draws, part, chosen[part], size_px=size_px, style=style, with_object=with_object
            )
    return pixels


def _column(values: _Float | _Float32) -> _Float32:
    """Return (N,) as (N, 1, 1) float32, to be spread over pixels."""
    return values.astype(np.float32)[:, None, None]


def _between(limits: tuple[float, float], share: _Float) -> _Float:
    return limits[0] + (limits[1] - limits[0]) * share


def _turn(t: _Float) -> tuple[_Float32, _Float32]:
    """Return cosine and sine of the angle whose half has the tangent ``t``."""
    return _column((1 - t * t) / (1 + t * t)), _column(2 * t / (1 + t * t))


def _axes(size_px: int) -> tuple[_Float32, _Float32]:
    """Return the pixels' centres in half images from the middle, x right (1, 1, S) and y down (1, S, 1)."""
    axis = (np.arange(size_px, dtype=np.float32) * _F(2) + _F(1 - size_px)) / _F(size_px)
    return axis[None, None, :], axis[None, :, None]


def _unit(plane: _Float32) -> _Float32:
    """Clip to 0..1 in place."""
    np.maximum(plane, _F(0), out=plane)
    return np.minimum(plane, _F(1), out=plane)


def _colours(draws: _Draws, part: slice, factors: Factors) -> _Float32:
    """Return each image's colours: (N, 9, 3) float32. Every part draws from all hues and, in turn, all levels.

    Were one part always dark, say, the amount of dark pixels would tell the kinds apart without their shapes.
    """
    share = draws.share[part]
    n = len(share)
    orders = palette.ORDERS[(share[:, _Of.LEVELS : _Of.LEVELS + 3] * len(palette.ORDERS)).astype(np.int64)]
    # body, second, ink · three of the ground · place, place, bar. The ground is of another level than the ink, so that
    # the object's outline is seen.
    orders[:, 1] = np.where((orders[:, 1, :1] == orders[:, 0, 2:]), orders[:, 1][:, [1, 0, 2]], orders[:, 1])
    level = orders.reshape(n, _COLOURS)
    hue = (draws.hue[part] * len(palette.NAMES)).astype(np.int64)
    hue[:, _BODY] = factors.colour
    colours = palette.table()[hue, level]
    is_grey = factors.background == scenery.GREY
    colours[:, _GROUND : _GROUND + 3] = np.where(is_grey[:, None, None], _F(_GREY), colours[:, _GROUND : _GROUND + 3])
    jitter = draws.jitter[part, : 3 * _COLOURS].reshape(n, _COLOURS, 3)
    colours = np.asarray(colours + jitter * _F(_JITTER), np.float32)
    for base, others in ((_BODY, [_SECOND]), (_GROUND, [_GROUND + 1, _GROUND + 2]), (_PLACE, [_PLACE + 1])):
        for other in others:
            colours[:, other] = colours[:, base] + _F(_CONTRAST[base]) * (colours[:, other] - colours[:, base])
    return colours


_Layers = list[tuple[_Float32, int]]  # how much of each pixel is covered (N, S, S), by which colour


def _render(
    draws: _Draws, part: slice, factors: Factors, *, size_px: int, style: Style, with_object: bool
) -> NDArray[np.uint8]:
    """Draw a slice of a chunk: (N, S, S, 3) uint8."""
    share = draws.share[part]
    layers = _backdrop(share, factors, size_px)
    if with_object:
        layers += _object(share, draws.bends[part], factors, size_px, style)
    colours = _colours(draws, part, factors)
    veil, veil_colour = _veil(share, factors, size_px), _WEATHER_COLOUR[factors.weather]
    x, y = _axes(size_px)
    shade = _F(1) - y * _column(_FROM_ABOVE[factors.time]) - (x * x + y * y) * _column(_TO_CORNERS[factors.time])
    light = _LIGHT[factors.time] * (_F(1) - _F(0.08) * share[:, _Of.LIGHT, None].astype(np.float32))
    noise = draws.noise[part] * _F(_NOISE * style.noise)
    image = np.empty((len(share), size_px, size_px, 3), np.uint8)
    for channel in range(3):
        plane = np.empty((len(share), size_px, size_px), np.float32)
        plane[...] = _column(colours[:, _GROUND, channel])
        for cover, colour in layers:
            plane += cover * (_column(colours[:, colour, channel]) - plane)
        plane *= shade * _column(light[:, channel])
        plane += veil * (_column(veil_colour[:, channel]) - plane)
        plane += noise
        np.floor(plane + _F(0.5), out=plane)
        np.maximum(plane, _F(0), out=plane)
        image[..., channel] = np.minimum(plane, _F(255), out=plane)
    return image


def _cells(size_px: int, cells: int, start: _Float) -> _Int:
    """Return which cells of a map of ``cells`` across an image its pixels show: (N, S), the first at ``start`` (N,)."""
    steps = (np.arange(size_px) * 2 + 1) * cells // (2 * size_px)
    return np.asarray(steps + start.astype(np.int64)[:, None])


def _backdrop(share: _Float, factors: Factors, size_px: int) -> _Layers:
    """Return the layers of the background and, over its lower edge, of the place."""
    col = _cells(size_px, scenery.VIEW, share[:, _Of.GROUND_X] * scenery.WIDTH) % scenery.WIDTH
    col = np.where(share[:, _Of.GROUND_MIRROR, None] < 0.5, col, col[:, ::-1])
    row = _cells(size_px, scenery.VIEW, share[:, _Of.GROUND_Y] * (scenery.HEIGHT - scenery.VIEW + 1))
    maps = scenery.background_maps(size_px)
    seen = maps[factors.background[:, None, None], row[:, :, None], col[:, None, :]].astype(np.float32) / _F(255)
    high = scenery.STRIP * size_px // scenery.VIEW  # of the strip, in pixels
    col = _cells(size_px, scenery.VIEW, share[:, _Of.PLACE_X] * scenery.WIDTH) % scenery.WIDTH
    row = np.arange(high) * scenery.VIEW // size_px
    strips = scenery.place_maps(size_px)
    strip = strips[factors.location[:, None, None], row[None, :, None], col[:, None, :]].astype(np.float32) / _F(255)
    place = np.zeros((len(share), size_px, size_px, 2), np.float32)
    place[:, size_px - high :] = strip
    return [
        (seen[..., 0].copy(), _GROUND + 1),
        (seen[..., 1].copy(), _GROUND + 2),
        (place[..., 0].copy(), _PLACE),
        (place[..., 0] * place[..., 1], _PLACE + 1),
    ]


def _veil(share: _Float, factors: Factors, size_px: int) -> _Float32:
    """Return how much the weather hides of each pixel: (N, S, S)."""
    row = _cells(size_px, scenery.VIEW, share[:, _Of.VEIL_Y] * scenery.VIEW) % scenery.VIEW
    col = _cells(size_px, scenery.VIEW, share[:, _Of.VEIL_X] * scenery.VIEW) % scenery.VIEW
    maps = scenery.weather_maps(size_px)
    veil = maps[factors.weather[:, None, None], row[:, :, None], col[:, None, :]].astype(np.float32)
    is_fog = factors.weather == scenery.FOG
    strength = np.where(is_fog, _between(_FOG, share[:, _Of.VEIL]), _between(_DROPS, share[:, _Of.VEIL]))
    veil *= _column(strength / 255)
    return veil


def _object(share: _Float, bends: _Float, factors: Factors, size_px: int, style: Style) -> _Layers:
    """Return the layers of the object and of the bar that may lie before it."""
    x, y = _axes(size_px)
    scale = _between(_SCALE, share[:, _Of.SCALE])
    whole, ink, second, plain = _covers(x, y, scale, share, bends, factors, size_px, style)
    # The texture turns, shrinks and shifts, but little: a texture that turns freely is no cue at this size.
    cosine, sine = _turn(_TEXTURE_TURN * (share[:, _Of.TEXTURE_TURN] * 2 - 1))
    zoom = _column(
        _between(_TEXTURE_FREQUENCY, share[:, _Of.TEXTURE_ZOOM]) * (textures.TILE * textures.TILES_PER_IMAGE / 2)
    )
    u = (x * cosine + y * sine) * zoom + _column(share[:, _Of.TEXTURE_X] * textures.TILE)
    v = (y * cosine - x * sine) * zoom + _column(share[:, _Of.TEXTURE_Y] * textures.TILE)
    tile = factors.texture[:, None, None] * textures.TILE + (np.floor(v).astype(np.int64) & (textures.TILE - 1))
    tiles = textures.tiles(size_px).reshape(-1)
    cell = tile * textures.TILE + (np.floor(u).astype(np.int64) & (textures.TILE - 1))
    tone = tiles[cell].astype(np.float32) / _F(255)
    tone += second * (_F(1) - tone)
    tone -= plain * tone
    tone *= whole
    ink *= whole
    # The bar: a stripe at any angle through the middle part of the image, in some images.
    cosine, sine = _turn(share[:, _Of.BAR_TURN] * 2 - 1)
    half = np.where(share[:, _Of.BAR] < _BAR_SHARE * style.occlusion, _between(_BAR, share[:, _Of.BAR_WIDTH]), -1.0)
    bar = np.abs(x * cosine + y * sine - _column((share[:, _Of.BAR_PLACE] - 0.5) * 1.1))
    bar = _unit((_column(half) - bar) * _F(size_px / 2) + _F(0.5))
    return [(whole, _BODY), (tone, _SECOND), (ink, _INK), (bar, _BAR_COLOUR)]


def _covers(
    x: _Float32,
    y: _Float32,
    scale: _Float,
    share: _Float,
    bends: _Float,
    factors: Factors,
    size_px: int,
    style: Style,
) -> list[_Float32]:
    """Return how much of each pixel lies inside each of the four regions of an object's map, (N, S, S) each."""
    room = (1 - scale) * _SHIFT * style.pose_range
    cosine, sine = _turn(_TURN * style.pose_range * (share[:, _Of.TURN] * 2 - 1))
    stretch = 1 + _ASPECT * style.pose_range * (share[:, _Of.STRETCH] * 2 - 1)
    side = np.where(share[:, _Of.MIRROR] < 0.5, 1.0, -1.0)  # mirrored or not
    dx = x - _column(room * (share[:, _Of.SHIFT_X] * 2 - 1))
    dy = y - _column(room * (share[:, _Of.SHIFT_Y] * 2 - 1))
    u = (dx * cosine + dy * sine) * _column(side / (scale * stretch))
    v = (dy * cosine - dx * sine) * _column(stretch / scale)
    # A smooth deformation: the terms of second order, and two of third that leave the corners where they are.
    b = [_column(bends[:, i] * (_BEND * style.pose_range)) for i in range(_BENDS)]
    bent_u = u + b[0] * v * v + b[1] * u * v + b[2] * v * (v * v - _F(1))
    bent_v = v + b[3] * u * u + b[4] * u * v + b[5] * u * (u * u - _F(1))
    per_half = atlas.GRID / (2 * atlas.REACH)
    cells = []
    for at in (bent_u, bent_v):
        at = np.floor((at + _F(atlas.REACH)) * _F(per_half))
        cells.append(np.minimum(np.maximum(at, _F(0)), _F(atlas.GRID - 1)).astype(np.int64))
    used, which = np.unique(factors.kind, return_inverse=True)
    cell = (which.reshape(-1, 1, 1) * atlas.GRID + cells[1]) * atlas.GRID + cells[0]
    # Four int8 distances are read as one word: one look-up instead of four.
    maps = np.stack([atlas.distance_map(int(kind)) for kind in used]).reshape(-1, 4).view(np.uint32)[:, 0]
    distances = maps[cell].view(np.int8).reshape(*cell.shape, 4)
    per_px = _column(scale * (size_px / 2) * atlas.STEP)
    return [_unit(_F(0.5) - distances[..., region].astype(np.float32) * per_px) for region in range(4)]
