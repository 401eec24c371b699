"""Train the Toybox diffusion models: diffusers' ``StableDiffusionPipeline`` on captioned images of Toybox's web.

The text encoder is the Toybox CLIP's text tower, frozen. What the prompt says reaches every layer through the time
embedding (an attention pool over the prompt's tokens), and the coarsest layers by cross-attention.

The model of biased renders is a LoRA (Hu et al. 2022) on the unbiased one: two whole UNets are too large to ship.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from numpy.typing import NDArray
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel

from vgbench.toybox import kinds, web, words
from vgbench.toybox.random import uniform
from vgbench.toybox.random import words as random_words
from vgbench.toybox.train import judge as judging
from vgbench.toybox.train.clip import WEIGHTS_FILE, tokenised
from vgbench.toybox.train.running import Run
from vgbench.toybox.train.tokenizer import CONTEXT, save, tokenizer
from vgbench.toybox.train.vae import scaled
from vgbench.toybox.world import Dials, world

LATENT_PX = 16
LATENTS_FILE = "latents.safetensors"
DROPPED = 0.1  # share of captions shown as the empty text, for classifier-free guidance (Ho & Salimans 2022: 0.1–0.2)
MIN_SNR = 5.0  # Hang et al. 2023: the weight of nearly clean images is cut off there
GUIDANCE, SAMPLING_STEPS = 3.0, 20
_EPOCH_STREAM = np.uint64(0x646966667573)  # "diffus"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Numbers of a training run (ours, chosen in one trial).

    ``bias``: the dials of background, texture and context of the images that it learns from. ``coarse``: how often an
    image of one of the 16 coarse kinds is shown against another. ``shift``: noisier steps are drawn more often, as in
    Stable Diffusion 3 (Esser et al. 2024, equation 23): what an object is, is decided there. ``rank``: of a LoRA on
    every convolution and linear layer, in place of training the whole UNet. ``plain``: share of captions that name the
    kind alone: so it is learned what goes with a kind unsaid. ``judged``: images that the judge is shown at the end.
    """

    n_images: int = 100_000
    steps: int = 15_000
    batch: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.01
    coarse: int = 3
    shift: float = 2.0
    bias: float = 0.0
    rank: int = 0
    plain: float = 0.0
    first_image: int = 3_000_000
    judged: int = 640
    seed: int = 0
    threads: int = 1


def build(channels: int) -> UNet2DConditionModel:
    """Return the untrained UNet for latents (channels, 16, 16): 6.8 million parameters."""
    return UNet2DConditionModel(
        sample_size=LATENT_PX,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(48, 96, 160),
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=128,
        attention_head_dim=4,  # diffusers takes it as the number of heads
        norm_num_groups=8,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        encoder_hid_dim=None,
        addition_embed_type_num_heads=4,
    )


def scheduler() -> DDIMScheduler:
    """Return the noise schedule: Stable Diffusion's, predicting v, with no signal left at the last step.

    Lin et al. 2024 (*Common diffusion noise schedules and sample steps are flawed*): zero terminal SNR, trailing steps.
    """
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


def text_encoder(clip: Path, tok: Any) -> CLIPTextModel:
    """Return the text tower of an open_clip folder as transformers' model: the same numbers."""
    weights = {name: value.float() for name, value in load_file(clip / WEIGHTS_FILE).items()}
    width, layers = weights["ln_final.weight"].shape[0], sum(n.endswith("ln_1.weight") for n in weights)
    model = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tok),
            hidden_size=width,
            intermediate_size=4 * width,
            projection_dim=width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            hidden_act="gelu",
            bos_token_id=tok.bos_token_id,
            eos_token_id=tok.eos_token_id,
            pad_token_id=tok.eos_token_id,
        )
    )
    renamed = {
        "embeddings.token_embedding.weight": weights["token_embedding.weight"],
        "embeddings.position_embedding.weight": weights["positional_embedding"],
    }
    for kind in ("weight", "bias"):
        renamed[f"final_layer_norm.{kind}"] = weights[f"ln_final.{kind}"]
        for i in range(layers):
            theirs, ours = f"transformer.resblocks.{i}", f"encoder.layers.{i}"
            for name, value in zip("qkv", weights[f"{theirs}.attn.in_proj_{kind}"].chunk(3), strict=True):
                renamed[f"{ours}.self_attn.{name}_proj.{kind}"] = value
            renamed[f"{ours}.self_attn.out_proj.{kind}"] = weights[f"{theirs}.attn.out_proj.{kind}"]
            renamed[f"{ours}.layer_norm1.{kind}"] = weights[f"{theirs}.ln_1.{kind}"]
            renamed[f"{ours}.layer_norm2.{kind}"] = weights[f"{theirs}.ln_2.{kind}"]
            renamed[f"{ours}.mlp.fc1.{kind}"] = weights[f"{theirs}.mlp.c_fc.{kind}"]
            renamed[f"{ours}.mlp.fc2.{kind}"] = weights[f"{theirs}.mlp.c_proj.{kind}"]
    model.load_state_dict(renamed)
    model.requires_grad_(False)
    model.eval()  # type: ignore[no-untyped-call]  # theirs
    return model


def _hash(vae: AutoencoderTiny) -> str:
    """Return the SHA-256 of what encodes images: the encoder's weights; the decoder may be another."""
    digest = hashlib.sha256()
    for name, value in sorted(vae.encoder.state_dict().items()):
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass(slots=True, eq=False)
class Corpus:
    """Images of the web as latents (N, C, 16, 16) float16, and what their captions can name."""

    pages: web.Pages
    latents: Tensor

    @classmethod
    def of(cls, folder: Path, vae: AutoencoderTiny, recipe: Recipe, *, chunk: int = 2_000) -> Corpus:
        """Draw and encode the images, or read what an earlier run in ``folder`` encoded."""
        dials = Dials(background_bias=recipe.bias, texture_bias=recipe.bias, context_bias=recipe.bias)
        pages = web.pages(recipe.n_images, first=recipe.first_image, dials=dials)
        stored = folder / LATENTS_FILE
        of = {"n": recipe.n_images, "first_image": recipe.first_image, "bias": recipe.bias, "encoder": _hash(vae)}
        told = {name: str(value) for name, value in of.items()}
        if stored.exists():
            with safe_open(stored, "pt") as file:
                if file.metadata() == told:
                    return cls(pages, file.get_tensor("latents"))
        parts = []
        with torch.no_grad():
            for at in range(0, len(pages), chunk):
                part = web.Pages(
                    pages.seeds[at : at + chunk],
                    pages.factors[at : at + chunk],
                    pages.digit[at : at + chunk],
                    pages.captions[at : at + chunk],
                )
                pixels = torch.from_numpy(part.pixels(size_px=64)).permute(0, 3, 1, 2)
                parts += [
                    (vae.encode(scaled(some)).latents * vae.config.scaling_factor).half()
                    for some in torch.split(pixels, 250)
                ]
        latents = torch.cat(parts).contiguous()
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"latents": latents}, stored, told)
        return cls(pages, latents)

    def captions(self, rows: NDArray[np.int64], step: int, *, plain: float = 0.0) -> list[str]:
        """Return captions of some images, other words at every step; a tenth empty, ``plain`` naming the kind alone."""
        stream = np.uint64((int(_EPOCH_STREAM) + step * 0x9E3779B97F4A7C15) % 2**64)
        given = self.pages.seeds[rows] ^ stream
        n = 1 + len(words.FACTORS)
        coins = uniform(random_words(given, n + 2))
        is_other = np.array([False, *(factor != "kind" for factor in words.FACTORS), False, False])
        coins[np.ix_(coins[:, n + 1] < plain, is_other)] = 1.0  # a coin of 1 names nothing
        return [
            ""
            if coin[n] < DROPPED
            else web.captioned(self.pages.factors, int(row), int(self.pages.digit[row]), coin[:n])
            for row, coin in zip(rows, coins, strict=True)
        ]


def train(
    out: Path,
    recipe: Recipe,
    *,
    clip: Path,
    vae: Path,
    judge: Path,
    start: Path | None = None,
    minutes: float | None = None,
    look_every: int = 3_000,
) -> dict[str, float]:
    """Train or go on training in ``out``; return what the judge sees.

    Writes the pipeline to ``out/pipeline``, or with a ``rank`` the LoRA to ``out/lora``, both as diffusers does.
    ``start``: the folder of a finished pipeline whose UNet a new run starts from; a LoRA needs it.
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    tok = tokenizer(words.vocabulary())
    text = text_encoder(clip, tok)
    coder = AutoencoderTiny.from_pretrained(vae).float().eval()
    corpus = Corpus.of(out, coder, recipe)
    unet = build(corpus.latents.shape[1])
    if start is not None:
        unet.load_state_dict(UNet2DConditionModel.from_pretrained(start / "unet").float().state_dict())
    if recipe.rank:
        adapt(unet, recipe.rank)
    run = Run.open(out, unet, asdict(recipe), lr=recipe.lr, weight_decay=recipe.weight_decay, decay=0.999)
    noise_of = scheduler()
    signal = noise_of.alphas_cumprod
    snr = signal / (1 - signal)
    weight = (snr.clamp(max=MIN_SNR) / (snr + 1)).clamp(min=0.05)  # of v; the step without signal counts a little
    weight = weight / weight.mean()
    generator = torch.Generator()
    is_coarse = torch.from_numpy(corpus.pages.factors.kind < kinds.N_COARSE)
    shown = torch.arange(len(corpus.latents)).repeat_interleave(torch.where(is_coarse, recipe.coarse, 1))
    losses: list[float] = []
    began = time.monotonic()
    for step in run.steps(recipe.steps, minutes=minutes):
        generator.manual_seed(recipe.seed * 1_000_003 + step)
        rows = shown[torch.randint(len(shown), (recipe.batch,), generator=generator)]
        clean = corpus.latents[rows].float()
        noise = torch.randn(clean.shape, generator=generator)
        share = (torch.randperm(recipe.batch, generator=generator) + torch.rand(1, generator=generator)) / recipe.batch
        share = recipe.shift * share / (1 + (recipe.shift - 1) * share)  # evenly spread over a batch, then shifted
        at = (share * len(signal)).long().clamp(max=len(signal) - 1)
        with torch.no_grad():
            hidden = text(tokenised(tok, corpus.captions(rows.numpy(), step, plain=recipe.plain))).last_hidden_state
        with torch.autocast("cpu", torch.bfloat16):
            found = unet(noise_of.add_noise(clean, noise, at), at, hidden).sample.float()
        wanted = noise_of.get_velocity(clean, noise, at)
        each = functional.mse_loss(found, wanted, reduction="none").mean((1, 2, 3))
        run.descend((weight[at] * each).mean())
        losses.append(each.detach().mean().item())
        if step % 200 == 199:
            pace = recipe.batch * 200 / (time.monotonic() - began)
            began = time.monotonic()
            run.say(f"loss {np.mean(losses[-200:]):.4f}, {pace:.0f} images/s")
        if step % look_every == look_every - 1:
            pipeline = assembled(averaged(run), coder, text, tok)
            run.say(str(judged(pipeline, judging.load(judge), n=160)))
            began = time.monotonic()
    return _finish(run, recipe, out, coder, text, tok, judge)


def adapt(unet: UNet2DConditionModel, rank: int) -> None:
    """Put a LoRA on every convolution and linear layer; nothing else is trained from here on."""
    layers = [name for name, layer in unet.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=layers))


def averaged(run: Run, *, half: bool = False) -> UNet2DConditionModel:
    """Return a copy of the network with the averaged weights; with ``half`` rounded to what is shipped.

    A LoRA is added to the weights: beside them its layers now and then gave NaN on a CPU (peft 0.21, torch 2.14).
    """
    model: UNet2DConditionModel = copy.deepcopy(run.model)
    model.load_state_dict({name: value.half().float() if half else value for name, value in run.averaged.items()})
    if any("lora_" in name for name in run.averaged):
        model.fuse_lora()
    return model.eval()


def assembled(
    unet: UNet2DConditionModel, vae: AutoencoderTiny, text: CLIPTextModel, tok: Any
) -> StableDiffusionPipeline:
    """Return the pipeline of these models."""
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tok,
        unet=unet,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@dataclass(slots=True, eq=False)
class Samples:
    """Generated images: pixels (N, 3, S, S) uint8, their prompts, and the factors that the prompts name (N,)."""

    pixels: Tensor
    prompts: list[str]
    named: dict[str, NDArray[np.int64]] = field(default_factory=dict)


def sampled(
    pipeline: StableDiffusionPipeline,
    n: int,
    *,
    n_kinds: int = kinds.N_COARSE,
    seed: int = 0,
    batch: int = 32,
    factors: Sequence[str] = ("colour", "background", "time"),
) -> Samples:
    """Generate n images of the first kinds in turn, their prompts naming some further factors as well."""
    rng = np.random.default_rng(seed)
    named = {"kind": np.arange(n) % n_kinds}
    for factor in factors:
        named[factor] = rng.integers(0, len(judging.vocabulary(factor)), n)
    prompts = [
        words.caption({factor: judging.vocabulary(factor)[values[i]] for factor, values in named.items()})
        for i in range(n)
    ]
    parts = []
    for at in range(0, n, batch):
        some = prompts[at : at + batch]
        generators = [torch.Generator().manual_seed(seed * 1_000_003 + at + i) for i in range(len(some))]
        made = pipeline(
            some,
            num_inference_steps=SAMPLING_STEPS,
            guidance_scale=GUIDANCE,
            generator=generators,
            output_type="np",
        ).images
        parts.append(torch.from_numpy((made * 255).round().astype(np.uint8)).permute(0, 3, 1, 2))
    return Samples(torch.cat(parts), prompts, named)


def judged(
    pipeline: StableDiffusionPipeline, judge: judging.Judge, *, n: int, n_kinds: int = kinds.N_COARSE
) -> dict[str, float]:
    """Return in what share of generated images the judge sees what the prompt says.

    And, of prompts that name the kind alone, in what share it sees what is typical of that kind in the full world.
    """
    made = sampled(pipeline, n, n_kinds=n_kinds)
    plain = sampled(pipeline, n, n_kinds=n_kinds, seed=1, factors=())
    seen = judging.answers(judge, plain.pixels)
    here = world("full")
    typical = {
        f"typical {factor}": round(float(np.mean(seen[factor] == here.typical(factor, plain.named["kind"]))), 4)
        for factor in ("texture", "background", "time", "weather", "location")
    }
    return judging.accuracies(judge, made.pixels, made.named) | typical


def _finish(
    run: Run, recipe: Recipe, out: Path, vae: AutoencoderTiny, text: CLIPTextModel, tok: Any, judge: Path
) -> dict[str, float]:
    unet = averaged(run, half=True)
    pipeline = assembled(unet, vae, text, tok)
    figures = judged(pipeline, judging.load(judge), n=recipe.judged)
    if recipe.rank:
        lora = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
        halved = {name: value.half() for name, value in lora.items()}
        StableDiffusionPipeline.save_lora_weights(out / "lora", unet_lora_layers=halved)
        return figures
    pipeline.to(torch.float16).save_pretrained(out / "pipeline")
    save(tok, out / "pipeline" / "tokenizer")
    return figures
