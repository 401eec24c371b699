"""The training copy: one resize and one codec, the same for every source, real images included."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vgbench.images import ImageSet, decode, encode_png, write_pack
from vgbench.types import Made, Step


def pack(step: Step) -> Made:
    """Write ``pack-NNNNN.parquet``: the central square of every image, ``store_px`` on a side, RGB, as PNG.

    Resized by Pillow's bicubic filter, which is antialiased, whatever library the consumer has. With
    ``labelled=False`` the labels stay behind: what a test set's images travel as.
    """
    found = ImageSet.open(step.inputs["images"])
    store_px: int = step.params["store_px"]
    labels = found.labels.tolist() if step.params["labelled"] else [-1] * len(found)
    images = (encode_png(np.asarray(square(decode(data), store_px))) for data in found.encoded())
    return Made(write_pack(step.out, zip(found.ids, labels, images, strict=True)))


def square(image: Image.Image, side_px: int) -> Image.Image:
    """Return the central square of an image in RGB, resized to ``side_px`` where it has another size."""
    image = image.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    if side == side_px:
        return image.crop(box)
    return image.resize((side_px, side_px), Image.Resampling.BICUBIC, box=box)
