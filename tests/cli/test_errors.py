"""What a user sees who types something wrong: what happened, the nearest right thing, the exit code, no traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Answer

RUN = ["run", "--source", "original", "--tasks", "digits"]


@pytest.mark.parametrize(
    ("args", "what", "hint"),
    [
        (["lst"], "no command 'lst'", "did you mean 'list'?"),
        (["plugins", "doktor"], "no command 'doktor'", "did you mean 'doctor'?"),
        (
            ["run", "--source", "orignal", "--tasks", "digits"],
            "no source is called 'orignal'",
            "did you mean 'original'?",
        ),
        (["run", "--source", "original", "--tasks", "digts"], "no task is called 'digts'", "did you mean 'digits'?"),
        (
            ["run", "--source", "original:n=3", "--tasks", "digits"],
            "no option of original is called 'n'",
            "show original",
        ),
        ([*RUN, "--shots", "3"], "option 'shots'", "their options"),
        ([*RUN, "--images-per-class", "many"], "not a whole number of at least 1", "images asked of the source"),
        ([*RUN, "--seeds", "0"], "0 train seeds", None),
        ([*RUN, "--workers", "0"], "--workers 0", None),
        ([*RUN, "--device", "cuda"], "no NVIDIA GPU", "--device cpu"),
        (["run", "--source", "original"], "--tasks names nothing", "experiment file"),
        (["show", "digit"], "no source, task or part is called 'digit'", "did you mean 'digits'?"),
        (["schema", "cel"], "no schema is called 'cel'", "did you mean 'cell'?"),
        (["leaderboard", "build", "nowhere"], "nowhere is not a run's folder", None),
    ],
)
def test_wrong_command_is_refused(
    vgbench: Callable[..., Answer], home: Path, args: list[str], what: str, hint: str | None
) -> None:
    if "cuda" in args and list(Path("/dev").glob("nvidia[0-9]*")):
        pytest.skip("this machine has a GPU")
    answer = vgbench(*args)
    assert answer.code == 2 and what in answer.err and "Traceback" not in answer.err + answer.out
    assert hint is None or hint in answer.err
    assert not home.exists(), "something was made"


def test_failure_with_json_is_json(vgbench: Callable[..., Answer]) -> None:
    answer = vgbench("plan", "--source", "orignal", "--tasks", "digits", "--json")
    assert answer.code == 2
    assert answer.json["error"] == {
        "what": "no source is called 'orignal'",
        "hint": "did you mean 'original'?",
        "exit_code": 2,
    }


def test_debug_shows_the_traceback(vgbench: Callable[..., Answer]) -> None:
    assert "Traceback" in vgbench("--debug", "show", "digit").err


def test_home_that_cannot_be_written_is_named(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = vgbench(*RUN, "--json", env={"VGBENCH_HOME": str(tmp_path / "file" / "home")})
    assert answer.code == 1 and "Traceback" not in answer.err
    assert "cannot write to" in answer.err or "cannot write to" in json.dumps(answer.json)


def test_blocked_cell_is_listed_and_the_rest_runs(vgbench: Callable[..., Answer]) -> None:
    asked = ["--source", "toybox", "original", "--tasks", "digits", "--images-per-class", "all"]
    answer = vgbench("run", *asked, "--json")
    assert answer.code == 3 and "blocked: toybox × digits" in answer.err
    assert {cell["source"]: cell["status"] for cell in answer.json["cells"]} == {"toybox": "blocked", "original": "ok"}
    strict = vgbench("run", *asked, "--strict")
    assert strict.code == 3 and strict.out == ""


def test_failing_step_fails_its_cell_and_names_the_reason(vgbench: Callable[..., Answer]) -> None:
    answer = vgbench(
        "run", "--source", "original", "--tasks", "digits", "digits:backbone", "--backbone", "resnet_999", "--json"
    )
    assert answer.code == 1 and "Traceback" not in answer.err
    status = {cell["options"]["train"]: (cell["status"], cell["reason"]) for cell in answer.json["cells"]}
    assert status["probe"][0] == "ok"
    assert status["backbone"][0] == "failed" and "resnet_999" in status["backbone"][1]
