"""Plans: what is shared, what is missing, what is refused; built in process, nothing made."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from vgbench.errors import CannotServe, UsageError
from vgbench.locate import Locator
from vgbench.planned import Plan
from vgbench.planning import Asked, make_plan, refuse_missing_libraries
from vgbench.registry import Registry
from vgbench.store import Store
from vgbench.types import Axis, StepRef


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


def plan(
    registry: Registry,
    home: Path,
    sources: Sequence[str] = ("toybox:micro_batch=4",),
    tasks: Sequence[str] = ("digits",),
    options: dict[str, list[str]] | None = None,
    seeds: dict[Axis, int] | None = None,
) -> Plan:
    return make_plan(Asked(sources, tasks, options or {}, seeds or {}), registry, Store(home), Locator())


def images_of(made: Plan) -> set[str]:
    return {digest for digest, planned in made.nodes.items() if planned.node.shard_size}


def test_planning_twice_gives_the_same_plan(registry: Registry, home: Path) -> None:
    assert plan(registry, home).to_json() == plan(registry, home).to_json()


def test_producers_come_before_consumers(registry: Registry, home: Path) -> None:
    seen: set[str] = set()
    for digest, planned in plan(registry, home, tasks=["digits", "digits:backbone"]).nodes.items():
        assert {(g.node if hasattr(g, "node") else g).digest for _, g in planned.node.inputs} <= seen
        seen.add(digest)


def test_two_tasks_share_the_images_and_the_training_copy(registry: Registry, home: Path) -> None:
    both = plan(registry, home, tasks=["digits", "digits:backbone"])
    assert images_of(both) == images_of(plan(registry, home)) and len(images_of(both)) == 10
    counts = [p for p in both.nodes.values() if p.node.step.id == "vgbench.digit_counts"]
    assert len(counts) == 2  # one of the source's images, one of the test images


def test_train_seeds_make_no_image_and_no_probe(registry: Registry, home: Path) -> None:
    one = plan(registry, home, tasks=["digits:backbone"])
    two = plan(registry, home, tasks=["digits:backbone"], seeds={"train": 2})
    assert len(two.cells) == 2 and images_of(one) == images_of(two)
    new = {two.nodes[d].node.step.id for d in two.nodes.keys() - one.nodes.keys()}
    assert new == {"vgbench.pretrain", "vgbench.predict", "vgbench.score"}
    assert len(plan(registry, home, seeds={"train": 2}).cells) == 1  # a probe draws from no train seed


def test_source_seeds_make_other_images(registry: Registry, home: Path) -> None:
    two = plan(registry, home, seeds={"source": 2})
    assert len(two.cells) == 2 and len(images_of(two)) == 20


def test_only_the_axes_a_graph_draws_from_are_recorded(registry: Registry, home: Path) -> None:
    def axes(source: str, task: str) -> set[str]:
        return set(plan(registry, home, [source], [task]).cells[0].seeds)

    assert axes("toybox", "digits") == {"source", "probe"}
    assert axes("original", "digits") == {"probe"}
    assert axes("original", "digits:backbone") == {"train"}


def test_larger_request_plans_the_largest_once(registry: Registry, home: Path) -> None:
    made = plan(registry, home, options={"images_per_class": ["5", "13", "8"]})
    assert len(made.cells) == 3
    assert {len(made.nodes[d].shards) for d in images_of(made)} == {4}  # 13 images in shards of 4


def test_columns_are_shared_by_sources_and_row_options_and_by_nothing_else(registry: Registry, home: Path) -> None:
    def columns(**asked: object) -> set[str | None]:
        return {cell.column for cell in plan(registry, home, **asked).cells}  # type: ignore[arg-type]

    assert len(columns(sources=["original", "toybox", "toybox:noise=2"])) == 1
    assert columns() == columns(options={"images_per_class": ["7"]}) == columns(seeds={"source": 3, "probe": 2})
    assert columns().isdisjoint(columns(tasks=["digits:backbone"]))


def test_source_nodes_run_in_the_sources_worker_and_all_others_in_the_scoring_one(
    registry: Registry, home: Path
) -> None:
    owners = {p.node.step.id: p.node.owner for p in plan(registry, home).nodes.values()}
    assert owners.pop("vgbench.draw_digits") == "vgbench::toybox"
    assert set(owners.values()) == {"scoring"}


def test_generator_asked_for_all_images_is_blocked_and_says_what_to_type(registry: Registry, home: Path) -> None:
    made = plan(registry, home, ["toybox", "original"], options={"images_per_class": ["all"]})
    blocked, fine = made.cells
    assert blocked.state == "blocked" and "--images-per-class N" in (blocked.reason or "")
    assert fine.state == "make"


@pytest.mark.parametrize(
    ("asked", "what", "hint"),
    [
        ({"sources": ["toybx"]}, "no source is called 'toybx'", "did you mean 'toybox'?"),
        ({"tasks": ["digit"]}, "no task is called 'digit'", "did you mean 'digits'?"),
        ({"sources": ["toybox:nose=1"]}, "no option of toybox is called 'nose'", "did you mean 'noise'?"),
        ({"sources": ["toybox:noise=loud"]}, "noise=loud: not a finite number", "grain"),
        ({"sources": ["toybox:1"]}, "toybox: '1' is not OPT=VALUE", "options: background_bias"),
        ({"sources": ["toybox:noise=1,noise=2"]}, "option 'noise' is given twice", None),
        ({"tasks": ["digits:train=prob"]}, "train=prob", "choose from probe, backbone"),
        ({"tasks": ["digits:probe=logrg"]}, "no probe is called 'logrg'", "did you mean 'logreg'?"),
        ({"tasks": ["digits:recipe=x"]}, None, None),
        ({"options": {"shots": ["1"]}}, "none of the selected tasks has the option 'shots'", "their options:"),
        (
            {"options": {"shots": ["1"]}, "tasks": ["genbench/dtd"]},
            "has the option 'shots'",
            "--images-per-class; their",
        ),
        ({"sources": ["vgbench-acme::toybox"]}, "no source is called 'vgbench-acme::toybox'", None),
    ],
)
def test_wrong_names_are_refused_with_the_nearest_right_one(
    registry: Registry, home: Path, asked: dict[str, object], what: str | None, hint: str | None
) -> None:
    if what is None:  # the recipe is not used by train=probe, so it is not looked up
        assert plan(registry, home, **asked).cells  # type: ignore[arg-type]
        return
    with pytest.raises(UsageError) as error:
        plan(registry, home, **asked)  # type: ignore[arg-type]
    assert what in error.value.what and error.value.exit_code == 2
    assert hint is None or hint in (error.value.hint or "")
    assert not home.exists()


@pytest.mark.parametrize(
    ("probe", "library", "extra"),
    [("trex-sklearn", "optuna", "trex"), ("trex-sklearnex", "sklearnex", "trex-intel")],
)
def test_probe_whose_library_is_not_installed_blocks_the_cell_and_says_what_to_type(
    registry: Registry, home: Path, monkeypatch: pytest.MonkeyPatch, probe: str, library: str, extra: str
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == library else found(name))
    blocked, plain = plan(registry, home, tasks=[f"digits:probe={probe}", "digits"]).cells
    assert (blocked.state, plain.state) == ("blocked", "make")
    assert f"needs {library}, not installed here" in blocked.reason and f"'vgbench[{extra}]'" in blocked.reason


def test_library_in_a_package_that_is_not_there_is_missing_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look for google.protobuf is to import google first."""
    monkeypatch.setitem(sys.modules, "google", None)
    monkeypatch.delitem(sys.modules, "google.protobuf", raising=False)
    with pytest.raises(CannotServe, match=r"needs google\.protobuf, not installed here") as refused:
        refuse_missing_libraries([StepRef("acme.read", "1", "", needs=("numpy", "google.protobuf"))])
    assert refused.value.hint == "pip install 'vgbench[clip]'"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("encoder", "siglip/vit-b-16"), ("prompts", "category-enhanced"), ("prompts", "sentence-expansion")],
)
def test_parts_that_read_sentencepieces_models_need_protobuf_too(registry: Registry, kind: str, name: str) -> None:
    assert {"sentencepiece", "google.protobuf"} <= set(registry.part(kind, name).needs)
