"""Models of transformers, from a local folder: CLIP, SigLIP, DINOv2, and whatever else AutoModel reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from vgbench.decoding import Preprocessing

PREPROCESSOR_FILE = "preprocessor_config.json"
FILTERS = {2: "bilinear", 3: "bicubic"}  # PIL.Image.Resampling


@dataclass(frozen=True, slots=True)
class Vision:
    """An image encoder in evaluation mode; a feature is the model's own projection, or else its pooled output."""

    model: nn.Module
    preprocessing: Preprocessing
    device: str

    def images(self, pixels: Tensor) -> Tensor:
        """Turn (B, 3, P, P) uint8 into (B, D)."""
        shown = self.preprocessing.normalised(pixels)
        projected = getattr(self.model, "get_image_features", None)
        return _pooled(projected(pixel_values=shown) if projected else self.model(pixel_values=shown))


@dataclass(frozen=True, slots=True)
class VisionAndText(Vision):
    """The same, with a text tower in the same space; ``tokenizer`` opens it, for images need none."""

    tokenizer: Callable[[], Any]
    n_tokens: int
    is_filling_read: bool

    def texts(self, prompts: list[str]) -> Tensor:
        """Turn B prompts into (B, D); each is filled up to the model's length.

        SigLIP reads what a prompt is filled up with, for its feature is that of the last token; other models are told
        to leave it out. Raises ``ValueError`` where the folder's tokenizer cannot be read.
        """
        tokens = self.tokenizer()(
            prompts, padding="max_length", truncation=True, max_length=self.n_tokens, return_tensors="pt"
        )
        if self.is_filling_read:
            tokens.pop("attention_mask", None)
        return _pooled(self.model.get_text_features(**tokens.to(self.device)))  # type: ignore[operator]  # transformers'


def build(values: Mapping[str, Any], weights: str, device: str) -> Vision:
    """Build the model of a folder; nothing is downloaded, and no code that lies in the folder is run.

    Raises:
        ValueError: a folder that transformers cannot read, or whose ``preprocessor_config.json`` cannot be followed.
    """
    folder = Path(weights)
    preprocessing = _preprocessing(folder)
    try:
        model = transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} holds no model that transformers can read: {error}") from error
    model = model.to(device).eval()
    if not hasattr(model, "get_text_features"):
        return Vision(model, preprocessing, device)
    n_tokens = model.config.text_config.max_position_embeddings
    is_filling_read = model.config.model_type in ("siglip", "siglip2")
    return VisionAndText(model, preprocessing, device, cache(partial(_tokenizer, folder)), n_tokens, is_filling_read)


def _tokenizer(folder: Path) -> Any:
    try:
        return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(
            f"{folder} holds no tokenizer that transformers can read: {error} (pip install 'vgbench[clip]' brings "
            "sentencepiece and protobuf)"
        ) from error


def _pooled(output: Any) -> Tensor:
    """Return the features of a model's output: itself, its pooled output, or its first token."""
    if isinstance(output, Tensor):
        return output
    pooled: Tensor | None = getattr(output, "pooler_output", None)
    return output.last_hidden_state[:, 0] if pooled is None else pooled.flatten(1)


def _preprocessing(folder: Path) -> Preprocessing:
    path = folder / PREPROCESSOR_FILE
    try:
        config = json.loads(path.read_text())
        size, mean, std = config["size"], config["image_mean"], config["image_std"]
        interpolation = FILTERS[config["resample"]]
        is_shown_as_usual = abs(config.get("rescale_factor", 1 / 255) * 255 - 1) < 1e-3
        if config.get("do_center_crop"):
            crop, input_px = "center", _square(config["crop_size"])
            resize_px = size if isinstance(size, int) else size["shortest_edge"]
        else:
            crop, input_px, resize_px = "squash", _square(size), None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not say how images are shown: {error!r}") from error
    if not is_shown_as_usual:
        raise ValueError(f"{path}: rescale_factor is {config['rescale_factor']}, and only 1/255 is supported")
    return Preprocessing(input_px, tuple(mean), tuple(std), crop, interpolation, resize_px)  # type: ignore[arg-type]  # checked there


def _square(size: Any) -> int:
    if isinstance(size, int):
        return size
    if size["height"] != size["width"]:
        raise ValueError(f"{size} is no square")
    return int(size["height"])
