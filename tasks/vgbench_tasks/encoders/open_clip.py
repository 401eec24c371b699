"""CLIP models of open_clip: a folder in its own layout, or a checkpoint whose architecture and tag are named."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
from torch import Tensor, nn

from vgbench.decoding import Preprocessing
from vgbench.errors import nearest

CONFIG_FILE = "open_clip_config.json"


@dataclass(frozen=True, slots=True)
class Clip:
    """A CLIP model in evaluation mode: image and text features in one space, not normalised."""

    model: nn.Module
    tokenize: Callable[[list[str]], Tensor]
    preprocessing: Preprocessing
    device: str

    def images(self, pixels: Tensor) -> Tensor:
        """Turn (B, 3, P, P) uint8 into (B, D)."""
        features: Tensor = self.model.encode_image(self.preprocessing.normalised(pixels))  # type: ignore[operator]  # open_clip's
        return features

    def texts(self, prompts: list[str]) -> Tensor:
        """Turn B prompts into (B, D)."""
        features: Tensor = self.model.encode_text(self.tokenize(prompts).to(self.device))  # type: ignore[operator]  # open_clip's
        return features


def build(values: Mapping[str, Any], weights: str, device: str) -> Clip:
    """Build the model of a folder (open_clip's ``local-dir:`` layout), or of a file and ``arch`` (``ARCH/PRETRAINED``).

    The folder's ``preprocess_cfg``, or the tag's, says what the network is shown.

    Raises:
        ValueError: an architecture or tag that open_clip does not have; a folder without configuration or weights;
            weights trained with QuickGELU for a network without it, or the reverse (open_clip issue 771).
    """
    arch, _, tag = str(values.get("arch", "")).partition("/")
    tag = values.get("pretrained", tag)
    path = Path(weights)
    if path.is_dir():
        name, pretrained, forced = f"local-dir:{path}", None, None
        config = _config(path)
        if tag:
            _refuse_other_gelu(f"{path.name}/{CONFIG_FILE}", config, arch, tag)
    else:
        name, pretrained = arch, str(path)
        config = _architecture(arch, path)
        forced = _tag(arch, tag)
        _refuse_other_gelu(arch, config, arch, tag)
    model = open_clip.create_model(
        name,
        pretrained=pretrained,
        require_pretrained=True,
        device=device,
        force_preprocess_cfg=forced,
        pretrained_text=False,
    )
    return Clip(model.eval(), open_clip.get_tokenizer(name), _preprocessing(model), device)


def _config(folder: Path) -> Mapping[str, Any]:
    try:
        config: Mapping[str, Any] = json.loads((folder / CONFIG_FILE).read_text())["model_cfg"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} is no folder of open_clip: {CONFIG_FILE} cannot be read: {error!r}") from error
    if not any(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} holds no weights: open_clip_model.safetensors is expected there")
    return config


def _architecture(arch: str, path: Path) -> Mapping[str, Any]:
    config: Mapping[str, Any] | None = open_clip.get_model_config(arch) if arch else None
    if config is None:
        known = {name.lower(): name for name in open_clip.list_models()}
        close = nearest(arch, known)
        hint = f"; did you mean {known[close]!r}?" if close else ""
        raise ValueError(f"{path.name} is a file, and open_clip has no architecture {arch!r} to read it with{hint}")
    return config


def _tag(arch: str, tag: str) -> dict[str, Any]:
    """Return what open_clip's table says of weights: their preprocessing among it."""
    found: dict[str, Any] = open_clip.get_pretrained_cfg(arch, tag) if tag else {}
    if not found:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(arch))
        raise ValueError(
            f"{arch}: no weights of open_clip are called {tag!r}, so nobody says how images are shown: {tags}"
        )
    return {key: found[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in found}


def _refuse_other_gelu(what: str, config: Mapping[str, Any], arch: str, tag: str) -> None:
    has = bool(config.get("quick_gelu", False))
    wants = bool((open_clip.get_pretrained_cfg(arch, tag) or {}).get("quick_gelu", False))
    if has != wants:
        names = {True: "QuickGELU", False: "GELU"}
        raise ValueError(
            f"{what} is a network with {names[has]}, and the weights {tag!r} were trained with {names[wants]}: "
            f"its features would be wrong without an error; choose the architecture "
            f"{arch.removesuffix('-quickgelu')}{'-quickgelu' if wants else ''}"
        )


def _preprocessing(model: nn.Module) -> Preprocessing:
    config = open_clip.get_model_preprocess_cfg(model)
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    modes = {"shortest": "center", "squash": "squash"}
    if height != width or config["mode"] != "RGB" or config["resize_mode"] not in modes:
        raise ValueError(f"preprocessing {config} is neither a centre crop nor a squash to a square of RGB")
    mean, std = (tuple(float(value) for value in config[name]) for name in ("mean", "std"))
    return Preprocessing(height, mean, std, modes[config["resize_mode"]], config["interpolation"])  # type: ignore[arg-type]  # checked there
