"""Every built-in source and task passes the suite that third parties run."""

from __future__ import annotations

import pytest

from vgbench.registry import Registry
from vgbench.testing import Check, checks
from vgbench.testing.forms import built_in, built_in_classes
from vgbench_tasks.genbench.sets import GENBENCH
from vgbench_tasks.genbench.twin import TOYBOX
from vgbench_tasks.ood import SHIFTS
from vgbench_tasks.transfer.sets import SETS

BLOCKED = {
    **dict.fromkeys(
        (
            *("imagenet-val", "imagenet100-val", "cue-conflict", "focus", "background-gap"),
            *(f"ood/{name}" for name in SHIFTS),
            *(f"transfer8/{name}" for name in SETS),
        ),
        "its data set has to be fetched or got by hand; tests/tasks/test_pretraining_runs.py runs it on a miniature",
    ),
    "augment10": "ImageNet has to be fetched; its Toybox twin is made of the same graph",
    **dict.fromkeys(
        (f"genbench/{name}{what}" for name in GENBENCH for what in ("", "/quality", "/mts")),
        "its data set has to be fetched; its Toybox twin is made of the same graph",
    ),
}
SOURCES, TASKS = built_in("vgbench", "source"), built_in("vgbench", "task")


@pytest.mark.filterwarnings("default::vgbench.conformance.outcome.ConformanceWarning")
@checks(
    "vgbench",
    sources=SOURCES,
    tasks=TASKS,
    classes=built_in_classes("vgbench"),
    expected={
        **{f"{name}-form-is-served": why for name, why in BLOCKED.items()},
        **{
            f"toybox/genbench/{name}/mts-column-is-the-tasks-own": "it describes a data set, whatever the source"
            for name in TOYBOX
        },
    },
)
def test_built_in_keeps_the_rules(check: Check) -> None:
    """A mock run that is skipped or blocked is a failure here: each built-in but the declared can be tried offline."""
    if check.case.subject.name not in BLOCKED and check.case.id in (
        "form-is-served",
        "mock-images-are-made",
        "mock-run",
    ):
        assert check.case.run().status == "ok", check.case.run().reason
    else:
        check()


def test_every_form_is_of_a_built_in() -> None:
    registry = Registry()
    assert set(SOURCES) <= {offer.spec.name for offer in registry.sources if offer.distribution == "vgbench"}
    assert set(TASKS) <= {offer.spec.name for offer in registry.tasks if offer.distribution == "vgbench"}
