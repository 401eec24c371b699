"""Read scikit-learn's digits: images and labels apart, the frozen split checked."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vgbench import Made, Step
from vgbench.images import ImageRow, encode_png, write_labels, write_shard
from vgbench.types import sha256_hex
from vgbench_tasks.datasets.real import TRAIN80, VAL20
from vgbench_tasks.datasets.samples import Sample
from vgbench_tasks.datasets.splits import cut

SIZE_PX = 8
MAX_COUNT = 16  # pixels of a 4 × 4 block
# Of the manifest's training digits, as of every data set without validation images of its own.
RULES: Mapping[str, Mapping[str, Any]] = {"val20": VAL20, "train80": TRAIN80}


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
    with gzip.open(step.params["place"].path, "rt") as file:
        table = np.loadtxt(file, delimiter=",")
    if table.shape != (1797, SIZE_PX * SIZE_PX + 1):
        raise ValueError(f"{step.params['place'].path} has shape {table.shape}, expected (1797, 65)")
    wanted = sample_ids(step.params["split"], table[:, -1].astype(int).tolist())
    found = sha256_hex("\n".join(sorted(wanted)))
    if found != step.params["sample_ids"]:
        raise ValueError(f"split.json has sample ids {found[:12]}…, the key says {step.params['sample_ids'][:12]}…")
    for sample_id in wanted:
        row = table[_row(sample_id)]
        yield sample_id, row[:-1].reshape(SIZE_PX, SIZE_PX), int(row[-1])


def sample_ids(split: str, digits: Sequence[int]) -> list[str]:
    """Return the sample ids of a split: of the manifest, or cut out of its ``train``; ``digits`` are of all rows."""
    manifest: dict[str, list[str]] = json.loads((Path(__file__).parent / "split.json").read_text())
    if split not in RULES:
        return manifest[split]
    rule = RULES[split]
    samples = [Sample(sample_id, "", (str(digits[_row(sample_id)]),)) for sample_id in manifest["train"]]
    return sorted(sample.sample_id for sample in cut(samples, rule.get("from", 0), rule.get("to")))


def _row(sample_id: str) -> int:
    return int(sample_id.removeprefix("digits-"))
