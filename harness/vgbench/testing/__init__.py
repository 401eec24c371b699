"""For plugin authors' own tests: the conformance suite as a pytest parametrisation.

from vgbench.testing import checks

@checks("vgbench-acme")
def test_keeps_the_rules(check):
    check()
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vgbench.conformance.outcome import ConformanceWarning
from vgbench.conformance.suite import Case, Forms, cases

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True, slots=True)
class Check:
    """A case that a test calls: it fails, is skipped, or warns in pytest's way."""

    case: Case

    def __str__(self) -> str:
        return str(self.case)

    def __call__(self) -> None:
        import pytest

        result = self.case.run()
        if result.status == "failed":
            pytest.fail(f"{result.reason}\nthe rule: {self.case.rule}", pytrace=False)
        elif result.status == "skipped":
            pytest.skip(result.reason or "")
        elif result.status == "expected":
            pytest.xfail(result.reason or "")
        elif result.status == "warning":
            warnings.warn(f"{self}: {result.reason}", ConformanceWarning, stacklevel=2)


def checks(
    distribution: str,
    *,
    sources: Forms = (),
    tasks: Forms = (),
    classes: str | None = None,
    expected: Mapping[str, str] | None = None,
) -> pytest.MarkDecorator:
    """Parametrise a test over every check of an installed distribution; its argument is called ``check``.

    See ``vgbench.conformance.cases`` for the arguments. Raises ``UsageError`` for a name nobody has.
    """
    import pytest

    from vgbench.registry import Registry

    found = cases(distribution, registry=Registry(), sources=sources, tasks=tasks, classes=classes, expected=expected)
    return pytest.mark.parametrize("check", [Check(case) for case in found], ids=str)


__all__ = ["Check", "checks"]
