"""Published results that a metric is checked against: files beside the repository, absent on most machines."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def golden(name: str) -> Path:
    """Return ``../shared/golden/NAME``; the test is skipped, saying so, where it is not there."""
    path = ROOT.parent / "shared" / "golden" / name
    if not path.is_file():
        pytest.skip(f"no golden data here: ../shared/golden/{name}")
    return path
