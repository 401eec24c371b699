"""``vgbench run``: make what is missing, score it, write the leaderboard, print the table."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench.commands.asking import add_arguments, plan_of
from vgbench.commands.output import note, write, write_json
from vgbench.errors import UsageError, unknown

if TYPE_CHECKING:
    from vgbench.commands import Context
    from vgbench.results import Cell


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("run", help="make the images, train or probe, score, write the leaderboard")
    add_arguments(parser)
    parser.add_argument("-o", "--output", metavar="RUN_DIR", help="default: vgbench-runs/<plan digest>")
    parser.add_argument("--executor", default="local", choices=["local"], help="where bodies run")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="worker processes (default: one, after 10 s one for each core or GPU)"
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where networks run")
    parser.add_argument(
        "--devices",
        type=int,
        default=1,
        metavar="N",
        help="devices of each worker, which share a pre-training",
    )
    parser.add_argument(
        "--remake", nargs="+", metavar="STEP", help="make again what these steps made, and what rests on it"
    )
    parser.add_argument("--strict", action="store_true", help="stop when a cell is blocked")
    parser.add_argument("--offline", action="store_true", help="forbid every download")
    parser.add_argument("--json", action="store_true", help="run folder, nodes made and cells")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
    if args.workers is not None and args.workers < 1:
        raise UsageError(f"--workers {args.workers}: at least 1 is needed")
    if args.remake:
        _remake(args.remake, context)
    plan = plan_of(args, context)
    blocked = [cell for cell in plan.cells if cell.state == "blocked"]
    for cell in blocked:
        note(f"blocked: {cell.source.spec.name} × {cell.task.spec.name}: {cell.reason}")
    if blocked and args.strict:
        return 3

    if args.offline:
        plan.refuse_network()
    plan.refuse_devices(args.devices)
    # from here on results are read and written: pydantic, and rich for the table
    from vgbench.commands.progress import Display
    from vgbench.executors.local import LocalExecutor, machine
    from vgbench.runs import carry_out, default_folder
    from vgbench.store import Store

    run_dir = Path(args.output) if args.output else default_folder(plan)
    environment = {**context.environment, **({"HF_HUB_OFFLINE": "1"} if args.offline else {})}
    here = machine(args.device, environment, devices=args.devices)
    executor = LocalExecutor.on(here, environment, run_dir / "logs", workers=args.workers)
    with Display(plan, quiet=args.json) as display:
        outcome = carry_out(
            plan,
            context.registry,
            store=Store(context.home),
            executor=executor,
            run_dir=run_dir,
            on_event=display.event,
        )
    for step in sorted(outcome.other_code):
        note(f"warning: {step} has other code than made some of what was found: raise its version, or --remake {step}")
    cells = list(outcome.cells)
    _report(args, run_dir, cells, outcome.shards_made, display)
    if context.debug:
        for failure in dict.fromkeys(outcome.failures.values()):
            note(f"{failure}\n{failure.traceback}")
    statuses = {cell.status for cell in cells}
    return 1 if "failed" in statuses else 3 if "blocked" in statuses else 0


def _remake(steps: list[str], context: Context) -> None:
    """Mark what some steps made, and all that rests on it, as to be made again."""
    from vgbench.store import Store, read_commit

    store = Store(context.home)
    known = {read_commit(folder).record.get("step", [""])[0] for folder in store.all_shards()} - {""}
    for step in steps:
        if step not in known:
            raise unknown("step with anything in the store", step, known)
    note(f"to be made again: {len(store.remake(steps))} shards and cells")


def _report(args: argparse.Namespace, run_dir: Path, cells: list[Cell], made: int, display: Any) -> None:
    from vgbench import results
    from vgbench.commands.table import row_name, write_board

    board_path = run_dir / results.LEADERBOARD_FILE
    board = results.read_leaderboard(board_path) if board_path.exists() else None
    for cell in cells:
        if cell.status == "failed":
            note(f"failed: {cell.source.name} × {cell.task.name}: {cell.reason}")
    if any(cell.status == "failed" for cell in cells):
        note(f"  worker logs: {run_dir / 'logs'}; --debug shows tracebacks; the same command tries again")
    if args.json:
        write_json(
            {
                "schema": "vgbench.run/1",
                "run_dir": str(run_dir),
                "leaderboard": str(board_path) if board else None,
                "shards_made": made,
                "cells": [_cell_line(cell) for cell in cells],
                "rows": [row_name(row, board.rows) for row in board.rows] if board else [],
                "aggregates": (board.aggregates if board else results.Aggregates()).model_dump(mode="json"),
            }
        )
        return
    if board:
        write_board(board)
    undone = Counter(cell.status for cell in cells if cell.status != "ok")
    if made:
        write(f"made {made} shards in {display.seconds:.1f} s")
    elif undone:
        write(f"nothing was made: {', '.join(f'{n} {status}' for status, n in sorted(undone.items()))}")
    else:
        write("nothing to make: everything was in the store")
    write(f"leaderboard: {board_path}")


def _cell_line(cell: Cell) -> dict[str, Any]:
    main = cell.main
    return {
        "digest": cell.digest,
        "source": cell.source.name,
        "task": cell.task.name,
        "options": {**cell.task.options, **cell.task.row_options},
        "status": cell.status,
        "reason": cell.reason,
        "metric": main.name if main else None,
        "value": main.value if main else None,
        "ci": main.ci.model_dump() if main and main.ci else None,
    }
