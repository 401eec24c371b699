"""The plan: from sources and tasks to graphs, and from the missing scores back to what must be made."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vgbench import mixture, stages
from vgbench.errors import CannotServe, NotObserved, UsageError, VgbenchError, nearest
from vgbench.libraries import refuse_missing_libraries
from vgbench.locate import Locator
from vgbench.planned import Plan, PlannedCell, PlannedNode, State
from vgbench.registry import Chosen, Registry, Wanted, option_of, parse_class_list, split_asked
from vgbench.store import Store
from vgbench.types import (
    AXES,
    Axis,
    Backbone,
    ClassEntry,
    ClassList,
    DataRequest,
    Dataset,
    Head,
    Images,
    Input,
    Node,
    Part,
    Place,
    SourceSpec,
    StepRef,
    TaskSpec,
    canonical_json,
    make_node,
    sha256_hex,
)

CORE = "vgbench"


class Builder:
    """The graph builder handed to plugins: resolves names, fills in seeds, remembers whose worker runs what.

    A *column* builder makes the task's graph with everything that belongs to the row replaced by a placeholder; one
    that is *supposing* puts a placeholder for what nobody has observed here, so that its graph can be estimated.
    ``made`` holds the image sets of a plan: its cells ask a source for the same thousand classes again and again.
    """

    def __init__(
        self,
        registry: Registry,
        locator: Locator,
        seeds: Mapping[Axis, int],
        *,
        column: bool = False,
        supposing: bool = False,
        made: dict[str, Images] | None = None,
    ) -> None:
        self._registry = registry
        self._locator = locator
        self._seeds = dict(seeds)
        self._column = column
        self._supposing = supposing
        self._made = {} if made is None else made
        self._owner = "scoring"
        self._distribution = CORE

    def node(
        self, step: StepRef, *, inputs: Mapping[str, Input] | None = None, params: Mapping[str, Any] | None = None
    ) -> Node:
        owner = step.id.rpartition(".")[0]
        if owner != CORE and _normal(owner) != _normal(self._distribution):
            raise UsageError(
                f"step id {step.id!r} is used by distribution {self._distribution!r}",
                hint=f"a step's id starts with the distribution that ships it: '{self._distribution}.VERB'",
            )
        seeds: Mapping[Axis, int] = dict.fromkeys(AXES, 0) if self._column else self._seeds
        return make_node(step, inputs=inputs, params=params, seeds=seeds, owner=self._owner)

    def images(self, source: str, request: DataRequest, **options: object) -> Images:
        chosen = self._registry.source(source)
        values = self._registry.choose(chosen.spec, {**chosen.options, **options})
        return self.images_of(Chosen(chosen.spec, chosen.distribution, values), request)

    def images_of(self, chosen: Chosen[SourceSpec], request: DataRequest) -> Images:
        """Return a chosen source's images; its own nodes run in its own worker, the selection in the scoring one."""
        key = self._asked(chosen, request)
        if key not in self._made:
            self._made[key] = self._images_of(chosen, request)
        return self._made[key]

    def _asked(self, chosen: Chosen[SourceSpec], request: DataRequest) -> str:
        """Return what a source's graph may depend on: a graph is pure, so equal requests have equal images."""
        sets = [found and [found.index.digest, found.classes.ids] for found in (request.references, request.pool)]
        classes = [[e.id, e.name, e.definition, e.synonyms, e.wnids] for e in request.classes.classes]
        exclude = [node.digest for node in request.exclude]
        asked = [request.classes.name, request.classes.version, classes, request.images_per_class, request.partial]
        who = [chosen.distribution, chosen.spec.name, chosen.options, self._seeds, self._supposing, self._column]
        return sha256_hex(canonical_json([who, asked, sets, exclude]))

    def _images_of(self, chosen: Chosen[SourceSpec], request: DataRequest) -> Images:
        spec = chosen.spec
        found: Images | list[Head] | None = None
        with self.running(f"{chosen.distribution}::{spec.name}", chosen.distribution):
            if spec.set_graph is not None:
                found = spec.set_graph(self, request, chosen.options)
            elif spec.class_graph is not None:
                found = [self._class_head(spec, entry, request, chosen.options) for entry in request.classes.classes]
        if found is None:
            raise UsageError(f"source {spec.name!r} declares neither class_graph nor set_graph")
        with self.running("scoring", self._distribution):
            return stages.select(
                self,
                found,
                request.classes,
                images_per_class=request.images_per_class,
                exclude=request.exclude,
                finds_images=spec.finds_images,
                partial=request.partial,
            )

    def recipe(self, source: str) -> str:
        return _recipe(self._registry.source(source), self._registry, self._locator)

    def backbone_of(self, chosen: Chosen[SourceSpec]) -> Backbone:
        """Return the backbone that a source offers in place of images; its files are read in its own worker."""
        assert chosen.spec.backbone_graph is not None
        with self.running(f"{chosen.distribution}::{chosen.spec.name}", chosen.distribution):
            return chosen.spec.backbone_graph(self, chosen.options)

    def _class_head(
        self, spec: SourceSpec, entry: ClassEntry, request: DataRequest, options: Mapping[str, Any]
    ) -> Head:
        if request.images_per_class is None:
            raise CannotServe(
                f"{spec.name} can make any number of images, so 'all' means nothing to it",
                hint="give --images-per-class N",
            )
        assert spec.class_graph is not None
        return spec.class_graph(self, entry, request, options).head(request.images_per_class)

    def class_list(self, name: str) -> ClassList:
        if name in self._registry.class_lists.offers or "::" in name:
            return self._registry.class_list(name)
        _, values = split_asked(name)
        path = Path(str(values.get("", name))).expanduser()
        if path.is_dir():
            folders = sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
            return ClassList(path.name, "1", tuple(ClassEntry(folder, folder.replace("_", " ")) for folder in folders))
        if path.suffix == ".json" and path.is_file():
            return parse_class_list(path.read_text())
        return self._registry.class_list(name)

    def dataset(self, name: str, split: str) -> Dataset:
        offer = self._registry.datasets.get(name)
        spec = offer.spec
        if split not in spec.splits:
            raise UsageError(f"data set {name!r} has no split {split!r}", hint=f"splits: {', '.join(spec.splits)}")
        sample_ids = self._locator.sample_ids(spec, split)
        if sample_ids is None and not self._supposing:
            self._locator.dataset(spec)  # where it is not here at all, that is the reason
            if reason := self._locator.not_taken(spec).get(split):
                raise NotObserved(
                    f"data set {name!r}: the copy that is here has no split {split!r} as declared: {reason}",
                    hint=f"vgbench data add {name} PATH, of a copy that has it",
                )
            raise NotObserved(
                f"data set {name!r}: nobody has observed the sample ids of split {split!r}",
                hint=f"vgbench data fetch {name}",
            )
        classes = None if spec.reading is None else self.class_list(spec.classes)
        params = spec.params(split, sample_ids=sample_ids, classes=classes)
        read_images, read_labels = spec.read_images, spec.read_labels
        if not self._column:  # a column holds data sets by name, split and sample ids, whatever file they came in
            params["place"] = self._supposed(name, lambda: self._locator.dataset(spec))
            read_images, read_labels = self._locator.readers(spec)
        # Readers of real data are not the source's code: they never run in its worker.
        with self.running("scoring", offer.distribution):
            return Dataset(self.node(read_images, params=params), self.node(read_labels, params=params))

    def weights(self, name: str) -> Place:
        spec = self._registry.weights.get(name).spec
        return self._supposed(name, lambda: self._locator.weights(spec))

    def path(self, value: str) -> Place:
        return self._supposed(value, lambda: self._locator.path(value))

    def _supposed(self, name: str, found: Callable[[], Place]) -> Place:
        try:
            return found()
        except NotObserved:
            if not self._supposing:
                raise
            return Place(f"supposed:{name}", "")

    def part(self, kind: str, name: str) -> Part:
        return self._registry.part(kind, name)

    @contextmanager
    def running(self, owner: str, distribution: str) -> Iterator[None]:
        """Give the nodes made inside to a worker; ``distribution`` is whose code builds them."""
        before = self._owner, self._distribution
        self._owner, self._distribution = owner, distribution
        try:
            yield
        finally:
            self._owner, self._distribution = before


# ── The plan ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user asked for: sources, tasks, run-wide options (one cell for each value), number of seeds per axis."""

    sources: Sequence[str | Wanted]
    tasks: Sequence[str | Wanted]
    options: Mapping[str, Sequence[object]] = field(default_factory=dict)
    seeds: Mapping[Axis, int] = field(default_factory=dict)


def make_plan(asked: Asked, registry: Registry, store: Store, locator: Locator) -> Plan:
    """Resolve, build and walk. Refuses every unknown name and option before anything is made."""
    sources = [registry.source(text) for text in asked.sources]
    tasks = [chosen for text in asked.tasks for chosen in registry.task(text)]
    tasks = list(_with_run_wide(tasks, asked.options, registry))
    counts = {axis: asked.seeds.get(axis, 1) for axis in AXES}
    cells: dict[str, PlannedCell] = {}
    made: dict[str, Images] = {}
    for source, task in itertools.product(sources, tasks):
        drawn: Collection[Axis] = AXES
        for values in itertools.product(*(range(counts[axis]) for axis in AXES)):
            seeds = dict(zip(AXES, values, strict=True))
            if any(seed for axis, seed in seeds.items() if axis not in drawn):
                continue  # seeds that no node draws from make no further cell
            cell = _plan_cell(source, task, seeds, registry, store, locator, made)
            drawn = cell.seeds
            cells.setdefault(cell.digest, cell)
    targets = [target for cell in cells.values() if cell.state == "make" for target in cell.targets]
    suites = [Wanted.of(text).name for text in asked.tasks if registry.is_suite(Wanted.of(text).name)]
    nodes = _walk(targets, store)
    supposed = _walk([target for cell in cells.values() for target in cell.supposed], store)
    return Plan(
        tuple(cells.values()),
        nodes,
        {name: tuple(dict.fromkeys(chosen.spec.name for chosen in registry.task(name))) for name in suites},
        {digest: planned for digest, planned in supposed.items() if digest not in nodes},
    )


def plan_nodes(targets: Sequence[Node | Head], store: Store) -> Plan:
    """Plan nodes, or the first items of open-ended ones, without any task: a plan that has no cells."""
    return Plan((), _walk(targets, store))


def _with_run_wide(
    tasks: Sequence[Chosen[TaskSpec]], options: Mapping[str, Sequence[object]], registry: Registry
) -> Iterator[Chosen[TaskSpec]]:
    """Set each run-wide option on every task that declares it; one chosen task for each combination of values."""
    for name in options:
        if not any(option_of(task.spec, name) for task in tasks):
            declared = sorted({option.name for task in tasks for option in task.spec.options})
            close = nearest(name, declared)
            hint = f"did you mean {close!r}?" if close else f"their options: {', '.join(declared) or 'none'}"
            if name == "shots" and "images_per_class" in declared:  # GenBench's paper calls a source's images that
                hint = f"images of the source for each class: --images-per-class; {hint}"
            raise UsageError(f"none of the selected tasks has the option {name!r}", hint=hint)
    for task in tasks:
        names = [name for name in options if option_of(task.spec, name)]
        for values in itertools.product(*(options[name] for name in names)):
            given = {**task.options, **dict(zip(names, values, strict=True))}
            yield Chosen(task.spec, task.distribution, registry.choose(task.spec, given))


def _plan_cell(
    source: Chosen[SourceSpec],
    task: Chosen[TaskSpec],
    seeds: Mapping[Axis, int],
    registry: Registry,
    store: Store,
    locator: Locator,
    made: dict[str, Images],
) -> PlannedCell:
    g = Builder(registry, locator, seeds, made=made)
    identity: dict[str, Any] = {
        "source": [source.spec.name, _by_identity(source, registry, locator)],
        "task": [task.spec.name, task.spec.version, _by_identity(task, registry, locator)],
    }
    try:
        with g.running("scoring", task.distribution):
            request = task.spec.request(g, task.options)
            images = None if source.spec.backbone_graph else g.images_of(source, request)
            subject = images or g.backbone_of(source)
            scores = task.spec.graph(g, subject, task.options)
        column = _column(subject, task, registry, locator)
        targets = {"score": scores.score, **scores.controls}
        digest = sha256_hex(canonical_json({**identity, "nodes": {name: n.digest for name, n in targets.items()}}))
        state: State = "have" if store.has_cell(digest) else "make"
        if state == "make":
            refuse_missing_libraries(node.step for target in targets.values() for node in target.walk())
    except (CannotServe, NotObserved) as blocked:
        reason = blocked.what + (f"; {blocked.hint}" if blocked.hint else "")
        supposed = _supposed(source, task, seeds, registry, locator, made) if isinstance(blocked, NotObserved) else ()
        own = _drawn(supposed, seeds)
        digest = sha256_hex(canonical_json({**identity, "blocked": reason, "seeds": own}))
        return PlannedCell(digest, source, task, own, "blocked", reason=reason, supposed=supposed)
    ancestors = {node for target in targets.values() for node in target.walk()}
    return PlannedCell(
        digest,
        source,
        task,
        _drawn(targets.values(), seeds),
        state,
        column=column,
        score=scores.score,
        controls=scores.controls,
        images=images if images and images.index in ancestors else None,  # zero-shot reads no image of the source
        n_classes=len(request.classes) if scores.n_classes is None else scores.n_classes,
        images_per_class=request.images_per_class,
        uses_real_labels=scores.uses_real_labels,
        remarks=scores.remarks,
    )


def _drawn(targets: Iterable[Node], seeds: Mapping[Axis, int]) -> dict[Axis, int]:
    """Return the seeds that targets and their ancestors draw from."""
    axes = {node.step.seed for target in targets for node in target.walk()}
    return {axis: seeds[axis] for axis in AXES if axis in axes}


def _supposed(
    source: Chosen[SourceSpec],
    task: Chosen[TaskSpec],
    seeds: Mapping[Axis, int],
    registry: Registry,
    locator: Locator,
    made: dict[str, Images],
) -> tuple[Node, ...]:
    """Return a blocked cell's targets with placeholders for what nobody has observed; none where more is amiss."""
    g = Builder(registry, locator, seeds, supposing=True, made=made)
    try:
        with g.running("scoring", task.distribution):
            request = task.spec.request(g, task.options)
            subject = g.backbone_of(source) if source.spec.backbone_graph else g.images_of(source, request)
            scores = task.spec.graph(g, subject, task.options)
    except VgbenchError:
        return ()
    return (scores.score, *scores.controls.values())


_PLACEHOLDER = StepRef(f"{CORE}.any_subject", "1", "")


def _column(subject: Images | Backbone, task: Chosen[TaskSpec], registry: Registry, locator: Locator) -> str:
    """Return the digest of the task's graph with seeds, row options and image set replaced by placeholders."""
    g = Builder(registry, locator, {}, column=True)
    row = {option.name: option.cast(option.default) for option in task.spec.options if option.axis == "row"}
    with g.running("scoring", task.distribution):
        anything = g.node(_PLACEHOLDER)
        placed: Images | Backbone
        if isinstance(subject, Backbone):
            placed = Backbone(anything, subject.classes)
        else:
            placed = Images(anything, (), subject.classes)
        scores = task.spec.graph(g, placed, {**task.options, **row})
    return sha256_hex(canonical_json([task.spec.name, task.spec.version, scores.score.digest]))


def _by_identity(chosen: Chosen[Any], registry: Registry, locator: Locator) -> dict[str, Any]:
    """Return a spec's options: every path as the identity of what lies there, every mixture by its parts' recipes."""

    def recipe(source: str) -> str:
        return _recipe(registry.source(source), registry, locator)

    values = dict(chosen.options)
    for option in chosen.spec.options:
        if option.type == "path" and values[option.name] is not None:
            values[option.name] = locator.identity(values[option.name])
        elif option.type == "source" and values[option.name]:
            inner = registry.source(values[option.name])
            values[option.name] = [inner.spec.name, _by_identity(inner, registry, locator)]
        elif option.type == "encoder":
            part, arch, path = stages.split_encoder(values[option.name])
            values[option.name] = [part, arch, locator.identity(path)] if path else part
        elif option.type == "mixture":
            values[option.name] = [part.key for part in mixture.resolved(values[option.name], recipe)]
    return values


def _recipe(source: Chosen[SourceSpec], registry: Registry, locator: Locator) -> str:
    """Return the digest of a source as chosen: its distribution, name and options by identity."""
    identity = [source.distribution, source.spec.name, _by_identity(source, registry, locator)]
    return sha256_hex(canonical_json(identity))


def _walk(targets: Sequence[Node | Head], store: Store) -> dict[str, PlannedNode]:
    """Walk back from what is wanted; stop at what the store has. Producers come before consumers.

    Of an open-ended node the largest number of items that any consumer asks for is planned.
    """
    order: dict[str, Node] = {}
    wanted: dict[str, int] = {}
    for target in targets:
        last, n = (target.node, target.n) if isinstance(target, Head) else (target, 0)
        for node in _producers_first(last, order):
            order[node.digest] = node
        wanted[last.digest] = max(wanted.get(last.digest, 0), n)
    needed: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    for digest, node in reversed(order.items()):
        if digest not in wanted:
            continue
        shards = tuple(range(shard_count(node, wanted[digest])))
        missing = tuple(shard for shard in shards if not store.has(digest, shard))
        needed[digest] = shards, missing
        if missing:
            for _, given in node.inputs:
                parent, n = (given.node, given.n) if isinstance(given, Head) else (given, 0)
                wanted[parent.digest] = max(wanted.get(parent.digest, 0), n)
    planned: dict[str, PlannedNode] = {}
    for digest, (shards, missing) in reversed(needed.items()):
        items = _items(order[digest], shards, missing, planned, store)
        planned[digest] = PlannedNode(order[digest], shards, missing, items)
    return planned


def _producers_first(target: Node, known: Mapping[str, Node]) -> list[Node]:
    """Return the ancestors of ``target`` and itself that are not ``known`` yet, inputs before consumers."""
    ordered: list[Node] = []
    seen = set(known)
    stack: list[tuple[Node, bool]] = [(target, False)]
    while stack:
        node, inputs_done = stack.pop()
        if inputs_done:
            ordered.append(node)
        elif node.digest not in seen:
            seen.add(node.digest)
            stack.append((node, True))
            parents = (given.node if isinstance(given, Head) else given for _, given in node.inputs)
            stack.extend((parent, False) for parent in parents)
    return ordered


def shard_count(given: Node | Head, n: int = 0) -> int:
    """Return how many shards hold the first ``n`` items of a node (all it has, unless it is open-ended)."""
    node, n = (given.node, given.n) if isinstance(given, Head) else (given, n)
    kind, _, name = node.step.shards.partition(":")
    if kind == "one":
        return 1
    if kind == "index":
        size = node.shard_size
        assert size is not None
        return -(-n // size)
    if kind == "input":
        return shard_count(dict(node.inputs)[name])
    raise VgbenchError(f"step {node.step.id}: shards={node.step.shards!r} is not one, index:PARAM or input:NAME")


def _items(
    node: Node, shards: Sequence[int], missing: Sequence[int], planned: Mapping[str, PlannedNode], store: Store
) -> int:
    """Return a count to estimate by: items made, shards × size, what the params state, or what the inputs hold."""
    if node.shard_size:
        return len(shards) * node.shard_size
    if not missing:
        return sum(store.commit_of(node.digest, shard).items for shard in shards)
    stated = node.param.get("samples_seen", None if node.inputs else node.param.get("n"))
    if isinstance(stated, int):
        return stated
    heads = [given.n for _, given in node.inputs if isinstance(given, Head)]
    sizes = {name: planned[given.digest].items for name, given in node.inputs if isinstance(given, Node)}
    found = sum(heads) or sizes.get("images") or max(sizes.values(), default=1)
    if "samples_seen" in node.param:  # and is None: the recipe's epochs of the images there are
        found *= int(node.param["recipe"]["values"]["epochs"])
    return found


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
