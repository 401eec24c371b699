"""Turn a network's answers in its own classes into answers in a test's coarser categories; no label is seen."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from vgbench.images import read_table, write_table
from vgbench.metrics.categories import by_mean, by_restricted, by_top1
from vgbench.steps.probe import PREDICTIONS_FILE
from vgbench.types import Made, Step


def categorise(step: Step) -> Made:
    """Write ``predictions.parquet`` (sample_id, prediction) of the predictions ``predictions``, rows in their order.

    Params: ``categories``, pairs of [category id, positions of head classes]; ``rule``, ``mean`` (the highest mean
    probability of a category's members), ``top1`` (the category of the top class; ``na`` for none) or ``restricted``
    (the category of the most probable member, whatever the other classes get).
    The predictions need ``scores``, list<float32>, one for each class of the head. ``ValueError`` if not.
    """
    table = read_table(step.inputs["predictions"].path / PREDICTIONS_FILE)
    if "scores" not in table.column_names:
        raise ValueError("the predictions have no scores, so their categories cannot be weighed")
    scores = table["scores"].combine_chunks()
    flat = np.asarray(scores.flatten())
    if table.num_rows == 0 or len(flat) % table.num_rows or len(set(np.diff(scores.offsets.to_numpy()))) > 1:
        raise ValueError("the predictions have no scores of one length for each sample")
    probabilities = flat.reshape(table.num_rows, -1)
    categories = [(name, members) for name, members in step.params["categories"]]
    if step.params["rule"] == "mean":
        found = by_mean(probabilities, categories)
    elif step.params["rule"] == "top1":
        found = by_top1(probabilities.argmax(axis=1), categories, probabilities.shape[1])
    elif step.params["rule"] == "restricted":
        found = by_restricted(probabilities, categories)
    else:
        raise ValueError(f"rule is {step.params['rule']!r}: it must be mean, top1 or restricted")
    write_table(step.out / PREDICTIONS_FILE, pa.table({"sample_id": table["sample_id"], "prediction": found.tolist()}))
    return Made(table.num_rows)
