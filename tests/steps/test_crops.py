"""Random resized crops: inside the image, of the area and shape asked for, and functions of (seed, epoch, image)."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from vgbench.steps.crops import Crops, crops, cut

SCALE, RATIO = (0.08, 1.0), (0.75, 4 / 3)


def drawn(indices: list[int], epochs: list[int], *, seed: int = 3, side_px: int = 64) -> Crops:
    return crops(np.asarray(indices), np.asarray(epochs), side_px=side_px, seed=seed, scale=SCALE, ratio=RATIO)


def rows(found: Crops) -> list[tuple[int, ...]]:
    return list(zip(*(column.tolist() for column in (found.top, found.left, found.height, found.width)), strict=True))


def test_crops_lie_inside_and_have_the_area_and_shape_asked_for() -> None:
    found = drawn(list(range(4_000)), [0] * 4_000, side_px=256)
    assert (found.top >= 0).all() and (found.top + found.height <= 256).all()
    assert (found.left >= 0).all() and (found.left + found.width <= 256).all()
    area, shape = found.height * found.width / 256**2, found.width / found.height
    assert 0.075 < area.min() < 0.09 and 0.97 < area.max() <= 1  # rounded to whole pixels
    assert 0.73 < shape.min() < 0.78 and 1.29 < shape.max() < 1.37
    assert abs(np.log(shape).mean()) < 0.02  # wide as often as high
    middle = (found.top + found.height / 2).mean()
    assert abs(middle - 128) < 3


def test_crop_depends_on_seed_epoch_and_image_only() -> None:
    together = rows(drawn([5, 9, 5], [0, 0, 1]))
    assert together == [*rows(drawn([5], [0])), *rows(drawn([9], [0])), *rows(drawn([5], [1]))]
    assert len(set(together)) == 3
    assert rows(drawn([5], [0], seed=4)) != together[:1]


def test_crop_that_never_fits_is_the_whole_image() -> None:
    found = crops(np.arange(50), np.zeros(50, np.int64), side_px=32, seed=0, scale=(1.0, 1.0), ratio=(2.0, 3.0))
    assert set(rows(found)) == {(0, 0, 32, 32)}


def test_cut_takes_the_rectangle_and_resizes_it() -> None:
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    found = Crops(*(np.asarray(column) for column in ([2, 0], [3, 0], [8, 16], [8, 16])))
    small = cut(images, found, size_px=8)
    assert small.dtype == torch.uint8 and small.shape == (2, 3, 8, 8)
    assert torch.equal(small[0], images[0, :, 2:10, 3:11])  # already of that size
    whole = functional.interpolate(images[1:].float(), (8, 8), mode="bilinear", antialias=True)
    assert torch.equal(small[1:], whole.round().clamp(0, 255).to(torch.uint8))
