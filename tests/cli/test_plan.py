"""What a plan says of cells that cannot be made here: what they would cost if what is missing were here."""

from __future__ import annotations

import resource
from collections.abc import Callable

from tests.conftest import ROOT, Answer

ASKED = ("--source", "sd:model=sd-1.5", "--tasks", "genbench/imagenet-1k", "--images-per-class", "1300")


def test_a_blocked_generator_is_planned_with_its_price(vgbench: Callable[..., Answer]) -> None:
    """ImageNet-1K × 1,300 by Stable Diffusion 1.5: whole micro-batches of 32, 50 steps, the published rate."""
    answer = vgbench("plan", *ASKED, "--usd-per-hour", "2", "--json")
    assert answer.code == 3
    supposed, totals = answer.json["if_unblocked"], answer.json["totals"]
    assert totals["cells_blocked"] == 1 and totals["make"] == 0
    assert supposed["images_to_make"] == 1000 * 41 * 32
    hours = supposed["images_to_make"] * 1.604 / 3600
    assert abs(supposed["gpu_seconds"] / 3600 - hours) < 0.02 * hours
    assert abs(supposed["usd"] - 2 * supposed["seconds"] / 3600) < 0.01
    assert list(answer.json["rates"].values()) == [
        "published: 51.6 TFLOP/s on one A100-80G, diffusers, batch 1 (fal.ai)"
    ]


def test_the_price_is_said_in_words_and_soon(vgbench: Callable[..., Answer]) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = vgbench("plan", *ASKED, "--usd-per-hour", "2")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # of the processor, which two tests share; 2 s where nothing else runs
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 4
    assert "if what is missing were here, blocked cells would take 1,0" in answer.out
    assert "1,312,000 images" in answer.out and " USD" in answer.out and " GB" in answer.out
    assert "rate of vgbench.diffuse, 0.623 images/s: published" in answer.out


def test_half_the_steps_cost_half(vgbench: Callable[..., Answer]) -> None:
    def seconds(source: str) -> float:
        answer = vgbench("plan", "--source", source, *ASKED[2:], "--json")
        found: float = answer.json["if_unblocked"]["gpu_seconds"]
        return found

    full = seconds("sd:model=sd-1.5")
    assert 0.45 < seconds("sd:model=sd-1.5,steps=25") / full < 0.55
    assert 3.9 < seconds("sd:model=sd-1.5,keep=1/4") / full < 4.1


def test_what_is_wrong_besides_is_not_estimated(vgbench: Callable[..., Answer]) -> None:
    """A source that cannot serve the classes at all is blocked, and nothing is supposed."""
    answer = vgbench("plan", "--source", "toybox", *ASKED[2:], "--json")
    assert answer.code == 3
    assert answer.json["if_unblocked"]["nodes"] == 0


def test_lbgens_experiment_is_planned_without_any_of_its_data(vgbench: Callable[..., Answer]) -> None:
    """Two sources × two backbones × (4 tasks + 8 transfer sets × 5 draws); 1.3 million images, drawn once for all."""
    path = str(ROOT / "docs" / "experiments" / "lbgen.toml")
    answer = vgbench("plan", path, "--usd-per-hour", "2", "--json")
    assert answer.code == 3, answer.err
    assert answer.json["totals"]["cells_blocked"] == 2 * 2 * (4 + 8 * 5) == len(answer.json["cells"])
    supposed = answer.json["if_unblocked"]
    assert supposed["images_to_make"] == 1000 * 41 * 32 and supposed["gpu_seconds"] > 500 * 3600
    assert supposed["bytes"] > 1e11 and supposed["usd"] > 1000
    shared = {row["step"]: (row["nodes"], row["cells"]) for row in answer.json["shared"]}
    assert shared["vgbench.diffuse"] == (1000, 88) and shared["vgbench.pretrain"] == (6, 176)
    assert any(rate.startswith("computed, not measured: resnet50") for rate in answer.json["rates"].values())
