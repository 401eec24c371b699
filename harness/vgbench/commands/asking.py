"""The arguments that commands share, and how those of ``plan`` and ``run`` become what is asked for."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vgbench.commands.output import note
from vgbench.errors import UsageError
from vgbench.registry import Wanted
from vgbench.types import Axis

if TYPE_CHECKING:
    from vgbench.commands import Context
    from vgbench.planned import Plan
    from vgbench.planning import Asked

# Each sets that option on every selected task that declares it; several values make one cell each.
RUN_WIDE = {
    "classes": "class list: a name or a JSON file",
    "backbone": "timm architecture",
    "encoder": "feature extractor",
    "readout": "how a fixed encoder's features tell test images apart",
    "probe": "classifier on frozen features",
    "val": "where a probe's strength is chosen: source or real",
    "recipe": "training recipe",
    "images_per_class": "source images for each class, or 'all'",
    "shots": "real training images for each class",
    "downstream_fraction": "share of the task's real training images",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what names sources, tasks, options and seeds."""
    parser.add_argument("experiment", nargs="?", metavar="FILE.toml", help="an experiment file, in place of the flags")
    parser.add_argument("--source", nargs="+", action="extend", default=[], metavar="S", help="NAME[:OPT=VALUE,…]")
    parser.add_argument(
        "--weights", nargs="+", action="extend", default=[], metavar="ARCH@FILE", help="a backbone trained elsewhere"
    )
    parser.add_argument(
        "--tasks", nargs="+", action="extend", default=[], metavar="T", help="task or suite, NAME[:OPT=VALUE,…]"
    )
    for name, text in RUN_WIDE.items():
        parser.add_argument(f"--{name.replace('_', '-')}", nargs="+", action="extend", metavar="V", help=text)
    parser.add_argument(
        "--grid", nargs="+", action="extend", default=[], metavar="SOURCE.OPT=A,B", help="one row for each value"
    )
    parser.add_argument("--seeds", type=int, metavar="K", help="K training-and-probe seeds on one image set")
    for axis in ("source", "train", "probe"):
        parser.add_argument(f"--{axis}-seeds", type=int, metavar="K", help=f"K seeds of the {axis} axis")


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what names one source, its classes and where to work: of ``preview`` and ``generate``."""
    parser.add_argument("--source", required=True, metavar="S", help="NAME[:OPT=VALUE,…]")
    parser.add_argument("--classes", metavar="C", help="a class list: NAME, NAME/ID,ID,… or a JSON file")
    parser.add_argument(
        "--tasks", metavar="T", help="a task: its classes, and the real images that some sources start from"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="worker processes (default: one, after 10 s one for each core or GPU)"
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where networks run")
    parser.add_argument("--offline", action="store_true", help="forbid every download")


def plan_of(args: argparse.Namespace, context: Context) -> Plan:
    """Build the plan; refuses everything that can be refused before anything is made."""
    from vgbench.locate import Locator
    from vgbench.planning import Asked, make_plan
    from vgbench.store import Store

    if args.experiment:
        asked = _from_file(args, context)
    else:
        asked = Asked(_sources(args), _named(args.tasks, "--tasks"), _options(args), _seeds(args))
    plan = make_plan(asked, context.registry, Store(context.home), Locator(context.home, note))
    for line in dict.fromkeys(f"{cell.task.spec.name}: {remark}" for cell in plan.cells for remark in cell.remarks):
        note(line)
    return plan


def _from_file(args: argparse.Namespace, context: Context) -> Asked:
    """Read the experiment file; seeds and options given as flags go before the file's, sources and tasks may not."""
    from vgbench.commands import experiment

    if args.source or args.tasks or args.weights or args.grid:
        raise UsageError(
            "an experiment file names its own sources and tasks", hint="leave out --source, --tasks, --weights, --grid"
        )
    found = experiment.read(Path(args.experiment), context.registry)
    if hasattr(args, "output") and args.output is None:
        args.output = found.output
    options, seeds = {**found.asked.options, **_options(args)}, {**found.asked.seeds, **_seeds(args)}
    return replace(found.asked, options=options, seeds=seeds)


def _sources(args: argparse.Namespace) -> list[str | Wanted]:
    named = _named(args.source + [f"weights:{text}" for text in args.weights], "--source")
    grid = dict(_axis(text) for text in args.grid)
    sources: list[str | Wanted] = []
    unused = set(grid)
    for text in named:
        wanted = Wanted.of(text)
        mine = {option: values for (source, option), values in grid.items() if source == wanted.name}
        unused -= {(wanted.name, option) for option in mine}
        for chosen in itertools.product(*mine.values()):
            sources.append(Wanted(wanted.name, {**wanted.options, **dict(zip(mine, chosen, strict=True))}))
    if unused:
        source, option = sorted(unused)[0]
        raise UsageError(f"--grid {source}.{option}: {source!r} is not among the sources")
    return sources


def _axis(text: str) -> tuple[tuple[str, str], list[str]]:
    """Read one grid axis, ``SOURCE.OPT=A,B,C``."""
    name, equals, values = text.partition("=")
    source, dot, option = name.rpartition(".")
    if not (equals and dot and source and option and values):
        raise UsageError(f"--grid {text!r} is not SOURCE.OPT=A,B,C", hint="for example: --grid toybox.warp=0,1,2")
    return (source, option), values.split(",")


def _named(given: Sequence[str], flag: str) -> Sequence[str]:
    if not given:
        raise UsageError(f"{flag} names nothing", hint="give --source and --tasks, or an experiment file; see --help")
    return given


def _options(args: argparse.Namespace) -> dict[str, Sequence[object]]:
    return {name: getattr(args, name) for name in RUN_WIDE if getattr(args, name) is not None}


def _seeds(args: argparse.Namespace) -> dict[Axis, int]:
    seeds: dict[Axis, int] = {}
    if args.seeds is not None:
        seeds["train"] = seeds["probe"] = args.seeds
    if args.source_seeds is not None:
        seeds["source"] = args.source_seeds
    if args.train_seeds is not None:
        seeds["train"] = args.train_seeds
    if args.probe_seeds is not None:
        seeds["probe"] = args.probe_seeds
    for axis, count in seeds.items():
        if count < 1:
            raise UsageError(f"{count} {axis} seeds: at least 1 is needed")
    return seeds
