"""Shared fixtures: a private home, and the command line as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
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

    def run(*args: str, cwd: Path = tmp_path, env: dict[str, str] | None = None, seconds: int = 560) -> Answer:
        environment = {**os.environ, "VGBENCH_HOME": str(home), "OMP_NUM_THREADS": "1", **(env or {})}
        command = [sys.executable, "-m", "vgbench.cli", *args]
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

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in over_budget(self.seconds, budget()):
            terminalreporter.write_line(f"over budget: {line}", red=True)


def budget() -> dict[str, float]:
    return tomllib.loads((ROOT / "tests" / "budget.toml").read_text())


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Spent())
