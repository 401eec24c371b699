"""One row for each trained model: its setting, its seed, and what every metric said of it. Kept as JSON lines."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vgbench.bench.calibration.settings import TASKS, Setting, experiment, settings
from vgbench.errors import VgbenchError

Row = dict[str, Any]
AT_ONCE = 6  # settings in one run: enough that its workers seldom wait, few enough that little is lost on a kill


def read(path: Path) -> list[Row]:
    """Read the rows that there are."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def missing(rows: Sequence[Row]) -> Iterator[list[Setting]]:
    """Yield the settings that lack a row, those of one kind of training together, in the order of the design."""
    seeds = Counter(row["setting"] for row in rows)
    chunk: list[Setting] = []
    for setting in settings():
        if seeds[setting.name] >= setting.seeds:
            continue
        if chunk and (chunk[0].training != setting.training or len(chunk) == AT_ONCE):
            yield chunk
            chunk = []
        chunk.append(setting)
    if chunk:
        yield chunk


def add(several: Sequence[Setting], path: Path, home: Sequence[str], say: Callable[[str], None]) -> None:
    """Train and score some settings by ``vgbench run``, and add their rows; what it prints goes to stderr.

    Raises ``VgbenchError`` when a cell failed; the rows of the others are added all the same.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "experiment.toml"
        file.write_text(experiment(several))
        command = [sys.executable, "-m", "vgbench.cli", *home, "run", str(file), "-o", f"{folder}/run", "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        cells = [json.loads(file.read_text()) for file in sorted(Path(folder).glob("run/cells/*/result.json"))]
    found = [row for setting in several for row in rows_of(setting, [c for c in cells if c["status"] == "ok"])]
    whole = [row for row in found if len(row["cells"]) == len(TASKS)]
    known = read(path)
    have = {(row["setting"], row["seed"]) for row in known}
    new = [row for row in whole if (row["setting"], row["seed"]) not in have]
    path.parent.mkdir(parents=True, exist_ok=True)
    whole_file = path.with_suffix(".new")  # put in place whole: a kill leaves the old rows or all of the new ones
    whole_file.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in [*known, *new]))
    whole_file.replace(path)
    say(f"{len(new)} models: {', '.join(setting.name for setting in several)}")
    reasons = [cell["reason"] for cell in cells if cell["status"] != "ok"]
    if done.returncode or reasons:
        raise VgbenchError(f"a cell of the calibration failed: {reasons[0] if reasons else done.stdout[-300:]}")


def rows_of(setting: Setting, cells: Sequence[Row]) -> list[Row]:
    """Gather a setting's cells by seed. A withheld value is null."""
    rows: dict[int, Row] = {}
    for cell in cells:
        if not _is_of(cell, setting):
            continue
        seed = cell["seeds"]["train"]
        row = rows.setdefault(
            seed, {"setting": setting.name, "group": setting.group, "seed": seed, "metrics": {}, "cells": []}
        )
        row["metrics"] |= {metric["name"]: metric["value"] for metric in cell["metrics"]}
        row["cells"].append(cell["digest"])
    return [rows[seed] for seed in sorted(rows)]


def _is_of(cell: Row, setting: Setting) -> bool:
    source = cell["source"]["options"]
    defaults = {"pose_range": 1.0, "occlusion": 1.0, "noise": 1.0}
    dials = [name for name in source if name.endswith("_bias") or name == "label_noise" or name in defaults]
    same = all(source[name] == setting.source.get(name, defaults.get(name, 0.0)) for name in dials)
    row, column = cell["task"]["row_options"], cell["task"]["options"]
    return (
        same
        and row["images_per_class"] == setting.images_per_class
        and row["backbone"] == setting.backbone
        and column["recipe"] == setting.recipe
        and column["samples_seen"] == setting.samples_seen
    )
