"""What commands print with ``--json``, as models: ``vgbench schema`` lists them beside the result files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel

from vgbench.results import (
    SCHEMAS,
    Aggregates,
    Ci,
    Digest,
    Finite,
    MeasuredCost,
    MetricValue,
    OptionValue,
    Record,
)


class Listed(Record):
    """A declared thing."""

    name: str
    kind: str
    summary: str
    distribution: str


class Listing(RootModel[list[Listed]]):
    """What ``list --json`` prints: every declared thing."""


class Shown(RootModel[list[dict[str, Any]]]):
    """What ``show --json`` prints: everything declared about each thing of that name."""


class PlanCell(Record):
    """A planned source × task × options × seeds."""

    digest: Digest
    source: str
    distribution: str
    source_options: dict[str, Any]
    task: str
    task_options: dict[str, Any]
    seeds: dict[str, int]
    state: Literal["have", "make", "blocked"]
    reason: str | None
    remarks: list[str]
    score: Digest | None


class PlanNode(Record):
    """A planned node, with what is missing of it."""

    digest: Digest
    step: str
    version: str
    state: Literal["have", "make", "blocked"]
    owner: str
    shards: int
    missing: int
    items: int
    seconds: Finite


class PlanCost(Record):
    """What would be made, and its estimated cost; ``gpu_seconds`` are those of steps that want a GPU."""

    nodes: int
    have: int
    make: int
    shards_to_make: int
    images_to_make: int
    seconds: Finite
    gpu_seconds: Finite
    bytes: int
    usd: Finite | None


class PlanTotals(PlanCost):
    """What a run would make, and its estimated cost."""

    cells: int
    cells_have: int
    cells_blocked: int


class PlanShared(Record):
    """A step whose nodes serve several cells: what they cost once, and would cost if every cell made its own."""

    step: str
    nodes: int
    cells: int
    seconds: Finite
    seconds_unshared: Finite


class PlanAnswer(Record):
    """What ``plan --json`` prints, and a run's ``plan.json``."""

    schema_: Literal["vgbench.plan/1"] = Field(alias="schema")
    digest: Digest
    cells: list[PlanCell]
    nodes: list[PlanNode]
    suites: dict[str, list[str]]
    totals: PlanTotals
    if_unblocked: PlanCost
    rates: dict[str, str]
    shared: list[PlanShared]


class RunCell(Record):
    """A cell of a run, with its main metric."""

    digest: Digest
    source: str
    task: str
    options: dict[str, OptionValue]
    status: Literal["ok", "failed", "blocked"]
    reason: str | None
    metric: str | None
    value: Finite | None
    ci: Ci | None


class RunAnswer(Record):
    """What ``run --json`` prints; ``rows`` are the rows' names, by the places that ``aggregates`` speak of."""

    schema_: Literal["vgbench.run/1"] = Field(alias="schema")
    run_dir: str
    leaderboard: str | None
    shards_made: int
    cells: list[RunCell]
    rows: list[str]
    aggregates: Aggregates


class InstalledPlugin(Record):
    """An installed entry point."""

    name: str
    distribution: str
    version: str
    value: str
    failure: str | None
    traceback: str | None


class PluginList(RootModel[list[InstalledPlugin]]):
    """What ``plugins list --json`` prints."""


class TimedPlugin(InstalledPlugin):
    """An installed entry point and how long it took to load."""

    seconds: Finite


class DeclaredTwice(Record):
    """A name that several distributions declare."""

    kind: str
    name: str
    distributions: list[str]


class PluginDoctor(Record):
    """What ``plugins doctor --json`` prints."""

    plugins: list[TimedPlugin]
    declared_twice: list[DeclaredTwice]


class Checked(Record):
    """One conformance check of one source or task."""

    check: str
    subject: str
    status: Literal["ok", "failed", "warning", "skipped", "expected"]
    reason: str | None


class PluginCheck(Record):
    """What ``plugins check --json`` prints."""

    distribution: str
    counts: dict[str, int]
    checks: list[Checked]


class PluginNew(Record):
    """What ``plugins new --json`` prints: the files that were written, and what each is for."""

    folder: str
    files: dict[str, str]


class CacheStep(Record):
    """What the store holds of one step."""

    step: str
    nodes: int
    shards: int
    items: int
    bytes: int


class CacheListing(Record):
    """What ``cache ls --json`` prints."""

    schema_: Literal["vgbench.cache/1"] = Field(alias="schema")
    home: str
    steps: list[CacheStep]


class Damage(Record):
    """A committed folder whose bytes have changed."""

    folder: str
    what: str


class CacheCheck(Record):
    """What ``cache verify --json`` prints."""

    schema_: Literal["vgbench.verify/1"] = Field(alias="schema")
    checked: int
    failures: list[Damage]
    stale: list[str]


class Moved(Record):
    """A damaged shard, and where it was put."""

    folder: str
    to: str


class CacheRepair(Record):
    """What ``cache repair --json`` prints."""

    schema_: Literal["vgbench.repair/1"] = Field(alias="schema")
    moved: list[Moved]


class CacheGc(Record):
    """What ``cache gc --json`` prints: what was freed, or could be."""

    schema_: Literal["vgbench.gc/1"] = Field(alias="schema")
    shards: int
    leftovers: int
    bytes: int
    freed: bool


class CachePins(Record):
    """What ``cache pin --json`` prints: every pinned cell."""

    schema_: Literal["vgbench.pins/1"] = Field(alias="schema")
    pins: list[Digest]


class Standing(Record):
    """How a data set stands here, and what to do when it is not usable."""

    name: str
    state: str
    path: str | None
    identity: str | None
    layout: str
    detail: str
    hint: str | None


class SplitOf(Record):
    """A split: its size, the hash of its sample ids, null where nobody has declared or observed it, and why the copy's
    split of that name is not taken."""

    n: int | None
    sample_ids: Digest | None
    not_taken: str | None


class DatasetStanding(Standing):
    """How a data set stands. What it declares is not told by ``verify``."""

    hash_ok: bool
    access: str | None = None
    license: str | None = None
    mirrors: list[str] | None = None
    splits: dict[str, SplitOf] | None = None


class DataAnswer(Record):
    """What ``data doctor|fetch|add|verify --json`` print."""

    schema_: Literal["vgbench.data/1"] = Field(alias="schema")
    datasets: list[DatasetStanding]
    weights: list[Standing]


class PreviewAnswer(Record):
    """What ``preview --json`` prints: the sheet, and what it shows by size, format and class."""

    schema_: Literal["vgbench.preview/1"] = Field(alias="schema")
    sheet: str
    images: int
    images_made: int
    sizes_px: dict[str, int]
    formats: dict[str, int]
    per_class: dict[str, int]
    prompts: list[tuple[str, str]]
    cut: dict[str, int]


class GenerateAnswer(Record):
    """What ``generate --json`` prints: where the images lie, and their counts."""

    schema_: Literal["vgbench.generated/1"] = Field(alias="schema")
    folder: str
    images: int
    images_made: int
    per_class: dict[str, int]
    shortfall: dict[str, int]
    rejected: dict[str, int]
    rejected_per_class: dict[str, dict[str, int]]


class IndexBuilt(Record):
    """One index of a corpus. ``recall`` at 10, as tuned by its own vectors; ``n_lists`` 0 where search is exact."""

    kind: Literal["flat", "ivf-flat", "ivf-pq"]
    n: int
    dimensions: int
    n_lists: int
    nprobe: int
    recall: Finite


class IndexAnswer(Record):
    """What ``index build --json`` prints: where the index lies, and what it is by image and by text."""

    schema_: Literal["vgbench.index/1"] = Field(alias="schema")
    folder: str
    images: int
    indexes: dict[str, IndexBuilt]


class ClassValue(Record):
    """One class's value over its n test items."""

    class_id: str
    n: int
    value: Finite


class ScoreAnswer(Record):
    """What ``score --json`` prints. ``labels`` is a data set's split, or a file; then the figure joins no column."""

    schema_: Literal["vgbench.score/1"] = Field(default="vgbench.score/1", alias="schema")
    task: str
    version: str
    predictions: str
    labels: str
    metrics: list[MetricValue]
    per_class: list[ClassValue] | None


class Side(Record):
    """One side of a comparison: where its cells lie, and what its source was shown beyond class names."""

    name: str
    path: str
    sees: str
    cells: list[Digest]


class ClassPair(Record):
    """Both values of one class, averaged over cells; a cell holds no labels, so no test is made of it."""

    class_id: str
    n: int
    a: Finite
    b: Finite
    difference: Finite


class Comparison(Record):
    """A against B in one column: ``difference`` is A − B; ``p`` by ``method``; ``p_holm`` corrected over the columns.

    ``scope``: the sources (at least two training runs each), or these networks only. ``detectable``: the smallest
    true difference that would be found with power 0.8. Null with a ``reason`` where results cannot be paired.
    ``per_class``: of the same metric, null where it was not asked for; empty with a ``per_class_reason``.
    """

    column: Digest
    name: str
    metric: str
    unit: str
    higher_is_better: bool
    n: int
    a: Finite
    b: Finite
    a_runs: int
    b_runs: int
    difference: Finite
    ci: Ci | None
    p: Finite | None
    p_holm: Finite | None
    method: str | None
    detectable: Finite | None
    scope: Literal["networks", "sources"] | None
    verdict: Literal["A better", "B better", "no difference shown"] | None
    reason: str | None
    per_class: list[ClassPair] | None
    per_class_reason: str | None


class Uncompared(Record):
    """A column that was not compared: only this ``side`` has it, and what differs; or its value is withheld, and why.

    Where both sides withhold it, it stands twice.
    """

    name: str
    side: Literal["A", "B"]
    is_withheld: bool
    why: str


class CompareAnswer(Record):
    """What ``compare --json`` prints."""

    schema_: Literal["vgbench.compare/1"] = Field(default="vgbench.compare/1", alias="schema")
    a: Side
    b: Side
    columns: list[Comparison]
    uncompared: list[Uncompared]


class AggregateAnswer(Record):
    """What ``leaderboard aggregate --json`` prints; ``rows`` are the rows' names, by the places that it speaks of.

    ``notes``: of what nothing can be said, and what it needs.
    """

    schema_: Literal["vgbench.aggregate/1"] = Field(default="vgbench.aggregate/1", alias="schema")
    name: str
    suites: dict[str, list[str]]
    rows: list[str]
    aggregates: Aggregates
    measured: list[MeasuredCost]
    notes: list[str]
    picture: str | None


class Calibrated(Record):
    """What a calibration found of one metric; shares of its own movement, rank correlations with their interval."""

    metric: str
    dial: str
    rho: Finite | None
    rho_ci: list[Finite | None]
    most_leak: Finite | None
    most_leak_setting: str
    truth: Finite | None
    truth_ci: list[Finite | None]
    truth_models: int


class Reported(Record):
    """A figure that a paper prints: it was not measured here, and takes part in no average, tie or comparison.

    ``row`` is the paper's own name of it; ``source`` what vgbench calls that source (null: vgbench has none such) with
    the options that are known; ``from`` the table and the cell. ``value`` and ``plus_minus`` are fractions;
    ``plus_minus_means`` says what the paper means by ±. ``provenance``: whether the paper itself was read, or somebody
    who quotes it.
    """

    paper: str
    row: str
    source: str | None
    source_options: dict[str, OptionValue] = Field(default_factory=dict)
    row_options: dict[str, OptionValue] = Field(default_factory=dict)
    backbone: str
    task: str
    options: dict[str, OptionValue] = Field(default_factory=dict)
    metric: str
    higher_is_better: bool
    value: Annotated[float, Field(ge=0, le=1)]
    plus_minus: Annotated[float, Field(gt=0, le=1)] | None = None
    plus_minus_means: str | None = None
    from_: str = Field(alias="from")
    provenance: str


class ReportedMean(Record):
    """The mean of a paper's row over a suite, recomputed from its ``n`` figures: never the average that is printed."""

    paper: str
    row: str
    backbone: str
    suite: str
    n: int
    value: Finite


class ReportedPaper(Record):
    """A paper whose figures are kept, and what is to be known about them."""

    name: str
    citation: str
    notes: list[str]


class ReportedAnswer(Record):
    """What ``leaderboard reported --json`` prints: figures that papers print, none of them measured here."""

    schema_: Literal["vgbench.reported/1"] = Field(default="vgbench.reported/1", alias="schema")
    papers: list[ReportedPaper]
    entries: list[Reported]
    means: list[ReportedMean]


class BenchAnswer(Record):
    """What ``bench calibration --json`` prints."""

    schema_: Literal["vgbench.bench/1"] = Field(default="vgbench.bench/1", alias="schema")
    name: str
    folder: str
    models: int
    settings_missing: int
    instruments: list[Calibrated]


class Speed(Record):
    """A ratio of two medians over ``n`` rounds in turn, and the bound that it keeps or breaks."""

    id: str
    ratio: Finite
    goal: Finite
    is_limit: bool
    holds: bool
    n: int
    medians: dict[str, Finite]
    threads: dict[str, int]
    load: Finite
    breaks: list[str]
    versions: dict[str, str]
    facts: dict[str, Finite]


class SpeedAnswer(Record):
    """What the benchmarks of speed print: ``bench logreg``, ``embed``, ``decode``, ``pretrain --json`` …"""

    schema_: Literal["vgbench.speed/1"] = Field(default="vgbench.speed/1", alias="schema")
    name: str
    measured: list[Speed]


class Refusal(Record):
    """Why a command stopped."""

    what: str
    hint: str | None
    exit_code: int


class ErrorAnswer(Record):
    """What any command prints with ``--json`` when it stops with an error."""

    error: Refusal


ANSWERS: dict[str, type[BaseModel]] = {
    **SCHEMAS,
    "list": Listing,
    "show": Shown,
    "plan": PlanAnswer,
    "run": RunAnswer,
    "preview": PreviewAnswer,
    "generate": GenerateAnswer,
    "index": IndexAnswer,
    "data": DataAnswer,
    "plugins-list": PluginList,
    "plugins-doctor": PluginDoctor,
    "plugins-check": PluginCheck,
    "plugins-new": PluginNew,
    "cache-ls": CacheListing,
    "cache-verify": CacheCheck,
    "cache-repair": CacheRepair,
    "cache-gc": CacheGc,
    "cache-pin": CachePins,
    "score": ScoreAnswer,
    "compare": CompareAnswer,
    "aggregate": AggregateAnswer,
    "reported": ReportedAnswer,
    "bench": BenchAnswer,
    "speed": SpeedAnswer,
    "error": ErrorAnswer,
}
