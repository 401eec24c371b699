"""Train a backbone from scratch on a training copy, by a named recipe: the one step that every recipe uses."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from timm.optim import param_groups_weight_decay  # type: ignore[attr-defined]  # exported, but not by timm's `__all__`
from torch import Tensor, nn
from torch.nn import functional

from vgbench.images import Pack
from vgbench.steps.predict import (
    DTYPES,
    META_FILE,
    WEIGHTS_FILE,
    Pixels,
    Preprocessing,
    build_model,
    torch_settings,
)
from vgbench.steps.schedule import Batch, batches, derived_seed, ema_decay, learning_rate, n_steps, permutation
from vgbench.types import Made, Part, Step

LOSS_CHECK_STEPS = 50  # reading a loss waits for the device, so it is read this seldom


# ── The recipe ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of a training recipe; all must be given, so that all are in the key.

    ``batch`` samples an optimiser step, made of micro-batches of ``micro_batch``; ``lr`` the highest, ``min_lr`` the
    last learning rate; ``weight_decay``, ``betas`` of AdamW; ``warmup_fraction`` of the steps; ``ema_horizon`` the
    fraction of the steps that the saved weights average over (0: none); ``drop_path`` the last block's rate;
    ``dtype`` of the forward pass, float32 or bfloat16 (weights stay float32); ``threads`` of the CPU;
    ``shift_px`` of zero padding round the image before a random crop; ``flip`` left to right with chance 1/2.
    """

    batch: int
    micro_batch: int
    input_px: int
    in_chans: int
    mean: Sequence[float]
    std: Sequence[float]
    interpolation: str
    lr: float
    min_lr: float
    weight_decay: float
    betas: Sequence[float]
    warmup_fraction: float
    label_smoothing: float
    ema_horizon: float
    drop_path: float
    dtype: str
    threads: int
    shift_px: int
    flip: bool

    def __post_init__(self) -> None:
        if self.batch % self.micro_batch:
            raise ValueError(f"batch {self.batch} is not a multiple of micro_batch {self.micro_batch}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}: it must be one of {', '.join(DTYPES)}")

    @classmethod
    def of(cls, part: Part) -> Recipe:
        """Read a recipe; its ``samples_seen`` is the budget that the graph hands on as the step's own param.

        Raises:
            ValueError: a value that this step does not know or that is missing, by name.
        """
        values = {name: value for name, value in part.values.items() if name != "samples_seen"}
        names = {field.name for field in fields(cls)}
        if extra := sorted(values.keys() - names):
            raise ValueError(f"recipe {part.name!r} asks for what pretrain cannot do: {', '.join(extra)}")
        if missing := sorted(names - values.keys()):
            raise ValueError(f"recipe {part.name!r} does not say: {', '.join(missing)}")
        return cls(**values)


def build_optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Build AdamW; norms, biases and what the architecture names (position embeddings) do not decay, as in timm."""
    named = getattr(model, "no_weight_decay", None)
    exempt = named() if callable(named) else ()
    groups = param_groups_weight_decay(model, recipe.weight_decay, no_weight_decay_list=exempt)
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=(recipe.betas[0], recipe.betas[1]), fused=True)


# ── The run ──────────────────────────────────────────────────────────────────────────────────────


def augment(images: Tensor, batch: Batch, *, shift_px: int) -> Tensor:
    """Crop (B, C, P, P) uint8 out of its zero-padded self at each sample's corner, and flip where the batch says so."""
    if shift_px:
        n, channels, side = images.shape[:3]
        padded = functional.pad(images, (shift_px,) * 4)
        rows, columns = (
            (torch.from_numpy(corner)[:, None] + torch.arange(side)).to(images.device)
            for corner in (batch.top_px, batch.left_px)
        )
        sample = torch.arange(n, device=images.device)[:, None, None, None]
        channel = torch.arange(channels, device=images.device)[:, None, None]
        images = padded[sample, channel, rows[:, None, :, None], columns[:, None, None, :]]
    if batch.is_flipped.any():
        flipped = torch.from_numpy(batch.is_flipped).to(images.device)[:, None, None, None]
        images = torch.where(flipped, images.flip(-1), images)
    return images


class Training:
    """A model in training, its average and its optimiser, ``step`` optimiser steps on: what a checkpoint holds."""

    def __init__(self, model: nn.Module, recipe: Recipe, *, steps: int) -> None:
        self.model, self.recipe, self.steps, self.step = model, recipe, steps, 0
        self.optimiser = build_optimiser(model, recipe)
        self.decay = ema_decay(recipe.ema_horizon, steps)
        self.live = model.state_dict()  # views that follow the model
        self.ema = {name: tensor.clone() for name, tensor in self.live.items()}
        self.loss = float("nan")
        self._unread: list[Tensor] = []

    def advance(self, images: Tensor, labels: Tensor, *, seed: int) -> None:
        """Take one optimiser step on normalised images (batch, C, P, P) float32 and labels (batch,) int64."""
        recipe = self.recipe
        torch.manual_seed(derived_seed(seed, f"drop-path/{self.step}"))  # each step anew: nothing to save on a kill
        rate = learning_rate(
            self.step, self.steps, lr=recipe.lr, min_lr=recipe.min_lr, warmup_fraction=recipe.warmup_fraction
        )
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        total = torch.zeros((), device=images.device)
        share = recipe.micro_batch / recipe.batch
        half = recipe.dtype != "float32"
        images = images.contiguous(memory_format=torch.channels_last)  # convolutions are 1.3 × as fast, also on a CPU
        micro = (torch.split(tensor, recipe.micro_batch) for tensor in (images, labels))
        for part, truth in zip(*micro, strict=True):
            with torch.autocast(images.device.type, dtype=DTYPES[recipe.dtype], enabled=half):
                logits = self.model(part)
            loss = functional.cross_entropy(logits.float(), truth, label_smoothing=recipe.label_smoothing) * share
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            total += loss.detach()
        self.optimiser.step()
        for name, mean in self.ema.items():
            if mean.is_floating_point():
                mean.lerp_(self.live[name], 1 - self.decay)
            else:
                mean.copy_(self.live[name])
        self.step += 1
        self._unread.append(total)
        if len(self._unread) >= LOSS_CHECK_STEPS or self.step == self.steps:
            self.check_loss()

    def check_loss(self) -> None:
        """Read the losses since the last check.

        Raises:
            FloatingPointError: one of them is not finite; the message has its optimiser step, counted from 0.
        """
        values = torch.stack(self._unread).tolist() if self._unread else []
        for step, value in enumerate(values, self.step - len(values)):
            if not np.isfinite(value):
                raise FloatingPointError(f"the training loss is {value} at optimiser step {step} of {self.steps}")
            self.loss = value
        self._unread.clear()

    def save(self, scratch: Path) -> None:
        """Write a checkpoint: the tensors under a new name, then the JSON that points to them, then drop the older."""
        self.check_loss()
        state = self.optimiser.state_dict()["state"]
        tensors = {f"model/{name}": tensor for name, tensor in self.live.items()}
        tensors |= {f"ema/{name}": tensor for name, tensor in self.ema.items()}
        tensors |= {f"optimiser/{i}/{key}": value for i, entry in state.items() for key, value in entry.items()}
        name = f"step-{self.step:08d}.safetensors"
        temporary = scratch / "checkpoint.tmp"
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
        _replace(temporary, scratch / name)
        temporary.write_text(json.dumps({"tensors": name, "step": self.step, "loss": self.loss}))
        _replace(temporary, scratch / "checkpoint.json")
        for old in scratch.glob("step-*.safetensors"):
            if old.name != name:
                old.unlink()

    def resume(self, scratch: Path) -> None:
        """Go on from the checkpoint in ``scratch``, if there is one."""
        if not (scratch / "checkpoint.json").exists():
            return
        record = json.loads((scratch / "checkpoint.json").read_text())
        self.step, self.loss = record["step"], record["loss"]
        tensors = load_file(scratch / record["tensors"])
        weights = [weight for group in self.optimiser.param_groups for weight in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("/")
            if kind == "optimiser":
                index, key = rest.split("/")
                weight = weights[int(index)]
                if tensor.shape == weight.shape:  # AdamW's fused kernel reads both in the order they lie in memory
                    tensor = torch.empty_like(weight).copy_(tensor)
                state.setdefault(int(index), {})[key] = tensor
            else:
                {"model": self.live, "ema": self.ema}[kind][rest].copy_(tensor)
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})


def _replace(temporary: Path, final: Path) -> None:
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(final)


def pretrain(step: Step, *, checkpoint_seconds: float = 30.0) -> Made:
    """Train ``arch`` on the training copy ``images`` and write a backbone: ``weights.safetensors`` and ``meta.json``.

    Params: ``arch``, ``arch_args`` (timm), ``n_classes``, ``recipe`` (a part, see ``Recipe``), ``samples_seen`` (0: the
    untouched initialisation, the control ``random-init``), ``permute_labels`` (a control: labels shuffled once before
    the fit). The weights are the EMA's (assumed: lbGen states an EMA, not which weights it evaluates); they load with
    ``timm.create_model(arch, num_classes=, in_chans=, checkpoint_path=, **arch_args)``. Equal seeds give equal bytes on
    a CPU, also through kills: checkpoints at most every ``checkpoint_seconds`` in ``step.scratch``.

    Raises:
        ValueError: a recipe that this step cannot follow, an unknown architecture, labels outside 0..n_classes-1.
        FloatingPointError: the loss is no longer finite.
    """
    params, part = step.params, step.params["recipe"]
    recipe = Recipe.of(part)
    preprocessing = Preprocessing.of(part.values)
    if step.seed is None:
        raise ValueError("pretrain draws from a seed: its node must name the seed axis 'train'")
    seed = step.seed
    steps = n_steps(params["samples_seen"], recipe.batch)
    n_classes = params["n_classes"]
    with torch_settings(recipe.threads, deterministic=step.device == "cpu"):
        torch.manual_seed(derived_seed(seed, "initialisation"))
        model = build_model(
            params["arch"],
            params["arch_args"],
            n_classes=n_classes,
            in_chans=recipe.in_chans,
            drop_path=recipe.drop_path,
        ).to(step.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        training = Training(model.train(), recipe, steps=steps)
        if steps:
            pack = Pack.open(step.inputs["images"])
            labels = pack.labels
            if labels.min() < 0 or labels.max() >= n_classes:
                raise ValueError(
                    f"labels run from {labels.min()} to {labels.max()}: they must lie in 0..{n_classes - 1}"
                )
            if params["permute_labels"]:
                labels = labels[permutation(len(labels), seed, "permute-labels")]
            _run(training, step, Pixels(pack, preprocessing), labels, seed=seed, checkpoint_seconds=checkpoint_seconds)
    weights = {name: tensor.cpu().contiguous() for name, tensor in training.ema.items()}
    save_file(weights, step.out / WEIGHTS_FILE, metadata={"format": "pt"})
    meta = {
        "arch": params["arch"],
        "arch_args": dict(params["arch_args"]),
        "n_classes": n_classes,
        **asdict(preprocessing),
        "recipe": {"name": part.name, "version": part.version, "values": dict(part.values)},
        "permute_labels": params["permute_labels"],
        "samples_seen": steps * recipe.batch,
        "optimiser_steps": steps,
        "ema_decay": training.decay if steps else None,
        "final_train_loss": training.loss if steps else None,
        "weights_sha256": hashlib.sha256((step.out / WEIGHTS_FILE).read_bytes()).hexdigest(),
    }
    (step.out / META_FILE).write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n")
    return Made(items=steps * recipe.batch)


def _run(
    training: Training, step: Step, pixels: Pixels, labels: NDArray[np.int64], *, seed: int, checkpoint_seconds: float
) -> None:
    recipe = training.recipe
    preprocessing = pixels.preprocessing
    training.resume(step.scratch)
    saved = time.monotonic()
    order = batches(
        len(labels),
        recipe.batch,
        steps=training.steps,
        seed=seed,
        shift_px=recipe.shift_px,
        flip=recipe.flip,
        start=training.step,
    )
    for batch in order:
        images = augment(pixels.take(batch.indices).to(step.device), batch, shift_px=recipe.shift_px)
        truth = torch.from_numpy(labels[batch.indices]).to(step.device)
        training.advance(preprocessing.normalised(images), truth, seed=seed)
        if training.step < training.steps and time.monotonic() - saved >= checkpoint_seconds:
            training.save(step.scratch)
            saved = time.monotonic()
        step.progress(training.step * recipe.batch, training.steps * recipe.batch)
