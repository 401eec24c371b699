"""``vgbench bench decode``: a JPEG of 512 px to 224 px of uint8, our way and Pillow's, on one thread."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vgbench import images
from vgbench.bench.photos import jpegs
from vgbench.bench.speed import Measured, apart, interleaved, load, versions
from vgbench.decoding import Preprocessing, Scratch, decode, framed

N_IMAGES, ROUNDS = 60, 7  # a third of a second each
PROCESSES = 9  # one after the other: ratios of single ones were 2.24 to 3.15, mostly by Pillow's seconds
GOAL = 2.5  # times Pillow's speed (the issue's); 2.85 was measured on an idle core (performance.md §2)
PREPROCESSING = Preprocessing(224, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def ours(data: bytes, scratch: Scratch) -> NDArray[np.uint8]:
    """Return (224, 224, 3) uint8 by the faster decoder and torch's resize."""
    return framed(decode(data, scratch), PREPROCESSING).permute(1, 2, 0).numpy()


def pillows(data: bytes) -> NDArray[np.uint8]:
    """Return (224, 224, 3) uint8 as CLIP's transform does with Pillow; of a square photograph nothing is cut off."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC))


def measure(processes: str = str(PROCESSES)) -> list[Measured]:
    """Compare speeds, and what comes out: decoded bytes must be equal, resized values within a level.

    With several ``processes`` each measures; the medians are medians over them.
    """
    if processes == "1":
        return [_measured()]
    found = [Measured.of(apart(__name__, processes="1")[0]) for _ in range(int(processes))]
    ratios = [one.ratio for one in found]
    medians = {name: median(one.medians[name] for one in found) for name in found[0].medians}
    return [
        replace(
            found[0],
            ratio=medians["pillows"] / medians["ours"],
            n=ROUNDS * len(found),
            medians=medians,
            breaks=tuple(dict.fromkeys(text for one in found for text in one.breaks)),
            facts={"least ratio of a process": min(ratios), "greatest": max(ratios)},
        )
    ]


def _measured() -> Measured:
    torch.set_num_threads(1)
    encoded = jpegs(N_IMAGES)
    began, scratch = load(), Scratch()  # one for all images, as a thread of the step has
    medians = interleaved(
        {
            "ours": lambda: [ours(data, scratch) for data in encoded],
            "pillows": lambda: [pillows(data) for data in encoded],
        },
        rounds=ROUNDS,
        clock=time.process_time,
    )
    breaks = []
    if any((decode(data) != np.asarray(images.decode(data))).any() for data in encoded):
        breaks.append("decoded bytes differ from Pillow's")
    levels = max(int(np.abs(ours(data, scratch).astype(int) - pillows(data)).max()) for data in encoded)
    if levels > 1:
        breaks.append(f"resized values differ from Pillow's by {levels} levels")
    return Measured(
        "decode",
        medians["pillows"] / medians["ours"],
        GOAL,
        is_limit=False,
        n=ROUNDS,
        medians=medians,
        threads={"ours": 1, "pillows": 1},
        load=began,
        breaks=tuple(breaks),
        versions=versions("torch", "pillow", "simplejpeg"),
    )
