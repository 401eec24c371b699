"""What a plan holds: its cells, the nodes that they need, and what making these would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vgbench import estimate
from vgbench.errors import UsageError
from vgbench.registry import Chosen
from vgbench.types import Axis, Images, Metric, Node, SourceSpec, TaskSpec, canonical_json, sha256_hex

State = Literal["have", "make", "blocked"]


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One source × task × options × seeds. Without ``score`` it is blocked, for ``reason``."""

    digest: str
    source: Chosen[SourceSpec]
    task: Chosen[TaskSpec]
    seeds: Mapping[Axis, int]
    state: State
    column: str | None = None
    reason: str | None = None
    score: Node | None = None
    controls: Mapping[str, Node] = field(default_factory=dict)
    images: Images | None = None
    n_classes: int | None = None
    images_per_class: int | None = None
    uses_real_labels: bool = False
    remarks: tuple[str, ...] = ()
    supposed: tuple[Node, ...] = ()  # of a blocked cell: its targets, if what nobody has observed were here

    @property
    def row_options(self) -> dict[str, Any]:
        """The task's options that belong to the row."""
        return {o.name: self.task.options[o.name] for o in self.task.spec.options if o.axis == "row"}

    @property
    def column_options(self) -> dict[str, Any]:
        return {o.name: self.task.options[o.name] for o in self.task.spec.options if o.axis == "column"}

    @property
    def targets(self) -> tuple[Node, ...]:
        """The nodes that must be there before the cell can be written."""
        if self.score is None:
            return ()
        images = (self.images.index,) if self.images else ()
        return (self.score, *self.controls.values(), *images)

    @property
    def metrics(self) -> dict[str, Metric]:
        """The task's metrics by id, chance as a number."""
        return {metric.id: metric.of(self.n_classes) for metric in self.task.spec.metrics}


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node the plan reached: the shards some consumer needs, and those of them that are not in the store."""

    node: Node
    shards: tuple[int, ...]
    missing: tuple[int, ...]
    items: int

    @property
    def state(self) -> State:
        return "make" if self.missing else "have"

    @property
    def estimate(self) -> estimate.Estimate:
        done = 1 - len(self.missing) / len(self.shards)
        return estimate.work(self.node, round(self.items * (1 - done)))


@dataclass(frozen=True, slots=True)
class Plan:
    """Cells, the nodes they need, producers before consumers, and the tasks of each suite that was asked for.

    ``supposed``: the nodes that blocked cells would need besides, if what nobody has observed here were here.
    """

    cells: tuple[PlannedCell, ...]
    nodes: Mapping[str, PlannedNode]
    suites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    supposed: Mapping[str, PlannedNode] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return sha256_hex(canonical_json(sorted(cell.digest for cell in self.cells)))

    def totals(self, *, usd_per_hour: float | None = None) -> dict[str, Any]:
        """Count nodes, shards and images to make, and estimate seconds, bytes and USD."""
        return {
            "cells": len(self.cells),
            "cells_have": sum(cell.state == "have" for cell in self.cells),
            "cells_blocked": sum(cell.state == "blocked" for cell in self.cells),
            **_totals(self.nodes.values(), usd_per_hour),
        }

    def to_json(self, *, usd_per_hour: float | None = None) -> dict[str, Any]:
        """Return the plan as JSON (schema ``plan``)."""
        return {
            "schema": "vgbench.plan/1",
            "digest": self.digest,
            "cells": [
                {
                    "digest": cell.digest,
                    "source": cell.source.spec.name,
                    "distribution": cell.source.distribution,
                    "source_options": dict(cell.source.options),
                    "task": cell.task.spec.name,
                    "task_options": dict(cell.task.options),
                    "seeds": dict(cell.seeds),
                    "state": cell.state,
                    "reason": cell.reason,
                    "remarks": list(cell.remarks),
                    "score": cell.score.digest if cell.score else None,
                }
                for cell in self.cells
            ],
            "nodes": [
                {
                    "digest": digest,
                    "step": planned.node.step.id,
                    "version": planned.node.step.version,
                    "state": planned.state,
                    "owner": planned.node.owner,
                    "shards": len(planned.shards),
                    "missing": len(planned.missing),
                    "items": planned.items,
                    "seconds": round(planned.estimate.seconds, 2),
                }
                for digest, planned in self.nodes.items()
            ],
            "suites": {name: list(tasks) for name, tasks in self.suites.items()},
            "totals": self.totals(usd_per_hour=usd_per_hour),
            "if_unblocked": self.if_unblocked(usd_per_hour=usd_per_hour),
            "rates": self.rates,
            "shared": self.shared,
        }

    def if_unblocked(self, *, usd_per_hour: float | None = None) -> dict[str, Any]:
        """Estimate what blocked cells would take besides, if what nobody has observed here were here."""
        return _totals(self.supposed.values(), usd_per_hour)

    @property
    def shared(self) -> list[dict[str, Any]]:
        """Say of each step what its nodes to make cost once, and would cost if every cell made its own."""
        nodes = {d: p for d, p in (*self.nodes.items(), *self.supposed.items()) if p.missing}
        cells: Counter[str] = Counter()  # by node
        of_step: Counter[str] = Counter()  # cells that need some node of a step
        for cell in self.cells:
            targets = cell.targets if cell.state == "make" else cell.supposed
            needed = {node.digest for target in targets for node in target.walk()} & nodes.keys()
            cells.update(needed)
            of_step.update({nodes[digest].node.step.id for digest in needed})
        found: dict[str, dict[str, Any]] = {}
        for digest, planned in nodes.items():
            step, seconds = planned.node.step.id, planned.estimate.seconds
            row = found.setdefault(
                step, {"step": step, "nodes": 0, "cells": 0, "seconds": 0.0, "seconds_unshared": 0.0}
            )
            row["nodes"] += 1
            row["cells"] = of_step[step]
            row["seconds"] += seconds
            row["seconds_unshared"] += seconds * cells[digest]
        rounded = (
            {**row, **{k: round(v, 1) for k, v in row.items() if k.startswith("seconds")}} for row in found.values()
        )
        return [row for row in rounded if row["seconds_unshared"] > row["seconds"]]

    def refuse_network(self) -> None:
        """Raise ``UsageError`` where something to be made asks the network."""
        asking = sorted({p.node.step.id for p in self.nodes.values() if p.missing and p.node.step.network})
        if asking:
            raise UsageError(f"--offline forbids the network, and {', '.join(asking)} asks it", hint="fetch=false")

    def refuse_devices(self, devices: int) -> None:
        """Raise ``UsageError`` where a training to be made cannot be shared out evenly over so many devices."""
        for planned in self.nodes.values():
            if not planned.missing or planned.node.step.id != "vgbench.pretrain" or not planned.node.inputs:
                continue
            recipe = planned.node.param["recipe"]
            parts = recipe["values"]["batch"] // recipe["values"]["micro_batch"]
            if devices > 0 and parts % devices:
                raise UsageError(
                    f"--devices {devices}: recipe {recipe['name']} trains on {parts} micro-batches at a step",
                    hint=f"for example: --devices {max(n for n in range(1, devices + 1) if parts % n == 0)}",
                )

    @property
    def rates(self) -> dict[str, str]:
        """Where the rates come from that were not measured on the reference machine, by step and rate."""
        steps = (planned.node.step for planned in (*self.nodes.values(), *self.supposed.values()) if planned.missing)
        return {
            f"{step.id}, {step.rate.items_per_second:.3g} images/s": step.rate.source
            for step in steps
            if step.rate is not None and step.rate.source
        }


def _totals(nodes: Iterable[PlannedNode], usd_per_hour: float | None) -> dict[str, Any]:
    nodes = list(nodes)
    states = [n.state for n in nodes]
    cost = estimate.total((n.estimate for n in nodes), usd_per_hour=usd_per_hour)
    return {
        "nodes": len(states),
        "have": states.count("have"),
        "make": states.count("make"),
        "shards_to_make": sum(len(n.missing) for n in nodes),
        "images_to_make": sum(len(n.missing) * (n.node.shard_size or 0) for n in nodes if n.node.shard_size),
        "seconds": round(cost.seconds, 1),
        "gpu_seconds": round(sum(n.estimate.seconds for n in nodes if n.node.step.gpu), 1),
        "bytes": cost.bytes,
        "usd": cost.usd,
    }
