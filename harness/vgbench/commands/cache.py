"""``vgbench cache``: what the store holds; is it sound; what may go."""

from __future__ import annotations

import argparse
import contextlib
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench.claims import Holder
from vgbench.commands.output import note, write, write_columns, write_json
from vgbench.errors import CorruptArtifact, UsageError
from vgbench.store import FREED, RECORD, STALE, Commit, Store, read_commit

if TYPE_CHECKING:
    from vgbench.commands import Context

# Payloads that a finished cell does not need: images, training copies, features. All else is small or was costly.
FREEABLE = ("images.parquet", "pack-", "features.npy")
HOUR = 3600.0


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("cache", help="list, verify, repair or free what the store holds")
    verbs = parser.add_subparsers(metavar="ls|verify|repair|gc|pin|unpin", required=True, parser_class=type(parser))
    ls = verbs.add_parser("ls", help="shards, items and bytes of each step")
    ls.set_defaults(call=call_ls)
    verify = verbs.add_parser("verify", help="hash every file; exit 4 if one has changed")
    verify.set_defaults(call=call_verify)
    repair = verbs.add_parser("repair", help="move what has changed out of the way; the next run remakes it")
    repair.set_defaults(call=call_repair)
    gc = verbs.add_parser("gc", help="free images, training copies and features of finished cells")
    gc.add_argument("--older-than", type=float, default=24.0, metavar="HOURS", help="default: 24")
    gc.add_argument("--yes", action="store_true", help="do it; without it the command only lists")
    gc.set_defaults(call=call_gc)
    for name, text in (("pin", "keep all that a run or cell rests on"), ("unpin", "let it be freed again")):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument(
            "what", metavar="RUN_DIR|CELL", help="a run's folder, or the first characters of a cell's digest"
        )
        verb.set_defaults(call=call_pin, pinned=name == "pin")
        verb.add_argument("--json", action="store_true", help="the same as JSON")
    for verb in (ls, verify, repair, gc):
        verb.add_argument("--json", action="store_true", help="the same as JSON")


def call_ls(args: argparse.Namespace, context: Context) -> int:
    store = Store(context.home)
    steps: dict[str, dict[str, Any]] = {}
    for commit in map(read_commit, store.all_shards()):
        step = commit.record.get("step", ["cell"])[0]
        entry = steps.setdefault(step, {"step": step, "nodes": set(), "shards": 0, "items": 0, "bytes": 0})
        entry["nodes"].add(commit.record.get("node", commit.folder.name))
        entry["shards"] += 1
        entry["items"] += commit.items
        entry["bytes"] += 0 if (commit.folder / FREED).exists() else _bytes(commit)
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
    failures, stale, checked = [], [], 0
    for folder in store.all_shards():
        if (folder / STALE).exists():
            stale.append(str(folder))
        if (folder / FREED).exists():
            continue
        checked += 1
        try:
            store.check(folder)
        except CorruptArtifact as error:
            failures.append({"folder": str(folder), "what": error.what})
    if args.json:
        write_json({"schema": "vgbench.verify/1", "checked": checked, "failures": failures, "stale": stale})
    else:
        for failure in failures:
            note(failure["what"])
        if failures:
            note("  vgbench cache repair moves them out of the way; the next run remakes them")
        write(f"{checked} shards checked, {len(failures)} with other bytes than they were committed with")
        if stale:
            write(
                f"{len(stale)} stale: what they were made from was remade with other bytes; the next run remakes them"
            )
    return 4 if failures else 0


def call_repair(args: argparse.Namespace, context: Context) -> int:
    store = Store(context.home)
    moved = []
    for folder in list(store.all_shards()):
        if not (folder / FREED).exists():
            try:
                store.check(folder)
            except CorruptArtifact:
                moved.append({"folder": str(folder), "to": str(store.quarantine(folder))})
    if args.json:
        write_json({"schema": "vgbench.repair/1", "moved": moved})
    else:
        write(f"{len(moved)} shards moved to {store.home / 'quarantine'}; the next run remakes them")
    return 0


def call_gc(args: argparse.Namespace, context: Context) -> int:
    store = Store(context.home)
    before = time.time() - args.older_than * HOUR
    freeable = [commit for commit in _unneeded(store) if (commit.folder / RECORD).stat().st_mtime <= before]
    leftovers = [path for path in _leftovers(store) if _changed(path) <= before]
    n_bytes = sum(map(_bytes, freeable)) + sum(_size(path) for path in leftovers)
    if args.yes:
        for commit in freeable:
            store.free(commit.folder)
        for path in leftovers:
            store.discard(path)
    answer = {"schema": "vgbench.gc/1", "shards": len(freeable), "leftovers": len(leftovers), "bytes": n_bytes}
    if args.json:
        write_json({**answer, "freed": args.yes})
        return 0
    steps: dict[str, int] = {}
    for commit in freeable:
        steps[commit.record["step"][0]] = steps.get(commit.record["step"][0], 0) + 1
    write_columns([(step, f"{n} shards") for step, n in sorted(steps.items())])
    verb = "freed" if args.yes else "could be freed; do it with --yes"
    write(f"{n_bytes / 1e6:.1f} MB in {len(freeable)} shards and {len(leftovers)} leftovers {verb}")
    return 0


def call_pin(args: argparse.Namespace, context: Context) -> int:
    store = Store(context.home)
    pins = store.pins()
    cells = _cells(args.what, store)
    store.set_pins(pins | cells if args.pinned else pins - cells)
    if args.json:
        write_json({"schema": "vgbench.pins/1", "pins": sorted(store.pins())})
    else:
        write(f"{len(cells)} cells {'pinned' if args.pinned else 'unpinned'}; {len(store.pins())} pinned in all")
    return 0


def _cells(what: str, store: Store) -> set[str]:
    """Return the cells that a run's folder or the beginning of a digest names."""
    folder = Path(what)
    if (folder / "cells").is_dir():
        return {path.name for path in (folder / "cells").iterdir() if (path / RECORD).exists()}
    found = {path.name for path in store.home.glob("cells/*/*") if path.name.startswith(what)}
    if len(found) != 1:
        raise UsageError(f"{what!r} is no run's folder and begins {len(found)} cells' digests", hint="vgbench cache ls")
    return found


def _unneeded(store: Store) -> list[Commit]:
    """Return the shards of images, training copies and features on which only finished, unpinned cells rest."""
    shards: dict[str, list[Commit]] = {}
    cells: list[Commit] = []
    for commit in map(read_commit, store.all_shards()):
        if "node" in commit.record:
            shards.setdefault(commit.record["node"], []).append(commit)
        elif not (commit.folder / STALE).exists():
            cells.append(commit)
    pins = store.pins()
    finished = _ancestors([c for c in cells if c.record["cell"] not in pins], shards)
    needed = _ancestors([c for c in cells if c.record["cell"] in pins], shards)
    claims = _claims(store)
    claimed = {name[:64] for name in claims} | {digest for holder in claims.values() for digest in holder.reads}
    return [
        commit
        for digest in sorted(finished - needed - claimed)
        for commit in shards.get(digest, [])
        if any(name.startswith(FREEABLE) for name in commit.record["files"]) and not (commit.folder / FREED).exists()
    ]


def _ancestors(commits: list[Commit], shards: dict[str, list[Commit]]) -> set[str]:
    """Return the digests of all nodes on which these commits rest."""
    found: set[str] = set()
    stack = [digest for commit in commits for digest in commit.record.get("inputs", {}).values()]
    while stack:
        digest = stack.pop()
        if digest not in found:
            found.add(digest)
            stack += [d for commit in shards.get(digest, [])[:1] for d in commit.record.get("inputs", {}).values()]
    return found


def _claims(store: Store) -> dict[str, Holder]:
    """Return who is making which shard."""
    found: dict[str, Holder] = {}
    for path in store.home.glob("claims/*"):
        with contextlib.suppress(FileNotFoundError):  # given back just now
            found[path.name] = Holder.of(path)
    return found


def _leftovers(store: Store) -> list[Path]:
    """Return what killed processes left: staging and scratch folders that no claim's holder may be working in."""
    claims = _claims(store)
    working = [f"-{holder.host}-{holder.pid}-" for holder in claims.values()]
    staging = [path for path in store.home.glob("tmp/*") if not any(mark in path.name for mark in working)]
    return staging + [path for path in store.home.glob("scratch/*") if path.name not in claims]


def _bytes(commit: Commit) -> int:
    return sum(file["bytes"] for file in commit.record["files"].values())


def _changed(path: Path) -> float:
    """Return when a folder changed last; never, for one that a run has just put in its place."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def _size(folder: Path) -> int:
    n_bytes = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            n_bytes += path.stat().st_size if path.is_file() else 0
    return n_bytes
