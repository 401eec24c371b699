"""From what a plan says and the store holds to a cell: finished, or without values and with the reason."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from typing import Any

from vgbench import results
from vgbench.planned import PlannedCell
from vgbench.planning import shard_count
from vgbench.store import Store
from vgbench.types import Head, Images, Node


def without_values(planned: PlannedCell, status: str, reason: str | None) -> results.Cell:
    """Return a cell without values."""
    source, task = planned.source, planned.task
    sees = source.spec.sees
    return results.Cell.model_validate(
        {
            "digest": planned.digest,
            "column": planned.column,
            "status": status,
            "reason": reason,
            "source": {
                "name": source.spec.name,
                "distribution": source.distribution,
                "kind": source.spec.kind,
                "options": dict(source.options),
                "sees": sees.level,
                "models": list(sees.models),
                "generator_training_data": source.spec.generator_training_data,
                "unpinned": planned.images is not None
                and any(node.step.network for node in planned.images.index.walk()),
            },
            "task": {
                "name": task.spec.name,
                "version": task.spec.version,
                "distribution": task.distribution,
                "options": planned.column_options,
                "row_options": planned.row_options,
                "uses_real_labels": planned.uses_real_labels,
            },
            "seeds": dict(planned.seeds),
            "metrics": [],
            "counts": None,
            "controls": [],
            "nodes": {},
            "content": None,
        }
    )


def finished(planned: PlannedCell, store: Store) -> results.Cell:
    """Build a finished cell from its score, controls and image set."""
    assert planned.score is not None
    declared = planned.metrics
    metrics = results.metric_values(results.read_metrics(store.use(planned.score.digest))["metrics"], declared)
    controls = [
        results.control_of(name, results.read_metrics(store.use(node.digest)), metrics)
        for name, node in planned.controls.items()
    ]
    broken = [control.name for control in controls if control.at_chance is False]
    bare = without_values(planned, "ok", None)
    return bare.model_copy(
        update={
            "status": "failed" if broken else "ok",
            "reason": f"control not at chance: {', '.join(broken)}" if broken else None,
            "metrics": metrics,
            "counts": _counts(planned, store),
            "controls": controls,
            "nodes": {
                "score": planned.score.digest,
                **({"image_set": planned.images.index.digest} if planned.images else {}),
                **{f"control:{name}": node.digest for name, node in planned.controls.items()},
            },
            "content": results.Content(
                image_set=store.commit_of(planned.images.index.digest).content if planned.images else None,
                score=store.commit_of(planned.score.digest).content,
                controls={name: store.commit_of(node.digest).content for name, node in planned.controls.items()},
            ),
        }
    )


def _counts(planned: PlannedCell, store: Store) -> results.Counts | None:
    """Count the images used, from the commit record of the image set; None for a backbone trained elsewhere."""
    if planned.images is None:
        return None
    index, asked = store.commit_of(planned.images.index.digest), planned.images_per_class
    return results.Counts(
        images=index.items,
        requested=None if asked is None else asked * len(index.per_class),
        per_class=index.per_class,
        shortfall={} if asked is None else {c: asked - n for c, n in index.per_class.items() if n < asked},
        **rejected(planned.images, store),
    )


def rejected(images: Images, store: Store) -> dict[str, Any]:
    """Add up what was left out of an image set: by its selection, and by what made or found the shards it lies in."""
    total = Counter(store.commit_of(images.index.digest).rejected)
    per_class: dict[str, dict[str, int]] = {}
    is_by_class = len(images.members) == len(images.classes) and all(isinstance(m, Head) for m in images.members)
    for i, member in enumerate(images.members):
        node, shards = (member.node if isinstance(member, Head) else member), shard_count(member)
        if node.digest == images.index.digest:  # a set that is its own index
            continue
        found: Counter[str] = Counter()
        for shard in store.shards(node.digest):
            if shard.record["shard"] < shards:
                found.update(shard.rejected)
        total.update(found)
        if is_by_class and found:
            per_class[images.classes.ids[i]] = dict(sorted(found.items()))
    return {"rejected": dict(sorted(total.items())), "rejected_per_class": per_class}


def observed(planned: PlannedCell, store: Store) -> results.Observed:
    """Add up the seconds of every ancestor, by step; a shard shared by several cells counts in each."""
    seconds: dict[str, float] = {}
    versions: dict[str, str] = {}
    seen: set[str] = set()
    for target in planned.targets:
        for node in target.walk():
            if node.digest in seen:
                continue
            seen.add(node.digest)
            for folder in store.shards(node.digest):
                seen_here: Mapping[str, Any] = folder.observed
                seconds[node.step.id] = seconds.get(node.step.id, 0.0) + float(seen_here.get("seconds", 0.0))
                versions |= seen_here.get("versions", {})
    return results.Observed(
        seconds=_rounded(seconds),
        production=_production(planned.images, store) if planned.images else None,
        host=platform.node(),
        versions=versions,
    )


def _production(images: Images, store: Store) -> results.Production:
    """Take apart what the images took: the shards that hold them, and once each what those were made from."""
    marginal: dict[str, float] = {}
    fixed: dict[str, float] = {}
    members = [(m.node if isinstance(m, Head) else m, shard_count(m)) for m in images.members]
    for node, shards in members:
        marginal[node.digest] = _seconds(store, node, shards)
    for node, _ in members:
        for ancestor in node.walk():
            if ancestor.digest not in marginal and ancestor.digest not in fixed:
                fixed[ancestor.digest] = _seconds(store, ancestor)
    return results.Production(fixed=_rounded(fixed), marginal=_rounded(marginal))


def _seconds(store: Store, node: Node, shards: int | None = None) -> float:
    """Return what a node's shards took, or its first ``shards``."""
    found = [shard for shard in store.shards(node.digest) if shards is None or shard.record["shard"] < shards]
    return sum(float(shard.observed.get("seconds", 0.0)) for shard in found)


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in sorted(seconds.items())}
