"""Draw handwritten-looking digits as 32 × 32 px bitmaps, the same pixels for the same seed on every machine.

A pen follows one of a digit's allographs (ways of writing it) on a jittered, warped and slanted page. The drawing is
then normalised as NIST's programs did with the bitmaps behind UCI's and scikit-learn's digits (Garris et al.: NIST
Form-Based Handprint Recognition System, NISTIR 5469, 1994): stretched to 20 × 32 px, thinned or thickened by its
pixel count, sheared until the leftmost pixels near top and bottom stand in one column.

Every image is a function of (its seed, the digit, the style) and of nothing else. All words of the random stream are
drawn for every image in one fixed order, so images of equal seeds share pen, slant, page warp and noise whatever the
digit and the dials. Up to the pixels only + - × /, comparisons, minima and maxima of floating numbers are used: each
is rounded exactly by IEEE 754. Sines, powers and sums over axes are not, and a test refuses them here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from vgbench.toybox.allographs import ALLOGRAPHS
from vgbench.toybox.random import bell, octets, uniform, words

SIZE_PX = 32
BOX_WIDTH_PX = 20  # NIST's normalised character is 20 px wide and SIZE_PX high, centred
MAX_DIAL = 2.0

_Float = NDArray[np.float64]
_Float32 = NDArray[np.float32]
_Bool = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class DigitStyle:
    """Dials of the drawing: 1 is the default strength, 0 switches a source of variation off, 2 is the most.

    warp       jitter of the strokes' control points, bending and tilting of the page
    thickness  spread of pen widths; at 0 every pen has the mean width
    slant      the slants' mean (to the right) and spread. The normalisation undoes much of a slant; what stays is its
               effect on the box, most visibly the width of a 1
    noise      ragged edges: pixels flipped next to a stroke's edge
    """

    warp: float = 1.0
    thickness: float = 1.0
    slant: float = 1.0
    noise: float = 1.0

    def __post_init__(self) -> None:
        for name in ("warp", "thickness", "slant", "noise"):
            value = getattr(self, name)
            if not 0.0 <= value <= MAX_DIAL:
                raise ValueError(f"{name}={value!r}: a dial is a number from 0 to {MAX_DIAL:g}")


DEFAULT_STYLE = DigitStyle()


_STEPS = 4  # straight segments between two control points: at 32 px a finer curve gives the same pixels


@dataclass(frozen=True, slots=True, eq=False)
class _Allograph:
    """Control points (K, 2), and the segments' ends as weighted means of four of them: which (2, S, 4), weights."""

    control: _Float
    which: NDArray[np.intp]
    weight: _Float


def _pieces(stroke: str, first: int) -> tuple[list[list[float]], list[tuple[list[int], bool]]]:
    """Split a stroke into its points and its smooth pieces: (point indices from ``first`` on, whether closed)."""
    tokens = stroke.split()
    is_closed = tokens[-1] == "o"
    points: list[list[float]] = []
    pieces: list[tuple[list[int], bool]] = []
    piece: list[int] = []
    for token in tokens[: -1 if is_closed else None]:
        piece.append(first + len(points))
        points.append([int(number) / 100 for number in token.removesuffix("/").split(",")])
        if token.endswith("/"):
            pieces.append((piece, False))
            piece = piece[-1:]
    return points, [*pieces, (piece, is_closed)]


def _compile(text: str) -> _Allograph:
    """Turn an allograph's text into control points and Catmull-Rom segments through them."""
    control: list[list[float]] = []
    which: list[list[list[int]]] = [[], []]
    weight: list[list[list[float]]] = [[], []]
    for stroke in text.split("|"):
        points, pieces = _pieces(stroke, len(control))
        control += points
        for piece, is_closed in pieces:
            n = len(piece)
            for span in range(n if is_closed else n - 1):
                # An open piece stands still at its ends: the end point serves as its own neighbour.
                near = [span - 1, span, span + 1, span + 2]
                near = [i % n for i in near] if is_closed else [min(max(i, 0), n - 1) for i in near]
                for step in range(_STEPS):
                    for end in (0, 1):
                        which[end].append([piece[i] for i in near])
                        weight[end].append(_catmull_rom((step + end) / _STEPS))
    return _Allograph(np.array(control), np.array(which), np.array(weight))


def _catmull_rom(t: float) -> list[float]:
    """Return the weights of four neighbouring control points at ``t`` (0..1) between the inner two."""
    return [
        (-t + 2 * t * t - t * t * t) / 2,
        (2 - 5 * t * t + 3 * t * t * t) / 2,
        (t + 4 * t * t - 3 * t * t * t) / 2,
        (-t * t + t * t * t) / 2,
    ]


_COMPILED = {digit: tuple(_compile(text) for _, text in lines) for digit, lines in ALLOGRAPHS.items()}
_MOST_POINTS = max(len(allograph.control) for lines in _COMPILED.values() for allograph in lines)

# ── Nuisances ────────────────────────────────────────────────────────────────────────────────────
# Lengths in digit heights, angles as tangents. Chosen by a one-at-a-time search: logistic regression and a small MLP,
# trained on 5,000 drawn digits, scored on the training part of scikit-learn's digits (its test part was never read).

_PEN_RADIUS, _PEN_SPREAD = 0.066, 0.018
_PEN_RADIUS_MIN = 0.025
_SLANT_MEAN, _SLANT_SPREAD = 0.10, 0.15
_TILT_SPREAD = 0.05
_JITTER = 0.040
_BENDS = 8
_BEND_SPREAD = 0.055
_EDGE_SPREAD = 0.020  # radius lost or won at a pixel, at most
_N_NOISE_WORDS = BOX_WIDTH_PX * SIZE_PX // 8
_N_WORDS = 4 + _BENDS + 2 * _MOST_POINTS + _N_NOISE_WORDS


@dataclass(frozen=True, slots=True, eq=False)
class _Draws:
    """All that chance decides about N images, in the order of the stream; the same for every digit and style."""

    allograph: _Float  # (N,) in [0, 1)
    pen: _Float  # (N,) bell
    slant: _Float  # (N,) bell
    tilt: _Float  # (N,) bell
    bends: _Float  # (N, _BENDS) bell
    jitter: _Float  # (N, _MOST_POINTS, 2) bell
    noise: _Float32  # (N, 32, 20) in [-1, 1)


def _draws(seeds: NDArray[np.uint64]) -> _Draws:
    bits = words(seeds, _N_WORDS)
    first, second = 4 + _BENDS, 4 + _BENDS + 2 * _MOST_POINTS
    bells = bell(bits[:, 1:second])
    noise = octets(bits[:, second:]).astype(np.float32) / np.float32(128) - np.float32(1)
    return _Draws(
        allograph=uniform(bits[:, 0]),
        pen=bells[:, 0],
        slant=bells[:, 1],
        tilt=bells[:, 2],
        bends=bells[:, 3 : first - 1],
        jitter=bells[:, first - 1 :].reshape(-1, _MOST_POINTS, 2),
        noise=noise.reshape(-1, SIZE_PX, BOX_WIDTH_PX),
    )


# ── Drawing ──────────────────────────────────────────────────────────────────────────────────────

_BATCH = 64  # images drawn together: their 20 × 32 float32 planes stay in the processor's cache


def draw(digit: int, seeds: NDArray[np.uint64], *, style: DigitStyle = DEFAULT_STYLE) -> NDArray[np.uint8]:
    """Draw one image of ``digit`` (0..9) for each of ``seeds`` (N,) uint64: (N, 32, 32) uint8, ink 255 on black 0.

    Raises ``ValueError`` for another digit, ``TypeError`` for seeds of another type.
    """
    if digit not in _COMPILED:
        raise ValueError(f"digit {digit!r}: Toybox draws 0 to 9")
    pixels = np.zeros((len(seeds), SIZE_PX, SIZE_PX), np.uint8)
    for start in range(0, len(seeds), 16 * _BATCH):
        draws = _draws(seeds[start : start + 16 * _BATCH])
        choice = _choose(digit, draws.allograph)
        for number, allograph in enumerate(_COMPILED[digit]):
            chosen = np.flatnonzero(choice == number)
            for first in range(0, len(chosen), _BATCH):
                rows = chosen[first : first + _BATCH]
                pixels[start + rows] = _normalise(_render(allograph, draws, rows, style)) * np.uint8(255)
    return pixels


def _choose(digit: int, share: _Float) -> NDArray[np.intp]:
    """Return which allograph each image uses: (N,) shares in [0, 1) to (N,) positions."""
    *edges, total = accumulate(size for size, _ in ALLOGRAPHS[digit])
    return np.searchsorted(np.array(edges) / total, share, side="right")


def _render(allograph: _Allograph, draws: _Draws, rows: NDArray[np.intp], style: DigitStyle) -> _Bool:
    """Draw ``rows`` of a batch with one allograph, each stretched into its box: (R, 32, 20) bool."""
    ends = _page(allograph, draws, rows, style)
    radius = np.maximum(_PEN_RADIUS + _PEN_SPREAD * style.thickness * draws.pen[rows], _PEN_RADIUS_MIN)[:, None]
    low = np.minimum(ends[0].min(axis=1), ends[1].min(axis=1)) - radius
    high = np.maximum(ends[0].max(axis=1), ends[1].max(axis=1)) + radius
    column = (np.arange(BOX_WIDTH_PX) + 0.5) / BOX_WIDTH_PX
    row = (np.arange(SIZE_PX) + 0.5) / SIZE_PX
    x = (low[:, :1] + column * (high - low)[:, :1]).astype(np.float32)[:, None, :]
    y = (low[:, 1:] + row * (high - low)[:, 1:]).astype(np.float32)[:, :, None]
    nearest = np.full((len(rows), SIZE_PX, BOX_WIDTH_PX), np.inf, np.float32)
    from_all = ends[0].astype(np.float32)
    along_all = (ends[1] - ends[0]).astype(np.float32)
    for s in range(from_all.shape[1]):
        np.minimum(nearest, _squared_distance(x, y, from_all[:, s], along_all[:, s]), out=nearest)
    # The edge moves with the noise: a pixel is ink where its distance is below the radius it sees.
    seen = np.maximum(radius + _EDGE_SPREAD * style.noise * draws.noise[rows].reshape(len(rows), -1), 0.0)
    seen = seen.astype(np.float32).reshape(nearest.shape)
    return np.asarray(nearest < seen * seen)


def _page(allograph: _Allograph, draws: _Draws, rows: NDArray[np.intp], style: DigitStyle) -> _Float:
    """Return the segments' ends on the warped and slanted page: (2, R, S, 2)."""
    jitter = draws.jitter[rows, : len(allograph.control)] * (_JITTER * style.warp)
    control = allograph.control + jitter
    ends = control[:, allograph.which[:, :, 0]] * allograph.weight[:, :, 0, None]
    for k in (1, 2, 3):
        ends = ends + control[:, allograph.which[:, :, k]] * allograph.weight[:, :, k, None]
    ends = ends.swapaxes(0, 1)  # (2, R, S, 2)
    u, v = ends[..., 0] * 3.0 - 0.9, ends[..., 1] * 2.0 - 1.0  # about -1..1 over the digit
    b = [bend[:, None] * (_BEND_SPREAD * style.warp) for bend in draws.bends[rows].T]
    tilt = draws.tilt[rows, None] * (_TILT_SPREAD * style.warp)
    slant = (_SLANT_MEAN + _SLANT_SPREAD * draws.slant[rows, None]) * style.slant
    x = ends[..., 0] + b[0] * v * v + b[1] * u * v + b[2] * v * (v * v - 1.0) + b[3] * u * v * v
    y = ends[..., 1] + b[4] * u * u + b[5] * u * v + b[6] * v * v + b[7] * u * (1.0 - v * v)
    return np.stack((x - slant * y, y - tilt * x), axis=-1)


def _squared_distance(x: _Float32, y: _Float32, start: _Float32, along: _Float32) -> _Float32:
    """Return the squared distance of each pixel centre to one segment per image: (R, 32, 20)."""
    ax, ay = along[:, :1, None], along[:, 1:, None]
    length: _Float32 = np.maximum(ax * ax + ay * ay, np.float32(1e-12))  # a segment may be a point
    dx, dy = x - start[:, :1, None], y - start[:, 1:, None]
    t: _Float32 = dx * (ax / length) + dy * (ay / length)
    np.maximum(t, np.float32(0), out=t)
    np.minimum(t, np.float32(1), out=t)
    across = dx - t * ax
    down = dy - t * ay
    across *= across
    down *= down
    across += down
    return across


# ── Normalisation ────────────────────────────────────────────────────────────────────────────────

# Values as in NIST's public-domain code (norm_2nd_gen, shear_char); scikit-learn's digits show the limit of 256 px.
_FEW_PX, _MANY_PX = (108, 256), (412, 560)  # NIST: thickened once below 256, twice below 108; thinned above
_NOISY_ROWS = 2  # NIST: the outermost rows are skipped where the shear is measured


def _normalise(box: _Bool) -> _Bool:
    """Bring drawings (R, 32, 20) to NIST's stroke weight and slant: (R, 32, 32)."""
    bitmap = np.zeros((len(box), SIZE_PX, SIZE_PX), np.bool_)
    margin = (SIZE_PX - BOX_WIDTH_PX) // 2
    bitmap[:, :, margin : margin + BOX_WIDTH_PX] = box
    n_ink = np.count_nonzero(bitmap, axis=(1, 2))
    for limit in _FEW_PX:
        few = n_ink < limit
        bitmap[few] = _thicken(bitmap[few])
    for limit in _MANY_PX:
        many = n_ink > limit
        bitmap[many] = ~_thicken(~bitmap[many], outside=True)
    return _unshear(bitmap)


def _thicken(bitmap: _Bool, *, outside: bool = False) -> _Bool:
    """Set every pixel with a set pixel among its four neighbours."""
    padded = np.pad(bitmap, ((0, 0), (1, 1), (1, 1)), constant_values=outside)
    vertical = padded[:, :-2, 1:-1] | padded[:, 2:, 1:-1]
    return np.asarray(bitmap | vertical | padded[:, 1:-1, :-2] | padded[:, 1:-1, 2:])


def _unshear(bitmap: _Bool) -> _Bool:
    """Shift rows sideways until the leftmost pixels near the top and the bottom stand in one column."""
    has_ink: _Bool = np.asarray(bitmap.any(axis=2))
    left = bitmap.argmax(axis=2)
    every = np.arange(len(bitmap))
    top = np.minimum(has_ink.argmax(axis=1) + _NOISY_ROWS, SIZE_PX - 1)
    bottom = np.maximum(SIZE_PX - 1 - has_ink[:, ::-1].argmax(axis=1) - _NOISY_ROWS, 0)
    is_measured = has_ink[every, top] & has_ink[every, bottom] & (bottom > top)
    lean = np.where(is_measured, left[every, top] - left[every, bottom], 0)
    height = np.maximum(bottom - top, 1)
    # Rounded to the nearest pixel in integers, halves away from zero.
    moved = (np.arange(SIZE_PX) - SIZE_PX // 2) * lean[:, None]
    shift = np.sign(moved) * ((2 * np.abs(moved) + height[:, None]) // (2 * height[:, None]))
    source = np.arange(SIZE_PX) - shift[:, :, None]
    is_inside = (source >= 0) & (source < SIZE_PX)
    sheared = np.take_along_axis(bitmap, np.clip(source, 0, SIZE_PX - 1), axis=2)
    return np.asarray(sheared & is_inside)
