"""How the crash tests start, finish and read a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SMALL = ["--source", "original", "toybox:micro_batch=16", "--tasks", "digits", "--images-per-class", "40"]
MANY = ["--source", "toybox:micro_batch=4", "--tasks", "digits", "--images-per-class", "80"]  # 200 image shards


def start(command: Sequence[str], home: Path, run_dir: Path, *more: str) -> subprocess.Popen[str]:
    """Start a run in a process group of its own, which hears Ctrl-C also where a shell runs the tests with ``&``."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    env = {**os.environ, "VGBENCH_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-m", "vgbench.cli", "run", *command, "-o", str(run_dir), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        start_new_session=True,
    )


def finish(command: Sequence[str], home: Path, run_dir: Path) -> dict[str, Any]:
    """Run to the end and return what ``--json`` printed."""
    process = start(command, home, run_dir, "--json")
    out, err = process.communicate(timeout=250)
    assert process.returncode == 0, err
    answer: dict[str, Any] = json.loads(out)
    return answer


def rows(run_dir: Path) -> str:
    """Return a leaderboard's rows and columns as text."""
    board = json.loads((run_dir / "leaderboard.json").read_text())
    return json.dumps([board["rows"], board["columns"]])


def commits(home: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of every commit record: a shard made again has others."""
    return {
        str(p.relative_to(home)): (p.stat().st_ino, p.stat().st_mtime_ns) for p in home.glob("store/*/*/*/commit.json")
    }
