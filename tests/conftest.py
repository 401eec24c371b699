"""Shared fixtures: a private home, and the command line as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
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


def frugal(words: Sequence[str]) -> list[str]:
    """Return a command's words with one worker where none are asked for: of a test's few images a second worker makes
    nothing but its imports, and two tests run at a time."""
    works = {*words[:1]} & {"run", "generate", "preview"} and not any(w.startswith("--workers") for w in words)
    return [*words, "--workers=1"] if works else [*words]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def vgbench(home: Path, tmp_path: Path) -> Callable[..., Answer]:
    """Run ``vgbench ARGS`` in a fresh folder with a private home."""

    def run(*args: str, cwd: Path = tmp_path, env: dict[str, str] | None = None, seconds: int = 560) -> Answer:
        environment = {**os.environ, "VGBENCH_HOME": str(home), "OMP_NUM_THREADS": "1", **(env or {})}
        command = [sys.executable, "-m", "vgbench.cli", *frugal(args)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=seconds)
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


# ── What the folders of tests may take ───────────────────────────────────────────────────────────


def over_budget(spent: dict[str, float], budget: dict[str, float]) -> list[str]:
    """Return a line for each folder that took more minutes than it may, or has no budget."""
    return [
        f"tests/{folder} took {seconds / 60:.1f} minutes; its budget is {budget.get(folder, 0)}"
        for folder, seconds in sorted(spent.items())
        if seconds / 60 > budget.get(folder, 0)
    ]


class Spent:
    """Add up what each folder took; in CI (environment variable ``CI``) more than its budget fails the session."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if "heavy" in report.keywords:  # whoever asks for these knows; CI does not
            return
        folder = Path(report.nodeid.partition("::")[0]).parts[1]
        self.seconds[folder] = self.seconds.get(folder, 0.0) + report.duration

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if over_budget(self.seconds, budget()) and os.environ.get("CI") and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Say it after everything else: a log that is cut off keeps its last lines."""
        for line in over_budget(self.seconds, budget()):
            sys.stderr.write(f"over budget: {line}\n")


def budget() -> dict[str, float]:
    return tomllib.loads((ROOT / "tests" / "budget.toml").read_text())


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # one of several processes knows of its own tests alone
        config.pluginmanager.register(Spent())
