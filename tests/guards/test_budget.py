"""Every folder of tests has a budget, all fit into 45 minutes, and an overrun is seen."""

from __future__ import annotations

from tests.conftest import ROOT, budget, over_budget


def test_every_folder_of_tests_has_a_budget() -> None:
    folders = {path.parent.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").glob("*/**/test_*.py")}
    assert set(budget()) == folders - {"thirdparty"}


def test_budgets_are_of_one_size_with_the_limit_of_ci() -> None:
    # two tests run at a time; no run uses all of every folder's, and CI ends one after 90 minutes
    assert sum(budget().values()) <= 160


def test_overrun_and_missing_budget_are_seen() -> None:
    assert over_budget({"cli": 59.0}, {"cli": 1}) == []
    assert over_budget({"cli": 61.0, "new": 1.0}, {"cli": 1}) == [
        "tests/cli took 1.0 minutes; its budget is 1",
        "tests/new took 0.0 minutes; its budget is 0",
    ]
