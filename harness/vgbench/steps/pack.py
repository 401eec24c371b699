"""The training copy: one resize and one codec, the same for every source, real images included."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vgbench.images import ImageSet, decode, encode_png, write_pack
from vgbench.types import Made, Step


def pack(step: Step) -> Made:
    """Write ``pack-NNNNN.parquet``: the central square of every image, ``store_px`` on a side, RGB, as PNG.

    Resized by Pillow's bicubic filter, which is antialiased, whatever library the consumer has. With
    ``labelled=False`` the labels stay behind: what a test set's images travel as. With ``resize_px`` the central square
    gets this side first, and its central ``store_px`` are cut out (of a smaller one nothing is: ``ValueError``).
    """
    found = ImageSet.open(step.inputs["images"])
    store_px: int = step.params["store_px"]
    resize_px: int = step.params.get("resize_px", store_px)
    if resize_px < store_px:
        raise ValueError(f"{store_px} px cannot be cut out of {resize_px} px")
    labels = found.labels.tolist() if step.params["labelled"] else [-1] * len(found)
    images = (encode_png(np.asarray(central(square(decode(data), resize_px), store_px))) for data in found.encoded())
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


def central(image: Image.Image, side_px: int) -> Image.Image:
    """Return the central square of ``side_px``, rounded towards the top left where it cannot be in the middle."""
    if image.width == side_px:
        return image
    corner = (image.width - side_px) // 2
    return image.crop((corner, corner, corner + side_px, corner + side_px))
