"""Embed a training copy with an encoder."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from vgbench.images import Pack, write_table
from vgbench.types import Made, Step

FEATURES_FILE = "features.npy"
ROWS_FILE = "rows.parquet"


def embed(step: Step) -> Made:
    """Write ``features.npy`` (N, D) float32, ``rows.parquet`` (image_id, label) in the same order, and ``meta.json``.

    The encoder part is called as ``encode(pack, step) -> (N, D) array``. Raises ``ValueError`` for another shape or
    a value that is not finite.
    """
    pack = Pack.open(step.inputs["images"])
    encoder = step.params["encoder"]
    features = np.asarray(step.load(encoder)(pack, step), dtype=np.float32)
    if features.ndim != 2 or features.shape[0] != len(pack):
        raise ValueError(f"encoder {encoder.name} gave shape {features.shape} for {len(pack)} images")
    if not np.isfinite(features).all():
        raise ValueError(f"encoder {encoder.name} gave a value that is not finite")
    np.save(step.out / FEATURES_FILE, features)
    write_table(step.out / ROWS_FILE, pa.table({"image_id": pack.ids, "label": pack.labels}))
    meta = {"encoder": encoder.key(), "dimensions": features.shape[1]}
    (step.out / "meta.json").write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n")
    return Made(len(pack))
