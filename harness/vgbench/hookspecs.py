"""Every hook a plugin can implement, in the order a newcomer meets them. Hooks return values."""

from __future__ import annotations

from argparse import _SubParsersAction
from collections.abc import Iterable
from typing import Any

import pluggy

from vgbench.types import (
    ClassListSpec,
    DatasetSpec,
    Part,
    SourceSpec,
    SuiteSpec,
    TaskSpec,
    WeightsSpec,
)

hookspec = pluggy.HookspecMarker("vgbench")
hookimpl = pluggy.HookimplMarker("vgbench")


@hookspec
def vgbench_offer_sources() -> Iterable[SourceSpec]:
    """Return data sources. Each is usable at once as ``--source NAME``."""
    raise NotImplementedError


@hookspec
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    """Return tasks. Each is usable at once as ``--tasks NAME``."""
    raise NotImplementedError


@hookspec
def vgbench_offer_suites() -> Iterable[SuiteSpec]:
    """Return named lists of tasks, usable wherever a task is; averaged only when complete."""
    raise NotImplementedError


@hookspec
def vgbench_offer_class_lists() -> Iterable[ClassListSpec]:
    """Return class lists that lie as JSON in the plugin's package."""
    raise NotImplementedError


@hookspec
def vgbench_offer_datasets() -> Iterable[DatasetSpec]:
    """Return real data sets: where they lie, their splits, the steps that read them."""
    raise NotImplementedError


@hookspec
def vgbench_offer_weights() -> Iterable[WeightsSpec]:
    """Return published weights, pinned by revision or hash."""
    raise NotImplementedError


@hookspec
def vgbench_offer_parts() -> Iterable[Part]:
    """Return backbones, encoders, probes, prompts, recipes and scorers: named pieces of protocols."""
    raise NotImplementedError


@hookspec
def vgbench_offer_commands(add: _SubParsersAction[Any]) -> None:
    """Add sub-commands: ``add.add_parser(NAME).set_defaults(call=f)``; ``f(args, context)`` returns the exit code."""


@hookspec
def vgbench_on_node_finished(node: str, step: str, shard: int, items: int) -> None:
    """Called in the parent after a shard is committed: node digest, step id, shard number, items made."""


@hookspec
def vgbench_on_run_finished(run_dir: str) -> None:
    """Called when a run's cells are all written. The leaderboard package writes ``leaderboard.json`` here."""
