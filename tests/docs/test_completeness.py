"""What there is, is documented: every command, every hook, every check, every error with an example that is real."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.blocks import DOCUMENTS, ROOT, blocks

from vgbench import errors, hookspecs
from vgbench.cli import Process, _parser
from vgbench.conformance.suite import PLUGIN_CHECKS, SOURCE_CHECKS, TASK_CHECKS, id_of

LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")


def commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield every command with its verb: "cache verify"."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                verbs = list(commands(sub))
                yield from [f"{name} {verb}" for verb in verbs] or [name]


def text_of_all() -> str:
    return "\n".join(document.read_text() for document in DOCUMENTS)


def test_every_command_stands_in_the_docs() -> None:
    text = text_of_all()
    found = list(commands(_parser(Process())))
    assert len(found) > 15
    assert [name for name in found if f"vgbench {name}" not in text] == []


def test_every_command_of_the_docs_exists() -> None:
    known = {name.partition(" ")[0] for name in commands(_parser(Process()))}
    named = set(re.findall(r"^(?:\$ )?vgbench ([a-z]+)", text_of_all(), re.MULTILINE))
    assert named <= known | {"lst"}  # the typing mistake that docs/errors.md shows


def test_every_hook_is_documented_with_what_it_is_for() -> None:
    rows = [line for line in (ROOT / "docs" / "hooks.md").read_text().splitlines() if line.startswith("| `vgbench_")]
    hooks = [name for name in vars(hookspecs) if name.startswith("vgbench_")]
    assert [row.split("`")[1].partition("(")[0] for row in rows] == hooks  # in the order of hookspecs.py
    assert all(len(cell.strip()) > 5 for row in rows for cell in row.strip("|").split("|"))


def test_every_check_is_documented() -> None:
    text = (ROOT / "docs" / "conformance.md").read_text()
    checks = {*PLUGIN_CHECKS, *SOURCE_CHECKS, *TASK_CHECKS}
    assert {id_of(check) for check in checks} == set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE))


def test_every_check_says_its_rule_and_why() -> None:
    for check in {*PLUGIN_CHECKS, *SOURCE_CHECKS, *TASK_CHECKS}:
        rule, _, why = (check.__doc__ or "").partition("\n")
        assert rule.endswith(".") or why, check.__name__
        assert len(check.__doc__ or "") > 60, check.__name__


def test_errors_are_shown_with_every_exit_code() -> None:
    shown = {command.code for block in blocks(ROOT / "docs" / "errors.md") for command in block.commands()}
    assert shown >= {2, 3}
    text = (ROOT / "docs" / "errors.md").read_text()
    codes = {e.exit_code for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.VgbenchError)}
    assert all(f"| {code} |" in text for code in codes | {0, 130})


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document: Path) -> None:
    targets = [match[1] for match in LINK.finditer(document.read_text()) if "://" not in match[1]]
    assert [target for target in targets if not (document.parent / target).exists()] == []
