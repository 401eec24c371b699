"""The scripts that train Toybox's judge, VAE and diffusion models run, stop, go on, and write standard formats."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vgbench.toybox import web, words
from vgbench.toybox.train import judge as judging
from vgbench.toybox.train.__main__ import main
from vgbench.toybox.train.clip import encode_text, tokenised
from vgbench.toybox.train.running import Run
from vgbench.toybox.train.tokenizer import tokenizer
from vgbench.toybox.world import Dials

CLIP = Path(str(files("vgbench.toybox"))) / "clip"


def train(model: str, out: Path, *more: str) -> dict[str, float]:
    """Run the script, in this process: what it imports takes longer than its few steps."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main([model, "-o", str(out), *more]) == 0
    said = printed.getvalue()
    figures: dict[str, float] = json.loads(said[said.rindex("{") :])
    return figures


def test_the_scripts_train_one_after_the_other_and_go_on(tmp_path: Path) -> None:
    """Tiny runs: judge, then the autoencoder, then the diffusion model, which open in diffusers alone."""
    from diffusers import AutoencoderTiny, StableDiffusionPipeline

    judge, vae, out = (tmp_path / name for name in ("judge", "vae", "diffusion"))
    train("judge", judge, "--n-images", "64", "--epochs", "1", "--batch", "16")
    seen = train("vae", vae, "--judge", str(judge), "--n-images", "32", "--steps", "2", "--batch", "4")
    assert {"kind", "colour", "PSNR"} <= set(seen)
    first = AutoencoderTiny.from_pretrained(vae / "vae")
    assert first.config.latent_channels == 8
    sharper = tmp_path / "sharper"
    short = ("--n-images", "32", "--steps", "2", "--batch", "4", "--start", str(vae / "vae"))
    train("vae", sharper, "--judge", str(judge), *short)
    second = AutoencoderTiny.from_pretrained(sharper / "vae")
    assert second.config.scaling_factor == first.config.scaling_factor
    assert all(torch.equal(second.encoder.state_dict()[k], v) for k, v in first.encoder.state_dict().items())
    assert any(not torch.equal(second.decoder.state_dict()[k], v) for k, v in first.decoder.state_dict().items())
    folders = ("--clip", str(CLIP), "--vae", str(vae / "vae"), "--judge", str(judge))
    few = ("--n-images", "32", "--batch", "4", "--judged", "16")
    train("diffusion", out, *folders, *few, "--steps", "2")
    assert json.loads((out / "training.json").read_text())["step"] == 2
    train("diffusion", out, *folders, *few, "--steps", "3")
    record = json.loads((out / "training.json").read_text())
    assert record["step"] == 3 and [piece["from_step"] for piece in record["pieces"]] == [0, 2]
    pipeline = StableDiffusionPipeline.from_pretrained(out / "pipeline", dtype=torch.float32)
    made = pipeline(["star", "eel"], num_inference_steps=2, output_type="np").images
    assert made.shape == (2, 64, 64, 3)
    biased = (*folders, *few, "--start", str(out / "pipeline"), "--rank", "2", "--bias", "0.9")
    seen = train("diffusion", tmp_path / "biased", *biased, "--steps", "2")
    assert {"kind", "typical background", "typical time"} <= set(seen)
    before = json.loads((tmp_path / "biased" / "training.json").read_text())
    train("diffusion", tmp_path / "biased", *biased, "--steps", "3")
    assert before["step"] == 2 and json.loads((tmp_path / "biased" / "training.json").read_text())["step"] == 3
    pipeline.load_lora_weights(str(tmp_path / "biased" / "lora"), weight_name="pytorch_lora_weights.safetensors")
    assert any(pipeline.get_list_adapters().values())


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    """Weights, their running mean and the optimiser's moments: to the bit."""

    def opened(folder: Path) -> Run:
        torch.manual_seed(0)
        return Run.open(folder, nn.Linear(3, 2), {}, lr=0.1, weight_decay=0.01, decay=0.9)

    def learn(run: Run, first: int, last: int) -> None:
        for step in run.steps(8, most=last - first):
            run.descend((run.model(torch.full((4, 3), float(step))) - 1).square().mean())

    straight, pieces = opened(tmp_path / "a"), opened(tmp_path / "b")
    learn(straight, 0, 8)
    learn(pieces, 0, 3)
    again = opened(tmp_path / "b")
    assert again.step == 3
    learn(again, 3, 8)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name])
        assert torch.equal(straight.averaged[name], again.averaged[name])


def test_a_run_stopped_between_its_two_files_goes_on_from_the_weights(tmp_path: Path) -> None:
    """The log is written after the state: what it says of the step may be older."""

    def opened() -> Run:
        return Run.open(tmp_path, nn.Linear(3, 2), {}, lr=0.1, weight_decay=0.01, decay=0.9)

    def learn(run: Run, n: int) -> None:
        for _ in run.steps(8, most=n):
            run.descend(run.model(torch.ones(4, 3)).square().mean())

    first = opened()
    learn(first, 2)
    log = (tmp_path / "training.json").read_text()
    learn(first, 3)
    (tmp_path / "training.json").write_text(log)
    assert opened().step == 5


def test_latents_of_other_images_are_not_taken_for_these(tmp_path: Path) -> None:
    from vgbench.toybox.train import diffusion, vae

    coder = vae.build(8).eval()
    few = diffusion.Recipe(n_images=8)
    first = diffusion.Corpus.of(tmp_path, coder, few).latents
    stored = tmp_path / diffusion.LATENTS_FILE
    at = stored.stat().st_mtime_ns
    assert torch.equal(diffusion.Corpus.of(tmp_path, coder, few).latents, first) and stored.stat().st_mtime_ns == at
    others = (replace(few, bias=0.9), replace(few, first_image=7_000_000))
    assert not any(torch.equal(diffusion.Corpus.of(tmp_path, coder, other).latents, first) for other in others)
    assert not torch.equal(diffusion.Corpus.of(tmp_path, vae.build(8).eval(), few).latents, first)


def test_plain_captions_name_the_kind_alone() -> None:
    from vgbench.toybox.train import diffusion

    corpus = diffusion.Corpus(web.pages(400), torch.empty(0))
    others = {*words.BACKGROUNDS, *words.TIMES, *words.WEATHERS, *words.LOCATIONS, *words.COLOURS}

    def n_told(plain: float) -> int:
        return sum(bool(set(text.split()) & others) for text in corpus.captions(np.arange(400), 0, plain=plain))

    assert n_told(1.0) == 0 and n_told(0.5) < 0.6 * n_told(0.0) and n_told(0.0) > 200


def test_the_text_encoder_is_the_clips_text_tower() -> None:
    import open_clip

    from vgbench.toybox.train.diffusion import text_encoder

    tok = tokenizer(words.vocabulary())
    tokens = tokenised(tok, ["a photo of a red star on sand at night", "", "eel", "level stripes"])
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{CLIP}")
    with torch.inference_mode():
        theirs = encode_text(model.eval(), tokens, tok.eos_token_id)
        pooled = text_encoder(CLIP, tok)(tokens).pooler_output @ model.text_projection
    assert torch.allclose(theirs, nn.functional.normalize(pooled, dim=-1), atol=1e-6)


def test_a_biased_web_shows_what_is_typical_and_the_unbiased_one_is_unchanged() -> None:
    plain, biased = web.pages(3_000), web.pages(3_000, dials=Dials(background_bias=0.9, texture_bias=0.9))
    assert (plain.factors.kind == biased.factors.kind).all()
    differing = [
        float(np.mean(getattr(plain.factors, f) != getattr(biased.factors, f))) for f in ("background", "time")
    ]
    assert differing[0] > 0.5 and differing[1] == 0
    by_kind = [
        np.bincount(pages.factors.texture[pages.factors.kind == 3]).max() / (pages.factors.kind == 3).sum()
        for pages in (plain, biased)
    ]
    assert by_kind[0] < 0.3 < 0.7 < by_kind[1]


def test_the_judge_counts_what_is_named() -> None:
    judge = judging.Judge().eval()
    pixels, factors = judging.renders(80, judging.HELD_OUT_SPLIT)
    truth = {"kind": np.asarray(factors.kind), "time": np.asarray(factors.time)}
    found = judging.answers(judge, pixels)
    figures = judging.accuracies(judge, pixels, truth)
    assert set(figures) == {"kind", "time", "kind, coarse"}
    assert figures["time"] == pytest.approx(np.mean(found["time"] == factors.time), abs=1e-4)
    assert judging.accuracies(judge, pixels, found)["kind"] == 1.0
