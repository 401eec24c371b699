"""``vgbench show NAME``: everything declared about one thing: options, values, where it comes from."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from vgbench.commands.list_ import KINDS, entries_of
from vgbench.commands.output import write, write_columns, write_json
from vgbench.errors import unknown

if TYPE_CHECKING:
    from vgbench.commands import Context


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("show", help="everything about one source, task, part, …")
    parser.add_argument("name", help="a name that `vgbench list` prints")
    parser.add_argument("--json", action="store_true", help="a list of objects: one for each thing of that name")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
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
    distribution, _, plain = args.name.rpartition("::")
    named = [(KINDS[what], offer) for what, c in catalogues.items() for offer in c.offers.get(plain, [])]
    offers = [(kind, offer) for kind, offer in named if distribution in ("", offer.distribution)]
    if not offers:
        names = {entry["name"] for what in KINDS for entry in entries_of(what, context)}
        raise unknown("source, task or part", args.name, names, listing="vgbench list")
    described = [{"kind": kind, "distribution": offer.distribution, **_describe(offer.spec)} for kind, offer in offers]
    if args.json:
        write_json(described)
        return 0
    for thing in described:
        _write(thing)
    return 0


def _describe(spec: Any) -> dict[str, Any]:
    """Return a spec's declared values as JSON; functions are left out."""
    found: dict[str, Any] = {}
    for spec_field in fields(spec):
        value = getattr(spec, spec_field.name)
        if not callable(value):
            found[spec_field.name] = _plain(value)
    found["spec"] = type(spec).__name__
    return found


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value) if not callable(getattr(value, f.name))}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if hasattr(value, "items"):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _write(thing: dict[str, Any]) -> None:
    options = thing.pop("options", [])
    values = thing.pop("values", {})
    assumed = thing.pop("assumed", {})
    metrics = thing.pop("metrics", [])
    write(f"{thing.pop('name')}  ({thing.pop('kind')}, {thing.pop('distribution')})")
    write_columns([(f"  {key.replace('_', ' ')}", _text(v)) for key, v in thing.items() if v and key != "spec"])
    if metrics:
        write("  metrics")
        write_columns([(f"    {m['id']}", m["unit"], _bounds(m)) for m in metrics])
    if options:
        write("  options")
        write_columns([(f"    {o['name']}={_default(o)}", o["type"], _help(o)) for o in options])
    if values:
        write("  values")
        write_columns([_value(key, value, assumed) for key, value in values.items()])


def _value(name: str, value: Any, assumed: Mapping[str, str]) -> tuple[str, ...]:
    row = f"    {name}", str(value)
    return (*row, f"assumed: {assumed[name]}" if name in assumed else "") if assumed else row


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(_text(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items() if item not in (None, [], ""))
    return str(value)


def _bounds(metric: dict[str, Any]) -> str:
    better = "higher" if metric["higher_is_better"] else "lower"
    chance = f", chance {metric['chance']}" if metric["chance"] is not None else ""
    low, high = metric["bounds"]
    return f"{low:g} to {high:g}, {better} is better{chance}"


def _default(option: dict[str, Any]) -> str:
    if option["default"] is None:
        return "all" if option["type"] == "count" else ""
    return str(option["default"])


def _help(option: dict[str, Any]) -> str:
    choices = f" ({', '.join(map(str, option['choices']))})" if option["choices"] else ""
    row = "; belongs to the row" if option["axis"] == "row" else ""
    return f"{option['help']}{choices}{row}"
