"""Light the segments of a digit on a 32 × 32 px display, shifted at random."""

import numpy as np

from vgbench import Made
from vgbench.images import ImageRow, encode_png, write_shard

BOXES = (
    (3, 8, 6, 24),
    (3, 8, 16, 11),
    (16, 8, 29, 11),
    (26, 8, 29, 24),
    (16, 21, 29, 24),
    (3, 21, 16, 24),
    (14, 8, 18, 24),
)
LIT = ("012345", "45", "02356", "03456", "1456", "01346", "012346", "045", "0123456", "013456")


def light(step):
    rows = []
    for index in step.range(step.params["micro_batch"]):
        seed = step.image_seed(index)
        pixels = np.zeros((32, 32), np.uint8)
        for segment in LIT[step.params["digit"]]:
            top, left, bottom, right = BOXES[int(segment)]
            pixels[top:bottom, left:right] = 255
        most = step.params["shift_px"]
        shift = np.random.default_rng(seed).integers(-most, most + 1, 2)
        image = encode_png(np.roll(pixels, shift, (0, 1)))
        rows.append(ImageRow(image, index, f"{step.params['digit']}-{index}", 32, 32, seed=seed))
    write_shard(step.out, rows)
    return Made(len(rows))
