"""``vgbench data``: which real data sets are here, which bytes they have, and where a local copy lies."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench.commands import weights
from vgbench.commands.output import note, write, write_columns, write_json
from vgbench.errors import UsageError, VgbenchError

if TYPE_CHECKING:
    from vgbench.commands import Context
    from vgbench.locate import Locator, Observed, Standing
    from vgbench.registry import Chosen
    from vgbench.types import DatasetSpec, Place, SourceSpec

SCHEMA = "vgbench.data/1"


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("data", help="real data sets: are they here, what are they, where is a local copy")
    verbs = parser.add_subparsers(metavar="doctor|fetch|add|verify", required=True, parser_class=type(parser))
    doctor = verbs.add_parser("doctor", help="say of each whether it is usable, and what to do if not; exit 3 if not")
    doctor.set_defaults(call=call_doctor)
    fetch = verbs.add_parser("fetch", help="get what is named; observe what nobody has pinned")
    fetch.set_defaults(call=call_fetch)
    register = verbs.add_parser("add", help="use a local copy: Parquet, image folder, webdataset tars, the original")
    register.add_argument("name", nargs="?", help="a name that `vgbench list datasets` prints")
    register.add_argument("path", nargs="?", help="a file or folder")
    register.add_argument("--root", help="a folder in ELEVATER's layout: every data set that lies in it")
    register.add_argument("--replace", action="store_true", help="also where its samples differ from those observed")
    register.set_defaults(call=call_add)
    verify = verbs.add_parser("verify", help="read every byte again; exit 4 if one has changed")
    verify.set_defaults(call=call_verify)
    fetch.add_argument("--source", nargs="+", default=[], metavar="S", help="also what these sources name on the Hub")
    for verb in (doctor, fetch, verify):
        verb.add_argument("names", nargs="*", metavar="NAME", help="only these data sets")
        verb.add_argument("--tasks", nargs="+", metavar="T", help="only what these tasks use")
        verb.add_argument("--encoder", nargs="+", default=[], metavar="E", help="also the weights of these encoders")
    for verb in (doctor, fetch):
        verb.add_argument("--offline", action="store_true", help="download nothing (the doctor never does)")
    for verb in (doctor, fetch, register, verify):
        verb.add_argument("--json", action="store_true", help="the same as JSON")


def call_doctor(args: argparse.Namespace, context: Context) -> int:
    locator = _locator(context)
    wanted = _wanted(args, context)
    found = [_standing(locator, spec, context) for spec in wanted]
    return _report(args, context, wanted, found, _encoders(args, locator, context))


def call_fetch(args: argparse.Namespace, context: Context) -> int:
    locator = _locator(context)
    is_named = bool(args.tasks or args.names)
    wanted = _wanted(args, context) if is_named or not args.source else []
    places = [place for text in args.source for place in _hub_options(context.registry.source(text))]
    if is_named:  # never all there are: that would be a terabyte
        places += [spec.place for spec in wanted if _on_hub(locator, spec)]
    places += weights.repositories(weights.wanted(args, context))
    for place in dict.fromkeys(places if not args.offline else []):
        _fetch(place.removeprefix("hf:").removeprefix("//"), locator, context)
    for spec in wanted:
        locator.observe(spec)
        if spec.reading is not None and _standing(locator, spec, context).hint == _observe_hint(spec):
            lies_at = locator.dataset(spec)
            locator.lock_samples(spec, _observe(spec, lies_at, context))
    if args.source and not args.json:
        did = "not fetched: --offline" if args.offline else "fetched"
        write_columns([(did, place) for place in places] or [("nothing to fetch", " ".join(args.source))])
    found = [_standing(locator, spec, context) for spec in wanted]
    return _report(args, context, wanted, found, _encoders(args, locator, context))


def _standing(locator: Locator, spec: DatasetSpec, context: Context) -> Standing:
    """Say how a data set stands, also whether it was downloaded, and whether the ids of its samples are known."""
    from vgbench.locate import snapshot

    standing = locator.standing(spec)
    path = standing.path
    if path is not None and path.startswith("hf://") and snapshot(path, context.environment) is None:
        return replace(standing, state="needs download", detail=path, hint=f"vgbench data fetch {spec.name}")
    if standing.state == "present" and spec.splits and len(_unknown(locator, spec)) == len(spec.splits):
        detail = "nobody has observed the ids of its samples"
        return replace(standing, state="not observed", detail=detail, hint=_observe_hint(spec))
    return standing


def _observe_hint(spec: DatasetSpec) -> str:
    return f"vgbench data fetch {spec.name} observes them"


def _unknown(locator: Locator, spec: DatasetSpec) -> list[str]:
    """Return the splits whose sample ids nobody has declared or observed."""
    return [split for split in spec.splits if locator.sample_ids(spec, split) is None]


def _observe(spec: DatasetSpec, place: Place, context: Context) -> Observed:
    """Return what the data set's reader finds of each split, in a worker.

    Raises what the reader refuses, and ``UsageError`` if no split is there as declared. A split whose size nobody has
    declared does not vouch for the copy where others' sizes are.
    """
    from vgbench.locate import Observed

    classes = context.registry.class_list(spec.classes)
    sizes = {name: split.n for name, split in spec.splits.items()}
    told = {split: {**spec.params(split, sample_ids=None, classes=classes), "sizes": sizes} for split in spec.splits}
    params = {"entry": spec.read_labels.entry, "splits": told, "place": place.key()}
    note(f"observing the samples of {spec.name}")
    try:
        with _worked("vgbench.steps.fetch:observe", params, {"place": place.path}, context) as out:
            observed = json.loads((out / "observed.json").read_text())
    except VgbenchError as refused:
        raise UsageError(refused.what, hint=f"what is known of {spec.name}: vgbench show {spec.name}") from refused
    not_taken = {split: found["reason"] for split, found in observed.items() if "reason" in found}
    vouching = [split for split, n in sizes.items() if n is not None] or list(sizes)
    if not_taken.keys() >= set(vouching):
        lines = "; ".join(f"split {split}: {not_taken[split]}" for split in vouching)
        raise UsageError(
            f"{spec.name}: {place.path} holds none of its splits as declared: {lines}",
            hint=f"what is known of {spec.name}: vgbench show {spec.name}",
        )
    taken = {split: found["sample_ids"] for split, found in observed.items() if split not in not_taken}
    return Observed(taken, not_taken)


def _hub_options(chosen: Chosen[SourceSpec]) -> list[str]:
    """Return the repositories of the Hub that a source's options name."""
    values = [chosen.options[option.name] for option in chosen.spec.options if option.type == "path"]
    return [value for value in values if value and value.startswith("//")]


def _on_hub(locator: Locator, spec: DatasetSpec) -> bool:
    standing = locator.standing(spec)
    return spec.place.startswith("hf://") and (standing.path is None or standing.path.startswith("hf://"))


def _fetch(repository: str, locator: Locator, context: Context) -> None:
    """Download a repository in a worker, and record the commit that it was."""
    name, _, revision = repository.partition("@")
    revision = revision or "main"
    note(f"fetching {name} from the Hugging Face Hub into its cache")
    params = {"repository": name, "revision": revision}
    with _worked("vgbench.steps.fetch:fetch", params, {}, context) as out:
        locator.lock_hub(f"{name}@{revision}", (out / "commit").read_text())


@contextmanager
def _worked(entry: str, params: Mapping[str, Any], bindings: Mapping[str, str], context: Context) -> Iterator[Path]:
    """Run a body in a worker, outside any plan; yield the folder of what it made, which goes afterwards.

    Raises ``VgbenchError`` with what the body refused.
    """
    from vgbench.executors import Job
    from vgbench.executors.local import LocalExecutor
    from vgbench.store import Store

    store = Store(context.home)
    out, logs, scratch = store.staging("fetch"), store.staging("logs"), store.staging("scratch")
    message = {
        "node": "fetch",
        "entry": entry,
        "params": dict(params),
        "bindings": dict(bindings),
        "seed": None,
        "shard": 0,
        "inputs": {},
        "out": str(out),
        "scratch": str(scratch),
    }
    executor = LocalExecutor(1, context.environment, logs)
    try:
        executor.submit(Job("fetch", 0, "fetch", message))
        events = executor.wait()
        while not events or events[-1].kind == "progress":
            events = executor.wait()
        if events[-1].kind == "failed":
            raise VgbenchError(str(events[-1].detail["failed"]).removeprefix("ValueError: "))
        yield out
    finally:
        executor.close()
        for folder in (out, logs, scratch):
            store.discard(folder)


def call_add(args: argparse.Namespace, context: Context) -> int:
    if args.root is not None:
        if args.name is not None:
            raise UsageError(f"--root {args.root} adds every set of the root, {args.name} is one", hint="give one")
        return _add_root(args, context)
    if args.name is None or args.path is None:
        raise UsageError(
            "data add: which data set, and where is it?", hint="vgbench data add NAME PATH, or --root ROOT"
        )
    spec = context.registry.datasets.get(args.name).spec
    return _report(args, context, [spec], [_add(spec, args.path, args, context)])


def _add_root(args: argparse.Namespace, context: Context) -> int:
    """Add every data set of a root that is as declared, and say of the others why not."""
    from vgbench.locate import Standing

    found = _in_root(args.root, context)
    standings = []
    for spec, path in found:
        try:
            standings.append(_add(spec, path, args, context))
        except UsageError as error:
            standings.append(Standing(spec.name, "refused", path, detail=error.what, hint=error.hint))
    added = {standing.name for standing in standings if standing.state != "refused"}
    return _report(args, context, [spec for spec, _ in found if spec.name in added], standings)


def _add(spec: DatasetSpec, path: str, args: argparse.Namespace, context: Context) -> Standing:
    locator = _locator(context)
    observed = _observe(spec, locator.path(path), context) if spec.reading is not None else None
    return locator.add(spec, path, observed=observed, replacing=args.replace)


def _in_root(root: str, context: Context) -> list[tuple[DatasetSpec, str]]:
    """Return the data sets that lie in a root of ELEVATER's, by the folder that its own index gives each."""
    found = []
    for offer in context.registry.datasets:
        folder = (offer.spec.reading or {}).get("elevater")
        places = [Path(root, folder), Path(root, "classification", folder)] if folder else []
        found += [(offer.spec, str(place)) for place in places if place.is_dir()][:1]
    if not found:
        raise UsageError(
            f"{root}: no data set of ELEVATER's lies there", hint="such as classification/cifar_10_20211007"
        )
    return found


def call_verify(args: argparse.Namespace, context: Context) -> int:
    locator = _locator(context, fresh=True)
    here = [standing for spec in _wanted(args, context) if (standing := locator.standing(spec)).path is not None]
    asked = _encoders(args, locator, context)
    _report(args, context, [], here, asked)
    return 4 if any(standing.state == "changed" for standing in (*here, *asked)) else 0


def _locator(context: Context, *, fresh: bool = False) -> Locator:
    from vgbench.locate import Locator

    return Locator(context.home, note, fresh)


def _wanted(args: argparse.Namespace, context: Context) -> list[DatasetSpec]:
    """Return the data sets that are named, or that the tasks declare, or all there are."""
    registry = context.registry
    if not args.tasks and not args.names:
        return [] if args.encoder else [offer.spec for offer in registry.datasets]
    of_tasks = [name for text in args.tasks or () for task in registry.task(text) for name in task.spec.datasets]
    names = dict.fromkeys([*args.names, *of_tasks])
    if not names and not weights.wanted(args, context):
        raise UsageError(f"{' and '.join(args.tasks)}: no data set is declared", hint="see: vgbench list datasets")
    return [registry.datasets.get(name).spec for name in names]


def _encoders(args: argparse.Namespace, locator: Locator, context: Context) -> list[Standing]:
    return [weights.standing(spec, locator, context.environment) for spec in weights.wanted(args, context)]


def _report(
    args: argparse.Namespace,
    context: Context,
    specs: Sequence[DatasetSpec],
    datasets: Sequence[Standing],
    encoders: Sequence[Standing] = (),
) -> int:
    """Print how each data set and each encoder's weights stand; return 3 when one cannot be used as it stands."""
    standings = [*datasets, *encoders]
    if args.json:
        declared = {spec.name: _declared(spec, context) for spec in specs}
        entries = [
            {**asdict(standing), "hash_ok": standing.state == "present", **declared.get(standing.name, {})}
            for standing in datasets
        ]
        write_json({"schema": SCHEMA, "datasets": entries, "weights": [asdict(standing) for standing in encoders]})
    else:
        rows = [
            (
                s.name,
                s.state,
                (s.identity or "")[:12],
                s.detail or f"{s.path}{' (Parquet)' * (s.layout == 'parquet')}, hash ok",
            )
            for s in standings
        ]
        write_columns(rows)
        not_taken = {spec.name: _locator(context).not_taken(spec) for spec in specs}
        for standing in standings:
            if standing.hint:
                write(f"  {standing.name}: {standing.hint}")
            for split, reason in not_taken.get(standing.name, {}).items():
                write(f"  {standing.name}: split {split}: not taken: {reason}")
    return 3 if any(standing.state != "present" for standing in standings) else 0


def _declared(spec: DatasetSpec, context: Context) -> dict[str, Any]:
    """Return what a data set declares of its access, and what is known of its splits."""
    locator = _locator(context)
    not_taken = locator.not_taken(spec)
    splits = {
        name: {"n": split.n, "sample_ids": locator.sample_ids(spec, name), "not_taken": not_taken.get(name)}
        for name, split in spec.splits.items()
    }
    return {"access": spec.access, "license": spec.license, "mirrors": list(spec.mirrors), "splits": splits}
