"""predict: the backbone's own softmax, the same for every batch size, without a look at the labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image

from vgbench.images import Pack, encode_png, write_pack
from vgbench.steps.predict import predict
from vgbench.steps.pretrain import pretrain
from vgbench.types import Artifact, Part, Step

ARCH: tuple[str, dict[str, Any]] = ("test_resnet", {"channels": [8, 8, 8, 8]})
CLASSES = ["cat", "dog", "eel"]
RECIPE = Part(
    "recipe",
    "tiny",
    "1",
    values={
        "batch": 8,
        "micro_batch": 8,
        "input_px": 16,
        "in_chans": 3,
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.25, 0.3],
        "interpolation": "bicubic",
        "lr": 3e-3,
        "min_lr": 1e-6,
        "weight_decay": 0.05,
        "betas": [0.9, 0.999],
        "warmup_fraction": 0.1,
        "label_smoothing": 0.0,
        "ema_horizon": 0.1,
        "drop_path": 0.0,
        "dtype": "float32",
        "threads": 1,
        "shift_px": 0,
        "flip": False,
    },
)


def coloured(n: int, *, label: int | None) -> list[tuple[str, int, bytes]]:
    """Rows of (id, label, PNG): noise that is brightest in the channel of its class; ``label`` overrides it."""
    rng = np.random.default_rng(3)
    rows = []
    for i in range(n):
        pixels = rng.integers(0, 120, (12, 12, 3), dtype=np.uint8)
        pixels[..., i % 3] += 100
        rows.append((f"image-{i:02d}", i % 3 if label is None else label, encode_png(pixels)))
    return rows


def make_step(
    folder: Path,
    inputs: dict[str, Artifact],
    params: dict[str, Any],
    *,
    resident: Callable[[str, Callable[[], Any]], Any] = lambda key, make: make(),
) -> Step:
    out, scratch = folder / "out", folder / "scratch"
    out.mkdir(parents=True)
    scratch.mkdir()
    return Step(
        node="1" * 64,
        params=params,
        inputs=inputs,
        seed=1,
        shard=0,
        out=out,
        scratch=scratch,
        device="cpu",
        progress=lambda done, total: None,
        resident=resident,
        load=lambda part: lambda: None,
    )


def pack(folder: Path, rows: list[tuple[str, int, bytes]], *, digest: str) -> Artifact:
    folder.mkdir()
    write_pack(folder, rows)
    return Artifact(digest * 64, (folder,))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """A trained backbone, and 13 images it never saw, without labels."""
    folder = tmp_path_factory.mktemp("predict")
    step = make_step(
        folder / "backbone",
        {"images": pack(folder / "train", coloured(30, label=None), digest="a")},
        {
            "arch": ARCH[0],
            "arch_args": ARCH[1],
            "n_classes": 3,
            "recipe": RECIPE,
            "samples_seen": 960,
            "permute_labels": False,
        },
    )
    pretrain(step)
    shown = pack(folder / "test", [(f"new-{i}", n, d) for i, n, d in coloured(43, label=-1)[30:]], digest="b")
    return {"backbone": Artifact("c" * 64, (step.out,)), "images": shown}


def predicted(
    folder: Path, inputs: dict[str, Artifact], *, batch: int = 4, dtype: str = "float32", **more: Any
) -> pa.Table:
    params = {"class_ids": CLASSES, "dtype": dtype, "batch": batch, "threads": 1}
    step = make_step(folder, inputs, params, **more)
    assert predict(step).items == 13
    return pq.read_table(step.out / "predictions.parquet")


def scores(table: pa.Table) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(table["scores"].to_pylist(), np.float32)


def test_table_has_the_columns_of_a_prediction_file(tmp_path: Path, inputs: dict[str, Artifact]) -> None:
    table = predicted(tmp_path, inputs)
    assert table.schema.equals(
        pa.schema([("sample_id", pa.string()), ("prediction", pa.string()), ("scores", pa.list_(pa.float32()))])
    )
    assert table["sample_id"].to_pylist() == Pack.open(inputs["images"]).ids
    assert np.allclose(scores(table).sum(axis=1), 1, atol=1e-6)
    assert table["prediction"].to_pylist() == [CLASSES[label] for label in scores(table).argmax(axis=1)]


def test_trained_backbone_is_right_about_images_it_never_saw(tmp_path: Path, inputs: dict[str, Artifact]) -> None:
    told = predicted(tmp_path, inputs).to_pydict()
    for sample_id, prediction in zip(told["sample_id"], told["prediction"], strict=True):
        assert prediction == CLASSES[int(sample_id[-2:]) % 3], sample_id


def test_plain_timm_gives_the_same_scores(tmp_path: Path, inputs: dict[str, Artifact]) -> None:
    told = scores(predicted(tmp_path, inputs, batch=13))
    checkpoint = str(inputs["backbone"].path / "weights.safetensors")
    model = timm.create_model(ARCH[0], num_classes=3, checkpoint_path=checkpoint, **ARCH[1]).eval()
    images = Pack.open(inputs["images"])
    values = RECIPE.values
    shown = np.stack(
        [np.asarray(Image.fromarray(images.pixels(i)).resize((16, 16), Image.Resampling.BICUBIC)) for i in range(13)]
    )
    normal = (shown / 255 - np.array(values["mean"])) / np.array(values["std"])
    with torch.inference_mode():
        logits = model(torch.from_numpy(normal.transpose(0, 3, 1, 2).astype(np.float32)))
    assert np.allclose(told, logits.softmax(1).numpy(), atol=1e-5)
    assert told.std(axis=0).min() > 0.01  # scores that did not depend on the image would agree as well


@pytest.mark.parametrize("batch", [1, 5, 13, 64])
def test_predictions_do_not_depend_on_the_batch(tmp_path: Path, inputs: dict[str, Artifact], batch: int) -> None:
    one = predicted(tmp_path / "one", inputs, batch=4)
    other = predicted(tmp_path / "other", inputs, batch=batch)
    assert one["prediction"].to_pylist() == other["prediction"].to_pylist()
    assert np.allclose(scores(one), scores(other), atol=1e-5)


def test_every_batch_has_the_same_shape(tmp_path: Path, inputs: dict[str, Artifact]) -> None:
    shapes: list[tuple[int, ...]] = []

    def resident(key: str, make: Callable[[], Any]) -> Any:
        backbone = make()
        backbone.model.register_forward_pre_hook(lambda module, args: shapes.append(tuple(args[0].shape)))
        return backbone

    predicted(tmp_path, inputs, batch=5, resident=resident)
    assert shapes == [(5, 3, 16, 16)] * 3


def test_labels_in_the_pack_change_nothing(tmp_path: Path, inputs: dict[str, Artifact]) -> None:
    rows = [(f"new-{i}", 2, d) for i, _, d in coloured(43, label=None)[30:]]
    labelled = inputs | {"images": pack(tmp_path / "labelled", rows, digest="d")}
    assert predicted(tmp_path / "one", inputs).equals(predicted(tmp_path / "other", labelled))


def test_backbone_is_built_once_for_many_steps(tmp_path: Path, inputs: dict[str, Artifact]) -> None:
    kept: dict[str, Any] = {}
    made: list[str] = []

    def resident(key: str, make: Callable[[], Any]) -> Any:
        if key not in kept:
            made.append(key)
            kept[key] = make()
        return kept[key]

    one = predicted(tmp_path / "one", inputs, resident=resident)
    other = predicted(tmp_path / "other", inputs, resident=resident)
    assert one.equals(other)
    assert len(made) == 1
    assert inputs["backbone"].digest in made[0]


def test_bfloat16_agrees_to_its_precision(tmp_path: Path, inputs: dict[str, Artifact]) -> None:
    exact = scores(predicted(tmp_path / "exact", inputs))
    rough = scores(predicted(tmp_path / "rough", inputs, dtype="bfloat16"))
    assert np.allclose(exact, rough, atol=0.05)
    assert not np.array_equal(exact, rough)


def test_class_ids_must_match_the_backbone(tmp_path: Path, inputs: dict[str, Artifact]) -> None:
    step = make_step(tmp_path, inputs, {"class_ids": ["cat", "dog"], "dtype": "float32", "batch": 4, "threads": 1})
    with pytest.raises(ValueError, match="2 class ids for a backbone of 3 classes"):
        predict(step)
    assert not list(step.out.iterdir())
