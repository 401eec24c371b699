"""Recipes: each can be followed, Table 5 is there number by number, and what no source states is marked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Answer

from vgbench import Part, UsageError, results, stages, stats
from vgbench_tasks.recipes import vgbench_offer_parts
from vgbench_tasks.recipes.imagenet import RECIPES

pytest.importorskip("timm")

ALL = [part for part in vgbench_offer_parts() if part.kind == "recipe"]
BY_NAME = {part.name: part for part in ALL}
STATED = {  # lbGen, Table 5
    "lr": 1e-3,
    "batch": 2048,
    "betas": [0.9, 0.999],
    "warmup_fraction": 12 / 120,
    "label_smoothing": 0.1,
    "random_erasing": 0.25,
    "mixup": 0.8,
    "cutmix": 1.0,
    "ema_decay": 0.9999,
}


@pytest.mark.parametrize("part", ALL, ids=lambda part: part.name)
def test_every_recipe_can_be_followed(part: Part) -> None:
    from vgbench.steps.recipe import Recipe

    Recipe.of(part)
    assert set(part.assumed) <= set(part.values)
    assert (stages.budget(part) is None) == part.name.endswith("-epochs")


def test_table_5_is_there_number_by_number() -> None:
    resnet, vit, in100 = (BY_NAME[name].values for name in ("lbgen-table5", "lbgen-table5-vit", "in100-ablation"))
    assert {name: resnet[name] for name in STATED} == STATED == {name: vit[name] for name in STATED}
    assert (resnet["samples_seen"], vit["samples_seen"]) == (120 * 1_281_167, 160 * 1_281_167)
    assert (in100["batch"], in100["samples_seen"]) == (512, 120 * 126_689)
    assert resnet["auto_augment"].startswith("rand-m9-mstd0.5") and vit["layer_scale"] == 1e-6
    assert vit["warmup_fraction"] == 16 / 160 and "layer_scale" not in resnet
    assert BY_NAME["lbgen-table5-epochs"].values == {
        **{name: value for name, value in resnet.items() if name != "samples_seen"},
        "epochs": 120,
    }


def test_what_no_source_states_is_shown_and_is_not_in_the_key(vgbench: Callable[..., Answer]) -> None:
    answer = vgbench("show", "recipe/lbgen-table5")
    lines = {line.split()[0]: line for line in answer.out.splitlines() if line.startswith("    ")}
    assert "assumed: ConvNeXt's code" in lines["weight_decay"] and "assumed" not in lines["lr"]
    assert vgbench("show", "recipe/lbgen-table5", "--json").json[0]["assumed"]["drop_path"]
    part = RECIPES[0]
    assert part.assumed and "assumed" not in part.key()


def test_recipe_without_a_budget_is_refused() -> None:
    with pytest.raises(UsageError, match="does not say how long it trains"):
        stages.budget(Part("recipe", "endless", "1"))


def test_plan_counts_epochs_of_the_images_there_are(vgbench: Callable[..., Answer]) -> None:
    task = "toybox/val:world=coarse,size_px=32,recipe=lbgen-table5-epochs"
    planned: dict[str, Any] = vgbench(
        "plan", "--source", "toybox:size_px=32,world=coarse", "--tasks", task, "--images-per-class", "50", "--json"
    ).json
    items = [node["items"] for node in planned["nodes"] if node["step"] == "vgbench.pretrain"]
    assert max(items) == 120 * 16 * 50


@pytest.mark.slow
@pytest.mark.timeout(600)  # two runs, each of which has the fixture's own limit
def test_smoke_beats_the_untouched_initialisation(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    task = "toybox/transfer/tools:world=coarse,size_px=32,recipe=smoke,shots=25,n_test=25"
    few = ("--images-per-class", "50", "--json")
    taught = vgbench(
        "run", "--source", "toybox:size_px=32,world=coarse", "--tasks", f"{task},backbone=test_resnet", *few, "-o", "a"
    )
    untaught = vgbench("run", "--source", "random-init:test_resnet", "--tasks", task, *few, "-o", "b")
    assert (taught.code, untaught.code) == (0, 0), taught.err + untaught.err
    # `compare` does not put them side by side: a network that was trained here and one that was given are two columns.
    items = [results.read_items(next((tmp_path / run / "cells").iterdir())) for run in "ab"]
    assert items[0] is not None and items[1] is not None and items[0].sample_ids == items[1].sample_ids
    found = stats.difference(items[0].values[None], items[1].values[None])
    assert found.n == 250 and found.ci.lo > 0 and found.p < 0.01
