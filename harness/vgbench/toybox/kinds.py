"""All object kinds of Toybox by number: a kind's number never changes, new ones are added at the end."""

from __future__ import annotations

from vgbench.toybox.families import FISHES, LEAVES, STARS
from vgbench.toybox.silhouettes import COARSE, CREATURES, OTHERS, TOOLS

_ALL = {**COARSE, **OTHERS, **TOOLS, **CREATURES, **STARS, **LEAVES, **FISHES, "frame": "b p -999,-999 999,-999 999,999 -999,999"}
NAMES: tuple[str, ...] = tuple(_ALL)
SHAPES: tuple[str, ...] = tuple(_ALL.values())
NUMBER: dict[str, int] = {name: number for number, name in enumerate(_ALL)}
N_COARSE = len(COARSE)  # 16: the kinds of the coarse map, numbers 0..15
N_TRAINING = len(COARSE) + len(OTHERS)  # 40: the kinds of the pre-training world, numbers 0..39
FRAME = NUMBER["frame"]  # covers the whole image: a texture without an object
