"""The import contracts of pyproject.toml hold, and each is seen to fail on a planted violation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.guards.product import ROOT, copy_product, python_path

# contract, file, the import that breaks it
PLANTED = [
    ("houses", "plugins/vgbench_plugins/files/__init__.py", "import vgbench_tasks.digits"),
    ("houses", "tasks/vgbench_tasks/probes/__init__.py", "import vgbench_leaderboard"),
    ("houses", "harness/vgbench/cli.py", "import vgbench_plugins.files"),
    ("core", "harness/vgbench/store.py", "from vgbench import planning"),
    ("core", "harness/vgbench/planning.py", "from vgbench import execute"),
    ("workers", "harness/vgbench/worker.py", "from vgbench import store"),
    ("workers", "harness/vgbench/steps/score.py", "from vgbench import results"),
    ("toybox", "harness/vgbench/planning.py", "import vgbench.toybox"),
]
CONTRACTS = {
    contract["id"]: contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}


def broken_contracts(root: Path) -> set[str]:
    """Run lint-imports on the packages of a tree and return the ids of the contracts it finds broken."""
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": python_path(root), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = re.sub(r"\s+", " ", done.stdout)
    verdicts = {id_: re.search(re.escape(name) + r" (KEPT|BROKEN)", said) for id_, name in CONTRACTS.items()}
    assert all(verdicts.values()), done.stdout + done.stderr
    broken = {id_ for id_, verdict in verdicts.items() if verdict and verdict[1] == "BROKEN"}
    assert (done.returncode != 0) == bool(broken), done.stdout + done.stderr
    return broken


def test_tree_keeps_its_layers() -> None:
    assert broken_contracts(ROOT) == set()


def test_unspoilt_copy_keeps_its_layers(tmp_path: Path) -> None:
    assert broken_contracts(copy_product(tmp_path)) == set()


@pytest.mark.parametrize(("contract", "file", "line"), PLANTED)
def test_planted_import_breaks_its_contract(tmp_path: Path, contract: str, file: str, line: str) -> None:
    path = copy_product(tmp_path) / file
    path.write_text(path.read_text() + f"\n{line}\n")
    assert broken_contracts(tmp_path) == {contract}


def test_every_contract_was_seen_to_fail() -> None:
    assert set(CONTRACTS) == {contract for contract, _, _ in PLANTED}
