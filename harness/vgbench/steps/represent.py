"""Frozen features of a backbone: what its head would have seen."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import torch

from vgbench.images import Pack, write_table
from vgbench.steps.embed import FEATURES_FILE, ROWS_FILE
from vgbench.steps.predict import META_FILE, Backbone, Pixels, torch_settings
from vgbench.types import Made, Step


def represent(step: Step) -> Made:
    """Write ``features.npy`` (N, D) float32, ``rows.parquet`` (image_id, label) and ``meta.json``.

    A feature is the pooled output before the classifier (timm's ``forward_head(…, pre_logits=True)``), in evaluation
    mode and float32. The last batch is filled up, since kernels round by batch shape. Params: ``batch``, ``threads``.
    """
    source, batch = step.inputs["backbone"], step.params["batch"]
    with torch_settings(step.params["threads"], deterministic=step.device == "cpu"), torch.inference_mode():
        backbone: Backbone = step.resident(
            f"backbone/{source.digest}/{step.device}", lambda: Backbone.open(source.path, step.device)
        )
        pack = Pack.open(step.inputs["images"])
        pixels = Pixels(pack, backbone.preprocessing)
        parts = []
        for start in range(0, len(pack), batch):
            indices = np.minimum(np.arange(start, start + batch), len(pack) - 1)
            images = backbone.preprocessing.normalised(pixels.take(indices).to(step.device))
            images = images.contiguous(memory_format=torch.channels_last)
            model = backbone.model
            pooled = model.forward_head(model.forward_features(images), pre_logits=True)  # type: ignore[operator]  # timm's
            parts.append(pooled[: len(pack) - start].float().cpu().numpy())
            step.progress(min(start + batch, len(pack)), len(pack))
    features = np.concatenate(parts)
    if not np.isfinite(features).all():
        raise ValueError("the backbone gave a feature that is not finite")
    np.save(step.out / FEATURES_FILE, features)
    write_table(step.out / ROWS_FILE, pa.table({"image_id": pack.ids, "label": pack.labels}))
    meta = {
        "backbone": json.loads((source.path / META_FILE).read_text())["weights_sha256"],
        "dimensions": features.shape[1],
    }
    (step.out / "meta.json").write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n")
    return Made(len(pack))
