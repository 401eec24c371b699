"""``vgbench bench``: measurements of the instrument itself, not of a source."""

from __future__ import annotations

import argparse
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench.bench import BENCHES
from vgbench.commands.output import note, write, write_columns, write_json
from vgbench.errors import UsageError, unknown

if TYPE_CHECKING:
    from vgbench.commands import Context


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("bench", help="measure the instrument itself: calibration")
    parser.add_argument("name", nargs="?", help="one of them; without it their names are listed")
    parser.add_argument("-o", "--output", metavar="DIR", help="where rows are kept and results written")
    parser.add_argument("--minutes", type=float, metavar="M", help="begin nothing new after M minutes; 0: results only")
    parser.add_argument("--json", action="store_true", help="the results as JSON (schema bench)")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
    if args.name is None:
        if args.json:
            listed = [{"name": name, "kind": "bench", "summary": text} for name, (_, text) in BENCHES.items()]
            write_json(listed)  # as `list --json`
        else:
            write_columns([(name, text) for name, (_, text) in BENCHES.items()])
        return 0
    if args.name not in BENCHES:
        raise unknown("bench", args.name, BENCHES)
    if args.output is None:
        raise UsageError("where are the rows kept?", hint=f"vgbench bench {args.name} -o docs/{args.name}")
    folder = Path(args.output)
    bench = pkgutil.resolve_name(BENCHES[args.name][0])
    summary = bench(folder, ["--home", str(context.home)], minutes=args.minutes, say=note)
    if args.json:
        write_json({"schema": "vgbench.bench/1", "name": args.name, "folder": str(folder), **summary})
    else:
        write(f"results: {folder / 'results.md'}")
    return 0
