"""Draw Toybox digits, one shard of one class at a time."""

from __future__ import annotations

import hashlib

import numpy as np

from vgbench import Made, Step
from vgbench.images import ImageRow, encode_png, write_shard
from vgbench.toybox.digits import DigitStyle, draw


def draw_digits(step: Step) -> Made:
    """Draw the shard's digits as 32 × 32 px grey PNG, bright ink (255) on black (0).

    An image's seed is a hash of the source seed, the class and the index, and not of the dials: two sources that
    differ in one dial draw the same strokes otherwise.
    """
    class_id: str = step.params["class_id"]
    style = DigitStyle(**{dial: step.params[dial] for dial in ("warp", "thickness", "slant", "noise")})
    indices = step.range(step.params["micro_batch"])
    seeds = [_seed(step.seed or 0, class_id, index) for index in indices]
    pixels = draw(int(class_id.partition("-")[2]), np.asarray(seeds, dtype=np.uint64), style=style)
    rows = [
        ImageRow(
            data=encode_png(image),
            index=index,
            image_id=f"{class_id}/{index:07d}",
            width_px=image.shape[1],
            height_px=image.shape[0],
            class_id=class_id,
            seed=seed,
        )
        for index, seed, image in zip(indices, seeds, pixels, strict=True)
    ]
    write_shard(step.out, rows)
    return Made(len(rows), {class_id: len(rows)})


def _seed(source_seed: int, class_id: str, index: int) -> int:
    digest = hashlib.sha256(f"toybox/source/{source_seed}/{class_id}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
