"""`vgbench plugins check`: what it prints, what it refuses, its exit codes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conformance.planted import write_plugin
from tests.conftest import Answer

WRONG_COUNT = "def made(rows, class_id): return Made(len(rows) + 1)"


@pytest.fixture
def check(vgbench: Callable[..., Answer], tmp_path: Path) -> Callable[..., Answer]:
    """Return a function that checks a planted plugin by the command line."""
    folder = tmp_path / "site"
    folder.mkdir()

    def run(*args: str, work: str = "", path: str = "") -> Answer:
        if not list(folder.iterdir()):
            write_plugin(folder, work=work)
        return vgbench("plugins", "check", "vgbench-planted", *args, env={"PYTHONPATH": f"{folder}{os.pathsep}{path}"})

    return run


def test_sound_plugin_passes_and_a_fault_is_named_with_its_rule(check: Callable[..., Answer]) -> None:
    answer = check(work=WRONG_COUNT)
    assert answer.code == 1
    assert "failed   planted  made-is-true: vgbench-planted.draw shard 0: Made says 5 items, 4 rows" in answer.out
    assert "the rule: `Made.items` is the number of rows written" in answer.out
    assert "ok       planted  graph-is-pure" in answer.out
    expected = check("--expect", "made-is-true=known, mended next week", "--json")
    assert expected.code == 0, expected.out
    assert expected.json["counts"]["expected"] == 1 and "failed" not in expected.json["counts"]
    strict = check("--expect", "made-is-true=known", "graph-is-pure=no", "--json")
    assert strict.code == 1 and strict.json["counts"]["failed"] == 1


@pytest.mark.parametrize(
    ("args", "what", "hint"),
    [
        (["vgbench-plant"], "no installed distribution 'vgbench-plant'", "did you mean 'vgbench'?"),
        (["vgbench", "--expect", "made-is-true"], "a known failure needs a reason", "CHECK=why"),
        (["vgbench", "--expect", "made-is-treu=x"], "no check is called 'made-is-treu'", "'made-is-true'?"),
        (["vgbench", "--source", "toybx"], "no source is called 'toybx'", "'toybox'?"),
        (["vgbench", "--task", "digitz"], "vgbench has no task 'digitz'", "digits"),
    ],
)
def test_wrong_question_is_refused(vgbench: Callable[..., Answer], args: list[str], what: str, hint: str) -> None:
    answer = vgbench("plugins", "check", *args)
    assert answer.code == 2 and what in answer.err and hint in answer.err and "Traceback" not in answer.err


def test_source_is_tried_in_the_form_that_is_given(check: Callable[..., Answer]) -> None:
    answer = check("--source", "planted:micro_batch=0")
    assert answer.code == 1
    assert "failed   planted  form-is-served: planted:micro_batch=0: micro_batch=0: must be at least 1" in answer.out
    assert "skipped  planted  graph-is-pure: see form-is-served" in answer.out
