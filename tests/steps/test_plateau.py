"""Training to a plateau: equal bytes from equal seeds, through kills; the best weights; torch's rule for the rate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.steps.test_pretrain import N_CLASSES, TINY, stripes
from torch.optim.lr_scheduler import ReduceLROnPlateau

from vgbench.images import Pack, write_pack
from vgbench.steps.plateau import Recipe, Training, train
from vgbench.steps.predict import Backbone, Pixels, build_model
from vgbench.types import Artifact, Part, Step

VALUES: dict[str, Any] = {
    "batch": 8,
    "input_px": 32,
    "in_chans": 1,
    "mean": [0.5],
    "std": [0.25],
    "interpolation": "bilinear",
    "lr": 0.05,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "validate_every": 2,
    "factor": 0.1,
    "plateau_patience": 1,
    "stop_patience": 100,
    "threshold": 1e-4,
    "crop_scale": [0.6, 1.0],
    "crop_ratio": [0.8, 1.25],
    "flip": True,
    "dtype": "float32",
    "threads": 1,
}
RESNET: tuple[str, dict[str, Any]] = ("test_resnet", {})  # batch-norm buffers have to come back too


class KilledError(Exception):
    pass


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """A training copy of 30 images, and one of 24 others to validate on."""
    found = {}
    rows = stripes(54)
    for name, part in (("images", rows[:30]), ("val", rows[30:])):
        folder = tmp_path_factory.mktemp(name)
        write_pack(folder, part)
        found[name] = Artifact("0" * 64, (folder,))
    return found


def make_step(
    folder: Path,
    copies: dict[str, Artifact],
    *,
    seed: int | None = 1,
    samples_seen: int = 80,
    permute_labels: bool = False,
    arch: tuple[str, dict[str, Any]] = TINY,
    progress: Callable[[int, int], None] = lambda done, total: None,
    scratch: Path | None = None,
    **values: Any,
) -> Step:
    """A step by hand, with ``values`` over the recipe above."""
    out, scratch = folder / "out", scratch or folder / "scratch"
    out.mkdir(parents=True)
    scratch.mkdir(exist_ok=True)
    params = {
        "arch": arch[0],
        "arch_args": arch[1],
        "n_classes": N_CLASSES,
        "recipe": Part("recipe", "tiny", "1", values=VALUES | values),
        "store_px": 8,
        "samples_seen": samples_seen,
        "permute_labels": permute_labels,
    }
    return Step(
        "1" * 64, params, copies if samples_seen else {}, seed, 0, out, scratch, "cpu", progress,
        lambda key, make: make(), lambda part: lambda: None,
    )  # fmt: skip


def weights(step: Step) -> bytes:
    return (step.out / "weights.safetensors").read_bytes()


def meta(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((step.out / "meta.json").read_text())
    return found


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path: Path, copies: dict[str, Artifact]) -> None:
    steps = [make_step(tmp_path / name, copies, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    torch.manual_seed(99)  # what the process drew before must not matter
    assert [train(step).items for step in steps] == [80, 80, 80]
    first, again, other = (weights(step) for step in steps)
    assert first == again != other
    assert meta(steps[0]) == meta(steps[1])


@pytest.mark.parametrize("at", [3, 6])  # between validations, and right after one
def test_killed_run_goes_on_bit_equal(tmp_path: Path, copies: dict[str, Artifact], at: int) -> None:
    whole = make_step(tmp_path / "whole", copies, arch=RESNET, plateau_patience=0)
    train(whole)
    seen: list[int] = []

    def kill(done: int, total: int) -> None:
        seen.append(done)
        if done == at * 8:
            raise KilledError

    scratch = tmp_path / "scratch"
    killed = make_step(tmp_path / "killed", copies, arch=RESNET, plateau_patience=0, progress=kill, scratch=scratch)
    with pytest.raises(KilledError):
        train(killed, checkpoint_seconds=0)
    assert not list(killed.out.iterdir())
    assert sorted(path.name for path in scratch.iterdir()) == ["checkpoint.json", f"step-{at:08d}.safetensors"]
    again = make_step(
        tmp_path / "again",
        copies,
        arch=RESNET,
        plateau_patience=0,
        progress=lambda d, t: seen.append(d),
        scratch=scratch,
    )
    train(again)
    assert seen == [8 * (i + 1) for i in range(10)]  # nothing twice, nothing left out
    assert weights(again) == weights(whole)
    assert meta(again) == meta(whole)
    assert len({one["lr"] for one in meta(whole)["validations"]}) > 1  # the rate had to come back too


def test_best_weights_are_kept_and_the_rate_follows_torchs_scheduler(
    tmp_path: Path, copies: dict[str, Artifact]
) -> None:
    step = make_step(tmp_path, copies, samples_seen=320, lr=0.3, permute_labels=True)  # its accuracy goes up and down
    train(step)
    told = meta(step)
    values = [one["value"] for one in told["validations"]]
    assert len(values) == 20 and values[-1] < max(values)
    assert told["best_step"] == 2 * (values.index(max(values)) + 1)  # the first of equals
    backbone = Backbone.open(step.out, "cpu")
    pack = Pack.open(copies["val"])
    shown = backbone.preprocessing.normalised(Pixels(pack, backbone.preprocessing).take(np.arange(len(pack))))
    with torch.inference_mode():
        assert float((backbone.model(shown).argmax(1).numpy() == pack.labels).mean()) == pytest.approx(max(values))
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    theirs = ReduceLROnPlateau(optimiser, mode="max", factor=0.1, patience=1)
    for one in told["validations"]:
        if one["lr"] > 1e-6:  # torch lowers a rate no further than by its eps, 1e-8
            assert one["lr"] == pytest.approx(optimiser.param_groups[0]["lr"])
        theirs.step(one["value"])
    assert told["validations"][-1]["lr"] < 0.3


def test_of_equally_good_weights_the_first_are_kept() -> None:
    recipe = Recipe.of(Part("recipe", "tiny", "1", values=VALUES))
    training = Training(build_model(*TINY, n_classes=N_CLASSES, in_chans=1), recipe, steps=8)
    first = training.weights[0].detach().clone()
    for training.step, value in ((2, 0.5), (4, 0.5), (6, 0.4)):
        training.validated(value)
        with torch.no_grad():
            training.weights[0].add_(1)
    name = next(iter(training.best))
    assert torch.equal(training.best[name], first) and training.best_step == 2


def test_training_stops_early_and_says_so(tmp_path: Path, copies: dict[str, Artifact]) -> None:
    step = make_step(tmp_path, copies, samples_seen=800, lr=1e-9, stop_patience=3)  # nothing can improve
    made = train(step)
    told = meta(step)
    assert told["stopped_early"] and told["max_steps"] == 100
    assert len(told["validations"]) == 4 and told["optimiser_steps"] == 8 and made.items == 64
    assert told["best_step"] == 2


def test_last_step_is_validated_whatever_the_interval(tmp_path: Path, copies: dict[str, Artifact]) -> None:
    step = make_step(tmp_path, copies, validate_every=7)
    train(step)
    assert [one["step"] for one in meta(step)["validations"]] == [7, 10]
    assert not meta(step)["stopped_early"]


def test_training_learns_and_permuted_labels_do_not(tmp_path: Path, copies: dict[str, Artifact]) -> None:
    best = {}
    for permuted in (False, True):
        step = make_step(
            tmp_path / str(permuted), copies, samples_seen=320, permute_labels=permuted, flip=False, lr=0.3
        )
        train(step)
        best[permuted] = meta(step)["validations"][-1]["value"]
    assert best[False] > 0.9
    assert best[True] < 18 / 24  # 24 images at chance 1/3: mean 8, sd 2.3


def test_no_samples_saves_the_initialisation_and_reads_no_image(tmp_path: Path, copies: dict[str, Artifact]) -> None:
    step = make_step(tmp_path / "control", copies, samples_seen=0)
    assert train(step).items == 0
    trained = make_step(tmp_path / "trained", copies, lr=1e-12)  # trains, but goes nowhere
    train(trained)
    saved = load_file(step.out / "weights.safetensors")
    for name, tensor in load_file(trained.out / "weights.safetensors").items():
        assert torch.allclose(tensor, saved[name], atol=1e-6), name
    assert meta(step)["validations"] == [] and meta(step)["best_step"] == 0 and not meta(step)["stopped_early"]


@pytest.mark.parametrize(
    "values",
    [
        {"batch": 16},
        {"momentum": 0.0},
        {"weight_decay": 0.5},
        {"lr": 0.01},
        {"crop_scale": [0.3, 0.4]},
        {"crop_ratio": [0.5, 2.0]},
        {"flip": False},
        {"dtype": "bfloat16"},
    ],
    ids=str,
)
def test_every_value_of_the_recipe_has_an_effect(
    tmp_path: Path, copies: dict[str, Artifact], values: dict[str, Any]
) -> None:
    last = {"samples_seen": 32, "validate_every": 10**6}  # the last weights are the best: there is one validation
    plain, changed = (make_step(tmp_path / str(i), copies, **last, **more) for i, more in enumerate(({}, values)))
    train(plain)
    train(changed)
    tensors = [load_file(step.out / "weights.safetensors") for step in (plain, changed)]
    assert any(not torch.equal(tensor, tensors[1][name]) for name, tensor in tensors[0].items())


# ── Refusals ─────────────────────────────────────────────────────────────────────────────────────


def test_loss_that_is_not_finite_names_its_step(tmp_path: Path, copies: dict[str, Artifact]) -> None:
    with pytest.raises(FloatingPointError, match=r"(nan|inf) at optimiser step [1-9] of 10"):
        train(make_step(tmp_path, copies, lr=1e30))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mixup": 0.8}, "'tiny' asks for what a training to a plateau cannot do: mixup"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"validate_every": 0}, "validate_every is 0"),
        ({"factor": 1.0}, "must lower"),
        ({"samples_seen": 7}, "at least one batch"),
        ({"seed": None}, "seed"),
    ],
)
def test_impossible_settings_are_refused(
    tmp_path: Path, copies: dict[str, Artifact], values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        train(make_step(tmp_path, copies, **values))


def test_missing_recipe_value_is_named() -> None:
    with pytest.raises(ValueError, match="does not say: lr"):
        Recipe.of(Part("recipe", "tiny", "1", values={k: v for k, v in VALUES.items() if k != "lr"}))


def test_unlabelled_validation_images_are_refused(tmp_path: Path, copies: dict[str, Artifact]) -> None:
    (tmp_path / "pack").mkdir()
    write_pack(tmp_path / "pack", [(name, -1, data) for name, _, data in stripes()])
    unlabelled = {**copies, "val": Artifact("2" * 64, (tmp_path / "pack",))}
    with pytest.raises(ValueError, match=r"validation labels run from -1 to -1"):
        train(make_step(tmp_path, unlabelled))
