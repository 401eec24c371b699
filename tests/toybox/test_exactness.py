"""Nothing on the way to Toybox's pixels may be rounded differently by another library version or processor."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from vgbench.toybox import (
    atlas,
    classes,
    digits,
    downstream,
    families,
    kinds,
    palette,
    random,
    scene,
    scenery,
    sets,
    silhouettes,
    textures,
    world,
)

FORBIDDEN = {
    *("sin", "cos", "tan", "arctan", "arctan2", "atan2", "hypot", "exp", "exp2", "log", "log2", "power", "float_power"),
    *("pow", "cbrt", "sum", "nansum", "cumsum", "prod", "mean", "average", "std", "var", "trapezoid", "reduce", "fsum"),
    *("dot", "vdot", "inner", "outer", "matmul", "tensordot", "einsum", "linalg", "fft", "convolve", "interp"),
    *("polyval", "default_rng", "random", "uniform_", "normal", "math"),
}


def inexact(source: str) -> list[str]:
    """Return the forbidden names and operators that a module's code uses."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in FORBIDDEN:
            found.append(node.attr)
        elif isinstance(node, ast.Name) and node.id in FORBIDDEN:
            found.append(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            names = {alias.name for alias in node.names}
            found += sorted(FORBIDDEN & names) + (["math"] if module == "math" else [])
        elif isinstance(node, ast.Pow | ast.MatMult):
            found.append(type(node).__name__)
    return found


MODULES = [
    *(
        atlas,
        classes,
        digits,
        downstream,
        families,
        kinds,
        palette,
        random,
        scene,
        scenery,
        sets,
        silhouettes,
        textures,
        world,
    ),
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_module_computes_only_what_is_rounded_exactly(module: object) -> None:
    path = Path(str(getattr(module, "__file__", None)))
    assert inexact(path.read_text()) == []


def test_every_module_on_the_way_to_pixels_is_checked() -> None:
    folder = Path(str(random.__file__)).parent
    checked = {Path(str(getattr(module, "__file__", None))).name for module in MODULES}
    text_only = {"__init__.py", "allographs.py", "patterns.py", "words.py"}
    resized_by_pillow = {"web.py"}  # coarse digits, in whole numbers; a golden hash of pixels and captions holds it
    assert {path.name for path in folder.glob("*.py")} - checked == text_only | resized_by_pillow


def test_square_roots_are_allowed() -> None:
    assert inexact("np.sqrt(x)") == []  # IEEE 754 rounds it exactly, as it does + - × /


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("np.sin(x)", "sin"),
        ("x.mean(axis=1)", "mean"),
        ("sum(x)", "sum"),
        ("np.add.reduce(x)", "reduce"),
        ("a @ b", "MatMult"),
        ("x ** 2", "Pow"),
        ("from math import sqrt", "math"),
        ("import math", "math"),
        ("from numpy import einsum", "einsum"),
        ("np.random.default_rng(0)", "random"),
    ],
)
def test_check_finds_what_it_forbids(code: str, name: str) -> None:
    assert name in inexact(code)
