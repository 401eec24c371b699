"""``vgbench score TASK PREDICTIONS``: predictions made elsewhere, scored by the task's own scorer."""

from __future__ import annotations

import argparse
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench.commands.output import note, write, write_columns, write_json
from vgbench.commands.usertables import derived, derived_or_refused, refuse_other_samples, refuse_unknown, usual
from vgbench.errors import NotObserved, UsageError

if TYPE_CHECKING:
    from vgbench.commands import Context
    from vgbench.commands.answers import ScoreAnswer
    from vgbench.registry import Chosen
    from vgbench.types import Columns, Scorer, TaskSpec


HINTS = {
    "scores": "scores: a list for each sample, a number for each class in the order of its list (a CSV: as JSON)",
    "class_ids": "class_ids: all classes of each sample, a list, or in a CSV a|b",
}


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("score", help="score predictions made elsewhere against a task's labels")
    parser.add_argument("task", metavar="TASK", help="NAME[:OPT=VALUE,…]")
    parser.add_argument(
        "predictions", metavar="PREDICTIONS", help=".csv[.gz] or .parquet: sample_id, prediction and/or scores"
    )
    parser.add_argument(
        "--labels", metavar="FILE", help="the same: sample_id, class_id (or label, a position; several: class_ids)"
    )
    parser.add_argument("--per-class", action="store_true", help="every class's value")
    parser.add_argument("--json", action="store_true", help="the same as JSON (schema score)")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
    chosen = context.registry.task(args.task)
    if len(chosen) != 1:
        names = ", ".join(task.spec.name for task in chosen)
        raise UsageError(f"{args.task} is a suite", hint=f"score one of its tasks: {names}")
    (task,) = chosen
    spec = task.spec
    if spec.scorer is None:
        raise UsageError(
            f"task {spec.name!r} measures images: there are no predictions to score",
            hint=f"vgbench run --source SOURCE --tasks {spec.name}",
        )
    if args.labels is None and spec.labels is None and spec.labels_table is None:
        raise UsageError(f"task {spec.name!r} declares no labels", hint="give them: --labels FILE")
    class_ids = _class_ids(spec, context)
    path = Path(args.predictions)
    if spec.predictions_table is not None:
        predictions = derived_or_refused(path, spec.predictions_table)
    else:
        predictions = usual(path, "prediction", class_ids)
    labels, named = _labels(task, args, class_ids, context)
    refuse_other_samples(predictions["sample_id"], labels["sample_id"], named)
    if class_ids is None and "prediction" in predictions and spec.predictions_table is None and "class_id" in labels:
        refuse_unknown(predictions["prediction"], sorted(set(labels["class_id"])), args.predictions)
    known = class_ids if class_ids is not None else set(labels.get("class_id", ()))
    n_classes = len(known) or None
    options = {**spec.scorer_options, **task.options, "n_classes": n_classes}
    if class_ids is not None:
        options["class_ids"] = class_ids
    answer = _score(task, predictions, labels, args.predictions, named, options=options, per_class=args.per_class)
    if args.json:
        write_json(answer.model_dump(mode="json", by_alias=True))
    else:
        _write(answer)
    return 0


def _score(
    task: Chosen[TaskSpec],
    predictions: Columns,
    labels: Columns,
    path: str,
    named: str,
    *,
    options: Mapping[str, Any],
    per_class: bool,
) -> ScoreAnswer:
    """Score aligned tables."""
    from dataclasses import asdict

    from vgbench.commands.answers import ClassValue, ScoreAnswer
    from vgbench.results import metric_values
    from vgbench.steps.score import aligned

    assert task.spec.scorer is not None
    scorer: Scorer = pkgutil.resolve_name(task.spec.scorer)
    try:
        scored = scorer(*aligned(predictions, labels), options)
    except KeyError as error:
        raise UsageError(
            f"the scorer of {task.spec.name} needs the column {error}, which neither table has",
            hint=HINTS.get(str(error.args[0]), "a task names such columns by predictions_table and labels_table"),
        ) from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    declared = {metric.id: metric.of(options["n_classes"]) for metric in task.spec.metrics}
    classes = [ClassValue(class_id=c, n=n, value=value) for c, n, value in scored.per_class]
    return ScoreAnswer(
        task=task.spec.name,
        version=task.spec.version,
        predictions=path,
        labels=named,
        metrics=metric_values([asdict(value) for value in scored.metrics], declared),
        per_class=classes if per_class else None,
    )


def _write(answer: ScoreAnswer) -> None:
    rows = []
    for metric in answer.metrics:
        percent = 100 if metric.unit == "fraction" else 1
        value = f"{percent * metric.value:.2f}" if metric.value is not None else f"– ({metric.reason})"
        ci = f"{percent * metric.ci.lo:.2f} to {percent * metric.ci.hi:.2f}" if metric.ci else ""
        method = f"{100 * metric.ci.level:.0f} % {metric.ci.method}" if metric.ci else ""
        rows.append(
            (metric.name, value + (" %" if percent == 100 else f" {metric.unit}"), ci, method, f"n = {metric.n}")
        )
    write_columns(rows)
    if answer.per_class is not None:
        write()
        write_columns(
            [("class", "n", "%"), *((c.class_id, str(c.n), f"{100 * c.value:.1f}") for c in answer.per_class)]
        )
    write(f"{answer.task} version {answer.version}, labels of {answer.labels}")


# ── Labels ───────────────────────────────────────────────────────────────────────────────────────


def _class_ids(spec: TaskSpec, context: Context) -> list[str] | None:
    """Return the class ids of the task's declared labels; None where it declares none."""
    if spec.labels is None:
        return None
    return list(context.registry.class_list(context.registry.datasets.get(spec.labels[0]).spec.classes).ids)


def _labels(
    task: Chosen[TaskSpec], args: argparse.Namespace, class_ids: list[str] | None, context: Context
) -> tuple[Columns, str]:
    """Return the labels, and where they come from: the file given, the predictions' own table, or the data set."""
    how = task.spec.labels_table
    if args.labels is not None:
        path = Path(args.labels)
        return (derived_or_refused(path, how) if how else usual(path, "class_id", class_ids)), f"file {args.labels}"
    if how is not None:  # columns that the predictions' file has; then the data set; then what its sample ids say
        own = derived(Path(args.predictions), replace(how, columns=tuple(names for names in how.columns if names)))
        if own is None and () in how.columns and not _is_here(task, context):
            own = derived(Path(args.predictions), how)
        if own is not None:
            return own, f"file {args.predictions}"
    if task.spec.labels is None:
        raise UsageError(f"task {task.spec.name!r} declares no labels", hint="give them: --labels FILE")
    return _declared_labels(task, context), ":".join(task.spec.labels)


def _is_here(task: Chosen[TaskSpec], context: Context) -> bool:
    """Say whether the task's declared labels can be read on this machine."""
    from vgbench.locate import Locator
    from vgbench.planning import Builder

    if task.spec.labels is None:
        return False
    try:
        Builder(context.registry, Locator(context.home, note), {}).dataset(*task.spec.labels)
    except NotObserved:
        return False
    return True


def _declared_labels(task: Chosen[TaskSpec], context: Context) -> Columns:
    """Read the labels that the task is scored against: the data set's own node, made once through the store."""
    from vgbench.commands.making import make
    from vgbench.images import LABELS_FILE, read_table
    from vgbench.locate import Locator
    from vgbench.planning import Builder
    from vgbench.steps.score import columns_of
    from vgbench.store import Store

    assert task.spec.labels is not None
    node = Builder(context.registry, Locator(context.home, note), {}).dataset(*task.spec.labels).labels
    make([node], context, quiet=True)
    store = Store(context.home)
    return columns_of(read_table(store.use(node.digest) / LABELS_FILE))
