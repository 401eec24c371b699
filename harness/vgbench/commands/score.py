"""``vgbench score TASK PREDICTIONS``: predictions made elsewhere, scored by the task's own scorer."""

from __future__ import annotations

import argparse
import csv
import json
import pkgutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench.commands.output import note, write, write_columns, write_json
from vgbench.errors import UsageError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

    from vgbench.commands import Context
    from vgbench.commands.answers import ScoreAnswer
    from vgbench.registry import Chosen
    from vgbench.types import Columns, Scorer, TaskSpec

NOTHING = "na"  # a prediction that counts as wrong
MISSING = {"", "nan", "none", "null"}
SHOWN = 3  # names given of each mistake


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("score", help="score predictions made elsewhere against a task's labels")
    parser.add_argument("task", metavar="TASK", help="NAME[:OPT=VALUE,…]")
    parser.add_argument("predictions", metavar="PREDICTIONS", help=".csv or .parquet: sample_id, prediction[, scores]")
    parser.add_argument("--labels", metavar="FILE", help=".csv or .parquet: sample_id, class_id (or label, a position)")
    parser.add_argument("--per-class", action="store_true", help="every class's value")
    parser.add_argument("--json", action="store_true", help="the same as JSON (schema score)")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
    chosen = context.registry.task(args.task)
    if len(chosen) != 1:
        names = ", ".join(task.spec.name for task in chosen)
        raise UsageError(f"{args.task} is a suite", hint=f"score one of its tasks: {names}")
    (task,) = chosen
    if args.labels is None and task.spec.labels is None:
        raise UsageError(f"task {task.spec.name!r} declares no labels", hint="give them: --labels FILE")
    class_ids = _class_ids(task.spec, context)
    predictions = _checked(Path(args.predictions), "prediction", class_ids)
    if args.labels is not None:
        labels, named = _checked(Path(args.labels), "class_id", class_ids), f"file {args.labels}"
    else:
        assert task.spec.labels is not None
        labels, named = _declared_labels(task, context), ":".join(task.spec.labels)
    _refuse_other_samples(predictions["sample_id"], labels["sample_id"], named)
    if class_ids is None:
        _refuse_unknown(predictions["prediction"], sorted(set(labels["class_id"])), args.predictions)
    n_classes = len(class_ids if class_ids is not None else set(labels["class_id"]))
    answer = _score(task, predictions, labels, args.predictions, named, n_classes=n_classes, per_class=args.per_class)
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
    n_classes: int,
    per_class: bool,
) -> ScoreAnswer:
    from dataclasses import asdict

    from vgbench.commands.answers import ClassValue, ScoreAnswer
    from vgbench.results import metric_values
    from vgbench.steps.score import aligned

    scorer: Scorer = pkgutil.resolve_name(task.spec.scorer)
    scored = scorer(*aligned(predictions, labels), {})
    declared = {metric.id: metric.of(n_classes) for metric in task.spec.metrics}
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


# ── Tables of users ──────────────────────────────────────────────────────────────────────────────


def _checked(path: Path, wanted: str, class_ids: Sequence[str] | None) -> Columns:
    """Read ``sample_id`` and ``wanted`` as arrays of text; refuse what is not a class id for each sample once."""
    import numpy as np

    table = _read(path)
    columns = {name: table[name].to_pylist() for name in ("sample_id", wanted, "label") if name in table.column_names}
    if wanted == "class_id" and "class_id" not in columns and "label" in columns:
        columns["class_id"] = _positions(columns["label"], class_ids, path)
    for name in ("sample_id", wanted):
        if name not in columns:
            close = nearest(name, table.column_names)
            found = f"its columns: {', '.join(map(repr, table.column_names)) or 'none'}"
            raise UsageError(
                f"{path} has no column {name!r}", hint=f"did you mean {close!r}? {found}" if close else found
            )
    ids, values = ([_text(v) for v in columns[name]] for name in ("sample_id", wanted))
    if not ids:
        raise UsageError(f"{path} has no rows")
    if any(i.lower() in MISSING for i in ids):
        raise UsageError(f"{path}: {sum(i.lower() in MISSING for i in ids)} rows have no sample_id")
    _refuse(path, "sample ids stand more than once", [i for i, count in Counter(ids).items() if count > 1])
    known = set(class_ids or ())  # a class may be called "none"
    empty = [i for i, value in zip(ids, values, strict=True) if value.lower() in MISSING and value not in known]
    hint = f"a sample without a prediction is {NOTHING!r}, and counts as wrong" if wanted == "prediction" else None
    _refuse(path, f"samples have an empty or NaN {wanted}", empty, hint=hint)
    if class_ids is not None:
        _refuse_unknown(values, class_ids, path, allow_nothing=wanted == "prediction")
    if "scores" in table.column_names and wanted == "prediction":
        _refuse_scores(path, ids, table["scores"], None if class_ids is None else len(class_ids))
    return {"sample_id": np.asarray(ids), wanted: np.asarray(values)}


def _read(path: Path) -> pa.Table:
    """Read a table; a CSV's values are texts."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"{path} is neither .csv nor .parquet")
    try:
        table = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    except (OSError, ValueError) as error:  # pyarrow's errors and decoding errors are ValueErrors
        raise UsageError(f"{path} is not readable as {path.suffix[1:]}: {error}") from error
    doubled = [name for name, count in Counter(table.column_names).items() if count > 1]
    if doubled:
        raise UsageError(f"{path}: column {doubled[0]!r} stands twice")
    return table


def _parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(path)


def _csv(path: Path) -> pa.Table:
    """Read a CSV with every value as text: ids such as 007 keep their zeros."""
    import pyarrow as pa
    import pyarrow.csv as reader

    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file), [])
    options = reader.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    return reader.read_csv(path, convert_options=options)


def _positions(labels: Iterable[Any], class_ids: Sequence[str] | None, path: Path) -> list[Any]:
    """Return the class ids of label positions; labels that are no whole numbers are class ids already."""
    found = list(labels)
    if not all(_text(label).isdecimal() for label in found):
        return found
    if class_ids is None:
        raise UsageError(f"{path}: labels are positions, but the task declares no class list", hint="give class_id")
    outside = sorted({label for label in map(int, found) if label >= len(class_ids)})
    _refuse(path, f"labels lie outside 0..{len(class_ids) - 1}", [str(label) for label in outside])
    return [class_ids[int(label)] for label in found]


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


# ── What is refused ──────────────────────────────────────────────────────────────────────────────


def _refuse(path: str | Path, what: str, names: Sequence[str], *, hint: str | None = None) -> None:
    """Refuse a file for ``names``, with their number and the first of them; nothing when there are none."""
    if names:
        more = ", …" if len(names) > SHOWN else ""
        raise UsageError(f"{path}: {len(names)} {what}: {', '.join(names[:SHOWN])}{more}", hint=hint)


def _refuse_unknown(
    values: Iterable[str], class_ids: Sequence[str], path: str | Path, *, allow_nothing: bool = True
) -> None:
    known = {*class_ids, NOTHING} if allow_nothing else set(class_ids)
    unknown = [value for value in dict.fromkeys(map(str, values)) if value not in known]
    if not unknown:
        return
    close = nearest(unknown[0], class_ids)
    some = ", ".join(class_ids[:SHOWN]) + (", …" if len(class_ids) > SHOWN else "")
    hint = f"did you mean {close!r}?" if close else f"class ids are {some}"
    _refuse(path, "values are no class ids", unknown, hint=hint)


def _refuse_other_samples(predicted: Iterable[str], labelled: Iterable[str], named: str) -> None:
    predicted, labelled = set(map(str, predicted)), set(map(str, labelled))
    missing, extra = sorted(labelled - predicted), sorted(predicted - labelled)
    if not missing and not extra:
        return
    parts = []
    for names, what in ((missing, "have no prediction"), (extra, "are not in the labels")):
        if names:
            parts.append(
                f"{len(names)} samples {what}: {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}"
            )
    close = nearest(extra[0], missing) if missing and extra else None
    raise UsageError(
        f"predictions and the labels of {named} name different samples; " + "; ".join(parts),
        hint=f"did you mean {close!r} by {extra[0]!r}?" if close else None,
    )


def _refuse_scores(path: Path, ids: Sequence[str], scores: pa.ChunkedArray, n_classes: int | None) -> None:
    """Refuse scores that are not one finite number a class. They are checked, not used: the prediction counts."""
    import numpy as np

    wrong, broken = [], []
    for sample, given in zip(ids, scores, strict=True):
        try:
            text = given.as_py() if not hasattr(given, "values") else None  # a CSV's JSON list, or Arrow's own
            values = np.asarray(given.values if text is None else json.loads(text), np.float64)
        except (AttributeError, TypeError, ValueError):
            wrong.append(sample)
            continue
        if values.ndim != 1 or len(values) != (n_classes or len(values)):
            wrong.append(sample)
        elif not np.isfinite(values).all():
            broken.append(sample)
    _refuse(path, "samples have a NaN or infinite score", broken)
    hint = f"scores: a list of {n_classes or 'its'} numbers for each sample, in a CSV a JSON list"
    _refuse(path, "samples have no such list of scores", wrong, hint=hint)
