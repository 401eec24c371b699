"""``vgbench bench``: measurements of the instrument itself, not of a source."""

from __future__ import annotations

import argparse
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench.bench import BENCHES, SPEEDS
from vgbench.commands.output import note, write, write_columns, write_json
from vgbench.errors import UsageError, unknown

if TYPE_CHECKING:
    from vgbench.commands import Context


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("bench", help="measure the instrument itself: calibration, speeds")
    parser.add_argument("name", nargs="?", help="one of them; without it their names are listed")
    parser.add_argument("-o", "--output", metavar="DIR", help="where rows are kept and results written")
    parser.add_argument("--minutes", type=float, metavar="M", help="begin nothing new after M minutes; 0: results only")
    parser.add_argument("--repeats", type=int, metavar="N", help="rounds of bench logreg (5)")
    parser.add_argument("--d", metavar="D,…", help="numbers of features of bench logreg (512,2048)")
    parser.add_argument("--n", type=int, metavar="N", help="number of vectors of bench knn (200000)")
    parser.add_argument("--json", action="store_true", help="the results as JSON (schema bench, of speeds speed)")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
    if args.name is None:
        every = {**BENCHES, **SPEEDS}
        if args.json:
            listed = [{"name": name, "kind": "bench", "summary": text} for name, (_, text) in every.items()]
            write_json(listed)  # as `list --json`
        else:
            write_columns([(name, text) for name, (_, text) in every.items()])
        return 0
    if args.name in SPEEDS:
        return _speed(args)
    if args.name not in BENCHES:
        raise unknown("bench", args.name, [*BENCHES, *SPEEDS])
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


# Flags of benchmarks of speed, and what ``measure`` calls them.
_TAKES = {"logreg": {"--repeats": "rounds", "--d": "sizes"}, "knn": {"--n": "n"}}


def _speed(args: argparse.Namespace) -> int:
    """Measure a speed that must hold; return 1 when it does not."""
    from vgbench.bench.speed import apart

    if args.output is not None or args.minutes is not None:
        raise UsageError(f"bench {args.name} keeps no rows: it takes no -o and no --minutes")
    asked = {"--repeats": args.repeats, "--d": args.d, "--n": args.n}
    known = _TAKES.get(args.name, {})
    if strange := [flag for flag, value in asked.items() if value is not None and flag not in known]:
        raise UsageError(f"bench {args.name} takes no {' and no '.join(strange)}")
    given = {known[flag]: str(value) for flag, value in asked.items() if value is not None}
    measured = apart(SPEEDS[args.name][0], **given)
    if args.json:
        write_json({"schema": "vgbench.speed/1", "name": args.name, "measured": measured})
    else:
        for one in measured:
            bound = f"{'at most' if one['is_limit'] else 'at least'} {one['goal']:g}"
            seconds = ", ".join(f"{name} {value:.3f} s" for name, value in one["medians"].items())
            write(f"{one['id']}  {one['ratio']:.2f} ({bound})  {'holds' if one['holds'] else 'DOES NOT HOLD'}")
            write(f"  medians of {one['n']}: {seconds}; load {one['load']:g}")
            for fact, value in one["facts"].items():
                write(f"  {fact}: {value:.6g}")
            for reason in one["breaks"]:
                write(f"  {reason}")
    return 0 if all(one["holds"] for one in measured) else 1
