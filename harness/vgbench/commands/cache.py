"""``vgbench cache``: what the store holds, and whether it still has the bytes it was committed with."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from vgbench.commands.output import note, write, write_columns, write_json
from vgbench.errors import CorruptArtifact
from vgbench.store import Store, read_commit

if TYPE_CHECKING:
    from vgbench.commands import Context


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("cache", help="list or verify what the store holds")
    verbs = parser.add_subparsers(metavar="ls|verify", required=True, parser_class=type(parser))
    ls = verbs.add_parser("ls", help="shards, items and bytes of each step")
    ls.set_defaults(call=call_ls)
    verify = verbs.add_parser("verify", help="hash every file; exit 4 if one has changed")
    verify.set_defaults(call=call_verify)
    for verb in (ls, verify):
        verb.add_argument("--json", action="store_true", help="the same as JSON")


def call_ls(args: argparse.Namespace, context: Context) -> int:
    store = Store(context.home)
    steps: dict[str, dict[str, Any]] = {}
    for folder in store.all_shards():
        commit = read_commit(folder)
        step = commit.record.get("step", ["cell"])[0]
        entry = steps.setdefault(step, {"step": step, "nodes": set(), "shards": 0, "items": 0, "bytes": 0})
        entry["nodes"].add(commit.record.get("node", folder.name))
        entry["shards"] += 1
        entry["items"] += commit.items
        entry["bytes"] += sum(file["bytes"] for file in commit.record["files"].values())
    entries = [{**entry, "nodes": len(entry["nodes"])} for _, entry in sorted(steps.items())]
    if args.json:
        write_json({"schema": "vgbench.cache/1", "home": str(store.home), "steps": entries})
        return 0
    keys = ("step", "nodes", "shards", "items", "bytes")
    write_columns([keys, *([str(entry[key]) for key in keys] for entry in entries)])
    write(f"{sum(entry['bytes'] for entry in entries) / 1e6:.1f} MB in {store.home}")
    return 0


def call_verify(args: argparse.Namespace, context: Context) -> int:
    store = Store(context.home)
    failures, checked = [], 0
    for folder in store.all_shards():
        checked += 1
        try:
            store.check(folder)
        except CorruptArtifact as error:
            failures.append({"folder": str(folder), "what": error.what})
    if args.json:
        write_json({"schema": "vgbench.verify/1", "checked": checked, "failures": failures})
    else:
        for failure in failures:
            note(f"{failure['what']}\n  delete {failure['folder']}; the next run remakes it")
        write(f"{checked} shards checked, {len(failures)} with other bytes than they were committed with")
    return 4 if failures else 0
