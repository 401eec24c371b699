"""Encoder ``pixels``: the image itself, small."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vgbench import Step
from vgbench.images import Pack


def encode(pack: Pack, step: Step) -> NDArray[np.float32]:
    """Return (N, 3·S·S) float32 in 0..1: RGB at S × S px (bicubic, antialiased), S = ``size_px``."""
    side = step.params["encoder"].values["size_px"]
    rows = []
    for i in range(len(pack)):
        small = Image.fromarray(pack.pixels(i)).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
        rows.append(np.asarray(small, dtype=np.float32).reshape(-1) / 255)
    return np.stack(rows)
