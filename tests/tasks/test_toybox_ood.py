"""Toybox's shifts are what they say, and a head of 40 kinds answers a test of 16 among these."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Answer

from vgbench.locate import Locator
from vgbench.planning import Builder
from vgbench.registry import Registry
from vgbench.toybox import kinds, scene, scenery, sets, textures
from vgbench.toybox.world import world


def test_sketches_have_no_background_and_no_kinds_texture() -> None:
    here = world("full")
    found = sets.sketches(here, 80)
    assert (found.factors.background == scenery.GREY).all() and set(found.label.tolist()) == set(here.kinds)
    neutral = {textures.NUMBER[name] for name in textures.NEUTRAL}
    assert set(found.factors.texture.tolist()) <= neutral


def test_renditions_have_nothing_typical_but_their_outline() -> None:
    here = world("full")
    found = sets.renditions(here, 160)
    assert set(found.label.tolist()) == set(here.coarse)
    assert (found.factors.texture != here.typical("texture", found.label)).all()
    assert (found.factors.background != here.typical("background", found.label)).all()


def test_poses_are_drawn_as_far_as_the_dials_go() -> None:
    here = world("full")
    found = sets.poses(here, 32)
    usual, turned = found.pixels(size_px=32), found.pixels(size_px=32, style=sets.POSES)
    assert sets.POSES.pose_range == sets.POSES.occlusion == scene.MAX_DIAL
    assert (np.abs(usual.astype(int) - turned).mean(axis=(1, 2, 3)) > 1).mean() > 0.9


@pytest.mark.parametrize(
    ("name", "worldly", "n", "is_restricted"),
    [
        ("sketches", "full", 40, False),
        ("renditions", "full", 16, True),
        ("poses", "full", 16, True),
        ("renditions", "coarse", 16, False),
    ],
)
def test_a_head_answers_among_what_the_test_holds(name: str, worldly: str, n: int, is_restricted: bool) -> None:
    registry = Registry()
    g = Builder(registry, Locator(), {})
    spec = registry.tasks.get(f"toybox/ood/{name}").spec
    options = {option.name: option.cast(option.default) for option in spec.options} | {"world": worldly}
    images = g.images_of(registry.source(f"toybox:world={worldly}"), spec.request(g, options))
    scores = spec.graph(g, images, options)
    answers = dict(scores.score.inputs)["predictions"]
    assert scores.n_classes == n and set(scores.controls) == {"random_init"}
    assert (answers.step.id == "vgbench.categorise") == is_restricted  # type: ignore[union-attr]  # a node
    if is_restricted:
        categories = answers.param["categories"]  # type: ignore[union-attr]  # a node
        assert [category for category, _ in categories] == list(kinds.NAMES[: kinds.N_COARSE])


def test_suite_shares_one_network_and_runs(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    small = "world=coarse,size_px=32,recipe=smoke,samples_seen=128,images_per_class=4,n_test=32"
    answer = vgbench(
        "run",
        "--source",
        "toybox:world=coarse",
        "--tasks",
        f"toybox/ood:{small}",
        "--json",
        "-o",
        str(tmp_path / "run"),
    )
    assert answer.code == 0, answer.err
    cells = {cell["task"]: cell for cell in answer.json["cells"]}
    assert sorted(cells) == ["toybox/ood/poses", "toybox/ood/renditions", "toybox/ood/sketches"]
    plan = vgbench("plan", "--source", "toybox:world=coarse", "--tasks", f"toybox/val:{small}", "--json").json
    trained = [node for node in plan["nodes"] if node["step"] == "vgbench.pretrain" and not node["missing"]]
    assert len(trained) == 2  # the network and its initialisation, found made
