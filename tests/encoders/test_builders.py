"""Builders read what their libraries write: the right weights and preprocessing, and nothing from the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import safetensors.torch
import sentencepiece
import timm
import torch
import transformers
from PIL import Image
from tests.encoders import made
from timm.data import create_transform

from vgbench import decoding
from vgbench_tasks.encoders import open_clip as ours_open_clip
from vgbench_tasks.encoders import timm as ours_timm
from vgbench_tasks.encoders import transformers as ours_transformers

PHOTO = made.jpeg(5, (90, 60))


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every attempt at the network fail at once."""
    monkeypatch.setattr("socket.socket.connect", _refuse)


def _refuse(*args: object) -> None:
    raise AssertionError("a builder opened a connection")


def image() -> Image.Image:
    return Image.fromarray(decoding.decode(PHOTO))


def shown(network: object) -> torch.Tensor:
    """Bring the photo to a network's input: (1, 3, P, P) uint8."""
    return decoding.framed(decoding.decode(PHOTO), network.preprocessing)[None]  # type: ignore[attr-defined]


@torch.inference_mode()
def test_open_clip_folder_gives_what_open_clip_gives(tmp_path: Path) -> None:
    folder = made.open_clip_folder(tmp_path / "clip")
    network = ours_open_clip.build({}, str(folder), "cpu")
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()
    theirs = model.encode_image(transform(image())[None])
    torch.testing.assert_close(network.images(shown(network)), theirs, atol=2e-2, rtol=0)  # a level of the resize
    assert not torch.allclose(theirs, torch.zeros_like(theirs), atol=0.1)
    prompts = ["a photo of a cat", "a picture of a dog ."]
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(prompts)
    torch.testing.assert_close(network.texts(prompts), model.encode_text(tokens))


def test_open_clip_preprocessing_is_the_folders(tmp_path: Path) -> None:
    network = ours_open_clip.build({}, str(made.open_clip_folder(tmp_path / "a")), "cpu")
    assert network.preprocessing == decoding.Preprocessing(32, made.MEAN, made.STD)
    squashed = ours_open_clip.build({}, str(made.open_clip_folder(tmp_path / "b", resize_mode="squash")), "cpu")
    assert squashed.preprocessing.crop == "squash"


@pytest.mark.parametrize(("has", "tag"), [(False, "openai"), (True, "laion2b_s34b_b79k")])
def test_quick_gelu_of_other_weights_is_refused(tmp_path: Path, has: bool, tag: str) -> None:
    folder = made.open_clip_folder(tmp_path / "clip", quick_gelu=has)
    with pytest.raises(ValueError, match=rf"open_clip_config.json is a network with .*GELU, and the weights '{tag}'"):
        ours_open_clip.build({"arch": "ViT-B-32", "pretrained": tag}, str(folder), "cpu")


def test_quick_gelu_of_a_file_is_its_tags(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose the architecture ViT-B-32-quickgelu"):
        ours_open_clip.build({"arch": "ViT-B-32/openai"}, str(tmp_path / "some.safetensors"), "cpu")


def test_quick_gelu_changes_features(tmp_path: Path) -> None:
    plain, quick = (
        ours_open_clip.build({}, str(made.open_clip_folder(tmp_path / str(has), quick_gelu=has)), "cpu")
        for has in (False, True)
    )
    with torch.inference_mode():
        assert not torch.allclose(plain.images(shown(plain)), quick.images(shown(quick)))


@torch.inference_mode()
def test_open_clip_file_is_read_by_architecture_and_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small architecture under a name that open_clip's table of weights knows."""
    folder = made.open_clip_folder(tmp_path / "clip")
    small = json.loads(json.dumps({**made.CLIP, "text_cfg": {**made.CLIP["text_cfg"], "hf_tokenizer_name": ""}}))
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32", small)
    file = folder / "open_clip_model.safetensors"
    network = ours_open_clip.build({"arch": "ViT-B-32/laion2b_s34b_b79k"}, str(file), "cpu")
    assert network.preprocessing.mean == open_clip.OPENAI_DATASET_MEAN
    from_folder = ours_open_clip.build({}, str(folder), "cpu")
    pixels = shown(network)
    normalised = network.preprocessing.normalised(pixels)
    torch.testing.assert_close(network.images(pixels), from_folder.model.encode_image(normalised))


@torch.inference_mode()
def test_transformers_clip_gives_what_transformers_gives(tmp_path: Path) -> None:
    folder = made.clip_folder(tmp_path / "clip")
    network = ours_transformers.build({}, str(folder), "cpu")
    assert network.preprocessing == decoding.Preprocessing(32, made.MEAN, made.STD, resize_px=36)
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    values = network.preprocessing.normalised(shown(network))
    torch.testing.assert_close(network.images(shown(network)), model.get_image_features(values).pooler_output)
    assert network.images(shown(network)).shape == (1, 12)
    tokens = made.tokenizer()(["a photo of a cat"], return_tensors="pt")
    expected = model.get_text_features(**tokens).pooler_output
    torch.testing.assert_close(network.texts(["a photo of a cat"]), expected)


@torch.inference_mode()
def test_siglip_with_spiece_model_alone_gives_what_transformers_gives(tmp_path: Path) -> None:
    """Each prompt is filled up to the model's length, and the network reads what it is filled up with."""
    folder = made.siglip_folder(tmp_path / "siglip")
    network = ours_transformers.build({}, str(folder), "cpu")
    model = transformers.SiglipModel.from_pretrained(folder).eval()
    values = network.preprocessing.normalised(shown(network))
    torch.testing.assert_close(network.images(shown(network)), model.get_image_features(values).pooler_output)
    prompts = ["a photo of a cat", "an eel"]
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    ids = [(pieces.encode(prompt)[:7] + [1] * 8)[:8] for prompt in prompts]  # 1 ends a text, and fills SigLIP's up
    torch.testing.assert_close(network.texts(prompts), model.get_text_features(torch.tensor(ids)).pooler_output)


def test_images_are_encoded_without_a_tokenizer_and_texts_say_which_is_missing(tmp_path: Path) -> None:
    folder = _emptied(made.siglip_folder(tmp_path / "siglip"), "spiece.model")
    network = ours_transformers.build({}, str(folder), "cpu")
    with torch.inference_mode():
        assert network.images(shown(network)).shape == (1, 16)
    with pytest.raises(ValueError, match="holds no tokenizer that transformers can read"):
        network.texts(["a cat"])


@torch.inference_mode()
def test_dinov2_gives_its_pooled_output_and_has_no_text_tower(tmp_path: Path) -> None:
    folder = made.dinov2_folder(tmp_path / "dino")
    network = ours_transformers.build({}, str(folder), "cpu")
    assert network.preprocessing == decoding.Preprocessing(28, made.MEAN, made.STD, "squash")
    model = transformers.Dinov2Model.from_pretrained(folder).eval()
    values = network.preprocessing.normalised(shown(network))
    torch.testing.assert_close(network.images(shown(network)), model(values).pooler_output)
    assert not hasattr(network, "texts")


@torch.inference_mode()
def test_timm_file_gives_what_its_classifier_would_see(tmp_path: Path) -> None:
    file = made.timm_file(tmp_path / "mine.safetensors")
    network = ours_timm.build({"arch": "test_resnet"}, str(file), "cpu")
    model = timm.create_model("test_resnet", pretrained=False, checkpoint_path=str(file)).eval()
    config = timm.data.resolve_data_config({}, model=model)
    assert network.preprocessing.resize_px == int(config["input_size"][1] / config["crop_pct"])
    theirs = model.forward_head(model.forward_features(create_transform(**config)(image())[None]), pre_logits=True)
    torch.testing.assert_close(network.images(shown(network)), theirs, atol=2e-2, rtol=0)


@pytest.mark.parametrize("head", [{"aux_logits": True}, {"num_classes": 1008}], ids=["torchvision's", "1008 classes"])
@torch.inference_mode()
def test_inception_v3_gives_its_2048_pooled_numbers_of_299_px(tmp_path: Path, head: dict[str, Any]) -> None:
    """Whatever classifiers the weights were trained with: torchvision's have a second one."""
    torch.manual_seed(0)
    model = timm.create_model("inception_v3", pretrained=False, **head).eval()
    safetensors.torch.save_file(model.state_dict(), tmp_path / "inception.safetensors")
    network = ours_timm.build({"arch": "inception_v3"}, str(tmp_path / "inception.safetensors"), "cpu")
    half = (0.5, 0.5, 0.5)
    assert network.preprocessing == decoding.Preprocessing(299, half, half, "center", "bicubic", 341)
    model.aux_logits = False
    seen = model.forward_features(shown(network).float() / 127.5 - 1)
    found = network.images(shown(network))
    torch.testing.assert_close(found, seen.mean(dim=(2, 3)), atol=1e-4, rtol=1e-4)
    assert found.shape == (1, 2048)


def test_a_tag_of_timm_says_how_images_are_shown_and_one_it_has_not_is_refused(tmp_path: Path) -> None:
    model = timm.create_model("inception_v3", pretrained=False)
    safetensors.torch.save_file(model.state_dict(), tmp_path / "inception.safetensors")
    network = ours_timm.build({"arch": "inception_v3.gluon_in1k"}, str(tmp_path / "inception.safetensors"), "cpu")
    assert network.preprocessing.mean == (0.485, 0.456, 0.406)
    with pytest.raises(ValueError, match=r"did you mean 'inception_v3\.tv_in1k'"):
        ours_timm.build({"arch": "inception_v3.tv_in1"}, str(tmp_path / "inception.safetensors"), "cpu")


def test_timm_folder_says_architecture_and_preprocessing(tmp_path: Path) -> None:
    network = ours_timm.build({}, str(made.timm_folder(tmp_path / "repo")), "cpu")
    assert network.preprocessing == decoding.Preprocessing(48, made.MEAN, made.STD, "center", "bilinear", 53)


def _emptied(folder: Path, name: str) -> Path:
    (folder / name).unlink()
    return folder


@pytest.mark.parametrize(
    ("build", "values", "weights", "says"),
    [
        (
            ours_open_clip.build,
            {},
            lambda at: _emptied(made.open_clip_folder(at / "x"), "open_clip_config.json"),
            "is no folder of open_clip: open_clip_config.json cannot be read",
        ),
        (
            ours_open_clip.build,
            {},
            lambda at: _emptied(made.open_clip_folder(at / "x"), "open_clip_model.safetensors"),
            "holds no weights: open_clip_model.safetensors is expected",
        ),
        (ours_open_clip.build, {"arch": "ViT-B-33/openai"}, lambda at: at / "f.pt", "did you mean 'ViT-B-32'"),
        (ours_open_clip.build, {"arch": "ViT-B-32"}, lambda at: at / "f.pt", "no weights of open_clip are called ''"),
        (ours_transformers.build, {}, lambda at: at, "preprocessor_config.json does not say how images are shown"),
        (
            ours_transformers.build,
            {},
            lambda at: _emptied(made.dinov2_folder(at / "x"), "model.safetensors"),
            "holds no model that transformers can read",
        ),
        (ours_timm.build, {}, lambda at: made.timm_file(at / "f.safetensors"), "does not say which architecture"),
        (ours_timm.build, {"arch": "test_resnte"}, lambda at: at / "f", "did you mean 'test_resnet"),
        (
            ours_timm.build,
            {"arch": "test_vit"},
            lambda at: made.timm_file(at / "f.safetensors"),
            "holds no weights of test_vit",
        ),
    ],
)
def test_wrong_weights_are_refused_with_what_to_do(
    tmp_path: Path, build: Callable[..., object], values: dict[str, str], weights: Callable[[Path], Path], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        build(values, str(weights(tmp_path)), "cpu")


def test_pickled_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    torch.save({"state_dict": Trap()}, tmp_path / "evil.pth")
    with pytest.raises(Exception, match=r"[Ww]eights"):
        ours_timm.build({"arch": "test_resnet"}, str(tmp_path / "evil.pth"), "cpu")
    assert not (tmp_path / "ran").exists()


def test_preprocessing_that_cannot_be_followed_is_refused(tmp_path: Path) -> None:
    folder = made.timm_folder(tmp_path / "repo")
    config = json.loads((folder / "config.json").read_text())
    config["pretrained_cfg"]["crop_mode"] = "border"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="neither a centre crop nor a squash"):
        ours_timm.build({}, str(folder), "cpu")


def test_our_resize_is_the_papers_transform_to_a_level() -> None:
    """torchvision's Resize and CenterCrop on Pillow images, as open_clip builds them."""
    preprocessing = decoding.Preprocessing(32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    transform = open_clip.image_transform(32, is_train=False, mean=preprocessing.mean, std=preprocessing.std)
    theirs = (transform(image()) * 255).round().numpy().astype(int)
    ours = decoding.framed(decoding.decode(PHOTO), preprocessing).numpy().astype(int)
    assert np.abs(ours - theirs).max() <= 1
