"""Models of timm: a checkpoint and its architecture's name, or a folder in the layout of timm's own repositories."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from timm.data.config import resolve_data_config
from timm.models import load_state_dict
from torch import Tensor, nn

from vgbench.decoding import Preprocessing
from vgbench.errors import nearest

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
AUXILIARY = "AuxLogits."  # torchvision's Inception-v3 was trained with a second classifier, which no feature reads


@dataclass(frozen=True, slots=True)
class Pooled:
    """A network in evaluation mode; a feature is what its classifier would have seen (``pre_logits``)."""

    model: nn.Module
    preprocessing: Preprocessing

    def images(self, pixels: Tensor) -> Tensor:
        """Turn (B, 3, P, P) uint8 into (B, D)."""
        model = self.model
        seen = model.forward_features(self.preprocessing.normalised(pixels))  # type: ignore[operator]  # timm's
        features: Tensor = model.forward_head(seen, pre_logits=True)  # type: ignore[operator]  # timm's
        return features


def build(values: Mapping[str, Any], weights: str, device: str) -> Pooled:
    """Build ``arch`` (or the folder's own) from a checkpoint, read without running any code in it.

    Preprocessing is the folder's ``pretrained_cfg``, or what timm declares for the architecture.

    Raises:
        ValueError: an architecture that timm does not have; weights that are not its; a preprocessing that cannot be
            followed.
    """
    path, arch, declared = Path(weights), str(values.get("arch", "")), None
    if path.is_dir():
        try:
            config = json.loads((path / CONFIG_FILE).read_text())
            arch, declared = arch or config["architecture"], config["pretrained_cfg"]
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{path} is no folder of timm: {CONFIG_FILE} cannot be read: {error!r}") from error
        path = path / WEIGHTS_FILE
    if not arch:
        raise ValueError(f"{path.name} does not say which architecture it is of: timm:ARCH@FILE")
    known = timm.list_models()
    if arch not in known:
        known += timm.list_pretrained()  # with a tag, which says how images are shown: inception_v3.gluon_in1k
    if arch not in known:
        close = nearest(arch, known)
        raise ValueError(f"timm has no architecture {arch!r}" + (f"; did you mean {close!r}?" if close else ""))
    model: nn.Module = timm.create_model(arch, pretrained=False, num_classes=0)
    default: Any = model.pretrained_cfg
    unread = (f"{(declared or default).get('classifier') or 'head'}.", AUXILIARY)
    try:
        state = load_state_dict(str(path), device="cpu", weights_only=True)
        model.load_state_dict({name: value for name, value in state.items() if not name.startswith(unread)})
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path.name} holds no weights of {arch}: {error}") from error
    shown = resolve_data_config({}, pretrained_cfg=declared, model=model)  # type: ignore[no-untyped-call]  # timm's
    return Pooled(model.to(device).eval(), _preprocessing(shown))


def _preprocessing(shown: Mapping[str, Any]) -> Preprocessing:
    channels, height, width = shown["input_size"]
    modes = {"center": "center", "squash": "squash"}
    if channels != 3 or height != width or shown["crop_mode"] not in modes:
        raise ValueError(f"preprocessing {dict(shown)} is neither a centre crop nor a squash to a square of RGB")
    crop = modes[shown["crop_mode"]]
    resize_px = int(height / shown["crop_pct"]) if crop == "center" else None  # timm's own rounding: down
    mean, std = (tuple(float(value) for value in shown[name]) for name in ("mean", "std"))
    return Preprocessing(height, mean, std, crop, shown["interpolation"], resize_px)  # type: ignore[arg-type]  # checked there
