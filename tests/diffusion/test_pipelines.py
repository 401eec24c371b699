"""Any pipeline of diffusers: the families' embeddings, samplers, safety checkers, filters; what is refused, and how."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from diffusers import AutoencoderKL
from tests.conftest import Answer
from tests.diffusion import made
from tests.diffusion.test_images import CLASSES, source
from transformers import CLIPConfig, CLIPImageProcessor

from vgbench.steps.pipeline import open_pipeline

FAMILIES = {"sd": made.sd, "sdxl": made.sdxl, "sd3": made.sd3, "flux": made.flux}
PX = 32
FORM = ("--images-per-class", "4", "--format", "folder")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write(tmp_path_factory.mktemp(name)) for name, write in FAMILIES.items()}


@pytest.mark.parametrize(
    ("family", "negative"), [("sd", "grey"), ("sdxl", "grey"), ("sdxl", ""), ("sd3", "grey"), ("sd3", ""), ("flux", "")]
)
def test_prompts_embedded_once_draw_what_the_pipeline_draws_from_texts(
    folders: dict[str, Path], family: str, negative: str
) -> None:
    """Embeddings made one by one, beside those that the pipeline makes of its own accord for the batch."""
    opened = open_pipeline(str(folders[family]), "cpu", dtype="float32")
    texts = ["a star", "a red eel before hills"]
    embeddings = [opened.embedded(text, negative=negative, guidance=4.0) for text in texts]
    assert embeddings[0], f"the embeddings of {family} are not known by name"
    asked = {"guidance": 4.0, "steps": 3, "size": (PX, PX)}
    found = opened.draw(embeddings, texts, [1, 2], negative=negative, **asked)  # type: ignore[arg-type]
    own = opened.draw([{}, {}], texts, [1, 2], negative=negative, **asked)  # type: ignore[arg-type]
    assert found.shape == (2, 3, PX, PX)
    assert torch.allclose(found, own, atol=2e-3)
    assert not torch.allclose(found[0], found[1], atol=0.05)


def test_a_negative_prompt_that_would_not_be_heard_is_refused(folders: dict[str, Path]) -> None:
    opened = open_pipeline(str(folders["flux"]), "cpu", dtype="float32")
    with pytest.raises(ValueError, match="FluxPipeline takes no negative prompt"):
        opened.embedded("a star", negative="grey", guidance=4.0)


def test_the_sources_of_a_family_make_images(
    vgbench: Callable[..., Answer], folders: dict[str, Path], tmp_path: Path
) -> None:
    for family in FAMILIES:
        asked = source(folders[family], size_px=PX)
        answer = vgbench("generate", "--source", asked, "--classes", CLASSES, *FORM, "-o", family)
        assert answer.code == 0, answer.err
        assert len(list((tmp_path / family).rglob("*.png"))) == 12


@pytest.mark.parametrize("name", ["ddim", "pndm", "euler", "euler-a", "dpm++", "unipc"])
def test_samplers_follow_the_pipelines_own_schedule(folders: dict[str, Path], name: str) -> None:
    own = open_pipeline(str(folders["sd"]), "cpu", dtype="float32").pipeline.scheduler.config
    config = open_pipeline(str(folders["sd"]), "cpu", dtype="float32", scheduler=name).pipeline.scheduler.config
    assert [config[key] for key in ("beta_start", "beta_end", "beta_schedule")] == [
        own[key] for key in ("beta_start", "beta_end", "beta_schedule")
    ]


def test_a_sampler_that_cannot_follow_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="cannot follow the noise schedule of FlowMatchEuler"):
        open_pipeline(str(folders["flux"]), "cpu", dtype="float32", scheduler="pndm")


# ── LoRA ─────────────────────────────────────────────────────────────────────────────────────────


def drawn(pipeline: Path, **more: Any) -> torch.Tensor:
    opened = open_pipeline(str(pipeline), "cpu", dtype="float32", **more)
    embeddings = [opened.embedded("a star", negative="", guidance=3.0)]
    size = (PX, PX)
    return opened.draw(embeddings, ["a star"], [1], negative="", guidance=3.0, steps=3, size=size)


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3", "flux"])
def test_a_lora_is_added_to_the_weights_as_diffusers_adds_it(
    folders: dict[str, Path], family: str, tmp_path: Path
) -> None:
    lora = made.lora(tmp_path, folders[family])
    base = drawn(folders[family])
    assert torch.allclose(drawn(folders[family], lora=str(lora), lora_scale=0.0), base, atol=1e-4)
    half, whole = (drawn(folders[family], lora=str(lora), lora_scale=scale) for scale in (0.5, 1.0))
    assert not torch.allclose(whole, base, atol=1e-3) and not torch.allclose(whole, half, atol=1e-3)
    opened = open_pipeline(str(folders[family]), "cpu", dtype="float32")
    opened.pipeline.load_lora_weights(str(lora))  # beside the weights, not in them
    embeddings = [opened.embedded("a star", negative="", guidance=3.0)]
    size = (PX, PX)
    theirs = opened.draw(embeddings, ["a star"], [1], negative="", guidance=3.0, steps=3, size=size)
    assert torch.allclose(whole, theirs, atol=1e-3)


def test_a_lora_is_in_the_key_and_one_that_does_not_fit_is_named(
    vgbench: Callable[..., Answer], folders: dict[str, Path], tmp_path: Path
) -> None:
    lora, other = made.lora(tmp_path / "lora", folders["sd"]), made.lora(tmp_path / "other", folders["sd3"])
    form = ("--classes", CLASSES, *FORM)
    recipes = {}
    for name, more in (("none", {}), ("all", {"lora": lora}), ("half", {"lora": lora, "lora_scale": 0.5})):
        answer = vgbench("generate", "--source", source(folders["sd"], **more), *form, "-o", name, "--json")
        assert answer.code == 0, answer.err
        recipes[name] = json.loads((tmp_path / name / "manifest.json").read_text())["recipe"]
    assert len(set(recipes.values())) == 3
    wrong = vgbench("generate", "--source", source(folders["sd"], lora=other), *form, "-o", "wrong")
    assert wrong.code == 1 and "does not fit StableDiffusionPipeline" in wrong.err, wrong.err
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.txt").write_text("nothing here")
    empty = vgbench("generate", "--source", source(folders["sd"], lora=tmp_path / "empty"), *form, "-o", "wrong")
    assert empty.code == 1 and "one .safetensors file is wanted; there: none" in empty.err


def test_another_autoencoder_is_read_from_safetensors_alone(folders: dict[str, Path], tmp_path: Path) -> None:
    """A pickle could run anything; what does not open is named, and is not the pipeline."""
    base, other, pickled = folders["sd"], tmp_path / "other", tmp_path / "pickled"
    vae = AutoencoderKL.from_pretrained(base / "vae")
    with torch.no_grad():
        vae.post_quant_conv.bias.add_(0.5)
    vae.save_pretrained(other)
    vae.save_pretrained(pickled, safe_serialization=False)
    assert not torch.allclose(drawn(base, vae=str(other)), drawn(base), atol=1e-3)
    for folder in (pickled, tmp_path):
        with pytest.raises(ValueError, match=f"{folder}: diffusers cannot open it as an autoencoder"):
            drawn(base, vae=str(folder))


def test_a_folder_that_is_no_pipeline_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no pipeline of diffusers: model_index"):
        open_pipeline(str(tmp_path), "cpu", dtype="float32")
    broken = tmp_path / "broken"
    shutil.copytree(folders["sd"], broken)
    (broken / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ValueError, match="diffusers cannot open it"):
        open_pipeline(str(broken), "cpu", dtype="float32")


# ── The safety checker ───────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def strict(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a pipeline whose safety checker flags every image."""
    from diffusers import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker

    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(vision_config={**vision, "image_size": 32, "patch_size": 16}, projection_dim=8)
    checker = StableDiffusionSafetyChecker(config)
    checker.concept_embeds_weights.data.fill_(-2.0)  # every cosine lies above
    pipeline = StableDiffusionPipeline.from_pretrained(folders["sd"])
    pipeline.register_modules(
        safety_checker=checker,
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
    )
    folder = tmp_path_factory.mktemp("strict")
    pipeline.save_pretrained(folder)
    return folder


def test_the_checker_flags_and_blackens_nothing(
    vgbench: Callable[..., Answer], strict: Path, home: Path, tmp_path: Path
) -> None:
    for safety in ("off", "flag"):
        target = tmp_path / safety
        asked = source(strict, safety=safety)
        form = ("--images-per-class", "4", "--format", "parquet", "-o", str(target))
        assert vgbench("generate", "--source", asked, "--classes", "toybox16/star", *form).code == 0
    shards = [pq.read_table(path).to_pylist() for path in home.glob("store/*/*/*/images.parquet")]
    assert sorted({tuple(row["flags"]) for rows in shards for row in rows}) == [
        (),
        ("flagged by the safety checker",),
    ]
    assert {len(rows) for rows in shards} == {4}


def test_who_is_always_flagged_leaves_a_class_empty(vgbench: Callable[..., Answer], strict: Path) -> None:
    asked = source(strict, safety="redraw")
    answer = vgbench("generate", "--source", asked, "--classes", "toybox16/star", *FORM, "-o", "out")
    assert answer.code == 1
    assert "1 of 1 classes have no image: star" in answer.err


def test_a_checker_that_is_wanted_must_be_there(vgbench: Callable[..., Answer], folders: dict[str, Path]) -> None:
    asked = source(folders["sd"], safety="flag")
    answer = vgbench("generate", "--source", asked, "--classes", CLASSES, *FORM, "-o", "out")
    assert answer.code == 1
    assert "has no safety checker: safety must be off" in answer.err


# ── The filter ───────────────────────────────────────────────────────────────────────────────────


def test_a_filter_keeps_the_best_of_each_block(
    vgbench: Callable[..., Answer], folders: dict[str, Path], home: Path, tmp_path: Path
) -> None:
    """Seeds tell which candidates were kept; a smaller request is part of a larger one, as without a filter."""
    asked = source(folders["sd"], keep="1/2", filter="toybox-clip")

    def kept(n: int) -> list[tuple[int, str]]:
        form = ("--images-per-class", str(n), "--format", "parquet", "-o", str(tmp_path / str(n)))
        answer = vgbench("generate", "--source", asked, "--classes", "toybox16/star", *form)
        assert answer.code == 0, answer.err
        rows = [row for path in home.glob("store/*/*/*/images.parquet") for row in pq.read_table(path).to_pylist()]
        return sorted((row["index"], row["sha256"]) for row in rows)

    four, eight = kept(4), kept(8)
    assert [index for index, _ in eight] == list(range(8))
    assert eight[:4] == four
    commits = [json.loads(path.read_text()) for path in home.glob("store/*/*/*/commit.json")]
    counted = [one["rejected"] for one in commits if one["step"][0] == "vgbench.diffuse"]
    assert counted == [{"not among the best of the filter": 4}] * 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep": "2"}, "keep=2: not n/m"),
        ({"keep": "3/2"}, "keep=3/2: at least 1 of more than that is kept"),
        ({"keep": "3/4", "filter": "toybox-clip"}, "micro_batch=4 must be a multiple of 3"),
        ({"keep": "1/2", "filter": "timm:test_resnet@{sd}"}, "has no text tower"),
        ({"prompts": "simpel"}, "did you mean 'simple'?"),
        ({"prompts": "dataset-templates"}, "genbench/toybox16"),
        ({"prompts": "hypernym"}, "reads wordnet"),
        ({"prompts": "definition"}, "uses the definition of a class, and 'plain' has none"),
        ({"scheduler": "dpm"}, "choose from"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(
    vgbench: Callable[..., Answer], folders: dict[str, Path], home: Path, options: dict[str, str], said: str
) -> None:
    asked = source(folders["sd"], **options).replace("{sd}", str(folders["sd"]))
    plain = home.parent / "plain.json"
    plain.write_text('{"name": "plain", "version": "1", "classes": [{"id": "plain", "name": "plain"}]}')
    classes = str(plain) if options.get("prompts") == "definition" else CLASSES
    answer = vgbench("generate", "--source", asked, "--classes", classes, *FORM, "-o", "out")
    assert answer.code in (2, 3), answer.out
    assert said in answer.err
    assert not list(home.glob("store/*/*/*/commit.json"))
