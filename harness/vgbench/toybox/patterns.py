"""All textures of Toybox by number: a texture's number never changes, new ones are added at the end. No numpy."""

from __future__ import annotations

COARSE = (
    *("stripes-level", "stripes-upright", "stripes-slanted", "checks", "dots", "rings", "chevrons", "bricks"),
    *("grid", "triangles", "scales", "camouflage", "plusses", "speckles", "waves", "honeycomb"),
)
NEUTRAL = ("diamonds", "tartan", "basket", "wood", "pebbles", "dashes", "nested-squares", "lattice")
NOVEL = (
    *("pinwheels", "leopard", "herringbone", "crescents", "houndstooth"),
    *("bubbles", "stars", "patchwork", "arches", "cubes"),
)
NAMES: tuple[str, ...] = (*COARSE, *NEUTRAL, *NOVEL)
NUMBER: dict[str, int] = {name: number for number, name in enumerate(NAMES)}
N_COARSE, N_TRAINING = len(COARSE), len(COARSE) + len(NEUTRAL)
