"""A network in training: an optimiser step, the average of its weights, and the checkpoint that a kill leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from timm.loss.cross_entropy import SoftTargetCrossEntropy
from timm.optim import (  # type: ignore[attr-defined]  # exported, but not by timm's `__all__`
    param_groups_layer_decay,
    param_groups_weight_decay,
)
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.nn import functional

from vgbench.steps import checkpoints
from vgbench.steps.predict import DTYPES
from vgbench.steps.ranks import Ranks
from vgbench.steps.recipe import Recipe
from vgbench.steps.schedule import derived_seed, ema_decay, learning_rate

LOSS_CHECK_STEPS = 50  # reading a loss waits for the device, so it is read this seldom
ALONE = Ranks()


def build_optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Build AdamW; norms, biases and what the architecture names (position embeddings) do not decay, as in timm.

    With ``layer_decay`` each group has a ``lr_scale``, that of its layer (timm; BEiT, Bao et al. 2022).
    """
    named = getattr(model, "no_weight_decay", None)
    exempt = named() if callable(named) else ()
    if recipe.layer_decay == 1.0:
        groups = param_groups_weight_decay(model, recipe.weight_decay, no_weight_decay_list=exempt)
    else:
        groups = param_groups_layer_decay(
            model, recipe.weight_decay, no_weight_decay_list=exempt, layer_decay=recipe.layer_decay
        )
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=(recipe.betas[0], recipe.betas[1]), fused=True)


class Training:
    """A model in training, its average and its optimiser, ``step`` optimiser steps on: what a checkpoint holds."""

    def __init__(self, model: nn.Module, recipe: Recipe, *, steps: int, ranks: Ranks = ALONE) -> None:
        self.model, self.recipe, self.steps, self.ranks, self.step = model, recipe, steps, ranks, 0
        self.forward: Callable[[Tensor], Tensor] = torch.compile(model) if recipe.compile else model
        self.optimiser = build_optimiser(model, recipe)
        self.decay = ema_decay(recipe.ema_horizon, steps) if recipe.ema_decay is None else recipe.ema_decay
        self.average = ModelEmaV3(model, decay=self.decay)
        self.live = model.state_dict()  # views that follow the model
        self.ema: dict[str, Tensor] = self.average.module.state_dict()
        self.soft = SoftTargetCrossEntropy()  # type: ignore[no-untyped-call]  # timm leaves it untyped
        self.loss = float("nan")
        self._unread: list[Tensor] = []

    def advance(self, parts: Iterable[tuple[Tensor, Tensor]], *, seed: int) -> None:
        """Take one optimiser step on this process's micro-batches.

        Each is normalised images (M, C, P, P) float32 with labels (M,) int64 or, mixed and smoothed, (M, C) float32.
        """
        recipe = self.recipe
        rate = learning_rate(
            self.step, self.steps, lr=recipe.lr, min_lr=recipe.min_lr, warmup_fraction=recipe.warmup_fraction
        )
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        self.optimiser.zero_grad()
        losses = []
        for number, (images, truth) in enumerate(parts, self.ranks.share(recipe.n_micro_batches).start):
            # Each micro-batch anew: nothing to save on a kill, and whoever computes it draws the same.
            torch.manual_seed(derived_seed(seed, f"drop-path/{self.step}" + (f"/{number}" if number else "")))
            losses.append(self._backward(images, truth))
        total = torch.stack(losses).sum()
        self.ranks.add_up(self.model, total)
        self.optimiser.step()
        self.step += 1
        # As timm's own training does: at a stated decay the first average is the first step's weights.
        self.average.update(self.model, None if recipe.ema_decay is None else self.step)
        self._unread.append(total)
        if len(self._unread) >= LOSS_CHECK_STEPS or self.step == self.steps:
            self.check_loss()

    def _backward(self, images: Tensor, truth: Tensor) -> Tensor:
        """Add a micro-batch's gradients; return its part of the step's loss, ()."""
        recipe = self.recipe
        images = images.contiguous(memory_format=torch.channels_last)  # convolutions are 1.3 × as fast, also on a CPU
        with torch.autocast(images.device.type, dtype=DTYPES[recipe.dtype], enabled=recipe.dtype != "float32"):
            logits = self.forward(images).float()
        if truth.is_floating_point():
            loss: Tensor = self.soft(logits, truth)
        else:
            loss = functional.cross_entropy(logits, truth, label_smoothing=recipe.label_smoothing)
        loss = loss * (recipe.micro_batch / recipe.batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return loss.detach()

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

    def save(self, scratch: Path, *, reads: str) -> None:
        """Write a checkpoint; ``reads`` names what is trained on (`checkpoints.files_of`)."""
        self.check_loss()
        state = self.optimiser.state_dict()["state"]
        tensors = {f"model/{name}": tensor for name, tensor in self.live.items()}
        tensors |= {f"ema/{name}": tensor for name, tensor in self.ema.items()}
        tensors |= {f"optimiser/{i}/{key}": value for i, entry in state.items() for key, value in entry.items()}
        checkpoints.save(scratch, self.step, tensors, {"loss": self.loss}, reads=reads)

    def resume(self, scratch: Path, *, reads: str) -> None:
        """Go on from the checkpoint in ``scratch``, if there is one of a training on the same."""
        found = checkpoints.load(scratch, reads=reads)
        if found is None:
            return
        tensors, record = found
        self.step, self.loss = record["step"], record["loss"]
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
