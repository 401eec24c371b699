"""The arguments that ``plan`` and ``run`` share, and how they become what is asked for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vgbench.errors import UsageError
from vgbench.planning import Asked, Plan, make_plan
from vgbench.types import Axis

if TYPE_CHECKING:
    from vgbench.commands import Context

# Each sets that option on every selected task that declares it; several values make one cell each.
RUN_WIDE = {
    "backbone": "timm architecture",
    "encoder": "feature extractor",
    "probe": "classifier on frozen features",
    "recipe": "training recipe",
    "images_per_class": "source images for each class, or 'all'",
    "shots": "real training images for each class",
    "downstream_fraction": "share of the task's real training images",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what names sources, tasks, options and seeds."""
    parser.add_argument("--source", nargs="+", required=True, metavar="S", help="NAME[:OPT=VALUE,…]")
    parser.add_argument("--tasks", nargs="+", required=True, metavar="T", help="task or suite, NAME[:OPT=VALUE,…]")
    for name, text in RUN_WIDE.items():
        parser.add_argument(f"--{name.replace('_', '-')}", nargs="+", metavar="V", help=text)
    parser.add_argument("--seeds", type=int, metavar="K", help="K training-and-probe seeds on one image set")
    for axis in ("source", "train", "probe"):
        parser.add_argument(f"--{axis}-seeds", type=int, metavar="K", help=f"K seeds of the {axis} axis")


def plan_of(args: argparse.Namespace, context: Context) -> Plan:
    """Build the plan; refuses everything that can be refused before anything is made."""
    from vgbench.locate import Locator
    from vgbench.store import Store

    options = {name: getattr(args, name) for name in RUN_WIDE if getattr(args, name) is not None}
    seeds: dict[Axis, int] = {}
    if args.seeds is not None:
        seeds["train"] = seeds["probe"] = args.seeds
    for axis, given in (("source", args.source_seeds), ("train", args.train_seeds), ("probe", args.probe_seeds)):
        if given is not None:
            seeds[axis] = given  # type: ignore[index]  # the literals above are axes
    for axis, count in seeds.items():
        if count < 1:
            raise UsageError(f"{count} {axis} seeds: at least 1 is needed")
    asked = Asked(args.source, args.tasks, options, seeds)
    return make_plan(asked, context.registry, Store(context.home), Locator())
