"""Mean text similarity: how much of a corpus of captions is about the classes, by a CLIP's text tower alone."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pyarrow as pa

from vgbench.images import read_table, write_table
from vgbench.metrics.alignment import Found, nearest_captions
from vgbench.steps.embed import FEATURES_FILE, ROWS_FILE
from vgbench.steps.measure import write_per_class
from vgbench.steps.probe import PREDICTIONS_FILE
from vgbench.steps.score import write_metrics
from vgbench.types import Made, Step, Value


def mts(step: Step) -> Made:
    """Write ``metrics.json``, ``predictions.parquet`` (sample_id, class_id, similarity) and ``per_class.parquet``.

    Inputs: features of ``prompts`` (label: the class's position) and of ``captions`` (image_id: whose caption it is).
    Params: ``class_ids``, ``k`` captions for each prompt, ``top`` images for each class. The mean text similarity is
    the mean over classes of the mean similarity of a class's top images; withheld when the corpus has fewer than k
    captions, or a class hits fewer than ``top`` images. Predictions are those top images, so that they can be looked
    at. Source: protocols.md §1.7.
    """
    k, top = step.params["k"], step.params["top"]
    class_ids: list[str] = step.params["class_ids"]
    prompts = np.load(step.inputs["prompts"].path / FEATURES_FILE)
    label = read_table(step.inputs["prompts"].path / ROWS_FILE)["label"].to_numpy()
    captions = np.load(step.inputs["captions"].path / FEATURES_FILE, mmap_mode="r")
    image_ids = read_table(step.inputs["captions"].path / ROWS_FILE)["image_id"].to_pylist()
    found: dict[str, Found] = {}
    if len(captions) >= k:
        nearest = nearest_captions(prompts, label, captions, image_ids, k=k, top=top)
        for class_id, one in zip(class_ids, nearest, strict=True):
            found[class_id] = one
            step.progress(len(found), len(class_ids))
    poor = [class_id for class_id, one in found.items() if len(one.image_ids) < top]
    n = len(captions)
    if not found:
        value = Value("mts", None, n, reason=f"{n} captions, {k} needed")
    elif poor:
        value = Value("mts", None, n, reason=f"{len(poor)} classes hit fewer than {top} images: {', '.join(poor[:3])}")
    else:
        value = Value("mts", float(np.mean([one.mean for one in found.values()])), n)
    write_metrics(step.out, {"metrics": [asdict(value)]})
    rows = [
        (image_id, class_id, similarity)
        for class_id, one in found.items()
        for image_id, similarity in zip(one.image_ids, one.similarities, strict=True)
    ]
    columns = {
        "sample_id": pa.array([row[0] for row in rows], pa.string()),
        "class_id": pa.array([row[1] for row in rows], pa.string()),
        "similarity": pa.array([row[2] for row in rows], pa.float64()),
    }
    write_table(step.out / PREDICTIONS_FILE, pa.table(columns))
    write_per_class(step.out, [(class_id, len(one.image_ids), one.mean, "mts") for class_id, one in found.items()])
    return Made(n)
