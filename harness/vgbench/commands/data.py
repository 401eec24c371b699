"""``vgbench data``: which real data sets are here, which bytes they have, and where a local copy lies."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from vgbench.commands import weights
from vgbench.commands.output import note, write, write_columns, write_json
from vgbench.errors import UsageError, VgbenchError

if TYPE_CHECKING:
    from vgbench.commands import Context
    from vgbench.locate import Locator, Standing
    from vgbench.registry import Chosen
    from vgbench.types import DatasetSpec, SourceSpec

SCHEMA = "vgbench.data/1"


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("data", help="real data sets: are they here, what are they, where is a local copy")
    verbs = parser.add_subparsers(metavar="doctor|fetch|add|verify", required=True, parser_class=type(parser))
    doctor = verbs.add_parser("doctor", help="say of each whether it is usable, and what to do if not; exit 3 if not")
    doctor.set_defaults(call=call_doctor)
    fetch = verbs.add_parser("fetch", help="observe what nobody has pinned, into <home>/lock.json")
    fetch.set_defaults(call=call_fetch)
    register = verbs.add_parser("add", help="use a local copy: Parquet, or the layout of the original")
    register.add_argument("name", help="a name that `vgbench list datasets` prints")
    register.add_argument("path", help="a file or folder")
    register.set_defaults(call=call_add)
    verify = verbs.add_parser("verify", help="read every byte again; exit 4 if one has changed")
    verify.set_defaults(call=call_verify)
    fetch.add_argument("--source", nargs="+", default=[], metavar="S", help="also what these sources name on the Hub")
    for verb in (doctor, fetch, verify):
        verb.add_argument("--encoder", nargs="+", default=[], metavar="E", help="also the weights of these encoders")
        verb.add_argument("--tasks", nargs="+", metavar="T", help="only what these tasks use")
    for verb in (doctor, fetch, register, verify):
        verb.add_argument("--json", action="store_true", help="the same as JSON")


def call_doctor(args: argparse.Namespace, context: Context) -> int:
    locator = _locator(context)
    asked = weights.wanted(args, context)
    found = [_on_this_machine(locator.standing(spec)) for spec in _wanted(args, context)]
    return _report(args, found, [weights.standing(spec, locator, context.environment) for spec in asked])


def call_fetch(args: argparse.Namespace, context: Context) -> int:
    locator = _locator(context)
    wanted = _wanted(args, context) if args.tasks or not args.source else []
    asked = weights.wanted(args, context)
    places = [place for text in args.source for place in _hub_options(context.registry.source(text))]
    places += [spec.place for spec in wanted if _on_hub(locator, spec)]
    places += weights.repositories(asked)
    for place in dict.fromkeys(places):
        _fetch(place.removeprefix("hf:").removeprefix("//"), locator, context)
    standings = [locator.observe(spec) for spec in wanted]
    if args.source and not args.json:
        write_columns([("fetched", place) for place in places] or [("nothing to fetch", " ".join(args.source))])
    return _report(args, standings, [weights.standing(spec, locator, context.environment) for spec in asked])


def _on_this_machine(standing: Standing) -> Standing:
    """Say of a repository of the Hub, whose commit alone says what it is, whether it was downloaded."""
    if standing.path is None or not standing.path.startswith("hf://"):
        return standing
    from vgbench.inplace import is_here

    if is_here(standing.path):
        return standing
    return replace(standing, state="needs download", detail=standing.path, hint="vgbench data fetch")


def _hub_options(chosen: Chosen[SourceSpec]) -> list[str]:
    """Return the repositories of the Hub that a source's options name."""
    values = [chosen.options[option.name] for option in chosen.spec.options if option.type == "path"]
    return [value for value in values if value and value.startswith("//")]


def _on_hub(locator: Locator, spec: DatasetSpec) -> bool:
    standing = locator.standing(spec)
    return spec.place.startswith("hf://") and (standing.path is None or standing.path.startswith("hf://"))


def _fetch(repository: str, locator: Locator, context: Context) -> None:
    """Download a repository in a worker, and record the commit that it was."""
    from vgbench.executors import Job
    from vgbench.executors.local import LocalExecutor
    from vgbench.store import Store

    name, _, revision = repository.partition("@")
    store = Store(context.home)
    out, logs, scratch = store.staging("fetch"), store.staging("logs"), store.staging("scratch")
    message = {
        "node": "",
        "entry": "vgbench.steps.fetch:fetch",
        "params": {"repository": name, "revision": revision or "main"},
        "bindings": {},
        "seed": None,
        "shard": 0,
        "inputs": {},
        "out": str(out),
        "scratch": str(scratch),
    }
    note(f"fetching {name} from the Hugging Face Hub into its cache")
    executor = LocalExecutor(1, context.environment, logs)
    try:
        executor.submit(Job("fetch", 0, "fetch", message))
        events = executor.wait()
        while not events or events[-1].kind == "progress":
            events = executor.wait()
        if events[-1].kind == "failed":
            raise VgbenchError(f"hf://{repository}: {events[-1].detail['failed']}")
        locator.lock_hub(f"{name}@{revision or 'main'}", (out / "commit").read_text())
    finally:
        executor.close()
        for folder in (out, logs, scratch):
            store.discard(folder)


def call_add(args: argparse.Namespace, context: Context) -> int:
    spec = context.registry.datasets.get(args.name).spec
    return _report(args, [_locator(context).add(spec, args.path)])


def call_verify(args: argparse.Namespace, context: Context) -> int:
    locator = _locator(context, fresh=True)
    here = [standing for spec in _wanted(args, context) if (standing := locator.standing(spec)).state != "absent"]
    asked = [weights.standing(spec, locator, context.environment) for spec in weights.wanted(args, context)]
    _report(args, here, asked)
    return 4 if any(standing.state == "changed" for standing in (*here, *asked)) else 0


def _locator(context: Context, *, fresh: bool = False) -> Locator:
    from vgbench.locate import Locator

    return Locator(context.home, note, fresh)


def _wanted(args: argparse.Namespace, context: Context) -> list[DatasetSpec]:
    """Return the data sets that the tasks declare, or all there are."""
    registry = context.registry
    if not args.tasks:
        return [] if args.encoder else [offer.spec for offer in registry.datasets]
    names = dict.fromkeys(name for text in args.tasks for task in registry.task(text) for name in task.spec.datasets)
    if not names and not weights.wanted(args, context):
        raise UsageError(f"{' and '.join(args.tasks)}: no data set is declared", hint="see: vgbench list datasets")
    return [registry.datasets.get(name).spec for name in names]


def _report(args: argparse.Namespace, datasets: Sequence[Standing], encoders: Sequence[Standing] = ()) -> int:
    """Print how each data set and each encoder's weights stand; return 3 when one cannot be used as it stands."""
    standings = [*datasets, *encoders]
    if args.json:
        told = {"datasets": datasets, "weights": encoders}
        write_json({"schema": SCHEMA, **{kind: [asdict(standing) for standing in told[kind]] for kind in told}})
    else:
        rows = [
            (s.name, s.state, (s.identity or "")[:12], s.detail or f"{s.path}{' (Parquet)' * (s.layout == 'parquet')}")
            for s in standings
        ]
        write_columns(rows)
        for standing in standings:
            if standing.hint:
                write(f"  {standing.name}: {standing.hint}")
    return 3 if any(standing.state != "present" for standing in standings) else 0
