"""pretrain: the same bytes from the same seed, through kills; its schedule is timm's; controls are controls."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tests.steps.trained import N_CLASSES, TINY, VALUES, make_step, meta, stripes, weights
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler

from vgbench.images import Pack, write_pack
from vgbench.steps.augmentation import shifted
from vgbench.steps.predict import Pixels, Preprocessing, build_model
from vgbench.steps.pretrain import pretrain
from vgbench.steps.recipe import Recipe
from vgbench.steps.schedule import Batch, batches, draws, ema_decay, learning_rate, n_steps
from vgbench.steps.training import Training, build_optimiser
from vgbench.types import Artifact, Part


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("pack")
    write_pack(folder, stripes())
    return Artifact("0" * 64, (folder,))


# ── Weights ──────────────────────────────────────────────────────────────────────────────────────


def test_same_seed_gives_same_bytes_and_another_seed_does_not(tmp_path: Path, images: Artifact) -> None:
    steps = [make_step(tmp_path / name, images, seed=seed) for name, seed in [("a", 1), ("b", 1), ("c", 2)]]
    torch.manual_seed(99)  # what the process drew before must not matter
    assert [pretrain(step).items for step in steps] == [80, 80, 80]
    first, again, other = (weights(step) for step in steps)
    assert first == again
    assert first != other
    assert meta(steps[0]) == meta(steps[1])
    assert meta(steps[0])["weights_sha256"] == hashlib.sha256(first).hexdigest()


def test_pretrain_gives_torch_its_settings_back(tmp_path: Path, images: Artifact) -> None:
    before = torch.get_num_threads(), False
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(ValueError, match="no architecture"):
        pretrain(make_step(tmp_path, images, arch=("resnet_unheard_of", {}), threads=before[0] + 1))
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_no_samples_saves_the_initialisation(tmp_path: Path, images: Artifact) -> None:
    step = make_step(tmp_path / "control", images, samples_seen=0)
    assert pretrain(step).items == 0
    saved = load_file(step.out / "weights.safetensors")
    trained = make_step(tmp_path / "trained", images, lr=0.0, min_lr=0.0)  # trains, but goes nowhere
    pretrain(trained)
    for name, tensor in load_file(trained.out / "weights.safetensors").items():
        assert torch.allclose(tensor, saved[name], atol=1e-6), name
    assert saved["head.fc.weight"].std() > 0
    assert meta(step)["optimiser_steps"] == 0
    assert meta(step)["ema_decay"] is None


def test_killed_run_goes_on_bit_equal(tmp_path: Path, images: Artifact) -> None:
    arch: tuple[str, dict[str, Any]] = (
        "test_resnet",
        {},
    )  # batch-norm buffers, drop path and optimiser state all have to come back
    whole = make_step(tmp_path / "whole", images, arch=arch)
    pretrain(whole)

    class KilledError(Exception):
        pass

    seen: list[int] = []

    def kill_at_six(done: int, total: int) -> None:
        seen.append(done)
        if done == 6 * 8:
            raise KilledError

    scratch = tmp_path / "scratch"
    killed = make_step(tmp_path / "killed", images, arch=arch, progress=kill_at_six, scratch=scratch)
    with pytest.raises(KilledError):
        pretrain(killed, checkpoint_seconds=0)
    assert not list(killed.out.iterdir())
    assert sorted(path.name for path in scratch.iterdir()) == ["checkpoint.json", "step-00000006.safetensors"]

    again = make_step(tmp_path / "again", images, arch=arch, progress=lambda d, t: seen.append(d), scratch=scratch)
    pretrain(again)
    assert seen == [8 * (i + 1) for i in range(10)]  # nothing twice, nothing left out
    assert weights(again) == weights(whole)
    assert meta(again) == meta(whole)


def test_no_checkpoint_before_its_time(tmp_path: Path, images: Artifact) -> None:
    step = make_step(tmp_path, images)
    pretrain(step)
    assert not list(step.scratch.iterdir())


def test_micro_batches_sum_to_the_same_run(tmp_path: Path, images: Artifact) -> None:
    whole = make_step(tmp_path / "whole", images, drop_path=0.0)
    parts = make_step(tmp_path / "parts", images, drop_path=0.0, micro_batch=2)
    pretrain(whole)
    pretrain(parts)
    one, other = (load_file(step.out / "weights.safetensors") for step in (whole, parts))
    for name in one:
        assert torch.allclose(one[name], other[name], atol=2e-4), name
    assert math.isclose(meta(whole)["final_train_loss"], meta(parts)["final_train_loss"], rel_tol=1e-3)


def test_saved_weights_are_the_average_over_the_horizon() -> None:
    recipe = Recipe.of(Part("recipe", "tiny", "1", values=VALUES | {"ema_horizon": 0.4}))
    training = Training(build_model("test_resnet", {}, n_classes=N_CLASSES, in_chans=1).train(), recipe, steps=10)
    assert training.decay == pytest.approx(0.75)  # 0.4 of 10 steps: the mean reaches back over 4
    expected = {name: tensor.clone() for name, tensor in training.live.items()}
    torch.manual_seed(0)
    images, labels = torch.randn(8, 1, 32, 32), torch.arange(8) % N_CLASSES
    for _ in range(4):
        training.advance([(images, labels)], seed=0)
        for name, tensor in training.model.state_dict().items():
            expected[name] = 0.75 * expected[name] + 0.25 * tensor if tensor.is_floating_point() else tensor.clone()
    for name, tensor in expected.items():  # running means and variances too
        assert torch.allclose(tensor, training.ema[name], atol=1e-6), name
    assert any(not torch.allclose(training.live[name], training.ema[name], atol=1e-3) for name in expected)


def test_average_is_what_is_saved(tmp_path: Path, images: Artifact) -> None:
    steps = [make_step(tmp_path / str(horizon), images, ema_horizon=horizon) for horizon in (0.0, 0.5)]
    for step in steps:
        pretrain(step)
    assert weights(steps[0]) != weights(steps[1])
    assert meta(steps[0])["final_train_loss"] == meta(steps[1])["final_train_loss"]  # one training, read two ways


@pytest.mark.parametrize(
    "values",
    [
        {"batch": 16},
        {"mean": [0.4]},
        {"std": [0.5]},
        {"interpolation": "nearest"},
        {"lr": 1e-3},
        {"min_lr": 1e-3},
        {"weight_decay": 0.5},
        {"betas": [0.8, 0.999]},
        {"betas": [0.9, 0.99]},
        {"warmup_fraction": 0.5},
        {"label_smoothing": 0.0},
        {"drop_path": 0.5},
        {"dtype": "bfloat16"},
        {"shift_px": 0},
        {"flip": False},
    ],
    ids=str,
)
def test_every_value_of_the_recipe_has_an_effect(tmp_path: Path, images: Artifact, values: dict[str, Any]) -> None:
    plain, changed = make_step(tmp_path / "plain", images), make_step(tmp_path / "changed", images, **values)
    pretrain(plain)
    pretrain(changed)
    tensors = [load_file(step.out / "weights.safetensors") for step in (plain, changed)]
    assert any(not torch.equal(tensor, tensors[1][name]) for name, tensor in tensors[0].items())
    assert {tensor.dtype for tensor in tensors[1].values()} == {torch.float32}


def test_last_partial_batch_of_the_budget_is_not_trained_on(tmp_path: Path, images: Artifact) -> None:
    step = make_step(tmp_path, images, samples_seen=23)
    assert pretrain(step).items == 16
    assert meta(step)["samples_seen"] == 16


def test_training_learns_and_permuted_labels_do_not(tmp_path: Path, images: Artifact) -> None:
    pack = Pack.open(images)
    accuracies = {}
    for permuted in (False, True):
        step = make_step(tmp_path / str(permuted), images, samples_seen=1200, permute_labels=permuted, flip=False)
        pretrain(step)
        model = build_model(*TINY, n_classes=N_CLASSES, in_chans=1, weights=step.out / "weights.safetensors").eval()
        preprocessing = Preprocessing.of(meta(step))
        with torch.inference_mode():
            shown = preprocessing.normalised(Pixels(pack, preprocessing).take(np.arange(len(pack))))
            accuracies[permuted] = float((model(shown).argmax(1).numpy() == pack.labels).mean())
    assert accuracies[False] > 0.95
    # 30 images at chance 1/3: mean 10, sd 2.6; 19 lies 3.5 sd above
    assert accuracies[True] < 19 / 30


# ── Refusals ─────────────────────────────────────────────────────────────────────────────────────


def test_loss_that_is_not_finite_names_its_step(tmp_path: Path, images: Artifact) -> None:
    step = make_step(tmp_path, images, lr=1e30, warmup_fraction=0.0)
    with pytest.raises(FloatingPointError, match=r"nan at optimiser step [1-9] of 10"):
        pretrain(step)
    assert not list(step.out.iterdir())


def test_recipe_value_that_pretrain_does_not_know_is_refused(tmp_path: Path, images: Artifact) -> None:
    with pytest.raises(ValueError, match="'tiny' asks for what pretrain cannot do: sharpness_aware, swa"):
        pretrain(make_step(tmp_path, images, swa=0.8, sharpness_aware=1.0))


def test_missing_recipe_value_is_named() -> None:
    with pytest.raises(ValueError, match="does not say: lr"):
        Recipe.of(Part("recipe", "tiny", "1", values={k: v for k, v in VALUES.items() if k != "lr"}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"micro_batch": 3}, "batch 8 is not a multiple of micro_batch 3"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"mean": [0.5, 0.5, 0.5]}, "as many values in mean"),
        ({"interpolation": "lanczos"}, "interpolation is 'lanczos'"),
        ({"samples_seen": 7}, "at least one batch"),
        ({"seed": None}, "seed"),
    ],
)
def test_impossible_settings_are_refused(
    tmp_path: Path, images: Artifact, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pretrain(make_step(tmp_path, images, **values))


def test_unlabelled_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    write_pack(tmp_path / "pack", [(name, -1, data) for name, _, data in stripes()])
    with pytest.raises(ValueError, match=r"labels run from -1 to -1: they must lie in 0\.\.2"):
        pretrain(make_step(tmp_path, Artifact("2" * 64, (tmp_path / "pack",))))


# ── Schedule ─────────────────────────────────────────────────────────────────────────────────────


def test_learning_rate_is_timms_cosine_with_warm_up() -> None:
    steps, warmup = 200, 20
    optimiser = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=1e-3)
    theirs = CosineLRScheduler(
        optimiser,
        t_initial=steps - warmup,
        lr_min=1e-6,
        warmup_t=warmup,
        warmup_lr_init=0.0,
        warmup_prefix=True,
        t_in_epochs=False,
    )
    for step in range(steps):
        theirs.step_update(step)
        ours = learning_rate(step, steps, lr=1e-3, min_lr=1e-6, warmup_fraction=0.1)
        assert ours == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9, abs=1e-15), step


def test_ema_decay_is_lbgens_at_its_horizon() -> None:
    steps = n_steps(120 * 1_281_167, 2048)
    assert steps == 75_068
    assert ema_decay(0.1332, steps) == pytest.approx(0.9999, abs=1e-7)
    assert ema_decay(0.0, steps) == 0.0
    assert ema_decay(0.1332, 2) == 0.0  # shorter than one step: the last weights


@pytest.mark.parametrize("arch", ["test_resnet", "test_convnext", "test_vit"])
def test_weight_decay_groups_are_timms(arch: str) -> None:
    recipe = Recipe.of(Part("recipe", "tiny", "1", values=VALUES))
    model = build_model(arch, {}, n_classes=N_CLASSES, in_chans=1)
    theirs = create_optimizer_v2(model, opt="adamw", lr=recipe.lr, weight_decay=recipe.weight_decay)

    def decays(optimiser: torch.optim.Optimizer) -> dict[int, float]:
        return {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}

    ours = decays(build_optimiser(model, recipe))
    assert ours == decays(theirs)
    for name, parameter in model.named_parameters():
        if parameter.ndim <= 1 or name in ("pos_embed", "cls_token"):
            assert ours[id(parameter)] == 0.0, name
    assert 0.05 in ours.values()


# ── Order and augmentation ───────────────────────────────────────────────────────────────────────


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 2**63 - 1), st.data())
def test_every_epoch_shows_every_sample_once(n: int, batch: int, seed: int, data: st.DataObject) -> None:
    steps = -(-3 * n // batch)
    shown = np.concatenate([b.indices for b in batches(n, batch, steps=steps, seed=seed)])
    assert Counter(shown[: 3 * n].tolist()) == dict.fromkeys(range(n), 3)
    assert sorted(shown[n : 2 * n].tolist()) == list(range(n))
    start = data.draw(st.integers(0, steps - 1))
    rest = np.concatenate([b.indices for b in batches(n, batch, steps=steps, seed=seed, start=start)])
    assert rest.tolist() == shown[start * batch :].tolist()


def test_order_and_draws_do_not_depend_on_the_batch() -> None:
    def told(batch: int) -> list[list[int]]:
        made = list(batches(30, batch, steps=120 // batch, seed=5, shift_px=2, flip=True))
        columns = ("indices", "top_px", "left_px", "is_flipped")
        return [np.concatenate([getattr(b, name) for b in made]).tolist() for name in columns]

    assert told(8) == told(24) == told(2)
    _, top, left, flipped = told(8)
    assert set(top) == set(left) == {0, 1, 2, 3, 4}
    assert 0 < np.mean(np.array(top) == left) < 0.5  # each direction draws for itself
    assert 30 < sum(flipped) < 90


def test_epochs_and_seeds_have_their_own_order() -> None:
    first, second = (b.indices.tolist() for b in batches(50, 50, steps=2, seed=1))
    other = next(batches(50, 50, steps=1, seed=2)).indices.tolist()
    assert len({tuple(first), tuple(second), tuple(other)}) == 3
    assert first != list(range(50))


def test_draws_are_splitmix64() -> None:
    # The stream starts at the 63-bit head of SHA-256("0/x"); computed here with Python's integers.
    state = int.from_bytes(hashlib.sha256(b"0/x").digest()[:8], "big") >> 1
    expected = []
    for _ in range(4):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        expected.append(z ^ z >> 31)
    assert draws(0, "x", np.arange(4)).tolist() == expected


def test_shift_moves_by_whole_pixels_over_black() -> None:
    images = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3).repeat(3, 1, 1, 1)
    corners = np.array([1, 0, 2])
    batch = Batch(np.arange(3), corners, np.array([1, 1, 2]), np.array([False, False, True]), np.zeros(3, np.uint64))
    same, down, up_left_flipped = shifted(images, batch, shift_px=1)[:, 0].tolist()
    assert same == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert down == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert up_left_flipped == [[0, 6, 5], [0, 9, 8], [0, 0, 0]]


def test_resizing_crops_the_centre_and_keeps_channels_apart() -> None:
    preprocessing = Preprocessing(4, 3, (0.0,) * 3, (1.0,) * 3, "nearest")
    wide = np.zeros((2, 6, 3), np.uint8)
    wide[:, 2:4, 0] = 200
    resized = preprocessing.resized(wide)
    assert resized.shape == (3, 4, 4)
    assert (resized[0] == 200).all()
    assert not resized[1:].any()
    grey = np.full((2, 2), 7, np.uint8)
    assert (preprocessing.resized(grey) == 7).all()


def test_images_too_many_to_keep_are_decoded_alike(images: Artifact) -> None:
    pack, preprocessing = Pack.open(images), Preprocessing(16, 1, (0.5,), (0.5,), "bicubic")
    chosen = np.array([3, 0, 29, 3])
    kept, anew = Pixels(pack, preprocessing), Pixels(pack, preprocessing, limit_bytes=30 * 16 * 16 - 1)
    assert torch.equal(kept.take(chosen), anew.take(chosen))


def test_backbone_loads_with_plain_timm(tmp_path: Path, images: Artifact) -> None:
    step = make_step(tmp_path, images)
    pretrain(step)
    told = meta(step)
    model = timm.create_model(
        told["arch"],
        num_classes=told["n_classes"],
        in_chans=told["in_chans"],
        checkpoint_path=str(step.out / "weights.safetensors"),
        **told["arch_args"],
    )
    saved = load_file(step.out / "weights.safetensors")
    assert all(torch.equal(tensor, saved[name]) for name, tensor in model.state_dict().items())
