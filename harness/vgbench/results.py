"""Results: the cell, what is observed beside it, and the leaderboard. The only module that knows these files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vgbench.errors import CorruptArtifact
from vgbench.metrics.declared import BEST_TEST_EPOCH, best_test_epoch
from vgbench.stats import is_above_all, is_at_chance
from vgbench.store import OBSERVED, RECORD, Store, write_file
from vgbench.types import AXES, Axis, Metric, canonical_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CELL_FILE = "result.json"
LEADERBOARD_FILE = "leaderboard.json"
PLAN_FILE = "plan.json"
METRICS_FILE = "metrics.json"
PREDICTIONS_FILE = "predictions.parquet"
PER_CLASS_FILE = "per_class.parquet"
ITEMS_FILE = "items.parquet"


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


Finite = Annotated[float, AfterValidator(_finite)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
OptionValue = bool | int | Finite | str | None


class Record(BaseModel):
    """What all result models share: nothing unknown, nothing changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Ci(Record):
    """A confidence interval in the unit of its metric."""

    lo: Finite
    hi: Finite
    level: Finite
    method: str


class MetricValue(Record):
    """One metric's value in the unit and bounds of its declaration; null with a reason when withheld."""

    name: str
    value: Finite | None
    unit: str
    n: int
    ci: Ci | None
    chance: Finite | None
    higher_is_better: bool
    main: bool
    reason: str | None = None


class SourceOf(Record):
    """The source of a cell, with what it was shown beyond class names.

    ``unpinned``: its images came over the network from what may change; whoever runs it again may get others.
    """

    name: str
    distribution: str
    kind: str
    options: dict[str, OptionValue]
    sees: str
    models: list[str]
    generator_training_data: str
    unpinned: bool = False


class TaskOf(Record):
    """The task of a cell. ``row_options`` belong to the source's row, ``options`` to the column.

    ``uses_real_labels``: the task learns from real labels beside the source's images.
    """

    name: str
    version: str
    distribution: str
    options: dict[str, OptionValue]
    row_options: dict[str, OptionValue]
    uses_real_labels: bool = False


class Control(Record):
    """A control: values of ``metric`` at which a sound instrument reads chance.

    A gated one holds when its mean is ``at_chance`` and the real value is ``above_all`` of it. Not at chance means a
    broken instrument, and fails the cell; not above all means that the source taught nothing that can be seen, and
    is shown.
    """

    name: str
    metric: str
    values: list[Finite]
    mean: Finite
    sd: Finite | None
    chance: Finite
    gated: bool
    at_chance: bool | None
    above_all: bool | None
    holds: bool | None


class Counts(Record):
    """Images used and asked for. ``shortfall``: classes with fewer than asked, and by how many.

    ``rejected``: what was left out by reason, when the images were made or found and when they were chosen, of what
    lies in the shards that were used; ``rejected_per_class``: of a source that makes class by class.
    """

    images: int
    requested: int | None
    per_class: dict[str, int]
    shortfall: dict[str, int]
    rejected: dict[str, int]
    rejected_per_class: dict[str, dict[str, int]]


class Content(Record):
    """Content hashes of the shards that the cell rests on."""

    image_set: Digest | None
    score: Digest
    controls: dict[str, Digest]


class Cell(Record):
    """One source × task × options × seeds: deterministic, free of time and place."""

    schema_: Literal["vgbench.cell/1"] = Field(default="vgbench.cell/1", alias="schema")
    digest: Digest
    column: Digest | None
    status: Literal["ok", "failed", "blocked"]
    reason: str | None
    source: SourceOf
    task: TaskOf
    seeds: dict[str, int]
    metrics: list[MetricValue]
    counts: Counts | None
    controls: list[Control]
    nodes: dict[str, Digest]
    content: Content | None

    @property
    def main(self) -> MetricValue | None:
        """The main metric's value, if there is one."""
        return next((metric for metric in self.metrics if metric.main), None)

    @property
    def is_best_epoch(self) -> bool:
        """Whether the main metric is the highest of many looks at the test items, as a published protocol reports."""
        return self.main is not None and self.main.name == BEST_TEST_EPOCH


class Production(Record):
    """Seconds that a cell's images took, by node: ``marginal`` those that hold the images, each once for every shard
    that this cell reads; ``fixed`` what they were made from, however many they are (adapters, indexes, references).
    """

    fixed: dict[Digest, Finite]
    marginal: dict[Digest, Finite]


class Observed(Record):
    """Timing, host and versions of a cell: outside every hash and comparison. ``seconds`` are by step."""

    schema_: Literal["vgbench.observed/1"] = Field(default="vgbench.observed/1", alias="schema")
    seconds: dict[str, Finite]
    production: Production | None = None
    host: str
    versions: dict[str, str]


class RowValue(Record):
    """A row's value in one column: the mean over its training runs, and the cells' values beside it.

    ``runs`` counts training runs. With one of one cell, ``ci`` is the test items' interval; with at least two it is
    that of the hierarchical bootstrap over runs × items. ``missing`` counts its cells that failed.
    ``tie_groups``: of two rows with groups in this column, those that share one are not shown to differ; null
    without two training runs, when cells are missing, or when nothing of the same ``sees`` can be compared.
    """

    metric: str
    value: Finite | None
    ci: Ci | None
    n: int
    runs: int
    missing: int
    by_seed: list[Finite]
    tie_groups: list[int] | None
    controls_hold: bool | None


class Row(Record):
    """A source with its row options, and its value in each column."""

    source: str
    options: dict[str, OptionValue]
    distribution: str
    backbone: str | None
    row_options: dict[str, OptionValue]
    sees: str
    unpinned: bool = False
    images: int | None
    shortfall: int
    values: dict[str, RowValue]
    tier: Literal["self-computed"]
    cells: list[Digest]
    note: str | None


class Column(Record):
    """A column: cells of other column digests never share it."""

    digest: Digest
    task: str
    version: str
    options: dict[str, OptionValue]
    metric: str
    unit: str = "fraction"
    higher_is_better: bool
    chance: Finite | None
    uses_real_labels: bool = False


class Aggregated(Record):
    """What all aggregates share: the version of their function, the suite, the ``row``'s place among the rows.

    ``cells`` are all that it rests on. A figure is null with a ``reason`` that names what is missing.
    """

    version: str
    suite: str
    row: int
    cells: list[Digest]
    reason: str | None


class SuiteMean(Aggregated):
    """A row's mean over a suite's data sets, read out one way with one encoder, and its gain over zero-shot.

    ``gain`` is the mean over the data sets of (value − zero-shot of the same data set and encoder), higher always
    better; null for zero-shot itself. ``ci``: over test items like these, the data sets fixed. ``readout`` ends in
    ``best_test_epoch`` where a probe reports that in place of the data sets' own metrics.
    """

    readout: str
    encoder: str
    n_datasets: int
    value: Finite | None
    gain: Finite | None
    ci: Ci | None
    by_dataset: dict[str, Finite]
    gain_by_dataset: dict[str, Finite]
    gain_reason: str | None
    ci_reason: str | None

    @property
    def way(self) -> str:
        """The readout with its encoder as one text."""
        return f"{self.readout} ({self.encoder})" if self.encoder else self.readout


class Strategy(Record):
    """What a source reaches when its options are chosen anew for each data set, among the ``rows`` that were run.

    ``chosen_on`` *validation* is a result; *test* is the ``oracle``: an upper bound that nobody can reach, since it
    looked at the answers. ``chosen``: the row's place, by data set.
    """

    version: str
    suite: str
    source: str
    row_options: dict[str, OptionValue]
    readout: str
    encoder: str
    rows: list[int]
    chosen_on: Literal["validation", "test"]
    label: Literal["best", "oracle"]
    value: Finite | None
    gain: Finite | None
    chosen: dict[str, int]
    cells: list[Digest]
    reason: str | None


class Cost(Aggregated):
    """What a row's images cost over a suite at a published price, each image once however many data sets use it.

    ``images_paid``: with images that were made and left out, where a source makes its images for the request.
    ``usd_per_point`` by readout: USD for each point (1 % of the scale) gained over zero-shot.
    """

    kind: str
    images: int | None
    images_paid: int | None
    usd_per_image: Finite | None
    usd: Finite | None
    usd_per_point: dict[str, Finite | None]
    citation: str | None


class MeasuredCost(Record):
    """What a row's images took over a suite, as observed: seconds of one worker, and USD at a machine's price.

    Time is no result: on a leaderboard it stands under ``observed``. ``fixed`` is spent once, whatever the number of
    images; ``marginal`` grows with it. ``usd_per_point`` by readout: both, for each point gained over zero-shot.
    """

    suite: str
    row: int
    images: int | None
    fixed_seconds: Finite | None
    marginal_seconds: Finite | None
    fixed_usd: Finite | None
    marginal_usd: Finite | None
    usd_per_point: dict[str, Finite | None]
    reason: str | None


class Correlation(Record):
    """How well a figure's order of rows is that of the target: Spearman's ρ within data sets, averaged over them.

    Positive where the figure agrees with the target, whichever way is better. ``halves``: the two are taken on
    different halves of the test items, so that they share no sampling noise. ``within`` *row*: the order of data sets
    within a row instead. ``ci``: a cluster bootstrap over ``clusters`` sources with their options (or data sets).
    """

    version: str
    suite: str
    figure: str
    encoder: str
    target: str
    target_encoder: str
    within: Literal["dataset", "row"]
    halves: bool
    rho: Finite | None
    ci: Ci | None
    by_set: dict[str, Finite]
    n_rows: int
    clusters: int
    left_out: list[str]
    undefined: int
    cells: list[Digest]
    reason: str | None


class Aggregates(Record):
    """Versioned pure functions over listed cells; nothing of them stands in a cell."""

    means: list[SuiteMean] = []
    strategies: list[Strategy] = []
    costs: list[Cost] = []
    correlations: list[Correlation] = []


class Leaderboard(Record):
    """A run's leaderboard. ``rows`` are the same bytes however often and in whatever order they are rebuilt."""

    schema_: Literal["vgbench.leaderboard/1"] = Field(default="vgbench.leaderboard/1", alias="schema")
    columns: list[Column]
    rows: list[Row]
    suites: dict[str, list[str]] = {}
    aggregates: Aggregates
    unscored: list[dict[str, str]]
    observed: dict[str, Any]


def dump(record: Record) -> str:
    """Return a record as its JSON text, keys sorted."""
    return json.dumps(record.model_dump(mode="json", by_alias=True), indent=1, sort_keys=True, allow_nan=False) + "\n"


def metric_values(found: list[Mapping[str, Any]], declared: Mapping[str, Metric]) -> list[MetricValue]:
    """Join a score node's ``metrics.json`` with the task's declarations; refuse a value outside its bounds.

    ``best_test_epoch`` is the score step's own, of the task's main metric.
    """
    declared = {**declared, BEST_TEST_EPOCH: best_test_epoch(next(iter(declared.values())))}
    values = []
    for i, item in enumerate(found):
        metric = declared.get(item["metric"])
        if metric is None:
            raise CorruptArtifact(f"the scorer reported {item['metric']!r}, which the task does not declare")
        value = item["value"]
        lo, hi = metric.bounds
        if value is not None and not lo <= value <= hi:
            raise CorruptArtifact(f"{metric.id} = {value} lies outside its bounds {lo}..{hi}")
        values.append(
            MetricValue(
                name=metric.id,
                value=value,
                unit=metric.unit,
                n=item["n"],
                ci=Ci(**item["ci"]) if item["ci"] else None,
                chance=None if isinstance(metric.chance, str) else metric.chance,
                higher_is_better=metric.higher_is_better,
                main=i == 0,
                reason=item["reason"],
            )
        )
    return values


def control_of(name: str, found: Mapping[str, Any], metrics: Sequence[MetricValue]) -> Control:
    """Judge a control against the cell's own metrics: permutations of a probe are gated, a trained network is shown.

    A network is shown by the first metric that has a chance level, and a value in both: a bias has no chance level,
    and a network that learnt nothing has no bias.
    """
    controls = {m["metric"]: m["value"] for m in found.get("metrics", ()) if m["value"] is not None}
    wanted = {found["metric"]} if "metric" in found else controls.keys()
    own = next((m for m in metrics if m.name in wanted and m.chance is not None and m.value is not None), None)
    if own is None or own.chance is None or own.value is None:
        raise CorruptArtifact(f"control {name}: its metric has no chance level or no value")
    if "permutations" not in found:
        values = [float(controls[own.name])]
        judged: dict[str, bool | None] = {"at_chance": None, "above_all": None, "holds": None}
    else:
        values = [float(v) for v in found["permutations"]]
        at_chance, above_all = is_at_chance(values, own.chance), is_above_all(own.value, values)
        judged = {"at_chance": at_chance, "above_all": above_all, "holds": at_chance and above_all}
    return Control(
        name=name,
        metric=own.name,
        values=values,
        mean=fmean(values),
        sd=stdev(values) if len(values) > 1 else None,
        chance=own.chance,
        gated="permutations" in found,
        **judged,
    )


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read a score shard's ``metrics.json``."""
    value: dict[str, Any] = json.loads((folder / METRICS_FILE).read_text())
    return value


def commit_cell(store: Store, cell: Cell, score: Path, *, observed: Observed) -> None:
    """Write a finished cell with its predictions into the store; of two writers the first wins."""
    staging = store.staging("cell")
    store.put(staging, CELL_FILE, dump(cell))
    for name in (PREDICTIONS_FILE, PER_CLASS_FILE, ITEMS_FILE):
        if name != ITEMS_FILE or (score / name).exists():  # a metric may be no mean over items
            store.put(staging, name, score / name)
    assert cell.content is not None
    read = {"score": [cell.content.score], **{name: [content] for name, content in cell.content.controls.items()}}
    if cell.content.image_set:
        read["image_set"] = [cell.content.image_set]
    record = {
        "schema": "vgbench.commit/1",
        "cell": cell.digest,
        "items": 1,
        "per_class": {},
        "rejected": {},
        "read": read,
        "inputs": dict(cell.nodes),
    }
    store.commit(staging, store.cell(cell.digest), record, observed=observed.model_dump(mode="json", by_alias=True))


def write_unfinished(run_dir: Path, cell: Cell) -> None:
    """Leave a failed or blocked cell in the run's folder, where the next run replaces it."""
    write_file(run_dir / "cells" / cell.digest / CELL_FILE, dump(cell))


def read_cell(folder: Path) -> Cell:
    """Read a cell's ``result.json``; raises ``CorruptArtifact`` when it is not one."""
    try:
        return Cell.model_validate_json((folder / CELL_FILE).read_text())
    except (OSError, ValueError) as error:
        raise CorruptArtifact(f"{folder / CELL_FILE}: {error}", hint=f"delete {folder} and run again") from error


def column_of(cell: Cell) -> Column:
    """Return the column of a scored cell."""
    main = cell.main
    assert main is not None and cell.column is not None
    return Column(
        digest=cell.column,
        task=cell.task.name,
        version=cell.task.version,
        options=cell.task.options,
        metric=main.name,
        unit=main.unit,
        higher_is_better=main.higher_is_better,
        chance=main.chance,
        uses_real_labels=cell.task.uses_real_labels,
    )


def row_of(cell: Cell) -> str:
    """Return the key of a cell's row: its source with its options, and the row options of its task."""
    source = [cell.source.name, cell.source.distribution, cell.source.options, cell.task.row_options]
    return canonical_json(source)


# ── From cells to training runs ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Items:
    """A cell's values per test item: ids, sorted, and values (N,) float64 whose mean is the main metric."""

    sample_ids: tuple[str, ...]
    values: NDArray[np.float64]


def read_items(folder: Path) -> Items | None:
    """Read a cell's ``items.parquet``; None where its metric is no mean over items, or the cell is older than them."""
    path = folder / ITEMS_FILE
    if not path.exists():
        return None
    from vgbench.images import read_table

    try:
        table = read_table(path, ["sample_id", "value"])
        return Items(tuple(table["sample_id"].to_pylist()), table["value"].to_numpy())
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise CorruptArtifact(f"{path}: {error}", hint=f"delete {folder} and run again") from error


def training_runs(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Group the cells of one row and column into what counts as one training run each, in the order of the seeds.

    Training draws from the *train* axis, or where nothing is pre-trained the probe's fit from the *probe* axis. Cells
    of one training seed are one run: other seeds below it are averaged. With several training seeds on several image
    sets, an image set is one run, for trainings on the same images are no independent evidence about a source.
    """
    cells = sorted(cells, key=lambda cell: [cell.seeds.get(axis, 0) for axis in AXES])
    axis: Axis = "train" if any("train" in cell.seeds for cell in cells) else "probe"
    if len({cell.seeds.get(axis, 0) for cell in cells}) < 2:
        return [cells]
    if len({cell.seeds.get("source", 0) for cell in cells}) > 1:
        axis = "source"
    runs: dict[int, list[Cell]] = {}
    for cell in cells:
        runs.setdefault(cell.seeds.get(axis, 0), []).append(cell)
    return [runs[seed] for seed in sorted(runs)]


def items_by_run(runs: Iterable[Iterable[Cell]], items: Mapping[str, Items | None]) -> Items | None:
    """Return each training run's values per item, averaged over its cells: values (K, N); None where a cell has none.

    A best epoch has none: it was chosen by the test items that they would speak about. Raises ``CorruptArtifact``
    when cells of one column were scored on other samples.
    """
    import numpy as np

    found = [[None if cell.is_best_epoch else items[cell.digest] for cell in run] for run in runs]
    known = [[one for one in run if one is not None] for run in found]
    if any(len(run) != len(all_) or not run for run, all_ in zip(known, found, strict=True)):
        return None
    sample_ids = known[0][0].sample_ids
    if any(one.sample_ids != sample_ids for run in known for one in run):
        raise CorruptArtifact("cells of one column were scored on different samples", hint="vgbench cache verify")
    return Items(sample_ids, np.stack([np.mean([one.values for one in run], axis=0) for run in known]))


def read_cells(run_dir: Path) -> list[Cell]:
    """Read the cells of a run's plan, in the plan's order."""
    plan = json.loads((run_dir / PLAN_FILE).read_text())
    return [read_cell(run_dir / "cells" / cell["digest"]) for cell in plan["cells"]]


def read_suites(run_dir: Path) -> dict[str, list[str]]:
    """Read the tasks of each suite that a run was asked for; none of a run that is older than them."""
    plan = json.loads((run_dir / PLAN_FILE).read_text())
    return {name: list(tasks) for name, tasks in plan.get("suites", {}).items()}


def read_observed(folder: Path) -> dict[str, Any]:
    """Read what was observed beside a cell; empty when there is nothing."""
    path = folder / OBSERVED
    return dict(json.loads(path.read_text())) if path.exists() else {}


def is_finished(folder: Path) -> bool:
    """Say whether a run's cell folder holds a committed cell."""
    return (folder / RECORD).exists()


def write_plan(run_dir: Path, plan: Mapping[str, Any]) -> None:
    write_file(run_dir / PLAN_FILE, json.dumps(plan, indent=1, sort_keys=True) + "\n")


def write_leaderboard(run_dir: Path, board: Leaderboard) -> Path:
    """Write ``leaderboard.json`` and return where it lies."""
    path = run_dir / LEADERBOARD_FILE
    write_file(path, dump(board))
    return path


def read_leaderboard(path: Path) -> Leaderboard:
    """Read a ``leaderboard.json``; raises ``CorruptArtifact`` when it is not one."""
    try:
        return Leaderboard.model_validate_json(path.read_text())
    except (OSError, ValueError) as error:
        raise CorruptArtifact(f"{path}: {error}", hint="vgbench leaderboard build RUN_DIR") from error


SCHEMAS: dict[str, type[Record]] = {"cell": Cell, "observed": Observed, "leaderboard": Leaderboard}
