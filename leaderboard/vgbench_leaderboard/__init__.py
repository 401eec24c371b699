"""The leaderboard: from a run's cells to ``leaderboard.json``, and the commands around it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench import hookimpl

if TYPE_CHECKING:
    from vgbench.commands import Context


@hookimpl
def vgbench_on_run_finished(run_dir: str) -> None:
    """Write the run's ``leaderboard.json``."""
    from vgbench_leaderboard.build import build_run

    build_run(Path(run_dir))


@hookimpl
def vgbench_offer_commands(add: argparse._SubParsersAction[Any]) -> None:
    parser = add.add_parser("leaderboard", help="build or show a run's leaderboard, aggregate over a suite")
    verbs = parser.add_subparsers(metavar="build|show|aggregate|reported", required=True, parser_class=type(parser))
    build = verbs.add_parser("build", help="rebuild leaderboard.json from a run's cells")
    build.add_argument("run_dir", metavar="RUN_DIR")
    build.add_argument("--json", action="store_true", help="print the leaderboard as JSON")
    build.set_defaults(call=call_build)
    show = verbs.add_parser("show", help="print a run's table")
    show.add_argument("run_dir", metavar="RUN_DIR")
    show.add_argument("--all", action="store_true", help="every data set of a suite by itself")
    show.add_argument("--reported", action="store_true", help="below it what papers print of its tasks, marked")
    show.add_argument("--json", action="store_true", help="print the leaderboard as JSON")
    show.set_defaults(call=call_show)
    aggregate = verbs.add_parser("aggregate", help="a figure over a suite: gain, strategy, cost, correlation")
    aggregate.add_argument("name", metavar="NAME", help="gain, strategy, cost or correlation")
    aggregate.add_argument("run_dirs", metavar="RUN_DIR", nargs="+", help="runs whose cells are taken together")
    aggregate.add_argument("--suite", metavar="S", help="default: the suites that the runs were asked for")
    aggregate.add_argument("--usd-per-hour", type=float, metavar="P", help="cost: the price of one worker's hour")
    aggregate.add_argument(
        "--price", action="append", default=[], metavar="KIND=USD", help="cost: USD for an image of a kind of source"
    )
    aggregate.add_argument("--figure", default="cler", metavar="F", help="correlation: what -o draws (default: cler)")
    aggregate.add_argument("-o", "--output", metavar="FILE.png", help="correlation: draw a scatter for each data set")
    aggregate.add_argument("--json", action="store_true", help="the same as JSON (schema aggregate)")
    aggregate.set_defaults(call=call_aggregate)
    reported = verbs.add_parser("reported", help="figures that papers print, none of them measured here")
    reported.add_argument("tasks", metavar="TASK", nargs="*", help="only of these tasks or suites")
    reported.add_argument("--json", action="store_true", help="the same as JSON (schema reported)")
    reported.set_defaults(call=call_reported)


def call_build(args: argparse.Namespace, context: Context) -> int:
    from vgbench_leaderboard.build import build_run

    build_run(_run_dir(args.run_dir))
    return call_show(args, context)


def call_show(args: argparse.Namespace, context: Context) -> int:
    from vgbench import UsageError, results
    from vgbench.commands.output import write, write_json
    from vgbench.commands.table import write_board

    path = _run_dir(args.run_dir) / results.LEADERBOARD_FILE
    reported: bool = getattr(args, "reported", False)
    if reported and args.json:
        raise UsageError(
            "a leaderboard's JSON holds what was measured", hint="vgbench leaderboard reported TASK --json"
        )
    board = results.read_leaderboard(path)
    if args.json:
        write_json(board.model_dump(mode="json", by_alias=True))
        return 0
    write_board(board, whole=getattr(args, "all", False))
    if reported:
        from vgbench_leaderboard.reported.command import show_beside

        show_beside(board)
    write(f"leaderboard: {path}")
    return 0


def call_aggregate(args: argparse.Namespace, context: Context) -> int:
    from vgbench_leaderboard.aggregate.command import call

    return call(args, [_run_dir(text) for text in args.run_dirs], context)


def call_reported(args: argparse.Namespace, context: Context) -> int:
    from vgbench_leaderboard.reported.command import call

    return call(args, context)


def _run_dir(text: str) -> Path:
    from vgbench import UsageError, results

    path = Path(text)
    if not (path / results.PLAN_FILE).exists():
        raise UsageError(f"{text} is not a run's folder: it has no {results.PLAN_FILE}")
    return path
