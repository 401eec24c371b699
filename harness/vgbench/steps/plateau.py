"""Train a network that watches a validation set: the rate falls on a plateau, and the best weights are kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from vgbench.images import Pack
from vgbench.steps import checkpoints
from vgbench.steps.crops import crops, cut
from vgbench.steps.predict import (
    DTYPES,
    META_FILE,
    WEIGHTS_FILE,
    Pixels,
    Preprocessing,
    build_model,
    torch_settings,
)
from vgbench.steps.schedule import Batch, batches, derived_seed, n_steps, permutation
from vgbench.steps.stopping import Rules, Watch
from vgbench.types import Made, Part, Step

LOSS_CHECK_STEPS = 50  # reading a loss waits for the device, so it is read this seldom


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of a recipe that watches a validation set; all must be given, so that all are in the key.

    ``batch`` samples an optimiser step of SGD with ``momentum`` and ``weight_decay`` (of every weight), which begins
    with the rate ``lr``; a validation every ``validate_every`` steps and after the last; ``factor``,
    ``plateau_patience``, ``stop_patience``, ``threshold``: see ``vgbench.steps.stopping.Rules``. ``crop_scale`` and
    ``crop_ratio`` of the random resized crop; ``flip`` left to right with chance 1/2; ``dtype`` of the forward pass;
    ``threads`` of the CPU.
    """

    batch: int
    input_px: int
    in_chans: int
    mean: Sequence[float]
    std: Sequence[float]
    interpolation: str
    lr: float
    momentum: float
    weight_decay: float
    validate_every: int
    factor: float
    plateau_patience: int
    stop_patience: int
    threshold: float
    crop_scale: Sequence[float]
    crop_ratio: Sequence[float]
    flip: bool
    dtype: str
    threads: int

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}: it must be one of {', '.join(DTYPES)}")
        if self.validate_every < 1:
            raise ValueError(f"validate_every is {self.validate_every}: at least one step lies between validations")

    @classmethod
    def of(cls, part: Part) -> Recipe:
        """Read a recipe; its ``samples_seen`` is the most that the graph hands on as the step's own param.

        Raises:
            ValueError: a value that this step does not know or that is missing, by name.
        """
        values = {name: value for name, value in part.values.items() if name != "samples_seen"}
        names = {field.name for field in fields(cls)}
        if extra := sorted(values.keys() - names):
            raise ValueError(
                f"recipe {part.name!r} asks for what a training to a plateau cannot do: {', '.join(extra)}"
            )
        if missing := sorted(names - values.keys()):
            raise ValueError(f"recipe {part.name!r} does not say: {', '.join(missing)}")
        return cls(**values)

    @property
    def rules(self) -> Rules:
        return Rules(self.factor, self.plateau_patience, self.stop_patience, self.threshold)


class Training:
    """A model in training ``step`` steps on, its best weights so far, and what it has seen: what a checkpoint holds."""

    def __init__(self, model: nn.Module, recipe: Recipe, *, steps: int) -> None:
        self.model, self.recipe, self.steps, self.step = model, recipe, steps, 0
        self.weights = list(model.parameters())
        self.optimiser = torch.optim.SGD(
            self.weights, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.watch = Watch(recipe.lr)
        self.live = model.state_dict()  # views that follow the model
        self.best = {name: tensor.clone() for name, tensor in self.live.items()}
        self.history: list[dict[str, Any]] = []  # one {step, value, lr} for each validation
        self._unread: list[Tensor] = []

    @property
    def is_over(self) -> bool:
        return self.step == self.steps or self.watch.is_over(self.recipe.rules)

    @property
    def best_step(self) -> int:
        """The step of the best validation, the first of equals; 0 where there was none."""
        best = max(self.history, key=lambda one: one["value"], default={"step": 0})  # `max` returns the first of equals
        return int(best["step"])

    def advance(self, images: Tensor, labels: Tensor, *, seed: int) -> None:
        """Take one optimiser step on normalised images (batch, C, P, P) float32 and labels (batch,) int64.

        Raises:
            FloatingPointError: a loss since the last check is not finite.
        """
        torch.manual_seed(derived_seed(seed, f"dropout/{self.step}"))  # each step anew: nothing to save on a kill
        for group in self.optimiser.param_groups:
            group["lr"] = self.watch.lr
        self.optimiser.zero_grad()
        dtype = self.recipe.dtype
        with torch.autocast(images.device.type, dtype=DTYPES[dtype], enabled=dtype != "float32"):
            logits = self.model(images.contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.optimiser.step()
        self.step += 1
        self._unread.append(loss.detach())
        if len(self._unread) >= LOSS_CHECK_STEPS:
            self.check_loss()

    def check_loss(self) -> None:
        """Read the losses since the last check; ``FloatingPointError`` names the step of one that is not finite."""
        values = torch.stack(self._unread).tolist() if self._unread else []
        for step, value in enumerate(values, self.step - len(values)):
            if not np.isfinite(value):
                raise FloatingPointError(f"the training loss is {value} at optimiser step {step} of {self.steps}")
        self._unread.clear()

    def validated(self, value: float) -> None:
        """Take note of a validation's top-1: keep the weights if it is the best so far, and follow the rules."""
        if all(value > one["value"] for one in self.history):
            for name, tensor in self.best.items():
                tensor.copy_(self.live[name])
        self.history.append({"step": self.step, "value": value, "lr": self.watch.lr})
        self.watch = self.watch.seen(value, self.recipe.rules)

    def save(self, scratch: Path, *, reads: str) -> None:
        self.check_loss()
        tensors = {f"model/{name}": tensor for name, tensor in self.live.items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        for i, weight in enumerate(self.weights):
            momentum = self.optimiser.state[weight].get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum/{i}"] = momentum
        checkpoints.save(
            scratch, self.step, tensors, {"watch": self.watch.record(), "history": self.history}, reads=reads
        )

    def resume(self, scratch: Path, *, reads: str) -> None:
        """Go on from the checkpoint in ``scratch``, if there is one of a training on the same."""
        found = checkpoints.load(scratch, reads=reads)
        if found is None:
            return
        tensors, record = found
        self.step, self.watch, self.history = record["step"], Watch(**record["watch"]), record["history"]
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("/")
            if kind == "momentum":
                weight = self.weights[int(rest)]
                self.optimiser.state[weight]["momentum_buffer"] = torch.empty_like(weight).copy_(tensor)
            else:
                {"model": self.live, "best": self.best}[kind][rest].copy_(tensor)


def train(step: Step, *, checkpoint_seconds: float = 30.0) -> Made:
    """Train ``arch`` on the training copy ``images`` until ``val`` stops improving; write a backbone as pretrain does.

    Params: ``arch``, ``arch_args`` (timm), ``n_classes``, ``recipe`` (a part, see ``Recipe``), ``store_px`` (the side
    of the training copy, which crops are cut out of), ``samples_seen`` (at most; 0: the untouched initialisation),
    ``permute_labels`` (a control: training labels shuffled once before the fit, validation labels left alone). The
    weights are those of the best validation top-1, the first of equals. ``meta.json`` holds every validation. Equal
    seeds give equal bytes on a CPU, also through kills.

    Raises:
        ValueError: a recipe that this step cannot follow, an unknown architecture, labels outside 0..n_classes-1.
        FloatingPointError: the loss is no longer finite.
    """
    params, part = step.params, step.params["recipe"]
    recipe, preprocessing = Recipe.of(part), Preprocessing.of(part.values)
    if step.seed is None:
        raise ValueError("a training draws from a seed: its node must name the seed axis 'train'")
    rules, steps = recipe.rules, n_steps(params["samples_seen"], recipe.batch)
    with torch_settings(recipe.threads, deterministic=step.device == "cpu"):
        torch.manual_seed(derived_seed(step.seed, "initialisation"))
        model = build_model(
            params["arch"], params["arch_args"], n_classes=params["n_classes"], in_chans=recipe.in_chans
        ).to(step.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        training = Training(model.train(), recipe, steps=steps)
        if steps:
            _run(training, step, preprocessing, checkpoint_seconds=checkpoint_seconds)
    weights = {name: tensor.cpu().contiguous() for name, tensor in training.best.items()}
    save_file(weights, step.out / WEIGHTS_FILE, metadata={"format": "pt"})
    meta = {
        "arch": params["arch"],
        "arch_args": dict(params["arch_args"]),
        "n_classes": params["n_classes"],
        **asdict(preprocessing),
        "recipe": {"name": part.name, "version": part.version, "values": dict(part.values)},
        "permute_labels": params["permute_labels"],
        "samples_seen": training.step * recipe.batch,
        "optimiser_steps": training.step,
        "max_steps": steps,
        "stopped_early": training.watch.is_over(rules),
        "best_step": training.best_step,
        "validations": training.history,
        "weights_sha256": hashlib.sha256((step.out / WEIGHTS_FILE).read_bytes()).hexdigest(),
    }
    (step.out / META_FILE).write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n")
    return Made(items=training.step * recipe.batch)


def _run(training: Training, step: Step, preprocessing: Preprocessing, *, checkpoint_seconds: float) -> None:
    recipe, seed, n_classes = training.recipe, step.seed, step.params["n_classes"]
    assert seed is not None
    pack, val = Pack.open(step.inputs["images"]), Pack.open(step.inputs["val"])
    for name, copy in (("training", pack), ("validation", val)):
        if copy.labels.min() < 0 or copy.labels.max() >= n_classes:
            raise ValueError(
                f"{name} labels run from {copy.labels.min()} to {copy.labels.max()}: must lie in 0..{n_classes - 1}"
            )
    labels = pack.labels
    if step.params["permute_labels"]:
        labels = labels[permutation(len(labels), seed, "permute-labels")]
    stored = Pixels(pack, replace(preprocessing, input_px=step.params["store_px"]))
    shown = Pixels(val, preprocessing)
    reads = checkpoints.files_of(step.inputs["images"], step.inputs["val"])
    training.resume(step.scratch, reads=reads)
    saved = time.monotonic()
    order = batches(len(labels), recipe.batch, steps=training.steps, seed=seed, flip=recipe.flip, start=training.step)
    while not training.is_over:
        batch = next(order)
        epochs = (training.step * recipe.batch + np.arange(recipe.batch)) // len(labels)
        images = augmented(stored, batch, epochs, recipe=recipe, step=step)
        truth = torch.from_numpy(labels[batch.indices]).to(step.device)
        training.advance(preprocessing.normalised(images), truth, seed=seed)
        if training.step % recipe.validate_every == 0 or training.step == training.steps:
            training.check_loss()
            training.validated(top1(training, shown, val.labels, step=step))
        if not training.is_over and time.monotonic() - saved >= checkpoint_seconds:
            training.save(step.scratch, reads=reads)
            saved = time.monotonic()
        step.progress(training.step * recipe.batch, training.steps * recipe.batch)


def augmented(stored: Pixels, batch: Batch, epochs: NDArray[np.int64], *, recipe: Recipe, step: Step) -> Tensor:
    """Return a batch's images cut and flipped, (B, C, P, P) uint8; ``epochs`` (B,) is the one of each sample."""
    seed, side_px = step.seed, stored.preprocessing.input_px
    assert seed is not None
    (low, high), (narrow, wide) = recipe.crop_scale, recipe.crop_ratio
    found = crops(batch.indices, epochs, side_px=side_px, seed=seed, scale=(low, high), ratio=(narrow, wide))
    images = cut(stored.take(batch.indices).to(step.device), found, size_px=recipe.input_px)
    flipped = torch.from_numpy(batch.is_flipped).to(step.device)[:, None, None, None]
    return torch.where(flipped, images.flip(-1), images)


def top1(training: Training, shown: Pixels, labels: NDArray[np.int64], *, step: Step) -> float:
    """Return the share of a validation set whose highest score is right.

    The last batch is filled up with copies of its last image: kernels round by batch shape, so every batch has one.
    """
    recipe, n = training.recipe, len(labels)
    right = torch.zeros((), dtype=torch.int64, device=step.device)
    training.model.eval()
    with torch.inference_mode():
        for start in range(0, n, recipe.batch):
            indices = np.minimum(np.arange(start, start + recipe.batch), n - 1)
            images = shown.preprocessing.normalised(shown.take(indices).to(step.device))
            with torch.autocast(images.device.type, dtype=DTYPES[recipe.dtype], enabled=recipe.dtype != "float32"):
                logits = training.model(images.contiguous(memory_format=torch.channels_last))
            truth = torch.from_numpy(labels[indices]).to(step.device)
            right += (logits.argmax(dim=1) == truth)[: n - start].sum()
    training.model.train()
    return int(right) / n
