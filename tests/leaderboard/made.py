"""Cells and run folders made by hand, with known values per item."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from vgbench import results
from vgbench.images import write_table
from vgbench.metrics.declared import BEST_TEST_EPOCH
from vgbench.results import Cell
from vgbench.stats import wilson
from vgbench.types import sha256_hex
from vgbench_leaderboard.build import build_run

LOWER = {"fid", "kid"}


def make_cell(
    source: str,
    right: Sequence[float],
    *,
    train: int = 0,
    seeds: dict[str, int] | None = None,
    sees: str = "class names",
    column: str = "digits",
    options: dict[str, str] | None = None,
    version: str = "1",
    status: str = "ok",
    kind: str = "made",
    source_options: dict[str, str] | None = None,
    row_options: dict[str, int] | None = None,
    images: tuple[str, int] | None = None,
    rejected: dict[str, int] | None = None,
    more: dict[str, float | None] | None = None,
    metric: str = "top1",
) -> Cell:
    """Return a cell whose main ``metric`` is the mean of ``right``.

    ``images``: the image set's name and size; ``rejected``: what was left out of it. ``more``: further metrics by
    name, those in ``LOWER`` better when low.
    """
    seeds = {"train": train} if seeds is None else seeds
    n, value = len(right), float(np.mean(right))
    ci = wilson(round(value * n), n)
    assert ci is not None
    main = {
        "name": metric, "value": value, "unit": "fraction", "n": n, "chance": 0.1, "higher_is_better": True,
        "main": True,
        "ci": None if metric == BEST_TEST_EPOCH else {"lo": ci.lo, "hi": ci.hi, "level": ci.level, "method": ci.method},
    }  # fmt: skip
    others = [
        {"name": name, "value": value, "unit": "distance", "n": n, "chance": None, "main": False, "ci": None,
         "higher_is_better": name not in LOWER, "reason": None if value is not None else "withheld"}
        for name, value in (more or {}).items()
    ]  # fmt: skip
    counts = (
        {
            "images": images[1],
            "requested": None,
            "per_class": {},
            "shortfall": {},
            "rejected": rejected or {},
            "rejected_per_class": {},
        }
        if images
        else None
    )
    task = f"{column}{options}{version}"
    return Cell.model_validate(
        {
            "digest": sha256_hex(f"{source}{source_options}{row_options}{seeds}{task}{right}{more}"),
            "column": sha256_hex(task),
            "status": status,
            "reason": None if status == "ok" else "made to fail",
            "source": {
                "name": source, "distribution": "vgbench", "kind": kind, "options": source_options or {},
                "sees": sees, "models": [], "generator_training_data": "none",
            },
            "task": {
                "name": column, "version": version, "distribution": "vgbench", "options": options or {},
                "row_options": row_options or {},
            },
            "seeds": seeds,
            "metrics": [main, *others] if status == "ok" else [],
            "counts": counts,
            "controls": [],
            "nodes": {"score": sha256_hex(f"{source}{task}{seeds}{source_options}{list(right)}")}
            | ({"image_set": sha256_hex(images[0])} if images else {}),
            "content": None,
        }
    )  # fmt: skip


def answers(n: int, share: float, *, seed: int) -> list[float]:
    """Return n values 0 or 1, of which about ``share`` are 1; harder items are missed first, with scatter by seed."""
    random = np.random.default_rng(seed)
    difficulty = np.random.default_rng(0).uniform(size=n)
    return (difficulty + random.normal(0, 0.05, n) < share).astype(float).tolist()


def write_run(
    folder: Path, cells: Iterable[tuple[Cell, Sequence[float]]], *, suites: dict[str, list[str]] | None = None
) -> Path:
    """Write a run's folder of cells with their values per item, and its leaderboard."""
    plan = []
    for cell, right in cells:
        at = folder / "cells" / cell.digest
        at.mkdir(parents=True)
        (at / results.CELL_FILE).write_text(results.dump(cell))
        ids = [f"s{i:05d}" for i in range(len(right))]
        write_table(at / results.ITEMS_FILE, pa.table({"sample_id": ids, "value": pa.array(right, pa.float64())}))
        per_class = {"class_id": ["x"], "n": [len(right)], "value": [float(np.mean(right))]}
        write_table(at / results.PER_CLASS_FILE, pa.table(per_class))
        plan.append({"digest": cell.digest})
    (folder / results.PLAN_FILE).write_text(json.dumps({"cells": plan, "suites": suites or {}}))
    build_run(folder)
    return folder
