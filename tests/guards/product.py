"""The product's code as the guards read it: its modules as syntax trees, calls by their full names, a copy to spoil."""

from __future__ import annotations

import ast
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOUSES = ("harness", "plugins", "tasks", "leaderboard")  # the source roots, as in pyproject.toml


@dataclass(frozen=True)
class Module:
    """One module: its path below its source root (``vgbench/store.py``), its syntax, what its imports stand for."""

    path: str
    tree: ast.Module
    imported: dict[str, str]

    @classmethod
    def parse(cls, path: str, source: str) -> Module:
        tree = ast.parse(source)
        imported: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    imported[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                imported |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        return cls(path, tree, imported)

    @property
    def name(self) -> str:
        """The name it is imported by."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def full_name(self, node: ast.expr) -> str | None:
        """Return the dotted name of an expression that starts at an import: ``np.save`` is ``numpy.save``."""
        if isinstance(node, ast.Name):
            return self.imported.get(node.id)
        if isinstance(node, ast.Attribute):
            start = self.full_name(node.value)
            return f"{start}.{node.attr}" if start else None
        return None

    def calls(self) -> Iterator[tuple[str, ast.Call]]:
        """Yield every call with the name of the function or class that it stands in ("" at module level)."""
        stack: list[tuple[str, ast.AST]] = [("", self.tree)]
        while stack:
            place, node = stack.pop()
            if isinstance(node, ast.Call):
                yield place, node
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                place = node.name
            stack.extend((place, child) for child in ast.iter_child_nodes(node))


def modules(root: Path) -> Iterator[Module]:
    """Yield the modules of the product in a tree, or in a copy of one."""
    for house in HOUSES:
        for path in sorted((root / house).rglob("*.py")):
            yield Module.parse(path.relative_to(root / house).as_posix(), path.read_text())


def copy_product(target: Path) -> Path:
    """Copy the product and its pyproject.toml into a folder, to be spoilt there."""
    for house in HOUSES:
        shutil.copytree(ROOT / house, target / house, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


def python_path(root: Path) -> str:
    """Return the PYTHONPATH that makes Python import the packages of this tree."""
    return os.pathsep.join(str(root / house) for house in HOUSES)


def install(folder: Path, distribution: str, source: str) -> Path:
    """Put a plugin of one module into ``folder``, as a distribution that is found there through PYTHONPATH."""
    module = distribution.replace("-", "_")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{module}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[vgbench]\nplanted = {module}\n")
    return folder
