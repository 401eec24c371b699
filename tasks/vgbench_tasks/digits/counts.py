"""Read any image as the data set defines its digits: 8 × 8 counts of the set pixels in blocks of 4 × 4."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vgbench import Made, Step
from vgbench.images import ImageSet, Pack, decode, encode_png, write_pack
from vgbench_tasks.digits.read import MAX_COUNT, SIZE_PX, to_pixels

BITMAP_PX = 32
SET = 128  # grey level from which a bitmap's pixel counts as ink


def counts(step: Step) -> Made:
    """Write the training copy: every image as 8 × 8 px grey, a count of 16 as 255.

    An 8 × 8 image is taken as counts already. Any other is read as bright ink on a dark ground: grey, resized to
    32 × 32 px (box filter), set where at least 128, counted in blocks.
    """
    found = ImageSet.open(step.inputs["images"])
    pixels = (encode_png(to_pixels(count_blocks(decode(data)))) for data in found.encoded())
    n = write_pack(step.out, zip(found.ids, found.labels.tolist(), pixels, strict=True))
    return Made(n)


def count_blocks(image: Image.Image) -> NDArray[np.int64]:
    """Return an image's (8, 8) int64 counts, 0..16."""
    grey = image.convert("L")
    if grey.size == (SIZE_PX, SIZE_PX):
        return np.round(np.asarray(grey) * (MAX_COUNT / 255)).astype(np.int64)
    if grey.size != (BITMAP_PX, BITMAP_PX):
        grey = grey.resize((BITMAP_PX, BITMAP_PX), Image.Resampling.BOX)
    block = BITMAP_PX // SIZE_PX
    bitmap = (np.asarray(grey) >= SET).reshape(SIZE_PX, block, SIZE_PX, block)
    return np.asarray(bitmap.sum(axis=(1, 3)), dtype=np.int64)


def encode(pack: Pack, step: Step) -> NDArray[np.float32]:
    """Encoder ``block-counts``: (N, 64) float32 counts, 0..16."""
    rows = [np.round(pack.pixels(i) * (MAX_COUNT / 255)).reshape(-1) for i in range(len(pack))]
    return np.asarray(rows, dtype=np.float32)
