"""The contracts: what plugins declare, what a graph is made of, what a step receives. Standard library only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from vgbench import mixture
from vgbench.errors import NotObserved, UsageError

Axis: TypeAlias = Literal["source", "train", "probe"]
AXES: tuple[Axis, ...] = ("source", "train", "probe")


def canonical_json(value: object) -> str:
    """Return the one JSON text of ``value``: sorted keys, no spaces, ASCII, no NaN. Digests are taken of it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_hex(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


# ── What the world is made of ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ClassEntry:
    """One class: a stable ``id`` (wnid, slug), the name for prompts, and what recipes may use besides.

    ``wnids``: the ImageNet classes that count as this one, where its id is none of theirs (ObjectNet).
    """

    id: str
    name: str
    definition: str = ""
    synonyms: tuple[str, ...] = ()
    wnids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassList:
    """An ordered list of classes. A label is a position in it, 0..C-1."""

    name: str
    version: str
    classes: tuple[ClassEntry, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(entry.id for entry in self.classes)

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True, slots=True)
class Part:
    """A named piece of a protocol that third parties can add.

    Kinds: backbone, encoder, negatives, probe, prompts, recipe, scorer.
    Used as a step param: kind, name, version and values enter the key, ``entry`` ("module:function") does not.
    ``needs``: libraries beyond the base dependencies, as in ``StepRef``; not in the key either. ``assumed``: the values
    that no source states, by name, and why they are as they are; shown, not in the key.
    """

    kind: str
    name: str
    version: str
    entry: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    needs: tuple[str, ...] = ()
    assumed: Mapping[str, str] = field(default_factory=dict)

    def key(self) -> dict[str, Any]:
        return {"part": self.kind, "name": self.name, "version": self.version, "values": dict(self.values)}


@dataclass(frozen=True, slots=True)
class Place:
    """Something outside the store, used as a step param: its ``identity`` enters the key, its ``path`` does not."""

    identity: str
    path: str

    def key(self) -> dict[str, Any]:
        return {"place": self.identity}


# ── The graph ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Rate:
    """What one item costs on the reference machine (one core, or one GPU for steps that want one): for estimates.

    ``source``: where a rate comes from that was not measured there; a plan says it.
    """

    items_per_second: float
    bytes_per_item: float = 0.0
    source: str = ""


@dataclass(frozen=True, slots=True)
class StepRef:
    """Name a piece of work without importing it.

    ``id`` is ``owner.verb`` and never changes; its owner is the distribution that ships it. ``version`` is raised by
    the author whenever the bytes a step makes change. ``entry`` ("module:function") is resolved in a worker only.
    ``seed`` names the axis whose seed the step draws from. ``shards`` is ``one``, ``index:PARAM`` (an open-ended step
    whose shards hold PARAM items each) or ``input:NAME`` (one shard for each shard of that input). ``needs`` names
    libraries beyond the base dependencies as they are imported (``google.protobuf``, not protobuf): where one is not
    installed the cell is blocked before anything is made.
    ``network``: it asks the network; ``--offline`` refuses it.
    """

    id: str
    version: str
    entry: str
    seed: Axis | None = None
    shards: str = "one"
    gpu: bool = False
    rate: Rate | None = None
    needs: tuple[str, ...] = ()
    network: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The first ``n`` items of an open-ended node: what its consumer's key holds."""

    node: Node
    n: int

    @property
    def key(self) -> list[Any]:
        return [self.node.digest, self.n]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A step with its params, seed and inputs; ``digest`` is the SHA-256 of that in canonical JSON.

    ``bindings`` (entries of parts, paths of places) and ``owner`` (whose worker runs it) are not in the key.
    Equal digests are equal nodes.
    """

    step: StepRef
    params: str
    seed: int | None
    inputs: tuple[tuple[str, Node | Head], ...]
    bindings: tuple[tuple[str, str], ...] = ()
    owner: str = "scoring"
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        key = {
            "step": [self.step.id, self.step.version],
            "params": json.loads(self.params),
            "seed": [self.step.seed, self.seed],
            "inputs": {name: i.key if isinstance(i, Head) else i.digest for name, i in self.inputs},
        }
        object.__setattr__(self, "digest", sha256_hex(canonical_json(key)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Node({self.step.id} {self.digest[:12]})"

    def head(self, n: int) -> Head:
        """Return a reference to the first ``n`` items; the node must be open-ended (``shards="index:…"``)."""
        if self.shard_size is None:
            raise UsageError(f"step {self.step.id} is not open-ended, so it has no first {n} items")
        return Head(self, n)

    @property
    def param(self) -> dict[str, Any]:
        """The params as a fresh dictionary (parts and places as their keys)."""
        value: dict[str, Any] = json.loads(self.params)
        return value

    @property
    def shard_size(self) -> int | None:
        """Items in each shard of an open-ended node; None for the other kinds."""
        kind, _, name = self.step.shards.partition(":")
        return int(self.param[name]) if kind == "index" else None

    def walk(self) -> Iterator[Node]:
        """Yield this node and its ancestors, each once, consumers before what they read."""
        seen = {self.digest}
        stack: list[Node] = [self]
        while stack:
            node = stack.pop()
            yield node
            for _, given in node.inputs:
                parent = given.node if isinstance(given, Head) else given
                if parent.digest not in seen:
                    seen.add(parent.digest)
                    stack.append(parent)


def make_node(
    step: StepRef,
    *,
    inputs: Mapping[str, Input] | None = None,
    params: Mapping[str, Any] | None = None,
    seeds: Mapping[Axis, int] | None = None,
    owner: str = "scoring",
) -> Node:
    """Build a node: expand image sets, take parts and places apart into key and binding, pick the axis's seed."""
    flat: list[tuple[str, Node | Head]] = []
    for name, given in (inputs or {}).items():
        if isinstance(given, Images):
            flat.append((name, given.index))
            flat.extend((f"{name}/{i:04d}", member) for i, member in enumerate(given.members))
        elif isinstance(given, Backbone):
            flat.append((name, given.weights))
        else:
            flat.append((name, given))
    bindings: dict[str, str] = {}
    keyed: dict[str, Any] = {}
    for name, value in (params or {}).items():
        if isinstance(value, (Part, Place)):
            keyed[name] = value.key()
            bindings[name] = value.entry if isinstance(value, Part) else value.path
        else:
            keyed[name] = value
    try:
        text = canonical_json(keyed)
    except (TypeError, ValueError) as error:
        raise UsageError(f"params of step {step.id} are not JSON: {error}") from error
    seed = (seeds or {}).get(step.seed, 0) if step.seed else None
    return Node(step, text, seed, tuple(sorted(flat, key=lambda item: item[0])), tuple(sorted(bindings.items())), owner)


@dataclass(frozen=True, slots=True)
class Images:
    """An image set: an ``index`` node (image id, label, member, shard, row, hash) and the ``members`` it points into.

    Given as an input, both travel: whoever reads pixels depends on the index and on what holds the bytes.
    """

    index: Node
    members: tuple[Node | Head, ...]
    classes: ClassList


@dataclass(frozen=True, slots=True)
class Backbone:
    """A trained (or untrained) network: ``weights.safetensors`` and ``meta.json``; scored by the same task graphs.

    ``classes``: those that its head answers with, in the head's order, where somebody has said so.
    """

    weights: Node
    classes: ClassList | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A real data set's split: the images without labels, and the labels, the only truth for scoring, apart."""

    images: Node
    labels: Node


Input: TypeAlias = "Node | Head | Images | Backbone"


@dataclass(frozen=True, slots=True)
class DataRequest:
    """What a task asks of a source.

    ``images_per_class`` None means all there are. ``references``: real images of the class list that a source may
    start from. ``pool`` (default: the references) is what ``original`` draws from. ``exclude``: nodes of images whose
    copies are left out when images are selected. ``partial``: a class without an image is a shortfall, no failure
    (asked of a mixture's components). ``unobserved``: why there are no references though the task has some: nobody has
    observed them here. Only a source that needs them raises it.
    """

    classes: ClassList
    images_per_class: int | None
    references: Images | None = None
    pool: Images | None = None
    exclude: tuple[Node, ...] = ()
    partial: bool = False
    unobserved: NotObserved | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """A task graph's result: the score node, and its controls by name.

    ``uses_real_labels``: something was chosen by real labels beside what the source was shown; columns say so.
    ``n_classes``: how many classes answers are chosen among, where these are not those asked of a source: the C of a
    chance level 1/C. ``remarks``: what is known of the score before anything is made; plans and runs begin with it.
    """

    score: Node
    controls: Mapping[str, Node] = field(default_factory=dict)
    uses_real_labels: bool = False
    n_classes: int | None = None
    remarks: tuple[str, ...] = ()


class Graph(Protocol):
    """What a source's or task's pure graph function builds with. It performs no I/O on the author's behalf."""

    def node(
        self, step: StepRef, *, inputs: Mapping[str, Input] | None = None, params: Mapping[str, Any] | None = None
    ) -> Node:
        """Add a node. ``params`` are JSON, parts and places; the seed of the step's axis is filled in."""
        ...

    def images(self, source: str, request: DataRequest, **options: object) -> Images:
        """Return another source's images for a request; sources compose by name."""
        ...

    def recipe(self, source: str) -> str:
        """Return the SHA-256 of a source and its options, whatever their spelling and place; of no request."""
        ...

    def class_list(self, name: str) -> ClassList:
        """Return a declared class list, a JSON file's, or the sorted subfolders of ``folder:PATH``."""
        ...

    def dataset(self, name: str, split: str) -> Dataset:
        """Return a declared data set's split; ``NotObserved`` when nobody has observed its identity."""
        ...

    def weights(self, name: str) -> Place:
        """Return declared weights; ``NotObserved`` when nobody has observed their identity."""
        ...

    def path(self, value: str) -> Place:
        """Return a path option's value with the identity of what lies there."""
        ...

    def part(self, kind: str, name: str) -> Part:
        """Return a declared part."""
        ...


# ── What plugins declare ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Option:
    """A declared, typed option of a source or task. ``axis``: *row* options belong to the source's row.

    Paths, also those in the text of a ``source``, ``mixture`` or ``encoder``, enter a cell's digest by what lies there.
    """

    name: str
    type: Literal["str", "int", "float", "bool", "path", "count", "source", "mixture", "encoder"]
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    axis: Literal["row", "column"] = "column"
    minimum: float | None = None
    maximum: float | None = None

    def cast(self, value: object) -> Any:
        """Return ``value`` (text or already typed) as this option's type; ``UsageError`` says what is accepted."""
        try:
            cast = self._cast(value)
        except (TypeError, ValueError):
            raise UsageError(f"{self.name}={value}: not {_ARTICLES[self.type]}", hint=self.help) from None
        if self.choices and cast not in self.choices:
            raise UsageError(f"{self.name}={value}", hint=f"choose from {', '.join(map(str, self.choices))}")
        if self.minimum is not None and cast is not None and cast < self.minimum:
            raise UsageError(f"{self.name}={value}: must be at least {self.minimum:g}")
        if self.maximum is not None and cast is not None and cast > self.maximum:
            raise UsageError(f"{self.name}={value}: must be at most {self.maximum:g}")
        return cast

    def _cast(self, value: object) -> Any:
        if value is None:  # not given, and no default
            return None
        text = str(value).strip()
        if self.type == "bool":
            return (
                {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower())
                if text.lower() in {"true", "1", "yes", "false", "0", "no"}
                else int("not a bool")
            )
        if self.type == "int":
            return int(text)
        if self.type == "count":
            if text == "all":
                return None
            count = int(text)
            if count < 1:
                raise ValueError
            return count
        if self.type == "float":
            number = float(text)
            if number != number or number in (float("inf"), float("-inf")):
                raise ValueError
            return number
        if self.type == "path" and value is None:  # a path that nobody gave
            return None
        return mixture.canonical(text) if self.type == "mixture" else str(value)


_ARTICLES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a finite number",
    "bool": "true or false",
    "path": "a path",
    "count": "a whole number of at least 1, or 'all'",
    "source": "a source, NAME[:OPT=VALUE,…]",
    "encoder": "an encoder, NAME or PART:[ARCH@]PATH",
    "mixture": "a mixture, W*(SOURCE)+W*(SOURCE)…",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that a task reports; proportions are fractions 0..1.

    ``chance`` is the value of guessing: a number, or "1/C" with C the number of classes.
    """

    id: str
    unit: str = "fraction"
    bounds: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool = True
    chance: float | Literal["1/C"] | None = None
    recomputable_from: str = "predictions"

    def of(self, n_classes: int | None) -> Metric:
        """Return the metric with its chance as a number, or None where the number of classes is not known."""
        if self.chance != "1/C":
            return self
        return replace(self, chance=1 / n_classes if n_classes else None)


SeesLevel: TypeAlias = Literal["class names", "k references per class", "full labelled set"]
SEES: tuple[SeesLevel, ...] = ("class names", "k references per class", "full labelled set")  # from little to much


@dataclass(frozen=True, slots=True)
class Sees:
    """What a source was shown beyond class names, and the foundation models it used."""

    level: SeesLevel
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A data source: how to make (``class_graph``) or find (``set_graph``) images of a class list.

    ``class_graph(g, entry, request, options)`` returns the open-ended node of ONE class's images.
    ``set_graph(g, request, options)`` returns a whole image set at once.
    ``backbone_graph(g, options)`` returns a backbone that was trained elsewhere, in place of images.
    Exactly one of them is given; each may raise ``CannotServe``.
    ``under(spec, options)`` returns the spec as its options make it: what it sees, whose licence, what taught it.
    ``finds_images``: it finds images that others made, a test set's among them perhaps: what looks like an image that
    a task excludes is left out, not only what has its bytes.
    """

    name: str
    summary: str
    kind: str
    sees: Sees
    class_graph: Callable[[Graph, ClassEntry, DataRequest, Mapping[str, Any]], Node] | None = None
    set_graph: Callable[[Graph, DataRequest, Mapping[str, Any]], Images] | None = None
    backbone_graph: Callable[[Graph, Mapping[str, Any]], Backbone] | None = None
    primary: str | None = None
    options: tuple[Option, ...] = ()
    under: Callable[[SourceSpec, Mapping[str, Any]], SourceSpec] | None = None
    finds_images: bool = False
    requires: tuple[str, ...] = ()
    extra: str | None = None
    citation: str = ""
    license: str = ""
    generator_training_data: str = "unknown"


@dataclass(frozen=True, slots=True)
class UserTable:
    """A table that a user gives to ``vgbench score``, where the scorer reads other columns than the usual ones.

    ``columns``: alternatives, each the columns it needs besides ``sample_id``; the first that a table has is taken. An
    empty alternative means that everything follows from ``sample_id``. ``derive`` ("module:function", numpy at most)
    gets the table's columns, arrays of text, ``sample_id`` among them, and returns the scorer's; it raises
    ``UsageError`` for what it cannot read.
    """

    columns: tuple[tuple[str, ...], ...]
    derive: str


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A task: what images it asks for, and the graph from an image set (or a backbone) to one score node.

    ``scorer`` ("module:function") turns predictions and labels into ``Scored``, in numpy; ``run``, ``score`` and
    ``verify`` share it; None where images are measured and there is nothing to predict. ``scorer_options`` are what
    its part's values are in every run of the task. The first of ``metrics`` is the main one. ``predictions_table`` and
    ``labels_table`` say how a user's own tables are read, where ``prediction`` and ``class_id`` are not what the
    scorer reads.
    """

    name: str
    version: str
    summary: str
    request: Callable[[Graph, Mapping[str, Any]], DataRequest]
    graph: Callable[[Graph, Images | Backbone, Mapping[str, Any]], Scores]
    metrics: tuple[Metric, ...]
    scorer: str | None
    labels: tuple[str, str] | None = None
    primary: str | None = None
    options: tuple[Option, ...] = ()
    datasets: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    extra: str | None = None
    citation: str = ""
    predictions_table: UserTable | None = None
    labels_table: UserTable | None = None
    scorer_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SuiteSpec:
    """A named list of tasks, each as a user would type it (``NAME[:OPT=VALUE,…]``); averaged only when complete."""

    name: str
    summary: str
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClassListSpec:
    """A class list that lies as JSON in a package: ``resource`` is "package:file"."""

    name: str
    summary: str
    resource: str


@dataclass(frozen=True, slots=True)
class Split:
    """A split: its size, and the SHA-256 of its sorted sample ids joined by newlines (None: nobody observed it).

    ``n`` is None where the size follows from a rule over classes whose sizes nobody stated.
    """

    n: int | None
    sample_ids: str | None


Access: TypeAlias = Literal["open", "login", "licence click", "manual"]


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """A real data set: where it lies, what its bytes must be, and the steps that read images and labels apart.

    ``place`` is "package:file" for data bundled with a Python package, "hf://owner/name[@revision]" for a repository of
    the Hugging Face Hub, or "" for what has to be got by hand. ``sha256`` is the observed identity (None: not
    observed). The steps get the params ``place``, ``dataset``, ``split`` and ``sample_ids``.

    ``reading`` (JSON) is what its reader is told besides: columns, names of splits, rules of derived splits. A data
    set that has it also gets ``n`` and ``classes``, and its reader finds out by itself in which layout a copy lies.
    ``access``: what a user has to do before a download; ``mirrors``: places that hold the same; ``notes``: what tends
    to go wrong with it; ``lacks``: splits that ``place`` does not hold as declared, and why, said before a download.
    """

    name: str
    summary: str
    classes: str
    splits: Mapping[str, Split]
    place: str
    sha256: str | None
    read_images: StepRef
    read_labels: StepRef
    license: str = ""
    citation: str = ""
    access: Access = "open"
    mirrors: tuple[str, ...] = ()
    multi_label: bool = False
    notes: tuple[str, ...] = ()
    lacks: Mapping[str, str] = field(default_factory=dict)
    reading: Mapping[str, Any] | None = None

    def params(self, split: str, *, sample_ids: str | None, classes: ClassList | None) -> dict[str, Any]:
        """Return what the reading steps are told of a split, but for the place.

        ``classes`` is asked for where there is ``reading``: pairs of a class id and the names that files may give it.
        """
        told: dict[str, Any] = {"dataset": self.name, "split": split, "sample_ids": sample_ids}
        if self.reading is not None and classes is not None:
            names = [[entry.id, [entry.name, *entry.synonyms]] for entry in classes.classes]
            told |= {"n": self.splits[split].n, "reading": dict(self.reading), "classes": names}
        return told


@dataclass(frozen=True, slots=True)
class WeightsSpec:
    """Published weights, pinned by revision or hash (None: not observed)."""

    name: str
    summary: str
    place: str
    sha256: str | None
    license: str = ""
    citation: str = ""


# ── What a scorer returns ────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval in the unit of its metric."""

    lo: float
    hi: float
    level: float
    method: str


@dataclass(frozen=True, slots=True)
class Value:
    """A metric's value over ``n`` items, or None with the ``reason`` it is withheld."""

    metric: str
    value: float | None
    n: int
    ci: Interval | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """A scorer's result: the task's metrics, one row (class_id, n, value) per class, and one value per item.

    ``per_item`` (N,) stands in the order of the labels; its mean is the main metric's value (right 1, wrong 0, where
    that is a share). It lets two results be paired item by item; None where the metric is no mean over items.
    """

    metrics: tuple[Value, ...]
    per_class: tuple[tuple[str, int, float], ...] = ()
    per_item: Sequence[float] | None = None


# ── What a step's body receives and returns ──────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished input: one folder per shard. ``n`` is the number of items asked for (None: all).

    ``place`` is where its node's param ``place`` lies today: an index's images are read there.
    """

    digest: str
    shards: tuple[Path, ...]
    n: int | None = None
    members: tuple[Artifact, ...] = ()
    place: str | None = None

    @property
    def path(self) -> Path:
        """The folder of a single-shard artifact."""
        if len(self.shards) != 1:
            raise ValueError(f"artifact {self.digest[:12]} has {len(self.shards)} shards, not one")
        return self.shards[0]


@dataclass(frozen=True, slots=True)
class Made:
    """What a body reports: items written, items per class id, and what it refused, by reason."""

    items: int
    per_class: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """A step's view of the world: read ``inputs`` and ``params``, write under ``out`` and ``scratch``, return ``Made``.

    ``params`` holds ``Part`` and ``Place`` objects where the graph put them. ``scratch`` survives kills and is
    deleted when the shard is committed. ``resident(key, make)`` keeps a costly object for later shards in the same
    process. ``progress(done, total)`` is shown to the user. ``devices``: how many of its kind it may use; their number
    changes no key.
    """

    node: str
    params: Mapping[str, Any]
    inputs: Mapping[str, Artifact]
    seed: int | None
    shard: int
    out: Path
    scratch: Path
    device: str
    progress: Callable[[int, int], None]
    resident: Callable[[str, Callable[[], Any]], Any]
    load: Callable[[Part], Callable[..., Any]]
    devices: int = 1

    def range(self, shard_size: int) -> range:
        """Return the item indices of this shard of an open-ended node."""
        return range(self.shard * shard_size, (self.shard + 1) * shard_size)

    def image_seed(self, index: int, attempt: int = 0) -> int:
        """Return the 63-bit seed of image ``index``: a hash of the node's digest, the index and the attempt.

        It depends on nothing else: not on the shard, the batch, the order or the machine.
        """
        text = f"{self.node}/{index}/{attempt}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def with_owner(node: Node, owner: str) -> Node:
    """Return the node with another owner; its digest is the same."""
    return replace(node, owner=owner)


# What a step's entry names. A body may return a function that finishes the shard (encoding, writing): a thread runs it
# while the worker begins its next job.
Body: TypeAlias = Callable[[Step], Made | Callable[[], Made]]
Columns: TypeAlias = Mapping[str, Any]
Scorer: TypeAlias = Callable[[Columns, Columns, Mapping[str, Any]], Scored]
Progress: TypeAlias = Callable[[int, int], None]
Strings: TypeAlias = Sequence[str]
