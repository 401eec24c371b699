"""Source ``toybox``: what is in the key of a class, and what its images are."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.conftest import Answer

from vgbench.conformance.suite import cases
from vgbench.errors import CannotServe, UsageError
from vgbench.locate import Locator
from vgbench.planning import Builder
from vgbench.registry import Registry
from vgbench.testing import Check
from vgbench.toybox import kinds, patterns
from vgbench.toybox.classes import factors_of
from vgbench.toybox.scene import draw
from vgbench.toybox.world import Dials, sample, seeds, world
from vgbench.types import ClassEntry, ClassList, DataRequest, Node

SMALL = "toybox:world=coarse,size_px=32,micro_batch=4"
SCENES = [
    Check(case)
    for case in cases("vgbench", registry=Registry(), sources={"toybox": SMALL}, classes="toybox16")
    if case.subject.name == "toybox"
]


@pytest.mark.parametrize("check", SCENES, ids=str)
@pytest.mark.filterwarnings("default::vgbench.conformance.outcome.ConformanceWarning")
def test_scenes_keep_the_rules_of_sources(check: Check) -> None:
    """The suite of the built-ins tries a source on one class list, the digits; this is the other half."""
    check()


def node(text: str, class_id: str) -> Node:
    registry = Registry()
    chosen = registry.source(text)
    entry = ClassEntry(class_id, class_id)
    assert chosen.spec.class_graph is not None
    g = Builder(registry, Locator(), {})
    with g.running("source", "vgbench"):
        return chosen.spec.class_graph(g, entry, DataRequest(ClassList("one", "1", (entry,)), 3), chosen.options)


def test_digests_of_digits_are_those_from_before_the_scenes() -> None:
    assert node("toybox", "digit-3").digest == "a48c1d3b0a50f018ee6cfb0ba543fcf40340553c61f75640488921bffb8ecac6"


@pytest.mark.parametrize(
    "option", ["background_bias=1", "label_noise=0.5", "pose_range=2", "occlusion=0", "size_px=48", "world=coarse"]
)
def test_options_of_scenes_are_not_in_the_key_of_digits(option: str) -> None:
    assert node(f"toybox:{option}", "digit-3") == node("toybox", "digit-3")
    assert node(f"toybox:{option}", "fish") != node("toybox", "fish")


@pytest.mark.parametrize("option", ["warp=2", "thickness=0", "slant=0.5"])
def test_options_of_digits_are_not_in_the_key_of_scenes(option: str) -> None:
    assert node(f"toybox:{option}", "fish") == node("toybox", "fish")
    assert node(f"toybox:{option}", "digit-3") != node("toybox", "digit-3")


def test_noise_is_a_dial_of_both() -> None:
    for class_id in ("fish", "digit-3"):
        assert node("toybox:noise=2", class_id) != node("toybox", class_id)


@pytest.mark.parametrize("name", ["background_bias", "texture_bias", "context_bias", "colour_bias", "label_noise"])
@pytest.mark.parametrize("value", ["-0.1", "1.1", "nan"])
def test_dials_outside_0_to_1_are_refused(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=name):
        Registry().source(f"toybox:{name}={value}")


def test_other_worlds_and_kinds_are_refused() -> None:
    for name in ("", "fine", "full-0", "full-01", "full-", "coarse-x", "full-٣"):
        with pytest.raises(UsageError, match="it is called full or coarse"):
            node(f"toybox:world={name}", "fish")
    with pytest.raises(CannotServe, match="'apple'"):
        node("toybox:world=coarse", "apple")
    for stranger in ("wrench", "star-7", "leopard"):  # of downstream sets
        with pytest.raises(CannotServe, match=stranger):
            node("toybox:world=coarse", stranger)
    for stranger in ("frame", "papillon"):
        with pytest.raises(CannotServe, match=stranger):
            node("toybox", stranger)


@pytest.mark.parametrize("class_id", ["wrench", "star-7", "leopard"])
def test_classes_of_downstream_sets_are_drawn_with_all_dials(class_id: str) -> None:
    here, given = world("full"), seeds("full", f"source/0/{class_id}", 400)
    plain = factors_of(here, class_id, given)
    biased = factors_of(here, class_id, given, Dials(background_bias=1.0))
    noisy = factors_of(here, class_id, given, Dials(label_noise=1.0))
    shown = "texture" if class_id == "leopard" else "kind"
    number = (patterns if class_id == "leopard" else kinds).NUMBER[class_id]
    assert (getattr(plain, shown) == number).all() and not (getattr(noisy, shown) == number).any()
    if class_id == "leopard":
        assert 0.4 < (plain.kind == kinds.FRAME).mean() < 0.6
    else:
        assert len(set(biased.background.tolist()) - {0}) == 1
        assert (biased.kind == number).all()


@pytest.mark.parametrize(("name", "n"), [("toybox40", 40), ("toybox16", 16)])
def test_class_lists_are_the_kinds_in_order(name: str, n: int) -> None:
    listed = json.loads((files("vgbench_plugins.toybox") / f"{name}.json").read_text())
    assert [entry["id"] for entry in listed["classes"]] == list(kinds.NAMES[:n])
    assert all(entry["definition"] for entry in listed["classes"])


def test_images_of_a_class_are_those_of_its_split(vgbench: Callable[..., Answer], home: Path) -> None:
    text = "toybox:world=coarse-2,size_px=32,micro_batch=4,label_noise=0.5,texture_bias=0.9"
    assert vgbench("preview", "--source", text, "--classes", "toybox16/key", "-n", "4").code == 0
    (shard,) = home.rglob("images.parquet")
    rows = pq.read_table(shard).to_pylist()
    here, given = world("coarse-2"), seeds("coarse-2", "source/0/key", 4)
    factors = sample(here, given, np.full(4, kinds.NUMBER["key"]), Dials(label_noise=0.5, texture_bias=0.9))
    pixels = draw(given, factors, size_px=32)
    assert [row["seed"] for row in rows] == given.tolist()
    assert {row["class_id"] for row in rows} == {"key"}
    for row, image in zip(rows, pixels, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))), image)
