"""``vgbench plugins``: which are installed, how long each takes to load, what is wrong with one."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from vgbench.commands.output import write, write_columns, write_json

if TYPE_CHECKING:
    from vgbench.commands import Context


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("plugins", help="installed plugins, and what is wrong with one")
    verbs = parser.add_subparsers(metavar="list|doctor", required=True, parser_class=type(parser))
    listing = verbs.add_parser("list", help="name, distribution, version")
    listing.set_defaults(call=call_list)
    doctor = verbs.add_parser("doctor", help="load time, failures with their cause, names declared twice")
    doctor.set_defaults(call=call_doctor)
    for verb in (listing, doctor):
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
