"""``vgbench bench pretrain``: training from a training copy, against the same step on tensors that lie in memory.

Both sides take the same optimiser steps of lbGen's Table 5 with ResNet-50. One decodes, crops and augments its images
in processes beside it, erases and mixes; the other is timm's parts on tensors that are normalised already: model,
Mixup, loss, AdamW, average. The ratio says what loading costs: 1 if it is wholly hidden.

On a CPU two processes share two cores: one trains, on one thread, one makes images. With less than two free cores they
wait for each other, and ``cores`` says so (see `embed`); ``images_per_second`` is what the loader makes alone. A round
begins with nothing made ahead.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.data.mixup import Mixup
from timm.loss.cross_entropy import SoftTargetCrossEntropy
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn

from vgbench.bench.embed import free_cores
from vgbench.bench.photos import photo
from vgbench.bench.speed import Measured, interleaved, load, versions
from vgbench.images import encode_png, write_pack
from vgbench.steps.augmentation import Augmentation
from vgbench.steps.loading import Loader, loader
from vgbench.steps.loading import free_cores as free_processes
from vgbench.steps.predict import DTYPES, Preprocessing, build_model
from vgbench.steps.ranks import Ranks
from vgbench.steps.recipe import Recipe
from vgbench.steps.schedule import batches, micro_batches
from vgbench.steps.training import Training, build_optimiser
from vgbench.types import Artifact

# The values of the recipe `lbgen-table5` (tasks/vgbench_tasks/recipes/imagenet.py) that take time.
TABLE_5: dict[str, Any] = {
    "batch": 2048,
    "micro_batch": 256,
    "input_px": 224,
    "in_chans": 3,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "interpolation": "bicubic",
    "lr": 1e-3,
    "min_lr": 1e-6,
    "weight_decay": 0.05,
    "betas": [0.9, 0.999],
    "warmup_fraction": 0.1,
    "label_smoothing": 0.1,
    "ema_horizon": 0.0,
    "ema_decay": 0.9999,
    "drop_path": 0.1,
    "dtype": "bfloat16",
    "threads": 1,
    "shift_px": 0,
    "flip": True,
    "crop_scale": [0.08, 1.0],
    "auto_augment": "rand-m9-mstd0.5-inc1",
    "random_erasing": 0.25,
    "mixup": 0.8,
    "cutmix": 1.0,
}
ON_CPU = {"batch": 4, "micro_batch": 4, "dtype": "float32"}  # ours: a step of about a second
N_CLASSES = 1000
N_PHOTOS = 256  # of `store_px`: shown over and over, which makes no loader faster
STORE_PX = 256
STEPS = {"cpu": 6, "cuda": 3}  # in a round: enough that waiting for the first images does not show
GOALS = {"cpu": 0.9, "cuda": 0.7}  # the issue's
ROUNDS = 5


def measure() -> list[Measured]:
    """Time loading alone, training in memory, and the step's own loop over both; on the GPU if there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    recipe = Recipe(**TABLE_5 | (ON_CPU if device == "cpu" else {}))
    torch.set_num_threads(recipe.threads)
    return [compared(recipe, "resnet50", device=device, steps=STEPS[device], n=N_PHOTOS)]


def compared(recipe: Recipe, arch: str, *, device: str, steps: int, n: int) -> Measured:
    """Take ``steps`` optimiser steps a round, from a training copy of n photographs and from memory."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        write_pack(scratch, [(str(i), i % N_CLASSES, encode_png(photo(i, STORE_PX))) for i in range(n)])
        return _compared(recipe, arch, Artifact("", (scratch,)), scratch, device=device, steps=steps, n=n)


def _compared(
    recipe: Recipe, arch: str, images: Artifact, scratch: Path, *, device: str, steps: int, n: int
) -> Measured:
    preprocessing = Preprocessing.of(asdict(recipe))
    source = loader(images, recipe, preprocessing, n=n, scratch=scratch, ranks=Ranks(), pin=device != "cpu")
    whole = FromPack(recipe, arch, source, preprocessing, n=n, device=device)
    bare = InMemory(recipe, arch, device=device)
    began, cores = load(), free_cores()

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def timed(take: Any) -> Any:
        def call() -> None:
            take(steps)
            wait()

        return call

    medians = interleaved(
        {"loading": timed(whole.load), "in memory": timed(bare.train), "from the pack": timed(whole.train)},
        rounds=ROUNDS,
    )
    shown, beside = steps * recipe.batch, free_processes(recipe.threads)
    return Measured(
        f"pretrain/{arch}",
        medians["in memory"] / medians["from the pack"],
        GOALS[device],
        is_limit=False,
        n=ROUNDS,
        medians=medians,
        threads={"loading": beside, "in memory": recipe.threads, "from the pack": recipe.threads + beside},
        load=began,
        facts={
            "cores": min(cores, free_cores()),
            "images_per_second": shown / medians["loading"],
            "images_per_second_needed": shown / medians["in memory"],
        },
        versions=versions("torch", "timm", "pillow"),
    )


def network(recipe: Recipe, arch: str, device: str) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(arch, {}, n_classes=N_CLASSES, in_chans=recipe.in_chans, drop_path=recipe.drop_path).train()
    moved: nn.Module = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    return moved


class FromPack:
    """The pretrain step's own parts, in its own loop."""

    def __init__(
        self, recipe: Recipe, arch: str, source: Loader, preprocessing: Preprocessing, *, n: int, device: str
    ) -> None:
        self.recipe, self.source, self.n = recipe, source, n
        self.training = Training(network(recipe, arch, device), recipe, steps=1_000_000)
        self.augmentation = Augmentation(recipe, preprocessing, n_classes=N_CLASSES, seed=0, device=device)
        self.labels = np.arange(n) % N_CLASSES

    def pixels(self, steps: int) -> Iterator[Any]:
        order = batches(self.n, self.recipe.batch, steps=steps, seed=0)
        numbers = range(self.recipe.n_micro_batches)
        yield from self.source.load(micro_batches(order, numbers, size=self.recipe.micro_batch))

    def load(self, steps: int) -> None:
        for _ in self.pixels(steps):
            pass

    def train(self, steps: int) -> None:
        parts = (self.augmentation(m, pixels, self.labels[m.samples.indices]) for m, pixels in self.pixels(steps))
        for _ in range(steps):
            self.training.advance(islice(parts, self.recipe.n_micro_batches), seed=0)
        for _ in parts:  # ends the loader's round
            pass


class InMemory:
    """A plain training loop of timm's parts on one micro-batch that lies on the device, normalised."""

    def __init__(self, recipe: Recipe, arch: str, *, device: str) -> None:
        self.recipe, self.device = recipe, device
        self.model = network(recipe, arch, device)
        self.optimiser = build_optimiser(self.model, recipe)
        self.average = ModelEmaV3(self.model, decay=0.9999)
        self.mixup = Mixup(recipe.mixup, recipe.cutmix, label_smoothing=0.1, num_classes=N_CLASSES)  # type: ignore[no-untyped-call]  # timm leaves it untyped
        self.loss = SoftTargetCrossEntropy()  # type: ignore[no-untyped-call]  # timm leaves it untyped
        side = recipe.input_px
        images = torch.randn(recipe.micro_batch, recipe.in_chans, side, side, device=device)
        self.images: Tensor = images.contiguous(memory_format=torch.channels_last)
        self.labels = torch.arange(recipe.micro_batch, device=device) % N_CLASSES

    def train(self, steps: int) -> None:
        for step in range(steps):
            self.optimiser.zero_grad()
            for _ in range(self.recipe.n_micro_batches):
                images, target = self.mixup(self.images.clone(), self.labels)
                with torch.autocast(
                    self.device, dtype=DTYPES[self.recipe.dtype], enabled=self.recipe.dtype != "float32"
                ):
                    logits = self.model(images)
                loss = self.loss(logits.float(), target) / self.recipe.n_micro_batches
                loss.backward()
            self.optimiser.step()
            self.average.update(self.model, step + 1)
