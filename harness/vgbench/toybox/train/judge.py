"""Train the judge of Toybox's generated images: a small supervised network that names what an image shows.

It is another architecture than the Toybox CLIP, learns from renders and their true factors alone, and has seen neither
captions nor any generated image: what it recognises is there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from vgbench.toybox import kinds, palette, scene, textures, words
from vgbench.toybox.scene import SIZES, Factors
from vgbench.toybox.world import sample, seeds, world

WEIGHTS_FILE = "judge.safetensors"
SIZE_PX = 64
SPLIT, HELD_OUT_SPLIT = "judge", "judge-held-out"  # no test and no training of a generator is drawn from these
FACTORS = ("kind", "colour", "texture", "background", "time", "weather", "location")
ANSWERS = {**{name: SIZES[name] for name in FACTORS}, "kind": kinds.N_TRAINING, "texture": textures.N_TRAINING}
_LAYERS = ((32, 2), (48, 1), (64, 2), (64, 1), (96, 2), (96, 1), (128, 1))  # width and stride of each convolution


@dataclass(frozen=True, slots=True)
class Recipe:
    """Numbers of the judge's training (ours)."""

    n_images: int = 240_000
    epochs: int = 8
    batch: int = 256
    lr: float = 4e-3
    weight_decay: float = 0.02
    seed: int = 0
    threads: int = 2


class Judge(nn.Module):
    """Seven 3 × 3 convolutions, mean and maximum over the image, and one linear answer for each factor."""

    def __init__(self) -> None:
        super().__init__()
        layers, width = [], 3
        for out, stride in _LAYERS:
            layers += [nn.Conv2d(width, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
            width = out
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({name: nn.Linear(2 * width, n) for name, n in ANSWERS.items()})

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return logits (N, answers) of each factor for pixels (N, 3, S, S), 0 to 1."""
        found = self.trunk((pixels - 0.45) / 0.25)
        pooled = torch.cat([found.mean((2, 3)), found.amax((2, 3))], 1)
        return {name: head(pooled) for name, head in self.heads.items()}


def renders(n: int, split: str, *, chunk: int = 4_096) -> tuple[Tensor, Factors]:
    """Return unbiased images of the full world's 40 kinds in turn: pixels (N, 3, S, S) uint8, and factors."""
    given = seeds("full", split, n)
    factors = sample(world("full"), given, np.arange(n, dtype=np.int64) % kinds.N_TRAINING)
    parts = [
        torch.from_numpy(scene.draw(given[at : at + chunk], factors[at : at + chunk], size_px=SIZE_PX))
        for at in range(0, n, chunk)
    ]
    return torch.cat(parts).permute(0, 3, 1, 2), factors


def train(out: Path, recipe: Recipe) -> dict[str, float]:
    """Train, write ``judge.safetensors`` and ``judge.json`` to ``out``, and return the accuracy on unseen renders."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    pixels, factors = renders(recipe.n_images, SPLIT)
    truth = {name: torch.from_numpy(getattr(factors, name)) for name in FACTORS}
    judge = Judge().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * (recipe.n_images // recipe.batch)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.lr, total_steps=steps)
    rng = np.random.default_rng(recipe.seed)
    for epoch in range(recipe.epochs):
        order = torch.from_numpy(rng.permutation(recipe.n_images))
        for at in range(0, recipe.n_images - recipe.batch + 1, recipe.batch):
            rows = order[at : at + recipe.batch]
            with torch.autocast("cpu", torch.bfloat16):
                logits = judge(_augmented(pixels[rows], rng))
            losses = [
                functional.cross_entropy(logits[name].float(), truth[name][rows]) / math.log(ANSWERS[name])
                for name in FACTORS
            ]
            optimiser.zero_grad(set_to_none=True)
            torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            rate.step()
        print(f"epoch {epoch + 1}: loss {losses[0].item():.3f} of the kind", flush=True)  # noqa: T201
    figures = accuracies(judge, *renders(4_000, HELD_OUT_SPLIT))
    out.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in judge.state_dict().items()}
    save_file(weights, out / WEIGHTS_FILE)
    (out / "judge.json").write_text(json.dumps({"recipe": asdict(recipe), "held_out": figures}, indent=1) + "\n")
    return figures


def _augmented(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Shift a batch by up to 4 px, blur half of it a little, put grain on it: what a generator makes is not crisp.

    A judge of crisp renders alone took blur for another kind (seen in a trial).
    """
    found = functional.pad(pixels.float() / 255, (4,) * 4, mode="replicate")
    y, x = (int(v) for v in rng.integers(0, 9, 2))
    found = found[:, :, y : y + SIZE_PX, x : x + SIZE_PX]
    half = len(found) // 2
    edge = float(rng.uniform(0, 0.25))
    line = torch.tensor([edge, 1 - 2 * edge, edge])
    kernel = (line[:, None] * line[None]).expand(3, 1, 3, 3)
    soft = functional.conv2d(functional.pad(found[:half], (1,) * 4, mode="replicate"), kernel, groups=3)
    found = torch.cat([soft, found[half:]])
    grain = torch.from_numpy(rng.standard_normal(found.shape, dtype=np.float32)) * float(rng.uniform(0, 0.04))
    return (found + grain).clamp(0, 1).contiguous(memory_format=torch.channels_last)


def load(folder: Path) -> Judge:
    """Return the judge that ``train`` wrote, ready to answer."""
    judge = Judge()
    judge.load_state_dict(load_file(folder / WEIGHTS_FILE))
    return judge.eval()


@torch.no_grad()
def answers(judge: Judge, pixels: Tensor, *, batch: int = 500) -> dict[str, NDArray[np.int64]]:
    """Return what the judge sees in pixels (N, 3, S, S) uint8: of each factor a number (N,)."""
    judge.eval()
    parts = [judge(part.float() / 255) for part in torch.split(pixels, batch)]
    return {name: torch.cat([part[name].argmax(1) for part in parts]).numpy() for name in FACTORS}


def accuracies(judge: Judge, pixels: Tensor, truth: Factors | Mapping[str, NDArray[np.int64]]) -> dict[str, float]:
    """Return the share of images in which the judge names each factor rightly; of kinds also over the coarse 16."""
    of = truth if isinstance(truth, Mapping) else {name: getattr(truth, name) for name in FACTORS}
    found = answers(judge, pixels)
    figures = {name: float(np.mean(found[name] == of[name])) for name in FACTORS if name in of}
    coarse = of["kind"] < kinds.N_COARSE
    if coarse.any():
        figures["kind, coarse"] = float(np.mean(found["kind"][coarse] == of["kind"][coarse]))
    return {name: round(value, 4) for name, value in figures.items()}


def hues_kept(made: Tensor, split: str, factors: Factors) -> float:
    """Return the share of images in which the body's hue can be told from the nine others, all else being known.

    ``made``: what something made of ``renders(n, split)``, pixels (N, 3, S, S) uint8, whose ``factors`` these are. Each
    image is compared with its own scene in all ten hues, and counts if the right one is nearest (summed squares over
    all pixels; ties count for the lower number). Crisp renders have 1, chance is 0.1. No network has to guess which of
    a body's two hues is meant: this asks what is left of the colour, not whether somebody would name it.
    """
    given = seeds("full", split, len(made))
    seen = made.permute(0, 2, 3, 1).numpy().astype(np.float32)
    errors = np.empty((len(palette.NAMES), len(made)))
    for hue in range(len(palette.NAMES)):
        scenes = scene.draw(given, replace(factors, colour=np.full_like(factors.colour, hue)), size_px=SIZE_PX)
        errors[hue] = np.square(seen - scenes).sum((1, 2, 3), dtype=np.float64)
    return round(float(np.mean(errors.argmin(0) == factors.colour)), 4)


def vocabulary(factor: str) -> Sequence[str]:
    """Return the words of a factor's values, in the judge's order."""
    every: Mapping[str, Sequence[str]] = {
        "kind": [words.kind(name) for name in kinds.NAMES[: kinds.N_TRAINING]],
        "texture": [words.texture(name) for name in textures.NAMES[: textures.N_TRAINING]],
        "colour": palette.NAMES,
        "background": words.BACKGROUNDS,
        "time": words.TIMES,
        "weather": words.WEATHERS,
        "location": words.LOCATIONS,
    }
    return every[factor]
