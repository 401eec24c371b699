"""A training run by hand: a recipe, a few images, a step; what tests of pretrain share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vgbench.images import encode_png
from vgbench.types import Artifact, Part, Step

VALUES: dict[str, Any] = {
    "batch": 8,
    "micro_batch": 8,
    "input_px": 32,
    "in_chans": 1,
    "mean": [0.5],
    "std": [0.25],
    "interpolation": "bilinear",
    "lr": 3e-3,
    "min_lr": 1e-6,
    "weight_decay": 0.05,
    "betas": [0.9, 0.999],
    "warmup_fraction": 0.1,
    "label_smoothing": 0.1,
    "ema_horizon": 0.4,  # of 10 steps: decay 0.75
    "drop_path": 0.1,
    "dtype": "float32",
    "threads": 1,
    "shift_px": 1,
    "flip": True,
}
# A few thousand weights, layer norms only: a micro-batch then changes nothing but the order of sums.
TINY = ("convnext_atto", {"depths": [1, 1, 1, 1], "dims": [8, 8, 8, 16], "patch_size": 2})
N_CLASSES = 3


def stripes(n: int = 30) -> list[tuple[str, int, bytes]]:
    """Rows of (id, label, PNG): 8 x 8 grey noise with a bright row, whose place among three is the class."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        pixels = rng.integers(0, 80, (8, 8), dtype=np.uint8)
        pixels[1 + 2 * (i % N_CLASSES)] = 255
        rows.append((f"stripe-{i:03d}", i % N_CLASSES, encode_png(pixels)))
    return rows


def ignore_progress(done: int, total: int) -> None:
    pass


def make_step(
    folder: Path,
    images: Artifact,
    *,
    seed: int | None = 1,
    samples_seen: int = 80,
    permute_labels: bool = False,
    arch: tuple[str, dict[str, Any]] = TINY,
    progress: Callable[[int, int], None] = ignore_progress,
    scratch: Path | None = None,
    devices: int = 1,
    budget: dict[str, Any] | None = None,
    **values: Any,
) -> Step:
    """A step by hand, with ``values`` over the recipe above; ``budget`` is the recipe's own, in place of samples."""
    out, scratch = folder / "out", scratch or folder / "scratch"
    out.mkdir(parents=True)
    scratch.mkdir(exist_ok=True)
    return Step(
        node="1" * 64,
        params={
            "arch": arch[0],
            "arch_args": arch[1],
            "n_classes": N_CLASSES,
            "recipe": Part("recipe", "tiny", "1", values=VALUES | values | (budget or {})),
            "samples_seen": None if budget else samples_seen,
            "permute_labels": permute_labels,
        },
        inputs={"images": images},
        seed=seed,
        shard=0,
        out=out,
        scratch=scratch,
        device="cpu",
        progress=progress,
        resident=lambda key, make: make(),
        load=lambda part: lambda: None,
        devices=devices,
    )


def weights(step: Step) -> bytes:
    return (step.out / "weights.safetensors").read_bytes()


def meta(step: Step) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((step.out / "meta.json").read_text())
    return read
