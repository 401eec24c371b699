"""Experiment files: all that ``plan`` and ``run`` take on the command line, as TOML; and tasks of one's own.

[sources.original]
[sources.shaky]                       # a name of your own for a source with options
source = "toybox"
warp = [1, 2]                         # a list: one row for each value
[sources.half]
mix = [{ source = "toybox", weight = 0.5 }, { source = "original", weight = 0.5 }]

[tasks.digits]
train = ["probe", "backbone"]         # a list: one column for each value
[tasks.mine]                          # a task on your own test set, without a plugin
dataset = "folder:/data/test"

[options]                             # as the flags --images-per-class, --probe, …
images_per_class = [50, 500]
[seeds]
train = 3
[run]
output = "runs/first"
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench.errors import UsageError, unknown
from vgbench.mixture import text_of
from vgbench.planning import Asked
from vgbench.registry import Wanted
from vgbench.types import AXES

if TYPE_CHECKING:
    from vgbench.registry import Registry

TABLES = ("sources", "tasks", "options", "seeds", "run")
OWN_TASK = "own"  # the task that a table with a data set of its own stands for


@dataclass(frozen=True, slots=True)
class Experiment:
    """What an experiment file asks for; ``output`` is the run's folder, None for the default."""

    asked: Asked
    output: str | None


def read(path: Path, registry: Registry) -> Experiment:
    """Read an experiment file; ``UsageError`` names the wrong key and the nearest right one."""
    try:
        value = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    _known(path, "key", value, TABLES)
    for name in TABLES:
        if not isinstance(value.get(name, {}), dict):
            raise UsageError(f"{path}: {name} must be a table, [{name}] or [{name}.NAME]")
    for name in ("sources", "tasks"):
        if not value.get(name):
            raise UsageError(f"{path} names no {name}", hint=f"add a table [{name}.NAME]")
    seeds, run, options = value.get("seeds", {}), value.get("run", {}), value.get("options", {})
    _known(path, "key of [seeds]", seeds, AXES)
    _known(path, "key of [run]", run, ("output",))
    for axis, count in seeds.items():
        if type(count) is not int or count < 1:
            raise UsageError(f"{path}: seeds.{axis} = {count!r}: a whole number of at least 1 is needed")
    asked = Asked(
        sources=[w for name, table in value["sources"].items() for w in _sources(path, name, table)],
        tasks=[w for name, table in value["tasks"].items() for w in _tasks(path, name, table, registry)],
        options={name: given if isinstance(given, list) else [given] for name, given in options.items()},
        seeds=seeds,
    )
    return Experiment(asked, run.get("output"))


def _sources(path: Path, name: str, table: object) -> Iterator[Wanted]:
    """Yield what a table of [sources] asks for: one source for each combination of listed values."""
    values = _table(path, f"sources.{name}", table)
    if "mix" in values:
        yield Wanted("mix", {"": mixture(path, name, values.pop("mix")), **values})
        return
    plugin = str(values.pop("source", name))
    wanted = Wanted.of(plugin)
    for options in combinations(values):
        yield Wanted(wanted.name, {**wanted.options, **options})


def _tasks(path: Path, name: str, table: object, registry: Registry) -> Iterator[Wanted]:
    """Yield what a table of [tasks] asks for; one with a data set and no plugin's name is a task of one's own."""
    values = _table(path, f"tasks.{name}", table)
    declared = name in registry.tasks.offers or name in registry.suites.offers
    plugin = str(values.pop("task", OWN_TASK if "dataset" in values and not declared else name))
    for options in combinations(values):
        yield Wanted(plugin, options, alias=None if plugin == name else name)


def mixture(path: Path, name: str, parts: object) -> str:
    """Return the text of a mixture from a list of {source, weight} or {source, count}."""
    if not isinstance(parts, list) or not parts:
        raise UsageError(f"{path}: sources.{name}.mix must be a list of {{source = …, weight = …}}")
    for part in parts:
        values = _table(path, f"sources.{name}.mix", part)
        _known(path, f"key of sources.{name}.mix", values, ("source", "weight", "count"))
        if "source" not in values:
            raise UsageError(f"{path}: a part of sources.{name}.mix names no source")
    return text_of(parts)


def combinations(values: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    """Yield one dictionary for each combination of the listed values."""
    lists = [value if isinstance(value, list) else [value] for value in values.values()]
    for chosen in itertools.product(*lists):
        yield dict(zip(values, chosen, strict=True))


def _table(path: Path, where: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{path}: {where} must be a table")
    return dict(value)


def _known(path: Path, kind: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            error = unknown(kind, name, known)
            raise UsageError(f"{path}: {error.what}", hint=error.hint)
