"""Train the Toybox VAE: diffusers' ``AutoencoderTiny``, 64 px to a latent image of 16 × 16."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor
from torch.nn import functional

from vgbench.toybox import web
from vgbench.toybox.train import judge as judging
from vgbench.toybox.train.running import Run

SIZE_PX = 64
WIDTH = 32
N_JUDGED = 2_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """Numbers of a training run (ours, chosen in one trial)."""

    channels: int = 8
    n_images: int = 40_000
    steps: int = 8_000
    batch: int = 16
    lr: float = 2e-3
    weight_decay: float = 0.0
    noise: float = 0.1  # added to latents whose standard deviation is about 1: near latents give near images
    first_image: int = 2_000_000
    seed: int = 0
    threads: int = 1


def build(channels: int) -> AutoencoderTiny:
    """Return the untrained autoencoder: no block works at 64 px, where it would cost most."""
    return AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 3,
        decoder_block_out_channels=(WIDTH,) * 3,
        num_encoder_blocks=(0, 2, 3),
        num_decoder_blocks=(3, 2, 0),
        latent_channels=channels,
        scaling_factor=1.0,
    )


def train(
    out: Path, recipe: Recipe, *, judge: Path, start: Path | None = None, minutes: float | None = None
) -> dict[str, float]:
    """Train or go on training in ``out``; write the model to ``out/vae``; return what the judge sees in its images.

    ``start``: the folder of a finished model, whose decoder alone is trained: what a UNet learned of its latents stays
    true.
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    model = build(recipe.channels) if start is None else AutoencoderTiny.from_pretrained(start).float()
    model.to(memory_format=torch.channels_last)
    model.encoder.requires_grad_(start is None)
    run = Run.open(out, model, asdict(recipe), lr=recipe.lr, weight_decay=recipe.weight_decay, decay=0.995)
    pixels = drawn(recipe.n_images, first=recipe.first_image)
    generator = torch.Generator()
    losses: list[float] = []
    for step in run.steps(recipe.steps, minutes=minutes):
        generator.manual_seed(recipe.seed * 1_000_003 + step)
        wanted = scaled(pixels[torch.randint(len(pixels), (recipe.batch,), generator=generator)])
        with torch.autocast("cpu", torch.bfloat16):
            latents = model.encoder(wanted).float()
            noisy = latents + recipe.noise * torch.randn(latents.shape, generator=generator)
            made = model.decoder(noisy).float()
        fit = functional.mse_loss(made, wanted) + 0.1 * functional.l1_loss(made, wanted)
        run.descend(fit + 1e-3 * (latents.square().mean() - 1).square() + 1e-3 * latents.mean().square())
        losses.append(functional.mse_loss(made.detach(), wanted).item())
        if step % 100 == 99:
            run.say(f"PSNR {psnr(float(np.mean(losses[-100:]))):.2f} dB, latents ± {latents.std():.2f}")
    return _finish(run, model, out, judge, is_new=start is None)


def drawn(n: int, *, first: int, chunk: int = 4_096) -> Tensor:
    """Return images of the web: pixels (N, 3, S, S) uint8."""
    parts = [
        torch.from_numpy(web.pages(min(chunk, first + n - at), first=at).pixels(size_px=SIZE_PX)).permute(0, 3, 1, 2)
        for at in range(first, first + n, chunk)
    ]
    return torch.cat(parts)


def scaled(pixels: Tensor) -> Tensor:
    """Return pixels 0..255 as a VAE takes and gives them: −1..1."""
    return (pixels.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def quantised(made: Tensor) -> Tensor:
    """Return what a VAE gives as pixels 0..255, uint8."""
    return (made.add(1).mul(127.5)).round().clamp(0, 255).to(torch.uint8)


def psnr(mse: float) -> float:
    """Return the peak signal-to-noise ratio in dB of a squared error on the scale −1..1."""
    return 10 * float(np.log10(4 / max(mse, 1e-12)))


@torch.no_grad()
def reconstructed(model: AutoencoderTiny, pixels: Tensor, *, batch: int = 250) -> Tensor:
    """Return pixels (N, 3, S, S) uint8 after a way through the autoencoder."""
    return torch.cat(
        [quantised(model.decode(model.encode(scaled(part)).latents).sample) for part in torch.split(pixels, batch)]
    )


def _finish(run: Run, model: AutoencoderTiny, out: Path, judge: Path, *, is_new: bool) -> dict[str, float]:
    """Write the averaged weights in half precision; a new model is scaled so that latents have a deviation of 1."""
    model.load_state_dict({name: value.half().float() for name, value in run.averaged.items()})
    pixels, factors = judging.renders(N_JUDGED, judging.HELD_OUT_SPLIT)
    if is_new:
        with torch.no_grad():
            spread = torch.cat([model.encode(scaled(part)).latents for part in torch.split(pixels[:1_000], 250)]).std()
        model.register_to_config(scaling_factor=round(1 / float(spread), 4))
    made = reconstructed(model.eval(), pixels)
    figures = judging.accuracies(judging.load(judge), made, factors)
    figures["colour, of ten in the same scene"] = judging.hues_kept(made, judging.HELD_OUT_SPLIT, factors)
    figures["PSNR"] = round(psnr(float(functional.mse_loss(scaled(made), scaled(pixels)))), 2)
    model.half().save_pretrained(out / "vae")
    return figures
