"""Features of images, and of class names, by an encoder that is a network with weights of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from vgbench.batches import Batch, batches
from vgbench.cores import cores
from vgbench.decoding import Preprocessing
from vgbench.images import ImageSet, write_table
from vgbench.inplace import local
from vgbench.steps.embed import FEATURES_FILE, ROWS_FILE
from vgbench.steps.predict import torch_settings
from vgbench.types import Made, Progress, Step

META_FILE = "meta.json"


class Network(Protocol):
    """What an encoder's ``build(values, weights, device)`` returns, in evaluation mode on its device.

    ``texts(prompts) -> (B, D) float32`` is there where the network has a text tower.
    """

    preprocessing: Preprocessing

    def images(self, pixels: Tensor) -> Tensor:
        """Turn (B, 3, P, P) uint8 on the network's device into features (B, D), not normalised."""
        ...


def encode(step: Step) -> Made:
    """Write ``features.npy`` (N, D) float32, ``rows.parquet`` (image_id, label[, labels]) and ``meta.json``.

    Rows stand in the order of the image set ``images``; -1 is the label of an image without one. Features are stored
    as the network gives them, not normalised. Every batch has one shape, the last is filled up, since kernels round
    by batch shape. Images are decoded in threads ahead of the network, and in its own while it waits for a batch.
    Params: ``encoder``, ``weights``, ``crop`` (center: as the encoder's preprocessing says; squash: the whole image
    onto the square), ``batch``, ``threads`` (of the network, on a CPU).

    Raises:
        ValueError: an image that does not decode; a feature that is not finite; what the encoder's builder refuses.
    """
    images = ImageSet.open(step.inputs["images"])
    if not len(images):
        raise ValueError("there are no images to encode")
    threads, crop = step.params["threads"], step.params["crop"]
    with torch_settings(threads, deterministic=step.device == "cpu"), torch.inference_mode():
        network = opened(step)
        made = batches(
            zip(images.ids, images.encoded(), strict=True),
            network.preprocessing,
            batch=step.params["batch"],
            crop=crop,
            threads=_decoders(step.device, threads),
        )
        with closing(made) as ready:
            features = embedded(network, ready, n=len(images), device=step.device, progress=step.progress)
    write_features(step, features, {"preprocessing": _described(network.preprocessing, crop)})
    rows = {"image_id": images.ids, "label": images.labels}
    if "labels" in images.table.column_names:  # a set whose images have several
        rows["labels"] = images.table["labels"]
    write_table(step.out / ROWS_FILE, pa.table(rows))
    return Made(len(images))


def encode_text(step: Step) -> Made:
    """Write ``features.npy`` (C, D) float32, a row of length 1 for each class name, and ``meta.json``.

    The features of a class's prompts are normalised, averaged over the templates, and normalised again (GenBench,
    feature.extract_text_features). Params: ``encoder``, ``weights``, ``names`` (C texts), ``templates`` (texts with
    one ``{}``), ``batch``, ``threads``.

    Raises:
        ValueError: an encoder without a text tower; a template without exactly one ``{}``; a feature not finite.
    """
    names, templates = step.params["names"], step.params["templates"].values["templates"]
    if wrong := [template for template in templates if template.count("{}") != 1]:
        raise ValueError(f"template {wrong[0]!r} must hold one {{}}, where the class's name goes")
    prompts = [template.replace("{}", name) for name in names for template in templates]
    each = _unit(embedded_texts(step, prompts).astype(np.float64)).reshape(len(names), len(templates), -1)
    write_features(step, _unit(each.mean(axis=1)).astype(np.float32), {"templates": len(templates)})
    return Made(len(names))


def embedded_texts(step: Step, texts: Sequence[str]) -> NDArray[np.float32]:
    """Show the step's network texts; return their features (N, D) float32, not normalised.

    Every batch has one shape, the last is filled up, since kernels round by batch shape. Raises ``ValueError`` for a
    network without a text tower.
    """
    batch = step.params["batch"]
    parts: list[NDArray[np.float32]] = []
    with torch_settings(step.params["threads"], deterministic=step.device == "cpu"), torch.inference_mode():
        tower: Callable[[list[str]], Tensor] | None = getattr(opened(step), "texts", None)
        if tower is None:
            raise ValueError(f"encoder {step.params['encoder'].name} has no text tower: it cannot encode texts")
        for start in range(0, len(texts), batch):
            asked = list(texts[start : start + batch])
            filled = asked + asked[-1:] * (batch - len(asked))
            parts.append(tower(filled)[: len(asked)].float().cpu().numpy())
            step.progress(start + len(asked), len(texts))
    return np.concatenate(parts)


def embedded(
    network: Network, ready: Iterable[Batch], *, n: int, device: str, progress: Progress
) -> NDArray[np.float32]:
    """Show a network the batches of n images as they come; return their features (N, D) float32 in the set's order."""
    features: NDArray[np.float32] | None = None
    done = 0
    for batch in ready:
        found = network.images(batch.pixels.to(device, non_blocking=True))[: batch.n].float().cpu().numpy()
        if features is None:
            features = np.empty((n, found.shape[1]), np.float32)
        features[batch.start : batch.start + batch.n] = found
        done += batch.n
        progress(done, n)
    assert features is not None  # n > 0
    return features


def opened(step: Step) -> Network:
    """Build the step's encoder, or return it as an earlier step of this worker left it."""
    part, weights = step.params["encoder"], step.params["weights"]
    key = f"encoder/{json.dumps(part.key(), sort_keys=True)}/{weights.identity}/{step.device}"
    network: Network = step.resident(key, lambda: step.load(part)(part.values, local(weights.path), step.device))
    return network


def _decoders(device: str, threads: int) -> int:
    """Return how many threads decode beside the network's own: the cores that it leaves free; on a GPU, all."""
    return max(0, cores() - threads) if device == "cpu" else cores()


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _described(preprocessing: Preprocessing, crop: str) -> dict[str, Any]:
    return {
        "input_px": preprocessing.input_px,
        "resize_px": preprocessing.resize_px or preprocessing.input_px,
        "crop": "squash" if "squash" in (crop, preprocessing.crop) else "center",
        "interpolation": preprocessing.interpolation,
        "antialias": True,
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
    }


def write_features(step: Step, features: NDArray[np.float32], more: Mapping[str, Any]) -> None:
    """Write ``features.npy`` and ``meta.json``: encoder, weights, dimensions, and ``more``.

    Raises ``ValueError`` for a feature that is not finite.
    """
    part, weights = step.params["encoder"], step.params["weights"]
    if not np.isfinite(features).all():
        raise ValueError(f"encoder {part.name} gave a value that is not finite")
    np.save(step.out / FEATURES_FILE, features)
    meta = {"encoder": part.key(), "weights": weights.identity, "dimensions": features.shape[1], **more}
    (step.out / META_FILE).write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n")
