"""Draw Toybox digits and scenes, one shard of one class at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vgbench import Made, Step
from vgbench.images import ImageRow, encode_png, write_shard
from vgbench.toybox import digits, scene
from vgbench.toybox.classes import factors_of
from vgbench.toybox.world import Dials, seed, world


def draw_digits(step: Step) -> Made:
    """Draw the shard's digits as 32 × 32 px grey PNG, bright ink (255) on black (0).

    An image's seed is a hash of the source seed, the class and the index, and not of the dials: two sources that
    differ in one dial draw the same strokes otherwise.
    """
    class_id: str = step.params["class_id"]
    style = digits.DigitStyle(**{dial: step.params[dial] for dial in ("warp", "thickness", "slant", "noise")})
    indices = step.range(step.params["micro_batch"])
    seeds = [_seed(step.seed or 0, class_id, index) for index in indices]
    pixels = digits.draw(int(class_id.partition("-")[2]), np.asarray(seeds, dtype=np.uint64), style=style)
    return _write(step, class_id, indices, seeds, pixels)


def draw_scenes(step: Step) -> Made:
    """Draw the shard's scenes as PNG in colour.

    An image's seed is a hash of the world, the source seed, the class and the index, and not of the dials: two
    sources that differ in one dial draw the same images but for that dial's factor.
    """
    class_id: str = step.params["class_id"]
    here = world(step.params["world"])
    dials = Dials(
        background_bias=step.params["background_bias"],
        texture_bias=step.params["texture_bias"],
        context_bias=step.params["context_bias"],
        colour_bias=step.params["colour_bias"],
        label_noise=step.params["label_noise"],
    )
    style = scene.Style(
        pose_range=step.params["pose_range"], occlusion=step.params["occlusion"], noise=step.params["noise"]
    )
    indices = step.range(step.params["micro_batch"])
    split = f"source/{step.seed or 0}/{class_id}"
    seeds = [seed(here.name, split, index) for index in indices]
    given = np.asarray(seeds, dtype=np.uint64)
    pixels = scene.draw(given, factors_of(here, class_id, given, dials), size_px=step.params["size_px"], style=style)
    return _write(step, class_id, indices, seeds, pixels)


def _write(step: Step, class_id: str, indices: Sequence[int], seeds: Sequence[int], pixels: NDArray[np.uint8]) -> Made:
    rows = [
        ImageRow(
            data=encode_png(image),
            index=index,
            image_id=f"{class_id}/{index:07d}",
            width_px=image.shape[1],
            height_px=image.shape[0],
            class_id=class_id,
            seed=number,
        )
        for index, number, image in zip(indices, seeds, pixels, strict=True)
    ]
    write_shard(step.out, rows)
    return Made(len(rows), {class_id: len(rows)})


def _seed(source_seed: int, class_id: str, index: int) -> int:
    digest = hashlib.sha256(f"toybox/source/{source_seed}/{class_id}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
