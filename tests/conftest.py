"""Shared fixtures: a private home, and the command line as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def vgbench(home: Path, tmp_path: Path) -> Callable[..., Answer]:
    """Run ``vgbench ARGS`` in a fresh folder with a private home."""

    def run(*args: str, cwd: Path = tmp_path, env: dict[str, str] | None = None) -> Answer:
        environment = {**os.environ, "VGBENCH_HOME": str(home), "OMP_NUM_THREADS": "1", **(env or {})}
        command = [sys.executable, "-m", "vgbench.cli", *args]
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=280)
        return Answer(done.returncode, done.stdout, done.stderr)

    return run
