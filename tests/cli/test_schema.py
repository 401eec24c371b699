"""What commands print with --json is what ``vgbench schema`` says they print."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.conftest import Answer

from vgbench.commands.answers import ANSWERS, Checked
from vgbench.conformance.suite import Result

ASKED = ["--source", "original", "toybox", "--tasks", "digits", "--images-per-class", "40"]

IMAGES = ["--source", "toybox", "--classes", "digits"]


def test_every_answer_validates_against_its_model(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    answers = {
        "list": vgbench("list", "--json"),
        "show": vgbench("show", "digits", "--json"),
        "plan": vgbench("plan", *ASKED, "--usd-per-hour", "2", "--json"),
        "run": vgbench("run", *ASKED, "-o", "out", "--json"),
        "preview": vgbench("preview", *IMAGES, "-n", "2", "--json"),
        "generate": vgbench("generate", *IMAGES, "--images-per-class", "2", "-o", "g", "--format", "folder", "--json"),
        "data": vgbench("data", "doctor", "--tasks", "digits", "--json"),
        "plugins-list": vgbench("plugins", "list", "--json"),
        "plugins-doctor": vgbench("plugins", "doctor", "--json"),
        "cache-ls": vgbench("cache", "ls", "--json"),
        "plugins-new": vgbench("plugins", "new", "source", "mine", "-o", "mine", "--json"),
        "cache-verify": vgbench("cache", "verify", "--json"),
        "cache-repair": vgbench("cache", "repair", "--json"),
        "cache-gc": vgbench("cache", "gc", "--json"),
        "cache-pin": vgbench("cache", "pin", "out", "--json"),
        "leaderboard": vgbench("leaderboard", "show", "out", "--json"),
        "compare": vgbench("compare", "out:original", "out:toybox", "--per-class", "--json"),
        "aggregate": vgbench("leaderboard", "aggregate", "gain", "out", "--suite", "toybox/transfer", "--json"),
        "reported": vgbench("leaderboard", "reported", "transfer8", "--json"),
        "error": vgbench("show", "nothing", "--json"),
    }
    cell = next((tmp_path / "out" / "cells").iterdir())
    answers["score"] = vgbench("score", "digits", str(cell / "predictions.parquet"), "--per-class", "--json")
    for name, answer in answers.items():
        assert answer.code == (2 if name == "error" else 0), answer.err
        ANSWERS[name].model_validate(answer.json)
    for name in ("cell", "observed"):
        file = {"cell": "result.json", "observed": "observed.json"}[name]
        ANSWERS[name].model_validate_json((cell / file).read_text())
    elsewhere = {"plugins-check", "bench", "speed", "index"}  # they take long: the last in tests/retrieval
    assert set(answers) | {"cell", "observed"} | elsewhere == set(ANSWERS)


def test_model_of_a_conformance_check_has_its_fields() -> None:
    """The command itself takes minutes."""
    assert {field.name for field in fields(Result)} == set(Checked.model_fields)


def test_model_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="surprise"):
        ANSWERS["cache-ls"].model_validate({"schema": "vgbench.cache/1", "home": "h", "steps": [], "surprise": 1})


def test_every_schema_is_listed_and_printed(vgbench: Callable[..., Answer]) -> None:
    listed = vgbench("schema").out
    for name in ANSWERS:
        assert any(line.startswith(name + " ") for line in listed.splitlines())
    for name in ("compare", "list"):
        assert vgbench("schema", name).json["title"] == ANSWERS[name].__name__
