"""What the images of a class show, whichever class it is: a kind of object, or a texture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vgbench.toybox import kinds, textures
from vgbench.toybox.scene import Factors
from vgbench.toybox.world import UNBIASED, Dials, World, deviates, pick, pick_other, sample

FILLED = 0.5  # share of a texture's images that it fills; on the others it covers an object (ours)


def factors_of(here: World, class_id: str, given: NDArray[np.uint64], dials: Dials = UNBIASED) -> Factors:
    """Draw the factors of a class's images from their seeds (N,) uint64.

    Of a texture: on an object of a random kind of the world, or filling the image; label noise shows another texture.
    Raises ``KeyError`` for what is neither a kind nor a texture.
    """
    if class_id in kinds.NUMBER:
        return sample(here, given, np.full(len(given), kinds.NUMBER[class_id]), dials)
    share = deviates(given)
    number = np.full(len(given), textures.NUMBER[class_id])
    other = pick_other(tuple(range(len(textures.NAMES))), share[:, 1], number)
    kind = np.where(share[:, 18] < FILLED, kinds.FRAME, pick(here.kinds, share[:, 16]))
    scenes = Dials(
        background_bias=dials.background_bias, context_bias=dials.context_bias, colour_bias=dials.colour_bias
    )
    factors = sample(here, given, np.where(kind == kinds.FRAME, here.kinds[0], kind), scenes)
    return factors.but(kind=kind, texture=np.where(share[:, 0] < dials.label_noise, other, number))
