"""Light the segments of a digit on a 32 × 32 px display, shifted at random."""

import numpy as np

from vgbench import Made
from vgbench.images import ImageRow, encode_png, write_shard

# where segments 0 to 6 lie, in px, and the segments of each digit
TOP, BOTTOM = (3, 3, 16, 26, 16, 3, 14), (6, 16, 29, 29, 29, 16, 18)
LEFT, RIGHT = (8, 8, 8, 8, 21, 21, 8), (24, 11, 11, 24, 24, 24, 24)
LIT = ("012345", "45", "02356", "03456", "1456", "01346", "012346", "045", "0123456", "013456")


def light(step):
    digit, most = step.params["digit"], step.params["shift_px"]
    rows = []
    for index in step.range(step.params["micro_batch"]):
        seed = step.image_seed(index)
        pixels = np.zeros((32, 32), np.uint8)
        for i in map(int, LIT[digit]):
            pixels[TOP[i] : BOTTOM[i], LEFT[i] : RIGHT[i]] = 255
        shift = np.random.default_rng(seed).integers(-most, most + 1, 2)
        image = encode_png(np.roll(pixels, shift, (0, 1)))
        rows.append(ImageRow(image, index, f"{digit}-{index}", 32, 32, seed=seed))
    write_shard(step.out, rows)
    return Made(len(rows))
