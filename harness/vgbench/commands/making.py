"""Make nodes without any task: what ``preview``, ``generate`` and ``score`` need of the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgbench.errors import StepFailed
from vgbench.libraries import refuse_missing_libraries
from vgbench.planning import plan_nodes
from vgbench.store import Store
from vgbench.types import Head, Node

if TYPE_CHECKING:
    from vgbench.commands import Context


def make(
    targets: Sequence[Node | Head],
    context: Context,
    *,
    workers: int | None = None,
    device: str = "auto",
    offline: bool = False,
    quiet: bool = False,
) -> int:
    """Make what the targets miss; return the number of images made.

    Raises:
        CannotServe: a library is missing that a step needs; nothing was made.
        StepFailed: says what went wrong.
    """
    store = Store(context.home)
    plan = plan_nodes(targets, store)
    missing = [planned.node.step for planned in plan.nodes.values() if planned.missing]
    if not missing:
        return 0
    refuse_missing_libraries(missing)
    if offline:
        plan.refuse_network()
    from vgbench.claims import FileClaims
    from vgbench.commands.progress import Display
    from vgbench.execute import Run
    from vgbench.executors.local import LocalExecutor, machine

    environment = {**context.environment, **({"HF_HUB_OFFLINE": "1"} if offline else {})}
    here = machine(device, environment)
    logs = Store(context.home).staging("logs")  # of another store object: they outlive an interrupt
    display = Display(plan, quiet=quiet)
    executor = LocalExecutor.on(here, environment, logs, workers=workers)
    run = Run(plan, store, executor, on_event=display.event, claims=FileClaims(store.home / "claims"))
    with display:
        run.finish()
    for failure in dict.fromkeys(run.failures.values()):
        what = f"{failure}\n{failure.traceback}" if context.debug else str(failure)
        raise StepFailed(what, hint=f"worker logs: {logs}; --debug shows the traceback; the same command tries again")
    store.discard(logs)
    return int(plan.totals()["images_to_make"])
