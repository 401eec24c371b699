"""Only cli.py reads the environment; nothing is pickled; no tracked file names the host of a package registry."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from tests.guards.product import ROOT, Module, copy_product, modules

ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "os.unsetenv"}
READS_THE_ENVIRONMENT = "vgbench/cli.py"
PICKLING = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
# in pieces, so that this file does not name them
HOSTS = tuple(f"{name}.org" for name in ("pypi", "pythonhosted", "download." + "pytorch"))


def environment_reads(root: Path) -> list[str]:
    """Return "path:line: what" for each use of the environment outside cli.py."""
    found = []
    for module in modules(root):
        if module.path != READS_THE_ENVIRONMENT:
            found += [f"{module.path}:{line}: {what}" for line, what in environment_uses(module)]
    return found


def environment_uses(module: Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.Attribute, ast.Name)) and (name := module.full_name(node)) in ENVIRONMENT:
            yield node.lineno, str(name)
        if isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from ((node.lineno, name) for name in names & ENVIRONMENT)


def pickles(root: Path) -> list[str]:
    """Return "path:line: what" for everything that writes pickles, or would run one that it reads."""
    return [f"{m.path}:{line}: {what}" for m in modules(root) for line, what in pickle_uses(m)]


def pickle_uses(module: Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").partition(".")[0]}
        else:
            continue
        yield from ((node.lineno, name) for name in names & PICKLING)
    for _, call in module.calls():
        name = module.full_name(call.func) or ""
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if name == "torch.load" and _literal(given.get("weights_only")) is not True:
            yield call.lineno, "torch.load without weights_only=True"
        elif name == "numpy.load" and "allow_pickle" in given and _literal(given["allow_pickle"]) is not False:
            yield call.lineno, "np.load with allow_pickle"
        elif name == "torch.save" or name.endswith((".read_pickle", ".to_pickle")):
            yield call.lineno, name


def _literal(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def host_mentions(files: Iterable[Path]) -> list[str]:
    """Return "path:line: host" for each mention of a registry's host in a text file."""
    found = []
    for path in files:
        try:
            lines = path.read_text().lower().splitlines()
        except (UnicodeDecodeError, IsADirectoryError, FileNotFoundError):  # not text; deleted, but still tracked
            continue
        for number, line in enumerate(lines, start=1):
            found += [f"{path}:{number}: {host}" for host in HOSTS if host in line]
    return found


def test_only_the_command_line_reads_the_environment() -> None:
    assert environment_reads(ROOT) == []


def test_command_line_is_seen_to_read_the_environment() -> None:
    assert list(environment_uses(next(m for m in modules(ROOT) if m.path == READS_THE_ENVIRONMENT)))


@pytest.mark.parametrize(
    "line",
    [
        "import os\nHOME = os.environ['HOME']",
        "import os as system\nHOME = system.getenv('HOME')",
        "from os import environ",
        "import os\ndef f(): return {**os.environ}",
    ],
)
def test_planted_read_of_the_environment_is_found(tmp_path: Path, line: str) -> None:
    path = copy_product(tmp_path) / "harness" / "vgbench" / "locate.py"
    path.write_text(path.read_text() + f"\n{line}\n")
    (found,) = set(environment_reads(tmp_path)) - set(environment_reads(ROOT))
    assert found.startswith("vgbench/locate.py:")


def test_nothing_is_pickled() -> None:
    assert pickles(ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import dump",
        "import torch\ntorch.load('w.pth')",
        "import torch\ntorch.load('w.pth', weights_only=False)",
        "from torch import load\nload('w.pth')",
        "import torch\ntorch.save({}, 'w.pth')",
        "import numpy as np\nnp.load('x.npy', allow_pickle=True)",
        "import numpy as np\nTRUST = True\nnp.load('x.npy', allow_pickle=TRUST)",
        "import pandas as pd\npd.read_pickle('x')",
    ],
)
def test_planted_pickle_is_found(line: str) -> None:
    assert len(list(pickle_uses(Module.parse("vgbench/planted.py", line)))) == 1


def test_planted_pickle_is_found_in_a_tree(tmp_path: Path) -> None:
    (copy_product(tmp_path) / "tasks" / "vgbench_tasks" / "planted.py").write_text("import pickle\n")
    assert "vgbench_tasks/planted.py:1: pickle" in pickles(tmp_path)


@pytest.mark.parametrize(
    "line",
    ["import torch\ntorch.load('w.pth', weights_only=True)", "import numpy as np\nnp.load('x.npy', mmap_mode='r')"],
)
def test_safe_load_is_allowed(line: str) -> None:
    assert not list(pickle_uses(Module.parse("vgbench/planted.py", line)))


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="what is tracked is known in a checkout only")
def test_no_tracked_file_names_a_registry() -> None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    assert ROOT / "constraints.txt" in files
    assert host_mentions(files) == []


@pytest.mark.parametrize("host", HOSTS)
def test_planted_registry_is_found(tmp_path: Path, host: str) -> None:
    text, binary = tmp_path / "constraints.txt", tmp_path / "image.png"
    text.write_text(f"# exact versions\n--index-url https://{host.upper()}/simple\n")
    binary.write_bytes(b"\xff\xfe\x00")
    assert host_mentions([text, binary]) == [f"{text}:2: {host}"]
