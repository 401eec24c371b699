"""``vgbench list``: what is installed, in plain columns."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from vgbench.commands.output import note, write, write_columns, write_json

if TYPE_CHECKING:
    from vgbench.commands import Context

KINDS = {
    "sources": "source",
    "tasks": "task",
    "suites": "suite",
    "classes": "class list",
    "datasets": "data set",
    "weights": "weights",
    "parts": "part",
}


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("list", help="sources, tasks, suites, class lists, data sets, weights, parts")
    parser.add_argument("what", nargs="?", choices=list(KINDS), help="only these")
    parser.add_argument("--json", action="store_true", help="a list of {name, kind, summary, distribution}")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
    entries = [entry for what in ([args.what] if args.what else KINDS) for entry in entries_of(what, context)]
    if args.json:
        write_json(entries)
        return 0
    for kind in dict.fromkeys(entry["kind"] for entry in entries):
        rows = [(f"  {entry['name']}", entry["summary"]) for entry in entries if entry["kind"] == kind]
        write(f"{kind}s" if not kind.endswith("s") else kind)
        write_columns(rows)
    for plugin in context.registry.failures:
        note(f"warning: plugin {plugin.name} ({plugin.distribution}) failed to load: {plugin.failure}")
    return 0


def entries_of(what: str, context: Context) -> list[dict[str, str]]:
    """Return the declared things of one kind as {name, kind, summary, distribution}."""
    registry = context.registry
    catalogues: dict[str, Any] = {
        "sources": registry.sources,
        "tasks": registry.tasks,
        "suites": registry.suites,
        "classes": registry.class_lists,
        "datasets": registry.datasets,
        "weights": registry.weights,
        "parts": registry.parts,
    }
    found = []
    for offer in catalogues[what]:
        name = f"{offer.spec.kind}/{offer.spec.name}" if what == "parts" else offer.spec.name
        found.append(
            {
                "name": name,
                "kind": KINDS[what],
                "summary": offer.spec.summary,
                "distribution": offer.distribution,
            }
        )
    return found
