"""Transfer: what are a pre-trained network's frozen features worth for classes that it has never seen?

A task for each of eight real sets (``sets``) and of Toybox's downstream sets (``twin``), and a suite of either; the
network is trained once for a whole suite.
"""

from __future__ import annotations

from collections.abc import Iterable

from vgbench import ClassListSpec, SuiteSpec, TaskSpec, hookimpl
from vgbench_tasks.transfer import sets, twin


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    yield from sets.tasks()
    yield from twin.tasks()


@hookimpl
def vgbench_offer_suites() -> Iterable[SuiteSpec]:
    tasks = tuple(f"transfer8/{name}" for name in sets.SETS)
    yield SuiteSpec("transfer8", "frozen features on t-ReX's eight downstream sets (lbGen's Table 1)", tasks)
    tasks = tuple(f"toybox/transfer/{name}" for name in twin.SETS)
    yield SuiteSpec("toybox/transfer", "frozen features on Toybox's downstream sets of novel classes", tasks)


@hookimpl
def vgbench_offer_class_lists() -> Iterable[ClassListSpec]:
    for name, (summary, _) in twin.SETS.items():
        yield ClassListSpec(f"toybox-{name}", summary, f"vgbench_tasks.transfer:{name}.json")
