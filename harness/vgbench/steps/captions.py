"""Encode texts one by one with a network's text tower: prompts of each class, and a corpus of captions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vgbench.images import read_table, write_table
from vgbench.inplace import local
from vgbench.steps.embed import ROWS_FILE
from vgbench.steps.encode import embedded_texts, write_features
from vgbench.types import Made, Step

CORPUS_FILE = (
    "corpus.parquet"  # of a corpus in the store: ``image_id``, ``caption`` and more, in the order of its images
)


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


def encode_corpus(step: Step) -> Made:
    """Write the same of the captions of a corpus in the store (input ``corpus``), a row for each of its images.

    An image without a caption has that of no words.
    """
    table = read_table(step.inputs["corpus"].path / CORPUS_FILE, ["image_id", "caption"])
    captions = [caption or "" for caption in table["caption"].to_pylist()]
    return _encode(step, captions, {"image_id": table["image_id"].to_pylist(), "label": np.full(len(captions), -1)})


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


def _encode(step: Step, texts: Sequence[str], columns: Mapping[str, Iterable[Any]]) -> Made:
    write_features(step, embedded_texts(step, texts), {})
    rows = {name: list(values) for name, values in columns.items()}
    write_table(step.out / ROWS_FILE, pa.table({**rows, "text": list(texts)}))
    return Made(len(texts))
