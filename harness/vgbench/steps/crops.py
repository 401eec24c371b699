"""Random resized crops as pure functions of (seed, epoch, image): which rectangle is cut out, and its new size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vgbench.steps.schedule import draws

ATTEMPTS = 10  # Szegedy et al. 2015 as every library has it: then the largest central rectangle


@dataclass(frozen=True, slots=True)
class Crops:
    """Rectangles in a square image of ``side_px``: (B,) int64 each, inside the image, at least one pixel."""

    top: NDArray[np.int64]
    left: NDArray[np.int64]
    height: NDArray[np.int64]
    width: NDArray[np.int64]


def crops(
    indices: NDArray[np.int64],
    epochs: NDArray[np.int64],
    *,
    side_px: int,
    seed: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Crops:
    """Draw a crop for each image ``indices`` (B,) in its epoch (B,).

    Its area is an even draw from ``scale`` of the image's, the logarithm of width / height one from ``ratio``'s; a
    rectangle that does not fit is drawn again.
    """
    n = len(indices)
    height, width = np.full(n, side_px, np.int64), np.full(n, side_px, np.int64)
    is_open = np.ones(n, np.bool_)
    for attempt in range(ATTEMPTS):
        area = side_px**2 * _even(indices, epochs, seed, f"crop-area/{attempt}", *scale)
        shape = np.exp(_even(indices, epochs, seed, f"crop-shape/{attempt}", math.log(ratio[0]), math.log(ratio[1])))
        w, h = np.rint(np.sqrt(area * shape)).astype(np.int64), np.rint(np.sqrt(area / shape)).astype(np.int64)
        fits = is_open & (w > 0) & (w <= side_px) & (h > 0) & (h <= side_px)
        height[fits], width[fits] = h[fits], w[fits]
        is_open &= ~fits
    top = np.floor(_even(indices, epochs, seed, "crop-top", 0, 1) * (side_px - height + 1)).astype(np.int64)
    left = np.floor(_even(indices, epochs, seed, "crop-left", 0, 1) * (side_px - width + 1)).astype(np.int64)
    return Crops(top, left, height, width)  # a square that never fits stays whole: the largest rectangle there is


def cut(images: Tensor, found: Crops, *, size_px: int) -> Tensor:
    """Cut each image of (B, C, S, S) uint8 and bring it to (B, C, size_px, size_px) uint8, bilinear, antialiased."""
    pieces = []
    rectangles = zip(found.top, found.left, found.height, found.width, strict=True)
    for image, (top, left, height, width) in zip(images, rectangles, strict=True):
        piece = image[None, :, top : top + height, left : left + width].float()
        size = (size_px, size_px)
        pieces.append(functional.interpolate(piece, size, mode="bilinear", antialias=True, align_corners=False))
    return torch.cat(pieces).round_().clamp_(0, 255).to(torch.uint8)


def _even(
    indices: NDArray[np.int64], epochs: NDArray[np.int64], seed: int, purpose: str, low: float, high: float
) -> NDArray[np.float64]:
    """Return even draws from [low, high), (B,): of 53 bits, one for each image in its epoch."""
    found = np.empty(len(indices), np.float64)
    for epoch in np.unique(epochs).tolist():
        here = epochs == epoch
        bits = draws(seed, f"{purpose}/{epoch}", indices[here]) >> np.uint64(11)
        found[here] = bits.astype(np.float64) * 2.0**-53
    return low + (high - low) * found
