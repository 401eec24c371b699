"""Let a backbone answer for a set of images: how it is built, what it is shown, and the softmax of what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from vgbench.images import Pack, write_table
from vgbench.types import Made, Step

WEIGHTS_FILE = "weights.safetensors"
META_FILE = "meta.json"
PREDICTIONS_FILE = "predictions.parquet"
DECODED_BYTES = 2 << 30  # assumed: what a worker may keep decoded; above it each batch is decoded anew
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def build_model(
    arch: str,
    arch_args: Mapping[str, Any],
    *,
    n_classes: int,
    in_chans: int,
    drop_path: float = 0.0,
    weights: Path | None = None,
) -> nn.Module:
    """Build a timm architecture, from random initialisation or from ``weights``; never from the network.

    Raises:
        ValueError: timm has no architecture of that name.
    """
    if not timm.is_model(arch):
        raise ValueError(f"timm {timm.__version__} has no architecture {arch!r}")
    model: nn.Module = timm.create_model(
        arch,
        pretrained=False,
        num_classes=n_classes,
        in_chans=in_chans,
        drop_path_rate=drop_path or None,  # None is left out: not every architecture has the argument
        checkpoint_path=str(weights) if weights else None,
        **arch_args,
    )
    return model


@contextmanager
def torch_settings(threads: int, *, deterministic: bool) -> Iterator[None]:
    """Set torch's thread count, and deterministic kernels, for one step; the worker gets its own back.

    With deterministic kernels torch also fills new memory, lest somebody reads what nobody wrote: 3 % of a network's
    time for what is no kernel's business.
    """
    threads_before, deterministic_before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filling: Any = torch.utils.deterministic  # a module whose property its types do not know
    fill_before = filling.fill_uninitialized_memory
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    filling.fill_uninitialized_memory = False
    try:
        yield
    finally:
        filling.fill_uninitialized_memory = fill_before
        torch.set_num_threads(threads_before)
        torch.use_deterministic_algorithms(deterministic_before)


# ── What a backbone is, and what it is shown ────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What turns a stored image into a backbone's input; it belongs to the weights and travels with them.

    ``input_px`` side of the square input; ``in_chans`` 1 (grey, ITU-R 601 luma) or 3 (grey is repeated); ``mean``,
    ``std`` per channel on the 0..1 scale; ``interpolation`` nearest, bilinear or bicubic, antialiased.
    """

    input_px: int
    in_chans: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str

    def __post_init__(self) -> None:
        if self.in_chans not in (1, 3) or not len(self.mean) == len(self.std) == self.in_chans:
            raise ValueError(f"in_chans is {self.in_chans}: it must be 1 or 3, with as many values in mean and in std")
        if self.interpolation not in FILTERS:
            raise ValueError(f"interpolation is {self.interpolation!r}: it must be one of {', '.join(FILTERS)}")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Read the preprocessing out of a recipe's values or a backbone's ``meta.json``."""
        mean, std = (tuple(float(v) for v in values[name]) for name in ("mean", "std"))
        return cls(int(values["input_px"]), int(values["in_chans"]), mean, std, str(values["interpolation"]))

    def resized(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn (H, W) or (H, W, 3) pixels into (in_chans, input_px, input_px), on the CPU: the same bytes everywhere.

        Another shape than a square is first cropped to its central square.
        """
        height, width = pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = Image.fromarray(pixels[top : top + side, left : left + side])
        image = square.convert("L" if self.in_chans == 1 else "RGB")
        image = image.resize((self.input_px, self.input_px), FILTERS[self.interpolation])
        return np.asarray(image).reshape(self.input_px, self.input_px, self.in_chans).transpose(2, 0, 1)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Turn (B, C, P, P) uint8 into float32 with the mean taken off and divided by std, on its own device."""
        mean = torch.tensor(self.mean, device=pixels.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(1, -1, 1, 1)
        return (pixels.float() / 255 - mean) / std


class Pixels:
    """A training copy's images at a backbone's input size: decoded once where they fit, else when asked for."""

    def __init__(self, pack: Pack, preprocessing: Preprocessing, *, limit_bytes: int = DECODED_BYTES) -> None:
        self._pack = pack
        self.preprocessing = preprocessing
        fits = len(pack) * preprocessing.in_chans * preprocessing.input_px**2 <= limit_bytes
        self._decoded = self._decode(range(len(pack))) if fits else None

    def _decode(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        size = (len(indices), self.preprocessing.in_chans, self.preprocessing.input_px, self.preprocessing.input_px)
        pixels = np.empty(size, np.uint8)
        for row, index in enumerate(indices):
            pixels[row] = self.preprocessing.resized(self._pack.pixels(index))
        return pixels

    def take(self, indices: NDArray[np.int64]) -> Tensor:
        """Return images (B, C, P, P) uint8, on the CPU."""
        taken = self._decode(indices.tolist()) if self._decoded is None else self._decoded[indices]
        return torch.from_numpy(taken)


# ── The step ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Backbone:
    """A trained network as ``pretrain`` wrote it, in evaluation mode, with the preprocessing that belongs to it."""

    model: nn.Module
    preprocessing: Preprocessing
    n_classes: int

    @classmethod
    def open(cls, folder: Path, device: str) -> Backbone:
        """Read ``weights.safetensors`` and ``meta.json``."""
        meta = json.loads((folder / META_FILE).read_text())
        model = build_model(
            meta["arch"],
            meta["arch_args"],
            n_classes=meta["n_classes"],
            in_chans=meta["in_chans"],
            weights=folder / WEIGHTS_FILE,
        )
        model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        return cls(model.eval(), Preprocessing.of(meta), meta["n_classes"])


def probabilities(
    backbone: Backbone, pixels: Pixels, *, n: int, batch: int, dtype: str, step: Step
) -> NDArray[np.float32]:
    """Return the softmax of the first n images, (n, C) float32 with rows that sum to 1.

    The last batch is filled up with copies of its last image: kernels round by batch shape, so every batch has one.
    """
    scores = np.empty((n, backbone.n_classes), np.float32)
    for start in range(0, n, batch):
        indices = np.minimum(np.arange(start, start + batch), n - 1)
        images = backbone.preprocessing.normalised(pixels.take(indices).to(step.device))
        with torch.autocast(images.device.type, dtype=DTYPES[dtype], enabled=dtype != "float32"):
            logits = backbone.model(images.contiguous(memory_format=torch.channels_last))
        stop = min(start + batch, n)
        scores[start:stop] = logits.float().softmax(dim=1)[: stop - start].cpu().numpy()
        step.progress(stop, n)
    return scores


def predict(step: Step) -> Made:
    """Write ``predictions.parquet`` of the backbone ``backbone`` on the images ``images``, whose labels it never sees.

    Params: ``class_ids`` (the class id of each label), ``dtype`` (float32 or bfloat16), ``batch``, ``threads``.
    Columns: ``sample_id``; ``prediction``, the class id of the highest score (of equal ones the first); ``scores``,
    list<float32>, the softmax over the classes in label order. Rows in the training copy's order.

    Raises:
        ValueError: class ids that are not as many as the backbone's classes; an unknown dtype.
    """
    class_ids, dtype = list(step.params["class_ids"]), step.params["dtype"]
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}: it must be one of {', '.join(DTYPES)}")
    source = step.inputs["backbone"]
    with torch_settings(step.params["threads"], deterministic=step.device == "cpu"), torch.inference_mode():
        backbone: Backbone = step.resident(
            f"backbone/{source.digest}/{step.device}", lambda: Backbone.open(source.path, step.device)
        )
        if len(class_ids) != backbone.n_classes:
            raise ValueError(f"{len(class_ids)} class ids for a backbone of {backbone.n_classes} classes")
        pack = Pack.open(step.inputs["images"])
        pixels = Pixels(pack, backbone.preprocessing)
        scores = probabilities(backbone, pixels, n=len(pack), batch=step.params["batch"], dtype=dtype, step=step)
    offsets = np.arange(len(pack) + 1, dtype=np.int32) * backbone.n_classes
    table = pa.table(
        {
            "sample_id": pa.array(pack.ids, pa.string()),
            "prediction": pa.array([class_ids[label] for label in scores.argmax(axis=1)], pa.string()),
            "scores": pa.ListArray.from_arrays(offsets, scores.ravel()),
        }
    )
    write_table(step.out / PREDICTIONS_FILE, table)
    return Made(items=len(pack))
