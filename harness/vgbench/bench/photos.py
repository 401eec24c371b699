"""Synthetic photographs to decode: noise of every scale, as JPEGs about as large as photographs of their size are."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

QUALITY = 90


def photo(seed: int, side_px: int = 512) -> NDArray[np.uint8]:
    """Draw (S, S, 3) uint8: octaves of noise, each fainter than the one twice as coarse.

    1.6 was chosen so that a JPEG of 512 px has some 60 kB, as the photographs of performance.md §2 had.
    """
    rng = np.random.default_rng([side_px, seed])
    pixels = np.zeros((side_px, side_px, 3))
    for octave in range(2, side_px.bit_length()):
        grain = rng.integers(0, 256, (1 << octave, 1 << octave, 3), dtype=np.uint8)
        layer = Image.fromarray(grain).resize((side_px, side_px), Image.Resampling.BICUBIC)
        pixels += (np.asarray(layer, float) - 128) * 1.6 ** (2 - octave)
    return (pixels + 128).clip(0, 255).astype(np.uint8)


def jpegs(n: int, side_px: int = 512) -> list[bytes]:
    """Encode n photographs, 4:2:0 as cameras do."""
    encoded = []
    for seed in range(n):
        buffer = io.BytesIO()
        Image.fromarray(photo(seed, side_px)).save(buffer, "JPEG", quality=QUALITY)
        encoded.append(buffer.getvalue())
    return encoded
