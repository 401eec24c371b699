"""Encode texts one by one with a network's text tower: prompts of each class, and a corpus of captions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from vgbench.images import write_table
from vgbench.inplace import local
from vgbench.steps.embed import FEATURES_FILE, ROWS_FILE
from vgbench.steps.predict import torch_settings
from vgbench.types import Made, Step


def encode_prompts(step: Step) -> Made:
    """Write ``features.npy`` (C·T, D) float32 as encoded, ``rows.parquet`` (image_id, label, text) and ``meta.json``.

    Params: ``encoder`` (a part whose network has a text tower), its ``weights``, ``names`` of C classes,
    ``templates`` (a prompts part: T texts with one ``{}``), ``batch``, ``threads``. Every template is filled with every
    name; ``image_id`` is the text's number, ``label`` the position of its class.
    """
    names, templates = step.params["names"], step.params["templates"].values["templates"]
    texts = [template.replace("{}", name) for name in names for template in templates]
    labels = np.repeat(np.arange(len(names)), len(templates))
    return _encode(step, texts, {"image_id": map(str, range(len(texts))), "label": labels})


def encode_captions(step: Step) -> Made:
    """Write ``features.npy`` (M, D) float32 as encoded, ``rows.parquet`` (image_id, label −1, text) and ``meta.json``.

    Params: ``captions``, a place: a ``.txt`` of one caption a line, or a ``.parquet`` with a column ``caption`` and,
    where one image has several, ``image_id``; ``encoder``, ``weights``, ``batch``, ``threads`` as above. Empty
    captions are left out and counted. Raises ``ValueError`` for a file of another kind, or one without captions.
    """
    found = read_captions(Path(local(step.params["captions"].path)))
    kept = [(image_id, caption) for image_id, caption in found if caption.strip()]
    if not kept:
        raise ValueError(f"{step.params['captions'].path} has no captions")
    columns: dict[str, Iterable[Any]] = {
        "image_id": [image_id for image_id, _ in kept],
        "label": np.full(len(kept), -1, np.int64),
    }
    made = _encode(step, [caption for _, caption in kept], columns)
    return Made(made.items, rejected={"empty caption": len(found) - len(kept)} if len(kept) < len(found) else {})


def read_captions(path: Path) -> list[tuple[str, str]]:
    """Return (image id, caption) of a corpus; an image without an id is named by its row's number from 0."""
    if path.suffix == ".txt":
        return [(str(i), line) for i, line in enumerate(path.read_text("utf-8").splitlines())]
    if path.suffix != ".parquet":
        raise ValueError(f"{path} is neither .txt (a caption a line) nor .parquet (a column `caption`)")
    names = pq.read_schema(path).names
    if "caption" not in names:
        raise ValueError(f"{path} has no column `caption`; its columns: {', '.join(names)}")
    table = pq.read_table(path, columns=[name for name in ("image_id", "caption") if name in names])
    ids: Sequence[Any] = table["image_id"].to_pylist() if "image_id" in names else range(table.num_rows)
    return [(str(i), caption or "") for i, caption in zip(ids, table["caption"].to_pylist(), strict=True)]


def _encode(step: Step, texts: Sequence[str], columns: dict[str, Iterable[Any]]) -> Made:
    """Every batch has one shape, the last is filled up, since kernels round by batch shape."""
    encoder, weights, batch = step.params["encoder"], step.params["weights"], step.params["batch"]
    key = f"encoder/{json.dumps(encoder.key(), sort_keys=True)}/{weights.identity}/{step.device}"
    parts: list[NDArray[np.float32]] = []
    with torch_settings(step.params["threads"], deterministic=step.device == "cpu"), torch.inference_mode():
        network = step.resident(key, lambda: step.load(encoder)(encoder.values, local(weights.path), step.device))
        tower: Callable[[list[str]], torch.Tensor] | None = getattr(network, "texts", None)
        if tower is None:
            raise ValueError(f"encoder {encoder.name} has no text tower: it cannot encode texts")
        for start in range(0, len(texts), batch):
            asked = list(texts[start : start + batch])
            filled = asked + asked[-1:] * (batch - len(asked))
            parts.append(tower(filled)[: len(asked)].float().cpu().numpy())
            step.progress(start + len(asked), len(texts))
    features = np.concatenate(parts)
    if not np.isfinite(features).all():
        raise ValueError(f"encoder {encoder.name} gave a value that is not finite")
    np.save(step.out / FEATURES_FILE, features)
    rows = {name: list(values) for name, values in columns.items()}
    write_table(step.out / ROWS_FILE, pa.table({**rows, "text": list(texts)}))
    meta = {"encoder": encoder.key(), "weights": weights.identity, "dimensions": features.shape[1]}
    (step.out / "meta.json").write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n")
    return Made(len(texts))
