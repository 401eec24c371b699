"""``vgbench bench generate``: the diffusion step against a bare call of its pipeline for the same batch.

On a CPU with the Toybox pipeline; where there is a GPU also with one of Stable Diffusion 1.5's size and random
weights, against drawing image by image, and as a share of what the GPU's matrix products reach.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import vgbench.toybox
from vgbench.bench.speed import ROUNDS, Measured, interleaved, load, versions
from vgbench.steps.diffuse import diffuse
from vgbench.steps.pipeline import DTYPES, TextToImage, open_pipeline
from vgbench.types import Made, Place, Step

GOAL = 0.97  # of the bare call's images a second (the issue's)
GOAL_LOOP = 2.5  # times drawing image by image, on a GPU (the issue's)
BATCH, STEPS, GUIDANCE = 16, 20, 3.0
MICRO_BATCHES = 2
PROMPTS = ["a photo of a star on sand at night", "a photo of a red eel before hills", "a house in snow"]


def measure() -> list[Measured]:
    """Compare on the CPU, and on a GPU where there is one."""
    folder = str(Path(vgbench.toybox.__path__[0]) / "diffusion")
    torch.set_num_threads(1)
    found = [_compared("generate/cpu", open_pipeline(folder, "cpu", dtype="float32"), folder, "float32")]
    if torch.cuda.is_available():
        found += _on_gpu()
    return found


def _compared(name: str, opened: TextToImage, folder: str, dtype: str) -> Measured:
    """Time the step's body and the bare call, for two micro-batches one after the other.

    The body draws and checks; what it returns encodes and writes, in a thread while the next is drawn, as a worker has
    it (the last is waited for). Prompts were embedded with the first micro-batch of the class, as in a run. The bare
    call embeds its texts.
    """
    began = load()
    with tempfile.TemporaryDirectory() as out:
        step = _step(opened, folder, Path(out), dtype)
        one = bare(opened, BATCH)
        medians = interleaved({"step": lambda: _drawn(step), "bare": lambda: [one() for _ in range(MICRO_BATCHES)]})
    return Measured(
        name,
        medians["bare"] / medians["step"],
        GOAL,
        is_limit=False,
        n=ROUNDS,
        medians=medians,
        threads={"step": 1, "bare": 1},
        load=began,
        facts={"images_per_second": MICRO_BATCHES * BATCH / medians["step"]},
        versions=versions("torch", "diffusers"),
    )


def _drawn(step: Step) -> None:
    """Draw the micro-batches; raises what a thread's finishing raises, which would else look fast."""
    with ThreadPoolExecutor(1) as thread:
        finishing: Future[Made] | None = None
        for _ in range(MICRO_BATCHES):
            finish = diffuse(step)
            if finishing is not None:
                finishing.result()
            finishing = thread.submit(finish)
        if finishing is not None:
            finishing.result()


def bare(opened: TextToImage, batch: int) -> Callable[[], object]:
    """Return a call of diffusers' own pipeline that draws a batch."""
    texts = [PROMPTS[i % len(PROMPTS)] for i in range(batch)]

    @torch.inference_mode()
    def call() -> object:
        return opened.pipeline(
            texts,
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            generator=[torch.Generator("cpu").manual_seed(i) for i in range(batch)],
            output_type="pt",
        ).images.cpu()

    return call


def _step(opened: TextToImage, folder: str, out: Path, dtype: str) -> Step:
    kept: dict[str, Any] = {}

    def resident(key: str, make: Callable[[], Any]) -> Any:
        if key not in kept:
            kept[key] = opened if key.startswith("pipeline/") else make()
        return kept[key]

    params = {
        "class_id": "star",
        "pipeline": Place("bench", folder),
        "prompts": PROMPTS,
        "negative": "",
        "steps": STEPS,
        "guidance": GUIDANCE,
        "size_px": None,
        "dtype": dtype,
        "scheduler": None,
        "safety": "off",
        "attempts": 1,
        "codec": "png",
        "micro_batch": BATCH,
        "compile": False,
        "threads": 1,
    }
    return Step(
        node="be" * 32,
        params=params,
        inputs={},
        seed=0,
        shard=0,
        out=out,
        scratch=out,
        device=opened.device,
        progress=lambda done, total: None,
        resident=resident,
        load=lambda part: open_pipeline,
    )


# ── On a GPU ─────────────────────────────────────────────────────────────────────────────────────


def _on_gpu() -> list[Measured]:
    """Compare with a pipeline of Stable Diffusion 1.5's size: its time does not depend on what its weights are."""
    with tempfile.TemporaryDirectory() as folder:
        _random_sd15(Path(folder))
        opened = open_pipeline(folder, "cuda", dtype="bfloat16")
        first = _compared("generate/gpu", opened, folder, "bfloat16")
        one = bare(opened, 1)
        medians = interleaved({"batch": bare(opened, BATCH), "loop": lambda: [one() for _ in range(BATCH)]})
        with FlopCounterMode(display=False) as counted:
            bare(opened, BATCH)()
        reached = counted.get_total_flops() / medians["batch"] / 1e12
        second = Measured(
            "generate/gpu-batch",
            medians["loop"] / medians["batch"],
            GOAL_LOOP,
            is_limit=False,
            n=ROUNDS,
            medians=medians,
            threads={"batch": 1, "loop": 1},
            load=load(),
            facts={"tflop_per_second": reached, "share_of_matmul": reached / _matmul_tflops()},
            versions=versions("torch", "diffusers"),
        )
    return [first, second]


def _matmul_tflops(n: int = 8192, rounds: int = 20) -> float:
    """Return the TFLOP/s of this GPU's products of (N, N) bfloat16 matrices."""
    a = torch.randn(n, n, device="cuda", dtype=DTYPES["bfloat16"])

    def products() -> None:
        for _ in range(rounds):
            a @ a
        torch.cuda.synchronize()

    return 2 * n**3 * rounds / interleaved({"products": products})["products"] / 1e12


def _random_sd15(folder: Path) -> None:
    """Write a pipeline of Stable Diffusion 1.5's architecture with random weights, and Toybox's tokenizer."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    tok = CLIPTokenizer.from_pretrained(Path(vgbench.toybox.__path__[0]) / "clip")
    text = CLIPTextConfig(
        vocab_size=len(tok), hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
    )
    four, ends = (128, 256, 512, 512), "DownEncoderBlock2D"
    StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=four,
            down_block_types=(ends,) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
            sample_size=512,
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=tok,
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768),
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
