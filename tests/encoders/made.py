"""Tiny networks with random weights, written as their libraries write them, and images to show them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import safetensors.torch
import sentencepiece
import timm
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
)

from vgbench.images import ImageRow, write_index, write_shard
from vgbench.types import Artifact, Part, Place, Step

WORDS = ("a", "photo", "of", "picture", "cat", "dog", "eel", ".")
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    "text_cfg": {
        "context_length": 8,
        "vocab_size": len(WORDS) + 3,
        "hf_tokenizer_name": "beside",
        "width": 32,
        "heads": 2,
        "layers": 1,
    },
}


def open_clip_folder(folder: Path, *, quick_gelu: bool = False, resize_mode: str = "shortest") -> Path:
    """Write open_clip's ``local-dir:`` layout: configuration, weights, tokenizer."""
    folder.mkdir(parents=True)
    shown = {"size": 32, "mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": resize_mode}
    config = {"model_cfg": {**CLIP, "quick_gelu": quick_gelu}, "preprocess_cfg": shown}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    model = open_clip.CLIP(**json.loads(json.dumps(config["model_cfg"])))
    safetensors.torch.save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    tokenizer().save_pretrained(folder)
    return folder


def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of whole words; the highest id ends a text, as CLIP's pooling expects."""
    vocabulary = {"<pad>": 0, **{word: i + 1 for i, word in enumerate(WORDS)}}
    start, end = len(WORDS) + 1, len(WORDS) + 2
    vocabulary |= {"<start>": start, "<end>": end}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="."))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing("<start> $A <end>", None, [("<start>", start), ("<end>", end)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<start>", eos_token="<end>", unk_token="."
    )


def clip_folder(folder: Path) -> Path:
    """Write a CLIPModel as transformers saves it."""
    text = {"vocab_size": len(WORDS) + 3, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "max_position_embeddings": 8, "eos_token_id": len(WORDS) + 2}
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 32, "patch_size": 16}
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    CLIPModel(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return _preprocessor(folder, {"size": {"shortest_edge": 36}, "do_center_crop": True, "crop_size": 32})


def dinov2_folder(folder: Path) -> Path:
    """Write a Dinov2Model as transformers saves it: no text tower."""
    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
    Dinov2Model(config).save_pretrained(folder)
    return _preprocessor(folder, {"size": {"height": 28, "width": 28}})


def siglip_folder(folder: Path) -> Path:
    """Write a SiglipModel as transformers saves it, with ``spiece.model`` for its only tokenizer file."""
    n_pieces = spiece(folder).get_piece_size()
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": n_pieces, "max_position_embeddings": 8, "projection_size": 16}
    torch.manual_seed(0)
    config = SiglipConfig(text_config=text, vision_config={**small, "image_size": 32, "patch_size": 16})
    SiglipModel(config).save_pretrained(folder)
    return _preprocessor(folder, {"size": {"height": 32, "width": 32}})


def spiece(folder: Path) -> sentencepiece.SentencePieceProcessor:
    """Train a few pieces with the special ids of T5 and SigLIP, and write them as ``spiece.model``."""
    folder.mkdir(parents=True, exist_ok=True)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a photo of a cat .", "a picture of a dog .", "an eel and a star in the sea"]),
        model_writer=model,
        vocab_size=40,
        hard_vocab_limit=False,  # so few sentences have fewer pieces
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def _preprocessor(folder: Path, values: Mapping[str, Any]) -> Path:
    said = {"image_mean": MEAN, "image_std": STD, "resample": 3, "rescale_factor": 1 / 255, **values}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return folder


def timm_file(path: Path, arch: str = "test_resnet") -> Path:
    """Write a timm checkpoint, classifier included."""
    torch.manual_seed(0)
    safetensors.torch.save_file(timm.create_model(arch, pretrained=False).state_dict(), path)
    return path


def timm_folder(folder: Path, arch: str = "test_resnet") -> Path:
    """Write the layout of timm's repositories on the Hub."""
    folder.mkdir(parents=True)
    timm_file(folder / "model.safetensors", arch)
    shown = {"input_size": [3, 48, 48], "mean": MEAN, "std": STD, "crop_pct": 0.9, "interpolation": "bilinear"}
    shown |= {"classifier": "fc", "crop_mode": "center"}
    (folder / "config.json").write_text(json.dumps({"architecture": arch, "pretrained_cfg": shown}))
    return folder


# ── Images, and a step to encode them ────────────────────────────────────────────────────────────


def jpeg(i: int, size: tuple[int, int] = (50, 40), **options: Any) -> bytes:
    """Encode smooth noise of (width, height) px."""
    rng = np.random.default_rng(i)
    small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    small.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", **{"quality": 92, **options})
    return buffer.getvalue()


def shard(folder: Path, encoded: list[bytes]) -> Path:
    """Write an image shard."""
    folder.mkdir(parents=True)
    write_shard(folder, [ImageRow(data, i, f"image-{i:02d}", 50, 40, "cat") for i, data in enumerate(encoded)])
    return folder


def image_set(folder: Path, n: int = 10) -> Artifact:
    """Make an image set of n images in two shards, in an order that is not theirs."""
    encoded = [jpeg(i) for i in range(n)]
    shards = shard(folder / "0", encoded[: n // 2]), shard(folder / "1", encoded[n // 2 :])
    rows = []
    for i in np.random.default_rng(0).permutation(n):
        row = i if i < n // 2 else i - n // 2
        rows.append((f"image-{i:02d}", int(i) % 3, 0, int(i >= n // 2), int(row), ""))
    (folder / "index").mkdir()
    write_index(folder / "index", rows)
    return Artifact("set", (folder / "index",), members=(Artifact("member", shards),))


def step(
    out: Path,
    build: Callable[..., Any],
    weights: Path,
    *,
    inputs: Mapping[str, Artifact] | None = None,
    resident: dict[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    **params: Any,
) -> Step:
    """Make a step's view of the world, with an encoder that ``build`` builds."""
    out.mkdir(parents=True)
    kept: dict[str, Any] = {} if resident is None else resident

    def keep(key: str, make: Callable[[], Any]) -> Any:
        if key not in kept:
            kept[key] = make()
        return kept[key]

    part = Part("encoder", "tiny", "1", "tests:build", values or {})
    place = Place(f"sha256:{weights.name}", str(weights))
    asked = {"encoder": part, "weights": place, "crop": "center", "batch": 4, "threads": 1, **params}
    return Step(
        node="node",
        params=asked,
        inputs=inputs or {},
        seed=None,
        shard=0,
        out=out,
        scratch=out,
        device="cpu",
        progress=lambda done, total: None,
        resident=keep,
        load=lambda part: build,
    )
