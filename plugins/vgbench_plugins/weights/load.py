"""Turn a user's checkpoint into a backbone artifact, or say key by key why it is not one of that architecture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file, save_file
from timm.data.config import resolve_data_config
from torch import Tensor, nn

from vgbench import Made, Step
from vgbench.errors import nearest
from vgbench_plugins.weights.torchvision import timms_names

PREFIXES = ("module.", "model_ema.", "model.", "_orig_mod.", "backbone.")  # DDP, EMA, lightning, torch.compile, mm*
NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")  # where training scripts put the weights; EMA first
HEADS = ("head.fc.weight", "head.weight", "fc.weight", "classifier.weight")
SHOWN = 8


def load(step: Step) -> Made:
    """Write ``weights.safetensors`` and ``meta.json`` of ``arch`` from the file ``checkpoint``.

    Prefixes that training scripts add are stripped; the head's size is read from the file. Raises ``ValueError`` for
    an architecture timm does not have, for a mismatch (the keys that are missing, unknown or of another shape), and for
    a head of another size than ``n_classes``, where that was said.
    """
    arch: str = step.params["arch"]
    if not timm.is_model(arch):
        close = nearest(arch, timm.list_models())
        raise ValueError(f"timm has no architecture {arch!r}" + (f"; did you mean {close!r}?" if close else ""))
    state = timms_names(state_dict(Path(step.params["checkpoint"].path)))
    n_classes = next((state[name].shape[0] for name in HEADS if name in state), 0)
    told = step.params.get("n_classes", n_classes)
    if told != n_classes:
        raise ValueError(f"the checkpoint's head has {n_classes} classes, the class list that was named has {told}")
    model: nn.Module = timm.create_model(arch, pretrained=False, num_classes=n_classes)
    wrong = mismatches(model.state_dict(), state)
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ValueError(f"the checkpoint is no {arch}: {'; '.join(wrong[:SHOWN])}{more}")
    model.load_state_dict(state)
    return write(step, model, arch, n_classes)


def initialise(step: Step) -> Made:
    """Write an architecture's initialisation; the seed is the train axis's."""
    torch.manual_seed(step.seed or 0)
    arch: str = step.params["arch"]
    if not timm.is_model(arch):
        raise ValueError(f"timm has no architecture {arch!r}")
    return write(step, timm.create_model(arch, pretrained=False, num_classes=0), arch, 0)


def write(step: Step, model: nn.Module, arch: str, n_classes: int) -> Made:
    """Write a model with the preprocessing that timm declares for its architecture."""
    config = resolve_data_config({}, model=model)  # type: ignore[no-untyped-call]  # timm leaves it untyped
    save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()}, step.out / "weights.safetensors"
    )
    meta = {
        "arch": arch,
        "arch_args": {},
        "n_classes": n_classes,
        "input_px": config["input_size"][1],
        "in_chans": config["input_size"][0],
        "mean": list(config["mean"]),
        "std": list(config["std"]),
        "interpolation": config["interpolation"],
        "weights_sha256": hashlib.sha256((step.out / "weights.safetensors").read_bytes()).hexdigest(),
    }
    (step.out / "meta.json").write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n")
    return Made(1)


def state_dict(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint without running any code in it, unnested and without prefixes."""
    if path.suffix == ".safetensors":
        found: Any = load_file(path)
    else:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ValueError(f"{path.name} is not a checkpoint that can be read safely: {error}") from error
    while isinstance(found, Mapping) and (
        inner := next((k for k in NESTED if isinstance(found.get(k), Mapping)), None)
    ):
        found = found[inner]
    if not isinstance(found, Mapping) or not any(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{path.name} holds no tensors by name")
    state = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    for prefix in PREFIXES * 2:  # they come nested: module.model.
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def mismatches(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Return what is wrong, key by key: missing, unknown, another shape."""
    wrong = [f"missing {name}" for name in expected if name not in found]
    wrong += [f"unknown {name}" for name in found if name not in expected]
    wrong += [
        f"{name} is {tuple(found[name].shape)}, expected {tuple(value.shape)}"
        for name, value in expected.items()
        if name in found and found[name].shape != value.shape
    ]
    return wrong
