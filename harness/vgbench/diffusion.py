"""The graph piece that text-to-image sources share: one class's images by a pipeline of diffusers. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from vgbench import stages
from vgbench.errors import UsageError
from vgbench.types import ClassEntry, Graph, Input, Node, Place, Rate, StepRef

NEEDS = ("torch", "diffusers", "transformers", "safetensors")
DIFFUSE = StepRef(
    "vgbench.diffuse",
    "1",
    "vgbench.steps.diffuse:diffuse",
    seed="source",
    shards="index:micro_batch",
    gpu=True,
    needs=NEEDS,
)

Safety = Literal["off", "flag", "redraw"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a pipeline draws; all of it is in the key.

    ``size_px`` (height, width) None: the pipeline's own. ``lora`` is added ``lora_scale`` times to the weights.
    ``keep`` (n, m): the best n of each m by ``encoder``'s similarity to "a photo of a {name}" (GenBench's filter,
    packing_utils).
    """

    pipeline: Place
    steps: int
    guidance: float
    dtype: str
    size_px: tuple[int, int] | None = None
    scheduler: str | None = None
    vae: Place | None = None
    lora: Place | None = None
    lora_scale: float = 1.0
    negative: str = ""
    safety: Safety = "off"
    attempts: int = 3
    codec: Literal["jpeg", "png"] = "jpeg"
    micro_batch: int = 32
    compile: bool = False
    keep: tuple[int, int] | None = None
    encoder: stages.Encoder | None = None
    rate: Rate | None = None


def images_of(g: Graph, entry: ClassEntry, prompts: Sequence[str] | Node, recipe: Recipe) -> Node:
    """Return the open-ended node of one class: image i is drawn from prompt i modulo their number.

    Raises ``UsageError`` for a ``keep`` that does not divide the micro-batch.
    """
    params: dict[str, Any] = {
        "class_id": entry.id,
        "pipeline": recipe.pipeline,
        "negative": recipe.negative,
        "steps": recipe.steps,
        "guidance": recipe.guidance,
        "size_px": list(recipe.size_px) if recipe.size_px else None,
        "dtype": recipe.dtype,
        "scheduler": recipe.scheduler,
        "safety": recipe.safety,
        "attempts": recipe.attempts,
        "codec": recipe.codec,
        "micro_batch": recipe.micro_batch,
        "compile": recipe.compile,
        "threads": 1,
    }
    inputs: dict[str, Input] = {}
    if isinstance(prompts, Node):
        inputs["prompts"] = prompts
    else:
        params["prompts"] = list(prompts)
    if recipe.vae is not None:
        params["vae"] = recipe.vae
    step = replace(DIFFUSE, rate=recipe.rate)
    if recipe.lora is not None:
        params |= {"lora": recipe.lora, "lora_scale": recipe.lora_scale}
        step = replace(step, needs=(*NEEDS, "peft"))
    if recipe.keep is not None:
        n, m = recipe.keep
        if recipe.micro_batch % n:
            raise UsageError(f"keep={n}/{m}: micro_batch={recipe.micro_batch} must be a multiple of {n}")
        assert recipe.encoder is not None  # who keeps some says by what
        params |= {
            "keep": [n, m],
            "encoder": recipe.encoder.part,
            "weights": recipe.encoder.weights,
            "filter_text": f"a photo of a {entry.name}",
        }
        step = replace(step, needs=tuple(dict.fromkeys((*step.needs, *recipe.encoder.part.needs))))
        if recipe.rate is not None:
            step = replace(step, rate=replace(recipe.rate, items_per_second=recipe.rate.items_per_second * n / m))
    return g.node(step, inputs=inputs, params=params)
