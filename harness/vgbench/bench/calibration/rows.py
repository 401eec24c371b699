"""One row for each trained model: its setting, its seed, and what every metric said of it. Kept as JSON lines."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vgbench.bench.calibration.settings import Setting, experiment, settings

Row = dict[str, Any]
AT_ONCE = 6  # settings in one run: enough that its workers seldom wait, few enough that little is lost on a kill


def read(path: Path) -> list[Row]:
    """Read the rows that there are."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def missing(rows: Sequence[Row]) -> Iterator[list[Setting]]:
    """Yield the settings that lack a row, those of one kind of training together, in the order of the design."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["setting"]] = counts.get(row["setting"], 0) + 1
    chunk: list[Setting] = []
    for setting in settings():
        if counts.get(setting.name, 0) >= setting.seeds:
            continue
        if chunk and (chunk[0].training != setting.training or len(chunk) == AT_ONCE):
            yield chunk
            chunk = []
        chunk.append(setting)
    if chunk:
        yield chunk


def add(several: Sequence[Setting], path: Path, home: Sequence[str], say: Callable[[str], None]) -> None:
    """Train and score some settings by ``vgbench run``, and append their rows."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "experiment.toml"
        file.write_text(experiment(several))
        command = [sys.executable, "-m", "vgbench.cli", *home, "run", str(file), "-o", f"{folder}/run", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-2000:]}")
        cells = [json.loads(file.read_text()) for file in sorted(Path(folder).glob("run/cells/*/result.json"))]
    rows = [row for setting in several for row in rows_of(setting, cells)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lines:
        lines.writelines(json.dumps(row, sort_keys=True) + "\n" for row in rows)
    say(f"{len(rows)} models: {', '.join(setting.name for setting in several)}")


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
