"""A text-to-image pipeline of diffusers, opened from a folder: its precision, sampler, prompts and safety checker."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from torch import Tensor

from vgbench.errors import nearest

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Samplers by the names that papers use; each keeps the noise schedule of the pipeline's own.
SCHEDULERS = {
    "ddim": "DDIMScheduler",
    "pndm": "PNDMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-a": "EulerAncestralDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
}
# What `encode_prompt` returns, by the pipeline's class, in the words of its call.
_PAIR = ("prompt_embeds", "negative_prompt_embeds")
_POOLED = (*_PAIR, "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
_EMBEDDINGS = {
    "StableDiffusionPipeline": _PAIR,
    "StableDiffusionXLPipeline": _POOLED,
    "StableDiffusion3Pipeline": _POOLED,
    "FluxPipeline": ("prompt_embeds", "pooled_prompt_embeds"),
}
_CHECKER = "safety_checker"


@dataclass(slots=True)
class TextToImage:
    """A pipeline on its device. ``checker`` is its safety checker, taken out of it, where it has one and is wanted."""

    pipeline: Any
    device: str
    checker: Any = None

    def embedded(self, prompt: str, *, negative: str, guidance: float) -> dict[str, Tensor]:
        """Embed one prompt, alone, so that its numbers depend on no other: what the call takes, each (1, …).

        Empty for a pipeline whose embeddings are not known by name: it is given texts. Raises ``ValueError`` for a
        negative prompt that the pipeline does not take.
        """
        names = _EMBEDDINGS.get(type(self.pipeline).__name__)
        encode = self.pipeline.encode_prompt if names else self.pipeline.__call__
        known = inspect.signature(encode).parameters
        if (
            negative and "negative_prompt" not in known
        ):  # Flux's call knows the word, and does not heed it as called here
            raise ValueError(f"{type(self.pipeline).__name__} takes no negative prompt")
        if names is None:
            return {}
        arguments: dict[str, Any] = {
            "prompt": [prompt],
            "prompt_2": None,
            "prompt_3": None,
            "device": self.device,
            "num_images_per_prompt": 1,
            "do_classifier_free_guidance": guidance > 1,
            "negative_prompt": [negative] if guidance > 1 and negative else None,  # SDXL tells none from ""
        }
        found = encode(**{name: value for name, value in arguments.items() if name in known})
        return {name: value for name, value in zip(names, found, strict=False) if value is not None}

    def draw(
        self,
        embeddings: Sequence[Mapping[str, Tensor]],
        texts: Sequence[str],
        seeds: Sequence[int],
        *,
        negative: str,
        guidance: float,
        steps: int,
        size: tuple[int, int] | None,
        progress: Callable[[int], None] = lambda step: None,
    ) -> Tensor:
        """Draw one batch: (B, 3, H, W) float32 on the CPU, 0 to 1. Each image has a generator of its own on the CPU."""
        asked: dict[str, Any]
        if embeddings[0]:
            asked = {name: torch.cat([one[name] for one in embeddings]) for name in embeddings[0]}
        else:
            asked = {"prompt": list(texts)}
            if negative:
                asked["negative_prompt"] = [negative] * len(texts)
        if size is not None:
            asked["height"], asked["width"] = size

        def told(pipeline: Any, step: int, at: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
            progress(step + 1)
            return kwargs

        if "callback_on_step_end" in inspect.signature(self.pipeline.__call__).parameters:
            asked["callback_on_step_end"] = told
        made: Tensor = self.pipeline(
            **asked,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=[torch.Generator("cpu").manual_seed(int(seed)) for seed in seeds],
            output_type="pt",
        ).images
        return made.float().cpu()

    def flagged(self, pixels: Tensor) -> list[bool]:
        """Ask the safety checker about images (B, 3, H, W) uint8; all pass where there is none."""
        if self.checker is None:
            return [False] * len(pixels)
        found = pixels.permute(0, 2, 3, 1).numpy()
        asked = self.pipeline.feature_extractor(list(found), return_tensors="pt").to(self.device)
        clip_input = asked.pixel_values.to(next(self.checker.parameters()).dtype)
        _, flags = self.checker(images=[image.copy() for image in found], clip_input=clip_input)
        return [bool(flag) for flag in flags]


def open_pipeline(
    folder: str,
    device: str,
    *,
    dtype: str,
    scheduler: str | None = None,
    vae: str | None = None,
    lora: str | None = None,
    lora_scale: float = 1.0,
    checked: bool = False,
    compiled: bool = False,
) -> TextToImage:
    """Open any pipeline that ``AutoPipelineForText2Image`` knows, from a folder, never from the network.

    Attention is torch's fused one, convolutions lie channels last. ``scheduler``: another sampler (`SCHEDULERS`) over
    the same noise schedule; ``vae``: another autoencoder's folder; ``lora``: a LoRA's folder or file, added to the
    weights ``lora_scale`` times; ``checked``: the safety checker is wanted.

    Raises:
        ValueError: the folder holds no such pipeline, or no safetensors; a sampler that cannot follow its schedule;
            a LoRA that does not fit; a safety checker is wanted and there is none.
    """
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # theirs
    index = _index(Path(folder))
    given: dict[str, Any] = {}
    if vae is not None:
        try:
            given["vae"] = diffusers.AutoModel.from_pretrained(
                vae, dtype=DTYPES[dtype], local_files_only=True, use_safetensors=True
            )
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise ValueError(f"{vae}: diffusers cannot open it as an autoencoder: {error}") from error
    has_checker = (index.get(_CHECKER) or [None])[0] is not None
    if checked and not has_checker:
        raise ValueError(f"{index['_class_name']} in {folder} has no safety checker: safety must be off")
    if _CHECKER in index and not checked:
        given |= {_CHECKER: None, "requires_safety_checker": False}
    try:
        pipeline = diffusers.AutoPipelineForText2Image.from_pretrained(
            folder, dtype=DTYPES[dtype], local_files_only=True, use_safetensors=True, **given
        )
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{folder}: diffusers cannot open it as a text-to-image pipeline: {error}") from error
    if lora is not None:
        _add_lora(pipeline, Path(lora), lora_scale)
    checker = getattr(pipeline, _CHECKER, None)
    if checker is not None:
        pipeline.safety_checker = None
        checker.to(device)
    if scheduler is not None:
        pipeline.scheduler = _scheduler(scheduler, pipeline.scheduler)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    for name in ("unet", "transformer", "vae"):
        part = getattr(pipeline, name, None)
        if part is not None:
            part.to(memory_format=torch.channels_last)
            if compiled and name != "vae":
                setattr(pipeline, name, torch.compile(part))
    return TextToImage(pipeline, device, checker)


def _add_lora(pipeline: Any, place: Path, scale: float) -> None:
    """Add a LoRA to the weights that it was trained for, so that drawing costs nothing more."""
    files = [place] if place.is_file() else sorted(place.glob("*.safetensors"))
    if len(files) != 1:
        there = ", ".join(file.name for file in files) or "none"
        raise ValueError(f"lora={place}: one .safetensors file is wanted; there: {there}")
    if not hasattr(pipeline, "load_lora_weights"):
        raise ValueError(f"{type(pipeline).__name__} takes no LoRA")
    try:
        pipeline.load_lora_weights(str(files[0].parent), weight_name=files[0].name, local_files_only=True)
        if not any(pipeline.get_list_adapters().values()):
            raise ValueError("none of its weights is one of this pipeline")
        pipeline.fuse_lora(lora_scale=scale, safe_fusing=True)
        pipeline.unload_lora_weights()
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise ValueError(f"lora={place} does not fit {type(pipeline).__name__}: {error}") from error


def _index(folder: Path) -> Mapping[str, Any]:
    try:
        index: Mapping[str, Any] = json.loads((folder / "model_index.json").read_text())
        return {"_class_name": "?", **index}
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is no pipeline of diffusers: model_index.json cannot be read: {error}") from error


def _scheduler(name: str, own: Any) -> Any:
    if name not in SCHEDULERS:
        close = nearest(name, SCHEDULERS)
        raise ValueError(f"no sampler is called {name!r}" + (f"; did you mean {close!r}?" if close else ""))
    found = getattr(diffusers, SCHEDULERS[name])
    if found.__name__ not in {other.__name__ for other in own.compatibles} | {type(own).__name__}:
        raise ValueError(f"sampler {name!r} cannot follow the noise schedule of {type(own).__name__}")
    return found.from_config(own.config)
