"""``vgbench plugins``: which are installed, what is wrong with one, do they keep the rules, and how to begin one."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench.commands.output import write, write_columns, write_json
from vgbench.errors import UsageError

if TYPE_CHECKING:
    from vgbench.commands import Context


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("plugins", help="installed plugins: list, doctor, check one, begin a new one")
    verbs = parser.add_subparsers(metavar="list|doctor|check|new", required=True, parser_class=type(parser))
    listing = verbs.add_parser("list", help="name, distribution, version")
    listing.set_defaults(call=call_list)
    doctor = verbs.add_parser("doctor", help="load time, failures with their cause, names declared twice")
    doctor.set_defaults(call=call_doctor)
    check = verbs.add_parser("check", help="the conformance suite: does a distribution keep the rules?")
    check.add_argument("distribution", metavar="DIST", help="an installed distribution, as `plugins list` prints it")
    check.add_argument("--source", nargs="+", default=[], metavar="S", help="forms of its sources to try")
    check.add_argument("--task", nargs="+", default=[], metavar="T", help="forms of its tasks to try")
    check.add_argument("--classes", metavar="C", help="class list to ask its sources for (default: one they serve)")
    check.add_argument("--expect", nargs="+", default=[], metavar="CHECK=REASON", help="checks known to fail, and why")
    check.set_defaults(call=call_check)
    new = verbs.add_parser("new", help="write a complete package that passes its own tests")
    new.add_argument("kind", choices=["source", "task"])
    new.add_argument("name", help="what users will type: lower-case letters, digits and '-'")
    new.add_argument("-o", "--output", metavar="DIR", help="default: vgbench-NAME")
    new.set_defaults(call=call_new)
    for verb in (listing, doctor, check, new):
        verb.add_argument("--json", action="store_true", help="the same as JSON")


def call_list(args: argparse.Namespace, context: Context) -> int:
    plugins = context.registry.plugins
    if args.json:
        write_json([{k: v for k, v in asdict(p).items() if k != "seconds"} for p in plugins])
        return 0
    write_columns(
        [
            (p.name, p.distribution, p.version, "failed, see: vgbench plugins doctor" if p.failure else "")
            for p in plugins
        ]
    )
    return 0


def call_doctor(args: argparse.Namespace, context: Context) -> int:
    registry = context.registry
    doubled = [
        {"kind": catalogue.kind, "name": name, "distributions": sorted(offer.distribution for offer in offers)}
        for catalogue in (registry.sources, registry.tasks, registry.suites, registry.parts, registry.datasets)
        for name, offers in catalogue.offers.items()
        if len(offers) > 1
    ]
    if args.json:
        write_json({"plugins": [asdict(p) for p in registry.plugins], "declared_twice": doubled})
    else:
        rows = [(p.name, p.distribution, f"{1000 * p.seconds:.1f} ms", p.failure or "ok") for p in registry.plugins]
        write_columns(rows)
        for plugin in registry.failures:
            write(f"\n{plugin.name} ({plugin.distribution}, {plugin.value}): {plugin.failure}")
            if context.debug:
                write(plugin.traceback or "")
        for item in doubled:
            names = " or ".join(f"{d}::{item['name']}" for d in item["distributions"])
            write(f"\nthe {item['kind']} {item['name']!r} is declared twice: ask for {names}")
    return 1 if registry.failures else 0


def call_check(args: argparse.Namespace, context: Context) -> int:
    from vgbench.conformance.suite import by_name, cases
    from vgbench.testing.forms import built_in, built_in_classes

    expected = {}
    for text in args.expect:
        name, equals, reason = text.partition("=")
        if not (equals and reason.strip()):
            raise UsageError(f"--expect {text}: a known failure needs a reason", hint="--expect 'CHECK=why it fails'")
        expected[name] = reason.strip()
    found = cases(
        args.distribution,
        registry=context.registry,
        environment=context.environment,
        sources={**built_in(args.distribution, "source"), **by_name(args.source)},
        tasks={**built_in(args.distribution, "task"), **by_name(args.task)},
        classes=args.classes or built_in_classes(args.distribution),
        expected=expected,
    )
    results = []
    for case in found:
        result = case.run()
        results.append(result)
        if not args.json:
            reason = f": {result.reason}" if result.reason else ""
            write(f"{result.status:9}{result.subject}  {result.check}{reason}")
            if result.status == "failed":
                write(f"         the rule: {case.rule}")
    counts = {status: sum(r.status == status for r in results) for status in dict.fromkeys(r.status for r in results)}
    if args.json:
        write_json({"distribution": args.distribution, "counts": counts, "checks": [asdict(r) for r in results]})
    else:
        write("\n" + ", ".join(f"{n} {status}" for status, n in counts.items()))
    return 1 if counts.get("failed") else 0


def call_new(args: argparse.Namespace, context: Context) -> int:
    from vgbench.scaffold import begin

    folder, files = begin(args.kind, args.name, context.registry, Path(args.output) if args.output else None)
    if args.json:
        write_json({"folder": str(folder), "files": files})
        return 0
    write_columns([(f"  {folder / name}", what) for name, what in files.items()])
    place = folder if folder.is_absolute() else f"./{folder}"  # pip takes a bare name for a package of an index
    write(f"\ntry it:\n  pip install -e {place}\n  vgbench plugins check vgbench-{args.name}\n  pytest {place}")
    return 0
