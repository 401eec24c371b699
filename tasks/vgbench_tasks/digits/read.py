"""Read scikit-learn's digits: images and labels apart, the frozen split checked."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vgbench import Made, Step
from vgbench.images import ImageRow, encode_png, write_labels, write_shard
from vgbench.types import sha256_hex

SIZE_PX = 8
MAX_COUNT = 16  # pixels of a 4 × 4 block


def images(step: Step) -> Made:
    """Write a split's images as 8 × 8 px grey PNG, a count of 16 as 255; no labels."""
    rows = [
        ImageRow(encode_png(to_pixels(counts)), i, sample_id, SIZE_PX, SIZE_PX)
        for i, (sample_id, counts, _) in enumerate(_split(step))
    ]
    write_shard(step.out, rows)
    return Made(len(rows))


def labels(step: Step) -> Made:
    """Write a split's labels."""
    rows = [(sample_id, f"digit-{digit}") for sample_id, _, digit in _split(step)]
    write_labels(step.out, rows)
    return Made(len(rows), dict(Counter(class_id for _, class_id in rows)))


def to_pixels(counts: np.ndarray) -> np.ndarray:
    """Map counts 0..16 to grey levels 0..255, so that ``round(grey × 16 / 255)`` gives the count back."""
    return np.round(counts * (255 / MAX_COUNT)).astype(np.uint8)


def _split(step: Step) -> Iterator[tuple[str, np.ndarray, int]]:
    """Yield (sample id, (8, 8) counts, digit) of a split, by the manifest in ``split.json``.

    Raises ``ValueError`` when the manifest is not the one in the key, or names a sample that the file does not have.
    """
    manifest = json.loads((Path(__file__).parent / "split.json").read_text())
    wanted: list[str] = manifest[step.params["split"]]
    found = sha256_hex("\n".join(sorted(wanted)))
    if found != step.params["sample_ids"]:
        raise ValueError(f"split.json has sample ids {found[:12]}…, the key says {step.params['sample_ids'][:12]}…")
    with gzip.open(step.params["place"].path, "rt") as file:
        table = np.loadtxt(file, delimiter=",")
    if table.shape != (1797, SIZE_PX * SIZE_PX + 1):
        raise ValueError(f"{step.params['place'].path} has shape {table.shape}, expected (1797, 65)")
    for sample_id in wanted:
        row = table[int(sample_id.removeprefix("digits-"))]
        yield sample_id, row[:-1].reshape(SIZE_PX, SIZE_PX), int(row[-1])
