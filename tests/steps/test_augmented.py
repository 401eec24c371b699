"""pretrain with timm's augmentations: draws are timm's own, at every step; runs are the same however they are cut."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from tests.steps.trained import N_CLASSES, TINY, VALUES, make_step, meta, weights
from timm.data.auto_augment import RandAugment
from timm.data.mixup import Mixup
from timm.data.random_erasing import RandomErasing
from timm.data.transforms_factory import transforms_imagenet_train
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3

from vgbench.images import Pack, decode, encode_png, write_pack
from vgbench.steps.augmentation import Augmentation, seed_all, transform_of
from vgbench.steps.loading import Anew, Images, Kept, loader, mapped
from vgbench.steps.predict import Preprocessing, build_model
from vgbench.steps.pretrain import pretrain, with_layer_scale
from vgbench.steps.ranks import Ranks
from vgbench.steps.recipe import Recipe
from vgbench.steps.schedule import MicroBatch, batches, derived_seed, learning_rate, micro_batches
from vgbench.steps.training import Training, build_optimiser
from vgbench.types import Artifact, Part

COLOURED: dict[str, Any] = {
    "in_chans": 3,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "interpolation": "bicubic",
    "shift_px": 0,
    "crop_scale": [0.08, 1.0],
}
ALL: dict[str, Any] = {
    **COLOURED,
    "auto_augment": "rand-m9-mstd0.5-inc1",
    "random_erasing": 0.5,
    "mixup": 0.8,
    "cutmix": 1.0,
    "ema_horizon": 0.0,
    "ema_decay": 0.9,
    "layer_decay": 0.7,
}
N_IMAGES, SEED = 30, 7


def recipe_of(**values: Any) -> Recipe:
    return Recipe.of(Part("recipe", "tiny", "1", values=VALUES | values))


def preprocessing_of(recipe: Recipe) -> Preprocessing:
    return Preprocessing.of({name: getattr(recipe, name) for name in Preprocessing.__slots__})


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("pack")
    rng = np.random.default_rng(0)
    rows = [(f"{i}", i % N_CLASSES, encode_png(rng.integers(0, 256, (40, 40, 3), np.uint8))) for i in range(N_IMAGES)]
    write_pack(folder, rows)
    return Artifact("0" * 64, (folder,))


def asked(recipe: Recipe, steps: int = 4, ranks: Ranks | None = None) -> Iterator[MicroBatch]:
    order = batches(N_IMAGES, recipe.batch, steps=steps, seed=SEED)
    mine = (ranks or Ranks()).share(recipe.n_micro_batches)
    return micro_batches(order, mine, size=recipe.micro_batch)


# ── Against timm ─────────────────────────────────────────────────────────────────────────────────


def test_images_are_what_timms_transform_makes_of_each_samples_draw(coloured: Artifact, tmp_path: Path) -> None:
    recipe = recipe_of(**ALL, color_jitter=0.4)
    theirs = transforms_imagenet_train(
        32,
        scale=(0.08, 1.0),
        color_jitter=0.4,
        auto_augment="rand-m9-mstd0.5-inc1",
        interpolation="bicubic",
        mean=tuple(COLOURED["mean"]),
        use_prefetcher=True,
    )
    pack, images = Pack.open(coloured), Images(mapped(coloured, tmp_path), recipe, preprocessing_of(recipe))
    for micro in asked(recipe):
        for index, draw in zip(micro.samples.indices.tolist(), micro.samples.draw.tolist(), strict=True):
            seed_all(draw)
            expected = theirs(decode(pack.column[index]["bytes"].as_py()))
            torch.rand(3)  # what is drawn in between does not matter
            assert torch.equal(images[index, draw], expected)
    draws = [draw for micro in asked(recipe, 8) for draw in micro.samples.draw.tolist()]
    assert len(set(draws)) == len(draws) == 64  # an image that comes again is drawn anew


def test_highest_magnitude_posterizes_to_black_whatever_pillow_thinks_of_it() -> None:
    transform: Any = transform_of(recipe_of(**ALL))
    (augment,) = (part for part in transform.transforms if isinstance(part, RandAugment))
    (op,) = (op for op in augment.ops if op.name == "PosterizeIncreasing")
    op.prob, op.magnitude, op.magnitude_std = 1.0, 10, 0
    grey = Image.new("RGB", (4, 4), (200, 100, 7))
    assert op(grey).getpixel((0, 0)) == (0, 0, 0)
    op.magnitude = 9  # keeps the highest bit
    assert op(grey).getpixel((0, 0)) == (128, 0, 0)


def test_erasing_and_mixing_are_timms_over_a_run() -> None:
    recipe = recipe_of(**ALL, batch=16)
    ours = Augmentation(recipe, preprocessing_of(recipe), n_classes=N_CLASSES, seed=SEED, device="cpu")
    erase = RandomErasing(0.5, mode="pixel", device="cpu")
    mix = Mixup(0.8, 1.0, label_smoothing=0.1, num_classes=N_CLASSES)
    pixels = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    labels = np.arange(8) % N_CLASSES
    kinds = set()
    random.seed(5)
    np.random.seed(5)
    before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
    for micro in asked(recipe, steps=8):
        shown, truth = ours(micro, pixels, labels)
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # type: ignore[index, union-attr]
        expected = ours.preprocessing.normalised(pixels)
        for image, draw in zip(expected, micro.samples.draw.tolist(), strict=True):
            random.seed(derived_seed(draw, "erase"))
            torch.manual_seed(derived_seed(draw, "erase"))
            erase(image)
        np.random.seed(derived_seed(SEED, f"mix/{micro.step}/{micro.number}") % 2**32)
        lam_is_cut = bool(np.random.rand() < 1.0 and np.random.rand() < 0.5)
        kinds.add(lam_is_cut)
        np.random.seed(derived_seed(SEED, f"mix/{micro.step}/{micro.number}") % 2**32)
        expected, target = mix(expected, torch.from_numpy(labels))
        random.setstate(before[0])
        np.random.seed(5)
        assert torch.equal(shown, expected) and torch.equal(truth, target)
        assert torch.allclose(truth.sum(1), torch.ones(8))
    assert kinds == {True, False}  # both were seen


def test_layer_decay_and_its_rates_are_timms_over_a_run() -> None:
    recipe = recipe_of(layer_decay=0.7)
    model = build_model("test_vit", {}, n_classes=N_CLASSES, in_chans=1)
    ours = build_optimiser(model, recipe)
    theirs = create_optimizer_v2(model, "adamw", lr=recipe.lr, weight_decay=0.05, layer_decay=0.7)
    steps = 40
    scheduler = CosineLRScheduler(
        theirs, t_initial=36, lr_min=1e-6, warmup_t=4, warmup_lr_init=0.0, warmup_prefix=True, t_in_epochs=False
    )

    def settings(optimiser: torch.optim.Optimizer) -> dict[int, tuple[float, float]]:
        groups = optimiser.param_groups
        return {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}

    for step in range(steps):
        scheduler.step_update(step)
        rate = learning_rate(step, steps, lr=recipe.lr, min_lr=1e-6, warmup_fraction=0.1)
        for group in ours.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        expected = settings(theirs)
        for key, (lr, decay) in settings(ours).items():
            assert lr == pytest.approx(expected[key][0], rel=1e-9, abs=1e-15) and decay == expected[key][1]
    assert len({lr for lr, _ in settings(ours).values()}) > 3


def test_average_of_a_stated_decay_is_timms_over_a_run() -> None:
    recipe = recipe_of(**COLOURED, ema_horizon=0.0, ema_decay=0.9, drop_path=0.0)
    model = build_model("test_resnet", {}, n_classes=N_CLASSES, in_chans=3).train()
    training = Training(model, recipe, steps=6)
    theirs = ModelEmaV3(model, decay=0.9)
    for step in range(6):
        training.advance([(torch.randn(8, 3, 32, 32), torch.arange(8) % N_CLASSES)], seed=0)
        theirs.update(model, step=step + 1)  # as timm's train.py counts
    found = theirs.module.state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in training.ema.items())
    assert any(not torch.equal(tensor, training.live[name]) for name, tensor in training.ema.items())


# ── The same run, however it is cut ──────────────────────────────────────────────────────────────


def test_killed_run_goes_on_bit_equal_with_all_augmentations(tmp_path: Path, coloured: Artifact) -> None:
    arch: tuple[str, dict[str, Any]] = ("test_resnet", {})

    class KilledError(Exception):
        pass

    def kill_at_four(done: int, total: int) -> None:
        if done == 4 * 8:
            raise KilledError

    given: dict[str, Any] = {"arch": arch, **ALL, "micro_batch": 4}
    whole = make_step(tmp_path / "whole", coloured, **given)
    pretrain(whole)
    killed = make_step(tmp_path / "killed", coloured, progress=kill_at_four, scratch=tmp_path / "scratch", **given)
    with pytest.raises(KilledError):
        pretrain(killed, checkpoint_seconds=0)
    random.seed(1)  # what the process drew before must not matter
    np.random.seed(1)
    torch.manual_seed(1)
    again = make_step(tmp_path / "again", coloured, scratch=tmp_path / "scratch", **given)
    pretrain(again)
    assert weights(again) == weights(whole) and meta(again) == meta(whole)
    plain = make_step(tmp_path / "plain", coloured, **{**given, "auto_augment": ""})
    pretrain(plain)
    assert weights(plain) != weights(whole)


def test_what_a_killed_run_left_of_other_images_is_not_used(tmp_path: Path, coloured: Artifact) -> None:
    """A node's scratch outlives its inputs: the same recipe, whose images were made again with other bytes."""

    class KilledError(Exception):
        pass

    def kill_at_four(done: int, total: int) -> None:
        if done == 4 * 8:
            raise KilledError

    given: dict[str, Any] = {"arch": ("test_resnet", {}), **ALL, "micro_batch": 4}
    scratch = tmp_path / "scratch"
    killed = make_step(tmp_path / "killed", coloured, progress=kill_at_four, scratch=scratch, **given)
    with pytest.raises(KilledError):
        pretrain(killed, checkpoint_seconds=0)
    turned = tmp_path / "turned"
    turned.mkdir()
    rows = [(pack_id, label, encode_png(255 - pixels)) for pack_id, label, pixels in rows_of(coloured)]
    write_pack(turned, rows)
    other = Artifact("0" * 64, (turned,))
    whole = make_step(tmp_path / "whole", other, **given)
    pretrain(whole)
    again = make_step(tmp_path / "again", other, scratch=scratch, **given)
    pretrain(again)
    assert weights(again) == weights(whole)


def rows_of(images: Artifact) -> list[tuple[str, int, NDArray[np.uint8]]]:
    pack = Pack.open(images)
    return [(str(i), int(pack.labels[i]), pack.pixels(i)) for i in range(len(pack.labels))]


def test_number_of_processes_changes_no_pixel_and_no_order(coloured: Artifact, tmp_path: Path) -> None:
    recipe = recipe_of(**ALL)
    images = Images(mapped(coloured, tmp_path), recipe, preprocessing_of(recipe))
    expected = [
        torch.stack([images[pair] for pair in zip(m.samples.indices.tolist(), m.samples.draw.tolist(), strict=True)])
        for m in asked(recipe)
    ]
    for n_processes in (1, 2):
        anew = Anew(images, n_processes=n_processes)
        for _ in range(2):  # the processes stay, the order begins again
            found = list(anew.load(asked(recipe)))
            assert [micro.step for micro, _ in found] == [0, 1, 2, 3]
            assert all(torch.equal(pixels, other) for (_, pixels), other in zip(found, expected, strict=True))


def test_images_too_many_to_keep_are_the_same_pixels(
    coloured: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(in_chans=1)
    made = {}
    for limit in (1 << 30, 1):
        monkeypatch.setattr("vgbench.steps.loading.DECODED_BYTES", limit)
        way = loader(coloured, recipe, preprocessing_of(recipe), n=N_IMAGES, scratch=tmp_path, ranks=Ranks(), pin=False)
        made[type(way)] = [pixels for _, pixels in way.load(asked(recipe))]
    kept, anew = made[Kept], made[Anew]
    assert all(torch.equal(one, other) for one, other in zip(kept, anew, strict=True))


def test_one_process_of_64_and_two_of_32_see_the_same_samples_in_the_same_order() -> None:
    recipe = recipe_of(**ALL, batch=64, micro_batch=32)

    def seen(ranks: Ranks) -> list[list[tuple[int, int]]]:
        steps: dict[int, list[tuple[int, int]]] = {}
        for micro in asked(recipe, 5, ranks):
            samples = zip(micro.samples.indices.tolist(), micro.samples.draw.tolist(), strict=True)
            steps.setdefault(micro.step, []).extend(samples)
        return [steps[step] for step in range(5)]

    halves = zip(seen(Ranks(0, 2)), seen(Ranks(1, 2)), strict=True)
    assert [first + second for first, second in halves] == seen(Ranks())
    with pytest.raises(ValueError, match="2 micro-batches a step cannot be shared out evenly over 3"):
        Ranks(0, 3).share(recipe.n_micro_batches)


def test_two_processes_train_the_network_that_one_trains(tmp_path: Path, coloured: Artifact) -> None:
    given: dict[str, Any] = {**ALL, "batch": 64, "micro_batch": 32, "samples_seen": 192}
    done: list[tuple[int, int]] = []
    one = make_step(tmp_path / "one", coloured, **given)
    two = make_step(tmp_path / "two", coloured, devices=2, progress=lambda d, n: done.append((d, n)), **given)
    assert pretrain(one) == pretrain(two)
    assert done == [(64, 192), (128, 192), (192, 192)]
    first, second = (load_file(step.out / "weights.safetensors") for step in (one, two))
    for name, tensor in first.items():  # sums in another order
        assert torch.allclose(tensor, second[name], atol=1e-5), name
    assert meta(one)["final_train_loss"] == pytest.approx(meta(two)["final_train_loss"], rel=1e-5)


@pytest.mark.slow
def test_failure_in_one_of_two_processes_is_reported(tmp_path: Path, coloured: Artifact) -> None:
    step = make_step(tmp_path, coloured, devices=2, micro_batch=4, lr=1e30, warmup_fraction=0.0)
    with pytest.raises(Exception, match="nan at optimiser step"):
        pretrain(step)
    assert not list(step.out.iterdir())


# ── What recipes may say ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "values",
    [
        {"crop_scale": [0.5, 1.0]},
        {"crop_ratio": [1.0, 1.0]},
        {"auto_augment": ""},
        {"auto_augment": "", "color_jitter": 0.4},
        {"random_erasing": 0.0},
        {"mixup": 0.0},
        {"cutmix": 0.0},
        {"mix_probability": 0.5},
        {"mix_switch": 1.0},
        {"ema_decay": 0.5},
        {"layer_scale": 1e-3},
        {"layer_decay": 1.0},
        {"micro_batch": 4},
    ],
    ids=str,
)
def test_every_value_of_the_recipe_has_an_effect(
    tmp_path: Path, coloured: Artifact, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    # In one process: what the loader's processes do is told above.
    monkeypatch.setattr("vgbench.steps.pretrain.loader", _in_this_process)
    given: dict[str, Any] = {**ALL, "samples_seen": 40}
    changed = dict(given) | values
    if values == {"auto_augment": "", "color_jitter": 0.4}:
        given["auto_augment"] = ""
    steps = [make_step(tmp_path / "a", coloured, **given), make_step(tmp_path / "b", coloured, **changed)]
    for step in steps:
        pretrain(step)
    one, other = (load_file(step.out / "weights.safetensors") for step in steps)
    assert any(not torch.equal(tensor, other[name]) for name, tensor in one.items())


class _in_this_process:  # noqa: N801  # stands for the function `loader`
    def __init__(self, artifact: Artifact, recipe: Recipe, preprocessing: Preprocessing, **given: Any) -> None:
        self.images = Images(mapped(artifact, given["scratch"]), recipe, preprocessing)

    def load(self, order: Iterator[MicroBatch]) -> Iterator[tuple[MicroBatch, torch.Tensor]]:
        for m in order:
            pairs = zip(m.samples.indices.tolist(), m.samples.draw.tolist(), strict=True)
            yield m, torch.stack([self.images[pair] for pair in pairs])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"crop_scale": [0.1, 1.0]}, "two ways to crop"),
        ({"auto_augment": "rand-m9"}, "crop_scale is missing"),
        ({**COLOURED, "in_chans": 1, "auto_augment": "rand-m9"}, "of colours"),
        ({"mixup": 0.8, "batch": 9, "micro_batch": 9}, "must be even"),
        ({"ema_decay": 0.9}, "ema_horizon must be 0"),
    ],
)
def test_values_that_contradict_each_other_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe_of(**values)


def test_layer_scale_is_an_argument_of_the_architecture_that_has_one(tmp_path: Path, coloured: Artifact) -> None:
    assert with_layer_scale("test_vit", {"depth": 1}, 1e-6) == {"depth": 1, "init_values": 1e-6}
    assert with_layer_scale("convnext_atto", {}, 1e-6) == {"ls_init_value": 1e-6}
    assert with_layer_scale("test_resnet", {}, 0.0) == {}
    with pytest.raises(ValueError, match="layer_scale is 1e-06, and test_resnet has none"):
        with_layer_scale("test_resnet", {}, 1e-6)
    step = make_step(tmp_path, coloured, samples_seen=0, **COLOURED, layer_scale=0.5)
    pretrain(step)
    assert meta(step)["arch_args"] == {**TINY[1], "ls_init_value": 0.5}
    assert float(load_file(step.out / "weights.safetensors")["stages.0.blocks.0.gamma"].mean()) == 0.5


def test_epochs_are_of_the_images_there_are(tmp_path: Path, coloured: Artifact) -> None:
    step = make_step(tmp_path, coloured, in_chans=1, budget={"epochs": 2})
    assert pretrain(step).items == 56  # of 60, in whole batches of 8
    other = make_step(tmp_path / "other", coloured, in_chans=1, samples_seen=60)
    pretrain(other)
    assert weights(step) == weights(other)


def test_backbone_gives_the_same_logits_in_plain_timm(tmp_path: Path, coloured: Artifact) -> None:
    step = make_step(tmp_path, coloured, samples_seen=16, **COLOURED, layer_scale=0.1)
    pretrain(step)
    told = meta(step)
    file = str(step.out / "weights.safetensors")
    plain = timm.create_model(told["arch"], num_classes=N_CLASSES, checkpoint_path=file, **told["arch_args"]).eval()
    ours = build_model(
        told["arch"], told["arch_args"], n_classes=N_CLASSES, in_chans=3, drop_path=0.1, weights=Path(file)
    ).eval()
    shown = torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(plain(shown), ours(shown))


def test_ranks_alone_need_no_group() -> None:
    assert Ranks().share(3) == range(3)
    assert replace(Ranks(), world=2).share(4) == range(2)
    assert Ranks().first(lambda: 5) == 5
