"""Listing and planning import nothing heavy and are quick; the parent process of a run never imports torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.guards.product import install

HEAVY = {"torch", "torchvision", "timm", "numpy", "scipy", "sklearn", "pydantic", "rich", "pyarrow", "PIL"}
OURS = ("vgbench.steps", "vgbench.results")  # numeric code, and the pydantic models
LIGHT_COMMANDS = [
    ["--help"],
    ["list"],
    ["show", "digits"],
    ["plan", "--source", "original", "toybox", "--tasks", "digits"],
]
# Design §1 allows 0.2 CPU s. CI's machines differ by half, so the limit is in runs of this, which takes 0.15 s where
# `vgbench --help` takes 0.17.
YARDSTICK = """
import argparse, asyncio, dataclasses, email.message, http.client, importlib.metadata, unittest.mock, xml.dom.minidom
for i in range(60): dataclasses.make_dataclass(f'C{i}', [(f'f{k}', int) for k in range(8)], frozen=True)
"""
MOST_YARDSTICKS = 1.33
SMALL_RECIPE = """
from dataclasses import replace
from vgbench import hookimpl
from vgbench_tasks.recipes import DIGITS_SMALL
@hookimpl
def vgbench_offer_parts():
    yield replace(DIGITS_SMALL, name="small", values={**DIGITS_SMALL.values, "samples_seen": 256})
"""


def imported(stderr: str) -> set[str]:
    """Return the modules that ``-X importtime`` names, also those whose import failed.

    Of what ``importlib.import_module`` loads, entry points among them, it names only what they import in their turn:
    the inside of a heavy package, which is enough to know it by.
    """
    lines = [line.split("|") for line in stderr.splitlines() if line.startswith("import time:")]
    return {parts[2].strip() for parts in lines if len(parts) == 3} - {"imported package"}


def heavy_modules(stderr: str) -> set[str]:
    """Return the heavy packages among the imports that ``-X importtime`` wrote, and our own heavy modules."""
    names = imported(stderr)
    ours = {name for name in names if name in OURS or name.startswith(tuple(f"{o}." for o in OURS))}
    return {name.partition(".")[0] for name in names} & HEAVY | ours


def trace(tmp_path: Path, *args: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``vgbench ARGS`` with ``-X importtime``, which its workers do not inherit; ``path`` holds more plugins."""
    env = {**os.environ, "VGBENCH_HOME": str(tmp_path / "home"), "PYTHONPATH": str(path or ""), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-X", "importtime", "-m", "vgbench.cli", *args]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


@pytest.mark.parametrize("args", LIGHT_COMMANDS, ids=lambda args: args[0])
def test_light_command_imports_nothing_heavy(tmp_path: Path, args: list[str]) -> None:
    done = trace(tmp_path, *args)
    assert "digits" in done.stdout and {"vgbench.registry", "pluggy"} <= imported(done.stderr)
    assert heavy_modules(done.stderr) == set()


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("import numpy", "numpy"),
        ("import importlib; importlib.import_module('numpy')", "numpy"),
        ("import vgbench.results", "vgbench.results"),
        ("import vgbench.results", "pydantic"),
        ("import vgbench.steps.select", "vgbench.steps.select"),
        ("import torch.nn", "torch"),
        ("try:\n    import rich.absent\nexcept ImportError:\n    pass", "rich"),
    ],
)
def test_plugin_that_imports_something_heavy_is_found(tmp_path: Path, line: str, module: str) -> None:
    plugins = install(tmp_path / "plugins", "heavy-plugin", line + "\n")
    (plugins / "torch").mkdir()  # stands in for the real one, which takes seconds
    (plugins / "torch" / "__init__.py").touch()
    (plugins / "torch" / "nn.py").touch()
    assert module in heavy_modules(trace(tmp_path, "list", path=plugins).stderr)


def test_numpy_alone_is_named_alone(tmp_path: Path) -> None:
    plugins = install(tmp_path / "plugins", "heavy-plugin", "import numpy\n")
    assert heavy_modules(trace(tmp_path, "list", path=plugins).stderr) == {"numpy"}


@pytest.mark.parametrize("command", ["--help", "list"])
def test_light_command_is_quick(tmp_path: Path, command: str) -> None:
    assert shares_of_the_yardstick(tmp_path, "-m", "vgbench.cli", command) <= MOST_YARDSTICKS


def test_slow_command_is_found_by_its_cpu_time(tmp_path: Path) -> None:
    busy = YARDSTICK + YARDSTICK.replace("60", "90")
    assert shares_of_the_yardstick(tmp_path, "-c", busy) > MOST_YARDSTICKS


def shares_of_the_yardstick(tmp_path: Path, *args: str) -> float:
    """Return the CPU time of a Python process in yardsticks, run in turns: a machine changes its speed as it likes."""
    pairs = [(cpu_seconds(tmp_path, *args), cpu_seconds(tmp_path, "-c", YARDSTICK)) for _ in range(9)]
    command, yardstick = (sorted(side)[2] for side in zip(*pairs, strict=True))  # the quick ones; not the one lucky one
    return command / yardstick


def cpu_seconds(tmp_path: Path, *args: str) -> float:
    """Return the user and system seconds of one Python process, which may keep what it compiled, as a user's does."""
    env = {**os.environ, "VGBENCH_HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": ""}
    out = (os.POSIX_SPAWN_OPEN, 1, str(tmp_path / "out"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    pid = os.posix_spawn(sys.executable, [sys.executable, *args], env, file_actions=[out])
    _, status, used = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    "task",
    [
        "digits:train=probe",
        pytest.param("digits:train=backbone,recipe=small", marks=pytest.mark.slow),
    ],
)
def test_parent_of_a_run_never_imports_torch(tmp_path: Path, task: str) -> None:
    plugins = install(tmp_path / "plugins", "small-recipe", SMALL_RECIPE)
    asked = ["run", "--source", "original", "--tasks", task, "--images-per-class", "20", "--workers", "2", "--json"]
    done = trace(tmp_path, *asked, path=plugins)
    answer = json.loads(done.stdout)
    assert answer["shards_made"] > 0 and [cell["status"] for cell in answer["cells"]] == ["ok"]
    assert {"vgbench.execute", "vgbench.executors.local"} <= imported(done.stderr)
    assert heavy_modules(done.stderr) & {"torch", "torchvision", "timm"} == set()
    assert not {name for name in heavy_modules(done.stderr) if name.startswith("vgbench.steps")}
