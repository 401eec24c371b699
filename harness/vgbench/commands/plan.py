"""``vgbench plan``: what a run would find, make and cost; nothing is made."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vgbench.commands.asking import add_arguments, plan_of
from vgbench.commands.output import write, write_columns, write_json

if TYPE_CHECKING:
    from vgbench.commands import Context
    from vgbench.planned import Plan, PlannedCell

WORTH_SAYING_SECONDS = 3600  # ours: what sharing spares is told from an hour on


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("plan", help="what a run would make, and what it would cost")
    add_arguments(parser)
    parser.add_argument("--usd-per-hour", type=float, metavar="X", help="price of one worker's hour")
    parser.add_argument("--json", action="store_true", help="cells, nodes (digest, step, state, …) and totals")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
    plan = plan_of(args, context)
    if args.json:
        write_json(plan.to_json(usd_per_hour=args.usd_per_hour))
    else:
        _write(plan, args.usd_per_hour)
    return 3 if any(cell.state == "blocked" for cell in plan.cells) else 0


def _write(plan: Plan, usd_per_hour: float | None) -> None:
    steps: dict[tuple[str, str], list[Any]] = {}
    for planned in plan.nodes.values():
        steps.setdefault((planned.node.step.id, planned.node.owner), []).append(planned)
    rows: list[tuple[str, ...]] = [("step", "nodes", "have", "make", "shards", "seconds", "runs in")]
    for (step, owner), planned_nodes in steps.items():
        states = [planned.state for planned in planned_nodes]
        shards = sum(len(planned.missing) for planned in planned_nodes)
        seconds = sum(planned.estimate.seconds for planned in planned_nodes)
        counts = (len(states), states.count("have"), states.count("make"), shards)
        rows.append((step, *map(str, counts), f"{seconds:.0f}", owner))
    if len(rows) > 1:
        write_columns(rows)
        write()
    blocked: dict[tuple[str, str], list[PlannedCell]] = {}
    for cell in plan.cells:
        name = f"{cell.source.spec.name} × {cell.task.spec.name}"
        if cell.state == "blocked":
            blocked.setdefault((name, cell.reason or ""), []).append(cell)
        else:
            write(f"{cell.state:8}{name}{_options(cell)}")
    for (name, reason), cells in blocked.items():
        what = _options(cells[0]) if len(cells) == 1 else f", {len(cells)} cells"
        write(f"{'blocked':8}{name}{what}: {reason}")
    if blocked:
        write(f"\n{sum(map(len, blocked.values()))} of {len(plan.cells)} cells are blocked")
    write()
    for rate, source in plan.rates.items():
        write(f"rate of {rate}: {source}")
    for row in plan.shared:
        if row["seconds_unshared"] - row["seconds"] >= WORTH_SAYING_SECONDS:
            once, apart = _time(row["seconds"]), _time(row["seconds_unshared"])
            write(
                f"shared: {row['step']}, {row['nodes']:,} nodes for {row['cells']:,} cells: {once} in place of {apart}"
            )
    if plan.supposed:
        cost = _cost(plan.if_unblocked(usd_per_hour=usd_per_hour))
        write(f"if what is missing were here, blocked cells would take {cost}")
    write(_cost(plan.totals(usd_per_hour=usd_per_hour)))


def _cost(totals: Mapping[str, Any]) -> str:
    cost = "" if totals["usd"] is None else f", {totals['usd']:,.2f} USD"
    of_gpu = f" ({_time(totals['gpu_seconds'])} of it steps that want a GPU)" if totals["gpu_seconds"] else ""
    size = totals["bytes"]
    on_disk = f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
    return (
        f"{totals['make']:,} nodes to make ({totals['shards_to_make']:,} shards, {totals['images_to_make']:,} images): "
        f"about {_time(totals['seconds'])} of one worker{of_gpu}, {on_disk}{cost}"
    )


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 7200 else f"{seconds / 3600:,.0f} h"


def _options(cell: PlannedCell) -> str:
    """Return a task's options in brackets: the primary one, and those that are not at their default."""
    spec = cell.task.spec
    told = {
        option.name: cell.task.options[option.name]
        for option in spec.options
        if option.name == spec.primary or cell.task.options[option.name] != option.cast(option.default)
    }
    return f" ({', '.join(f'{name}={value}' for name, value in told.items())})" if told else ""
