"""Benchmarks of the instrument itself, by name. Each stands apart from the core and uses it as a user does."""

from __future__ import annotations

BENCHES = {
    "calibration": ("vgbench.bench.calibration.run:bench", "does each bias metric answer its own dial, and the truth?"),
}
# Speeds that must hold: modules of this package whose ``measure`` runs in a process of its own (see `speed`).
SPEEDS = {
    "logreg": (
        "vgbench.bench.logreg",
        "ten C of logistic regression: at least 3 times scikit-learn's speed, certified",
    ),
    "decode": ("vgbench.bench.decode", "JPEG of 512 px to 224 px: at least 2.5 times Pillow's speed, the same pixels"),
    "knn": (
        "vgbench.bench.knn",
        "nearest of 200,000 vectors: at least 20 times the speed of exact search, recall 0.99",
    ),
    "generate": ("vgbench.bench.generate", "text to images: at least 0.97 times the speed of a bare call of diffusers"),
    "embed": ("vgbench.bench.embed", "JPEG to features: at most 1.15 times the slower of decoding and network"),
    "pretrain": (
        "vgbench.bench.pretrain",
        "training from a pack: at least 0.9 times the speed of the same step on tensors in memory (0.7 on a GPU)",
    ),
}
