"""Is an image a copy of another? The one detector of copies: what `select` leaves out, and what a certificate states.

A copy is the same picture stored otherwise: another codec, size, aspect ratio, brightness, contrast, a paler colour, a
margin cut off. Two pictures of one scene, a mirrored or a recoloured one are no copies.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMB_PX = 16
CROPS = (0.0, 0.04, 0.08)  # margins that may have been cut off a copy, shares of each side
# Chosen on 20 images a class of Toybox's downstream test sets against 6,000 of its web (docs/retrieval.md): 99 % of
# JPEGs of quality 30 and of images 30 % brighter lie above, the nearest other page of 99 % of the scenes below. Bare
# patterns are apart: 99 % of theirs lie below 0.963.
SIMILARITY = 0.93
BLOCK = 4_096  # rows compared at a time: with as many columns 67 MB

Prints = NDArray[np.uint8]  # (N, crops, 768): thumbnails of 16 × 16 RGB of the image, and of it without margins


def fingerprint(image: Image.Image) -> NDArray[np.uint8]:
    """Return the fingerprint of a decoded image: (3, 768) uint8, its thumbnails without a margin of each of `CROPS`."""
    colour = image.convert("RGB")
    thumbs = []
    for margin in CROPS:
        box = (margin * colour.width, margin * colour.height, (1 - margin) * colour.width, (1 - margin) * colour.height)
        small = colour.resize((THUMB_PX, THUMB_PX), Image.Resampling.BOX, box=box)
        thumbs.append(np.asarray(small, np.uint8).reshape(-1))
    return np.stack(thumbs)


def similarity(found: Prints, known: Prints) -> NDArray[np.float32]:
    """Return how alike images are: (N, M) float32, −1..1, of fingerprints (N, 3, 768) and (M, 3, 768).

    The correlation of the thumbnails' values over pixels and colours together; of a known image the most alike of its
    crops counts. An image of one value is like none.
    """
    return _alike(_unit(found[:, 0]), _crops(known))


def copies(found: Prints, known: Prints) -> NDArray[np.bool_]:
    """Return which of N images are copies of one of M known ones: (N,)."""
    flagged = np.zeros(len(found), bool)
    for columns in _blocks(len(known)):
        crops = _crops(known[columns])
        for rows in _blocks(len(found)):
            flagged[rows] |= (_alike(_unit(found[rows, 0]), crops) >= SIMILARITY).any(axis=1)
    return flagged


def _crops(known: Prints) -> list[NDArray[np.float32]]:
    return [_unit(known[:, i]) for i in range(len(CROPS))]


def _alike(whole: NDArray[np.float32], crops: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    best = whole @ crops[0].T
    for crop in crops[1:]:
        np.maximum(best, whole @ crop.T, out=best)
    return np.asarray(best, np.float32)


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK))


def _unit(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = thumbs.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(length > 0, length, 1), np.float32)
