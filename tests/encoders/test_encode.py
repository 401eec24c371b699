"""encode: every image's features, whatever the batch, the threads, the order; one network for all that is encoded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from tests.encoders.made import image_set, jpeg, shard, step

from vgbench import decoding
from vgbench.decoding import Preprocessing
from vgbench.images import ImageSet
from vgbench.steps.encode import encode, encode_text
from vgbench.types import Artifact, Part

PREPROCESSING = Preprocessing(8, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


class Tiny:
    """A linear map of the normalised pixels, and of a text's letters."""

    preprocessing = PREPROCESSING

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.weights = torch.randn(3 * 8 * 8, 5, generator=generator)
        self.shapes: list[tuple[int, ...]] = []

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(pixels.shape))
        return self.preprocessing.normalised(pixels).flatten(1) @ self.weights

    def texts(self, prompts: list[str]) -> torch.Tensor:
        self.shapes.append((len(prompts),))
        return torch.tensor([[prompt.count(letter) + 0.5 for letter in "abcdefg"] for prompt in prompts])


def build(values: Mapping[str, Any], weights: str, device: str) -> Tiny:
    return Tiny()


def expected(artifact: Artifact) -> np.ndarray:
    """Encode image by image, without threads or batches."""
    network = Tiny()
    rows = []
    for data in ImageSet.open(artifact).encoded():
        pixels = decoding.framed(decoding.decode(data), PREPROCESSING)
        rows.append(network.images(pixels[None])[0].numpy())
    return np.stack(rows)


def test_features_stand_in_the_sets_order_with_its_labels(tmp_path: Path) -> None:
    images = image_set(tmp_path / "set")
    made = encode(step(tmp_path / "out", build, tmp_path, inputs={"images": images}))
    features, rows = np.load(tmp_path / "out/features.npy"), pq.read_table(tmp_path / "out/rows.parquet")
    assert made.items == 10 and features.shape == (10, 5) and features.dtype == np.float32
    np.testing.assert_allclose(features, expected(images), rtol=1e-4, atol=1e-4)
    opened = ImageSet.open(images)
    assert rows["image_id"].to_pylist() == opened.ids and opened.ids != sorted(opened.ids)
    assert rows["label"].to_pylist() == opened.labels.tolist()
    assert rows.column_names == ["image_id", "label"]


def test_every_batch_has_one_shape_and_the_last_is_filled_up(tmp_path: Path) -> None:
    network = Tiny()
    images = image_set(tmp_path / "set")
    encode(step(tmp_path / "out", lambda *_: network, tmp_path, inputs={"images": images}))
    assert network.shapes == [(4, 3, 8, 8)] * 3


def test_number_of_decoding_threads_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = image_set(tmp_path / "set")
    for threads in (0, 1, 7):
        monkeypatch.setattr("vgbench.steps.encode._decoders", lambda device, own, n=threads: n)
        encode(step(tmp_path / f"out-{threads}", build, tmp_path, inputs={"images": images}))
    assert len({(tmp_path / f"out-{threads}/features.npy").read_bytes() for threads in (0, 1, 7)}) == 1


def test_unlabelled_images_of_a_data_set_are_a_set_too(tmp_path: Path) -> None:
    images = Artifact("images", (shard(tmp_path / "a", [jpeg(1), jpeg(2)]), shard(tmp_path / "b", [jpeg(3)])))
    encode(step(tmp_path / "out", build, tmp_path, inputs={"images": images}))
    np.testing.assert_allclose(np.load(tmp_path / "out/features.npy"), expected(images), rtol=1e-4, atol=1e-4)
    assert pq.read_table(tmp_path / "out/rows.parquet")["label"].to_pylist() == [-1, -1, -1]


def test_labels_of_a_multi_label_set_travel_with_its_features(tmp_path: Path) -> None:
    images = image_set(tmp_path / "set", 4)
    index = images.path / "index.parquet"
    labels = [[0, 2], [1], [2], [0, 1, 2]]
    table = pq.read_table(index)
    pq.write_table(table.append_column("labels", [labels]), index)
    encode(step(tmp_path / "out", build, tmp_path, inputs={"images": images}))
    assert pq.read_table(tmp_path / "out/rows.parquet")["labels"].to_pylist() == labels


def test_squash_shows_the_whole_image(tmp_path: Path) -> None:
    images = image_set(tmp_path / "set")
    for crop in ("center", "squash"):
        encode(step(tmp_path / crop, build, tmp_path, inputs={"images": images}, crop=crop))
        assert json.loads((tmp_path / crop / "meta.json").read_text())["preprocessing"]["crop"] == crop
    assert not np.allclose(np.load(tmp_path / "center/features.npy"), np.load(tmp_path / "squash/features.npy"))
    data = next(ImageSet.open(images).encoded())
    whole = decoding.framed(decoding.decode(data), PREPROCESSING, crop="squash")
    by_pillow = np.asarray(Image.fromarray(decoding.decode(data)).resize((8, 8), Image.Resampling.BICUBIC))
    assert np.abs(whole.permute(1, 2, 0).numpy().astype(int) - by_pillow).max() <= 1


def test_network_is_built_once_for_all_sets_and_texts(tmp_path: Path) -> None:
    built, resident = [], {}

    def count(values: Mapping[str, Any], weights: str, device: str) -> Tiny:
        built.append(weights)
        return Tiny()

    for name in ("a", "b"):
        images = image_set(tmp_path / name)
        encode(step(tmp_path / f"out-{name}", count, tmp_path / "w", inputs={"images": images}, resident=resident))
    encode_text(step(tmp_path / "text", count, tmp_path / "w", resident=resident, **texts(["cat"], ["a {}"])))
    assert built == [str(tmp_path / "w")]
    encode_text(step(tmp_path / "other", count, tmp_path / "v", resident=resident, **texts(["cat"], ["a {}"])))
    assert built == [str(tmp_path / "w"), str(tmp_path / "v")]


def test_image_that_does_not_decode_is_named(tmp_path: Path) -> None:
    images = Artifact("images", (shard(tmp_path / "a", [jpeg(1), jpeg(2)[:300]]),))
    with pytest.raises(ValueError, match=r"image image-01 does not decode: .*[Tt]runcated"):
        encode(step(tmp_path / "out", build, tmp_path, inputs={"images": images}))


def test_feature_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    network = Tiny()
    network.weights[3, 2] = torch.inf
    with pytest.raises(ValueError, match="not finite"):
        images = image_set(tmp_path / "set")
        encode(step(tmp_path / "out", lambda *_: network, tmp_path, inputs={"images": images}))


# ── Class names ──────────────────────────────────────────────────────────────────────────────────


def texts(names: list[str], templates: list[str]) -> dict[str, Any]:
    return {"names": names, "templates": Part("prompts", "some", "1", values={"templates": templates})}


def test_text_features_are_normalised_means_of_normalised_templates(tmp_path: Path) -> None:
    names, templates = ["cat", "dog", "egg"], ["a {}", "bad {} face", "{}"]
    encode_text(step(tmp_path / "out", build, tmp_path, **texts(names, templates)))
    found = np.load(tmp_path / "out/features.npy")
    for row, name in zip(found, names, strict=True):
        each = Tiny().texts([template.replace("{}", name) for template in templates]).double().numpy()
        mean = (each / np.linalg.norm(each, axis=1, keepdims=True)).mean(axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), rtol=1e-6)
    assert found.dtype == np.float32 and found.shape == (3, 7)


def test_class_name_with_braces_is_no_template(tmp_path: Path) -> None:
    encode_text(step(tmp_path / "out", build, tmp_path, **texts(["a{0}b", "{}"], ["a {}"])))
    assert np.isfinite(np.load(tmp_path / "out/features.npy")).all()


def test_template_without_a_place_for_the_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'a photo' must hold one"):
        encode_text(step(tmp_path / "out", build, tmp_path, **texts(["cat"], ["a {}", "a photo"])))


def test_encoder_without_text_tower_is_refused(tmp_path: Path) -> None:
    class Blind:
        preprocessing = PREPROCESSING

    with pytest.raises(ValueError, match="has no text tower"):
        encode_text(step(tmp_path / "out", lambda *_: Blind(), tmp_path, **texts(["cat"], ["a {}"])))
