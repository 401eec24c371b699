"""The colours of Toybox: named hues in three levels, so that every part of an image draws from one distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# sRGB of the middle level; ten hues that a person names.
HUES: dict[str, tuple[int, int, int]] = {
    "red": (206, 44, 44),
    "orange": (232, 122, 28),
    "yellow": (228, 196, 40),
    "green": (58, 156, 62),
    "teal": (32, 156, 152),
    "blue": (48, 92, 204),
    "violet": (122, 70, 190),
    "pink": (230, 100, 164),
    "brown": (138, 88, 48),
    "grey": (128, 128, 128),
}
NAMES: tuple[str, ...] = tuple(HUES)
DARK, MIDDLE, PALE = 0, 1, 2
# The levels keep a hue's name and are far enough apart that parts of two levels are told apart whatever their hues.
_DARKNESS, _PALENESS = 0.38, 0.66
ORDERS = np.array([(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])


def table() -> NDArray[np.float32]:
    """Return all colours: (hues, 3 levels, 3) float32, 0..255."""
    middle = np.array(list(HUES.values()), np.float32)
    dark = middle * np.float32(_DARKNESS)
    pale = middle + (np.float32(255) - middle) * np.float32(_PALENESS)
    return np.stack((dark, middle, pale), axis=1)
