"""The graph piece that text-to-image sources share: one class's images by a pipeline of diffusers. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from vgbench import stages
from vgbench.errors import CannotServe, UsageError
from vgbench.types import ClassEntry, Graph, Input, Node, Part, Place, Rate, StepRef

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
# The rate is assumed: of strategies that only fill in texts; a T5's is not known.
PROMPT = StepRef("vgbench.prompt", "1", "vgbench.steps.prompt:prompt", seed="source", rate=Rate(1_000, 1_000))

Safety = Literal["off", "flag", "redraw"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a pipeline draws; all of it is in the key.

    ``size_px`` (height, width) None: the pipeline's own. ``keep`` (n, m): the best n of each m by ``encoder``'s
    similarity to "a photo of a {name}" (GenBench's filter, packing_utils).
    """

    pipeline: Place
    steps: int
    guidance: float
    dtype: str
    size_px: tuple[int, int] | None = None
    scheduler: str | None = None
    vae: Place | None = None
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
        step = replace(step, needs=tuple(dict.fromkeys((*NEEDS, *recipe.encoder.part.needs))))
        if recipe.rate is not None:
            step = replace(step, rate=replace(recipe.rate, items_per_second=recipe.rate.items_per_second * n / m))
    return g.node(step, inputs=inputs, params=params)


def prompts_of(
    g: Graph, entry: ClassEntry, strategy: Part, *, n: int, more: Mapping[str, Any] | None = None
) -> list[str] | Node:
    """Return a class's prompts by a part of kind ``prompts``: texts, or the node that writes them.

    A part with ``templates`` is filled with the class's name here. One with an ``entry`` is a function that runs in a
    worker: its node holds the fields of the class that the part's ``uses`` name, and ``more`` (places, say); ``n`` is
    how many prompts it may sample.
    ``CannotServe`` where the class list lacks what is used.
    """
    values = strategy.values
    if not strategy.entry:
        return [template.replace("{}", entry.name) for template in values["templates"]]
    fields: dict[str, Any] = {name: getattr(entry, name) for name in values.get("uses", ("name",))}
    if missing := [name for name, value in fields.items() if not value]:
        raise CannotServe(
            f"prompts={strategy.name} uses the {missing[0]} of a class, and {entry.id!r} has none in its list",
            hint="another strategy, or a class list that says it: vgbench list parts",
        )
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
    params = {"prompts": strategy, "class": fields, "n": n, **(more or {})}
    if values.get("weights"):
        params["weights"] = g.weights(values["weights"])
    return g.node(replace(PROMPT, needs=strategy.needs), params=params)
