"""Train the Toybox CLIP: an open_clip model of a small ResNet and a small text transformer.

Plain contrastive training learns what an object is last, since colour, background and time of day tell images of a
batch apart already. So beside the captions of the batch, every image is also compared with all values of each factor
in one-factor captions ("a photo of a herring", "a thing at night"), and captions that are equal are all right answers.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from vgbench.toybox import kinds, palette, textures, web, words
from vgbench.toybox.train.tokenizer import CONTEXT, save, tokenizer

WEIGHTS_FILE = "open_clip_model.safetensors"
RECORD_FILE = "training.json"
SIZE_PX = 64
WIDTH = 128  # of the text tower, and of the shared space
MEAN, STD = (0.45, 0.45, 0.45), (0.25, 0.25, 0.25)  # those of the recipe `toybox`
HELD_OUT, N_HELD_OUT = 10_000_000, 4_000  # pages of the web that no run trains on
NONE = -100  # a factor that an image does not show
SHIFT_PX = 4
# Of the loss of each factor: what is learnt late counts double, what is learnt in the first minute counts half (ours).
FACTOR_WEIGHTS = {name: 2.0 if name in ("kind", "colour", "texture") else 0.5 for name in words.FACTORS}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Numbers of a training run; chosen on web images of seeds that no test has, in one trial (ours)."""

    n_images: int = 120_000
    steps: int = 4_800
    batch: int = 128
    lr: float = 4e-3
    text_lr: float = 1e-3
    weight_decay: float = 0.05
    warmup_fraction: float = 0.05
    first_image: int = 0
    seed: int = 0
    threads: int = 1


def config(vocab_size: int) -> dict[str, Any]:
    """Return the model in open_clip's own words: ``open_clip_config.json``."""
    return {
        "model_cfg": {
            "embed_dim": WIDTH,
            "vision_cfg": {
                "timm_model_name": "test_resnet",
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "image_size": SIZE_PX,
            },
            "text_cfg": {
                "context_length": CONTEXT,
                "vocab_size": vocab_size,
                "hf_tokenizer_name": "toybox",
                "width": WIDTH,
                "heads": 4,
                "layers": 3,
                "pool_type": "argmax",
            },
        },
        "preprocess_cfg": {
            "size": [SIZE_PX, SIZE_PX],
            "mode": "RGB",
            "mean": list(MEAN),
            "std": list(STD),
            "interpolation": "bicubic",
            "resize_mode": "shortest",
            "fill_color": 0,
        },
    }


def build(vocab_size: int) -> nn.Module:
    """Return the untrained model."""
    cfg = config(vocab_size)["model_cfg"]
    model: nn.Module = open_clip.CLIP(
        embed_dim=WIDTH, vision_cfg=dict(cfg["vision_cfg"]), text_cfg=dict(cfg["text_cfg"])
    )
    return model


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """The web as arrays: pixels (N, 3, S, S) uint8, caption tokens (N, CONTEXT), factors (N, F), digits (N,)."""

    pixels: Tensor
    tokens: Tensor
    factors: Tensor
    digit: NDArray[np.int64]
    same: NDArray[np.int64]  # equal numbers are equal captions

    @classmethod
    def of(cls, n: int, tok: Any, *, first: int = 0, chunk: int = 4_096) -> Corpus:
        pixels, captions, factors, digit = [], [], [], []
        for start in range(first, first + n, chunk):
            pages = web.pages(min(chunk, first + n - start), first=start)
            pixels.append(torch.from_numpy(pages.pixels(size_px=SIZE_PX)).permute(0, 3, 1, 2))
            captions += pages.captions
            factors.append(shown(pages))
            digit.append(pages.digit)
        return cls(
            torch.cat(pixels),
            tokenised(tok, captions),
            torch.from_numpy(np.concatenate(factors)),
            np.concatenate(digit),
            np.unique(captions, return_inverse=True)[1],
        )


def shown(pages: web.Pages) -> NDArray[np.int64]:
    """Return the factors that each image shows: (N, F), ``NONE`` for what cannot be seen. A digit is a kind of its own.

    A texture alone has no object and hides the background and the place; a digit shows nothing else.
    """
    found = np.stack([np.asarray(getattr(pages.factors, factor), np.int64) for factor in words.FACTORS], axis=1)
    is_pattern, is_digit = pages.factors.kind == kinds.FRAME, pages.digit != web.SCENE
    found[is_pattern] = NONE
    found[is_pattern, words.FACTORS.index("texture")] = pages.factors.texture[is_pattern]
    found[is_digit] = NONE
    found[is_digit, words.FACTORS.index("kind")] = kinds.FRAME + pages.digit[is_digit]
    return found


def prompts() -> dict[str, list[str]]:
    """Return the captions that name one factor alone, for every value of each factor."""
    objects = [words.kind(name) for name in kinds.NAMES[: kinds.FRAME]]
    values: Mapping[str, list[str]] = {
        "kind": [*objects, *words.DIGITS],
        "texture": [words.texture(name) for name in textures.NAMES],
        "colour": list(palette.NAMES),
        "background": list(words.BACKGROUNDS),
        "time": list(words.TIMES),
        "weather": list(words.WEATHERS),
        "location": list(words.LOCATIONS),
    }
    return {factor: [words.PROMPTS[factor].format(word) for word in values[factor]] for factor in words.FACTORS}


def tokenised(tok: Any, texts: list[str]) -> Tensor:
    """Return tokens (N, CONTEXT), filled up with the end of text."""
    return torch.tensor(tok(texts, padding="max_length", max_length=CONTEXT, truncation=True)["input_ids"])


def encode_text(model: Any, tokens: Tensor, end: int) -> Tensor:
    """Return unit text features, as ``model.encode_text`` does, but over no more positions than the longest text has.

    Attention looks back only, so what follows the end of a text changes nothing; it is most of the cost here.
    """
    ends = (tokens == end).int().argmax(dim=1)
    longest = int(ends.max()) + 1
    x = model.token_embedding(tokens[:, :longest]) + model.positional_embedding[:longest]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:longest, :longest]))
    return functional.normalize(x[torch.arange(len(x)), ends] @ model.text_projection, dim=-1)


def train(out: Path, recipe: Recipe, *, start: Path | None = None, log_every: int = 50) -> dict[str, Any]:
    """Train, write the model folder to ``out`` with its log, and return the held-out figures.

    ``start``: a folder that this function wrote; training goes on from its weights.
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    tok = tokenizer(words.vocabulary())
    began = time.time()
    corpus = Corpus.of(recipe.n_images, tok, first=recipe.first_image)
    held_out = Corpus.of(N_HELD_OUT, tok, first=HELD_OUT)
    log = [f"drawn {recipe.n_images:,} images in {time.time() - began:.0f} s"]
    print(log[-1], flush=True)  # noqa: T201
    model: Any = build(len(tok))
    if start is not None:
        model.load_state_dict({name: value.float() for name, value in load_file(start / WEIGHTS_FILE).items()})
    model = model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(
        [
            {"params": [p], "peak": peak, "weight_decay": recipe.weight_decay if p.ndim > 1 else 0.0}
            for peak, named in (
                (recipe.lr, model.visual.named_parameters()),
                (recipe.text_lr, ((n, p) for n, p in model.named_parameters() if not n.startswith("visual."))),
            )
            for _, p in named
        ],
        betas=(0.9, 0.98),  # CLIP's for its ViTs (Radford et al. 2021, table 19)
        eps=1e-6,
    )
    warmup = max(int(recipe.steps * recipe.warmup_fraction), 1)
    single = {factor: tokenised(tok, texts) for factor, texts in prompts().items()}
    rng = np.random.default_rng(recipe.seed)
    order = np.concatenate(
        [rng.permutation(recipe.n_images) for _ in range(recipe.steps * recipe.batch // recipe.n_images + 1)]
    )
    for step in range(recipe.steps):
        for group in optimiser.param_groups:
            done = (step - warmup) / max(recipe.steps - warmup, 1)
            group["lr"] = group["peak"] * (
                (step + 1) / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * done))
            )
        rows = order[step * recipe.batch : (step + 1) * recipe.batch]
        loss, parts = _loss(model, corpus, rows, single, rng, tok.eos_token_id)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        if step % log_every == log_every - 1:
            figures = {name: round(value, 3) for name, value in parts.items()}
            log.append(f"step {step + 1} {time.time() - began:.0f} s loss {loss.item():.3f} {figures}")
            print(log[-1], flush=True)  # noqa: T201
        if step % 600 == 599:
            print(zeroshot(model, held_out, single, tok.eos_token_id), flush=True)  # noqa: T201
            model.train()
    figures = zeroshot(model, held_out, single, tok.eos_token_id)
    earlier = json.loads((start / RECORD_FILE).read_text())["runs"] if start is not None else []
    run = {"recipe": asdict(recipe), "held_out_zero_shot": figures, "versions": _versions(), "log": log}
    _write(out, model, tok, [*earlier, run])
    return figures


def _loss(
    model: Any,
    corpus: Corpus,
    rows: NDArray[np.int64],
    single: Mapping[str, Tensor],
    rng: np.random.Generator,
    end: int,
) -> tuple[Tensor, dict[str, float]]:
    pixels = _augmented(corpus.pixels[torch.from_numpy(rows)], corpus.digit[rows], rng)
    image = functional.normalize(model.encode_image(pixels), dim=-1)
    scale = model.logit_scale.exp()
    text = encode_text(model, corpus.tokens[torch.from_numpy(rows)], end)
    same = corpus.same[rows]
    positive = torch.from_numpy(same[:, None] == same[None]).float()
    positive /= positive.sum(1, keepdim=True)
    logits = scale * image @ text.T
    caption = 0.5 * (functional.cross_entropy(logits, positive) + functional.cross_entropy(logits.T, positive))
    parts = {"caption": caption.item()}
    total = caption
    sizes = [len(tokens) for tokens in single.values()]
    known = torch.split(encode_text(model, torch.cat(list(single.values())), end), sizes)
    truth = corpus.factors[torch.from_numpy(rows)]
    for i, (factor, values) in enumerate(zip(single, known, strict=True)):
        one = functional.cross_entropy(scale * image @ values.T, truth[:, i], ignore_index=NONE)
        parts[factor] = one.item()
        total = total + FACTOR_WEIGHTS[factor] * one / math.log(len(values))
    return total, parts


def _augmented(pixels: Tensor, digit: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
    """Shift by up to 4 px and mirror (no digits) half of the images; normalise."""
    n = len(pixels)
    mirrored = torch.from_numpy((rng.random(n) < 0.5) & (digit == web.SCENE))
    pixels = torch.where(mirrored[:, None, None, None], pixels.flip(3), pixels).float()
    padded = functional.pad(pixels, (SHIFT_PX,) * 4, mode="replicate")
    found = torch.empty_like(pixels)
    for shift in range(4):  # four shifts a batch: one crop for each quarter is enough, and cheap
        y, x = (int(v) for v in rng.integers(0, 2 * SHIFT_PX + 1, 2))
        part = slice(shift * n // 4, (shift + 1) * n // 4)
        found[part] = padded[part, :, y : y + SIZE_PX, x : x + SIZE_PX]
    return normalised(found)


def normalised(pixels: Tensor) -> Tensor:
    """Return pixels 0..255 as the network's input."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    return ((pixels.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def zeroshot(model: Any, corpus: Corpus, single: Mapping[str, Tensor], end: int) -> dict[str, float]:
    """Return the zero-shot accuracy of each factor on held-out images, fractions; kinds also by where they occur."""
    model.eval()
    image = torch.cat(
        [functional.normalize(model.encode_image(normalised(part)), dim=-1) for part in torch.split(corpus.pixels, 500)]
    )
    figures: dict[str, float] = {}
    for i, (factor, tokens) in enumerate(single.items()):
        answer = (image @ encode_text(model, tokens, end).T).argmax(1)
        truth = corpus.factors[:, i]
        figures[factor] = _share(answer, truth, truth != NONE)
        if factor == "kind":
            for name, low, high in (
                ("kind, the 40 of pre-training", 0, kinds.N_TRAINING),
                ("kind, tools and creatures", kinds.N_TRAINING, kinds.N_TRAINING + 20),
                ("kind, fine-grained", kinds.N_TRAINING + 20, kinds.FRAME),
                ("kind, digits", kinds.FRAME, kinds.FRAME + 10),
            ):
                figures[name] = _share(answer, truth, (truth >= low) & (truth < high))
    return figures


def _share(answer: Tensor, truth: Tensor, rows: Tensor) -> float:
    return round(float((answer[rows] == truth[rows]).float().mean()), 4)


def _write(out: Path, model: Any, tok: Any, runs: list[dict[str, Any]]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "open_clip_config.json").write_text(json.dumps(config(len(tok)), indent=1) + "\n")
    save_file({name: _stored(value) for name, value in model.state_dict().items()}, out / WEIGHTS_FILE)
    save(tok, out)
    (out / RECORD_FILE).write_text(json.dumps({"runs": runs}, indent=1) + "\n")


def _stored(value: Tensor) -> Tensor:
    """Return a tensor as it is stored: half precision, but for counters and single numbers."""
    return value.detach().half().contiguous() if value.ndim and value.is_floating_point() else value.detach()


def _versions() -> dict[str, str]:
    return {"torch": torch.__version__, "open_clip": open_clip.__version__}
