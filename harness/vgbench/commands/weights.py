"""Weights of encoders in ``vgbench data``: told, fetched and observed as data sets are."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vgbench.commands import Context
    from vgbench.locate import Locator, Standing
    from vgbench.types import WeightsSpec


def wanted(args: argparse.Namespace, context: Context) -> list[WeightsSpec]:
    """Return the weights of the encoders that are named, or that the tasks use; weights of the user's own are no such.

    Without either none: published weights are large, and nobody wants all.
    """
    from vgbench.stages import split_encoder

    registry = context.registry
    asked = [str(name) for name in args.encoder]
    for text in args.tasks or ():
        for task in registry.task(text):
            named = [option.name for option in task.spec.options if option.type == "encoder"]
            asked += [str(task.options[name]) for name in named]
    parts = [registry.part("encoder", split_encoder(name)[0]) for name in dict.fromkeys(asked)]
    names = dict.fromkeys(part.values["weights"] for part in parts if part.values.get("weights"))
    return [registry.weights.get(name).spec for name in names]


def standing(spec: WeightsSpec, locator: Locator, environment: Mapping[str, str]) -> Standing:
    """Say how weights stand: of a repository of the Hub also whether it was downloaded."""
    from vgbench.locate import snapshot

    found = locator.standing(spec)
    fetch = f"vgbench data fetch --encoder {spec.name}"
    if found.state == "not observed":
        return replace(found, hint=fetch)
    if found.path is not None and found.path.startswith("hf://") and snapshot(found.path, environment) is None:
        return replace(found, state="needs download", detail=found.path, hint=fetch)
    return found


def repositories(specs: list[WeightsSpec]) -> list[str]:
    """Return the repositories of the Hub that hold the weights."""
    return [spec.place.removeprefix("hf://") for spec in specs if spec.place.startswith("hf://")]
