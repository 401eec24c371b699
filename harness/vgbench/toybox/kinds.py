"""All object kinds of Toybox by number: a kind's number never changes, new ones are added at the end. No numpy."""

from __future__ import annotations

from vgbench.toybox.families import FISHES, LEAVES, STARS
from vgbench.toybox.silhouettes import COARSE, CREATURES, OTHERS, TOOLS

_FRAME = {"frame": "b p -999,-999 999,-999 999,999 -999,999"}  # covers the whole image: a texture without an object
_ALL = {**COARSE, **OTHERS, **TOOLS, **CREATURES, **STARS, **LEAVES, **FISHES, **_FRAME}
NAMES: tuple[str, ...] = tuple(_ALL)
SHAPES: tuple[str, ...] = tuple(_ALL.values())
NUMBER: dict[str, int] = {name: number for number, name in enumerate(_ALL)}
N_COARSE = len(COARSE)  # 16: the kinds of the coarse map, numbers 0..15
N_TRAINING = len(COARSE) + len(OTHERS)  # 40: the kinds of the pre-training world, numbers 0..39
FRAME = NUMBER["frame"]


def preset(world: str) -> tuple[int, int]:
    """Return how many kinds a world has, and its number: ``full`` is (40, 0), ``coarse-3`` is (16, 3).

    Raises ``ValueError`` for a text that is no world's name; each world has one name only.
    """
    name, dash, text = world.partition("-")
    sizes = {"full": N_TRAINING, "coarse": N_COARSE}
    is_number = text.isascii() and text.isdecimal() and not text.startswith("0")
    if name not in sizes or (dash and not is_number):
        raise ValueError(f"world {world!r}: it is called full or coarse, or full-N or coarse-N with N = 1, 2, …")
    return sizes[name], int(text) if dash else 0
