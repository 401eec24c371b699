"""Benchmarks of the instrument itself, by name. Each stands apart from the core and uses it as a user does."""

from __future__ import annotations

BENCHES = {
    "calibration": ("vgbench.bench.calibration.run:bench", "does each bias metric answer its own dial, and the truth?"),
}
