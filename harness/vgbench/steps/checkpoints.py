"""A long training's state on disk, whole or not there: tensors as safetensors, and the JSON that points to them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from vgbench.types import Artifact

RECORD_FILE = "checkpoint.json"


def files_of(*artifacts: Artifact) -> str:
    """Name what a training reads, as it lies there: a node's scratch outlives inputs that are made again."""
    found = [path for artifact in artifacts for shard in artifact.shards for path in sorted(shard.iterdir())]
    listed = [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in found]
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()


def save(scratch: Path, step: int, tensors: Mapping[str, Tensor], record: Mapping[str, Any], *, reads: str) -> None:
    """Write the state after ``step`` optimiser steps: tensors under a new name, then the JSON, then drop the older.

    ``reads``: `files_of` what is trained on.
    """
    name = f"step-{step:08d}.safetensors"
    temporary = scratch / "checkpoint.tmp"
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, temporary)
    _replace(temporary, scratch / name)
    temporary.write_text(json.dumps({**record, "tensors": name, "step": step, "reads": reads}))
    _replace(temporary, scratch / RECORD_FILE)
    for old in scratch.glob("step-*.safetensors"):
        if old.name != name:
            old.unlink()


def load(scratch: Path, *, reads: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the tensors and the record of the last checkpoint; None where there is none, or one of other images."""
    if not (scratch / RECORD_FILE).exists():
        return None
    record = json.loads((scratch / RECORD_FILE).read_text())
    if record["reads"] != reads:
        return None
    return load_file(scratch / record["tensors"]), record


def _replace(temporary: Path, final: Path) -> None:
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(final)
