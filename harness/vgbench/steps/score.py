"""Score predictions against labels with a task's scorer: the one place where a test set's labels are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vgbench.images import LABELS_FILE, read_table, write_table
from vgbench.metrics.classify import MEAN_PER_CLASS
from vgbench.metrics.declared import BEST_TEST_EPOCH
from vgbench.metrics.multilabel import MEAN_AUC
from vgbench.steps.probe import PREDICTIONS_FILE
from vgbench.types import Columns, Made, Scored, Step, Value

METRICS_FILE = "metrics.json"
PER_CLASS_FILE = "per_class.parquet"
ITEMS_FILE = "items.parquet"
JUDGED = (MEAN_PER_CLASS, MEAN_AUC)  # what ignores the images reads exactly chance there, however uneven the classes
TOLERANCE = 1e-9  # between the mean over items and the main metric: float64 sums, no more


def score(step: Step) -> Made:
    """Write ``metrics.json``, ``predictions.parquet``, ``per_class.parquet``, and ``items.parquet`` where there is one.

    ``items.parquet`` (sample_id, value) pairs results item by item without labels.

    Predictions and labels must name the same samples, each once. Predictions with a ``permutation`` column are a
    control: each permutation is scored by itself, without intervals, and only one metric is kept: mean per-class
    accuracy (multi-label: the mean area under the ROC curve) where the scorer has it, since whatever ignores the
    images reads exactly 1/C (1/2) there, however uneven the classes are; otherwise the main metric.
    Predictions with an ``epoch`` column are those of a protocol that reports its best epoch on the test set. The main
    metric is then ``best_test_epoch``, the scorer's main metric at the epoch where it is highest (the first of equals),
    without an interval, since none holds for the best of many looks; per class and per item that epoch too. The last
    epoch's own metrics stand beside it; ``epochs`` has every epoch's value; the predictions kept are those of the two.
    The scorer's options are the values of its part; ``random_init`` among the inputs, the predictions of the untrained
    network, becomes the option of that name.
    """
    scorer = step.load(step.params["scorer"])
    options = dict(step.params["scorer"].values)
    table = read_table(step.inputs["predictions"].path / PREDICTIONS_FILE)
    labels = columns_of(read_table(step.inputs["labels"].path / LABELS_FILE))
    if "permutation" in table.column_names:
        permutation = table["permutation"].to_numpy()
        groups = [table.filter(pa.array(permutation == k)) for k in range(int(permutation.max()) + 1)]
        options["resamples"] = 0
        scores = [{v.metric: v.value for v in scorer(*aligned(columns_of(g), labels), options).metrics} for g in groups]
        metric = next((name for name in JUDGED if name in scores[0]), next(iter(scores[0])))
        write_metrics(step.out, {"metric": metric, "permutations": [values[metric] for values in scores]})
        return Made(len(groups))
    if "random_init" in step.inputs:
        untrained = columns_of(read_table(step.inputs["random_init"].path / PREDICTIONS_FILE))
        options["random_init"], _ = aligned(untrained, labels)

    def scored_of(rows: pa.Table, options: Mapping[str, Any]) -> Scored:
        scored: Scored = scorer(*aligned(columns_of(rows), labels), options)
        return scored

    found: dict[str, Any] = {}
    if "epoch" in table.column_names:
        scored, table, found["epochs"] = _best_epoch(table, scored_of, options)
    else:
        scored = scored_of(table, options)
    write_metrics(step.out, {"metrics": [asdict(value) for value in scored.metrics], **found})
    write_table(step.out / PREDICTIONS_FILE, table.take(np.argsort(table["sample_id"].to_numpy(), kind="stable")))
    per_class = {
        "class_id": [row[0] for row in scored.per_class],
        "n": pa.array([row[1] for row in scored.per_class], pa.int64()),
        "value": pa.array([row[2] for row in scored.per_class], pa.float64()),
    }
    write_table(step.out / PER_CLASS_FILE, pa.table(per_class))
    sample_ids = np.sort(labels["sample_id"])
    items = item_values(scored, len(sample_ids))
    if items is not None:
        write_table(step.out / ITEMS_FILE, pa.table({"sample_id": sample_ids.tolist(), "value": items}))
    return Made(len(sample_ids))


def _best_epoch(
    table: pa.Table, scored_of: Callable[[pa.Table, Mapping[str, Any]], Scored], options: Mapping[str, Any]
) -> tuple[Scored, pa.Table, list[float | None]]:
    """Return the best epoch's score beside the last one's metrics, the rows of the two, and every epoch's value."""
    epoch = table["epoch"].to_numpy()
    last = int(epoch.max())
    rows = [table.filter(pa.array(epoch == k)) for k in range(last + 1)]
    scores = [scored_of(some, {**options, "resamples": 0}) for some in rows]
    values = [scored.metrics[0].value for scored in scores]
    best = max(range(last + 1), key=lambda k: float("-inf") if (value := values[k]) is None else value)
    main = scores[best].metrics[0]
    named = Value(BEST_TEST_EPOCH, main.value, main.n, reason=main.reason)
    metrics = (named, *scored_of(rows[-1], options).metrics)
    return replace(scores[best], metrics=metrics), table.filter(pa.array(np.isin(epoch, [best, last]))), values


def item_values(scored: Scored, n: int) -> NDArray[np.float64] | None:
    """Return a scorer's values per item (N,) float64; ``ValueError`` unless their mean is the main metric's value."""
    main = scored.metrics[0].value
    if scored.per_item is None or main is None:
        return None
    values = np.asarray(scored.per_item, np.float64)
    if values.shape != (n,) or not abs(float(values.mean()) - main) <= TOLERANCE:
        raise ValueError(f"the scorer's {values.size} values per item do not average to its main metric over {n} items")
    return values


def columns_of(table: pa.Table) -> dict[str, Any]:
    """Return a table's columns as numpy arrays (N,); ``scores`` as (N, C) float32, other lists as arrays of lists.

    Raises ``ValueError`` for scores that are not of one length.
    """
    found: dict[str, Any] = {}
    for name in table.column_names:
        if name == "scores":
            found[name] = _matrix(table[name])
        elif pa.types.is_list(table[name].type):
            found[name] = np.fromiter(table[name].to_pylist(), object, table.num_rows)
        else:
            found[name] = np.asarray(table[name].to_pylist())
    return found


def _matrix(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """Return a list column as (N, C) float32 without a Python object for each number."""
    lists = column.combine_chunks()
    lengths = set(np.unique(np.diff(lists.offsets.to_numpy())).tolist())
    if len(lengths) > 1 or lists.null_count:
        raise ValueError(f"scores of {sorted(lengths)} numbers: each sample needs one for each class")
    return np.asarray(lists.flatten(), np.float32).reshape(len(lists), -1)


def aligned(predictions: Mapping[str, Any], labels: Mapping[str, Any]) -> tuple[Columns, Columns]:
    """Sort both by sample id; raise ``ValueError`` unless they name the same samples, each exactly once."""
    ordered: list[Columns] = []
    for name, columns in (("predictions", predictions), ("labels", labels)):
        ids = columns["sample_id"]
        order = np.argsort(ids, kind="stable")
        if (ids[order][1:] == ids[order][:-1]).any():
            raise ValueError(f"a sample id stands twice in the {name}")
        ordered.append({key: column[order] for key, column in columns.items()})
    found, truth = ordered
    if not np.array_equal(found["sample_id"], truth["sample_id"]):
        missing = sorted(set(truth["sample_id"]) - set(found["sample_id"]))
        extra = sorted(set(found["sample_id"]) - set(truth["sample_id"]))
        raise ValueError(
            f"predictions and labels differ: {len(missing)} missing {missing[:3]}, {len(extra)} unknown {extra[:3]}"
        )
    return found, truth


def write_metrics(out: Path, metrics: Mapping[str, Any]) -> None:
    """Write ``metrics.json``: under ``metrics`` the values, the main metric first; or a control's permutations."""
    text = json.dumps(metrics, indent=1, sort_keys=True, allow_nan=False) + "\n"
    (out / METRICS_FILE).write_text(text)
