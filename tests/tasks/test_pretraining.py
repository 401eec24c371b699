"""Pre-training tasks on real data: what their cells share, which heads they read, and what they refuse."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.golden import golden
from tests.tasks.mini import class_ids

from vgbench.errors import CannotServe, NotObserved, UsageError
from vgbench.locate import Locator
from vgbench.metrics import covered, novel
from vgbench.metrics.categories import by_restricted
from vgbench.planned import Plan
from vgbench.planning import Asked, Builder, make_plan
from vgbench.registry import Registry
from vgbench.store import Store
from vgbench.types import Backbone, ClassList, Node, StepRef
from vgbench_tasks.focus import CHANCES
from vgbench_tasks.focus.categories import CATEGORIES as TEN
from vgbench_tasks.pretrained import imagenet
from vgbench_tasks.pretrained.restricted import shared
from vgbench_tasks.transfer.known import BY_HAND, KNOWN
from vgbench_tasks.transfer.sets import SETS

TASKS = ["imagenet-val", "transfer8", "ood", "cue-conflict", "focus", "background-gap"]
SUPPOSED: dict[str, list[object]] = {"recipe": ["toybox"], "images_per_class": [2], "probe": ["logreg"]}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


@pytest.fixture(scope="module")
def g(registry: Registry) -> Builder:
    return Builder(registry, Locator(), {}, supposing=True)


def planned(home: Path, sources: Sequence[str], tasks: Sequence[str], *, probe_seeds: int = 1, **options: Any) -> Plan:
    given = {name: value if isinstance(value, list) else [value] for name, value in options.items()}
    listed: dict[str, Sequence[object]] = {**SUPPOSED, **given}
    return make_plan(Asked(sources, tasks, listed, {"probe": probe_seeds}), Registry(), Store(home), Locator())


def supposed(plan: Plan) -> Counter[str]:
    return Counter(node.node.step.id for node in plan.supposed.values())


def nodes_of(plan: Plan, step: str) -> Iterator[Node]:
    return (node.node for node in plan.supposed.values() if node.node.step.id == step)


# ── What cells share ─────────────────────────────────────────────────────────────────────────────


def test_all_seventeen_tasks_share_one_network_and_one_initialisation(home: Path) -> None:
    plan = planned(home, ["original"], TASKS)
    assert len(plan.cells) == 1 + 8 + 5 + 3 and {cell.state for cell in plan.cells} == {"blocked"}
    assert supposed(plan)["vgbench.pretrain"] == 2  # trained, and untouched
    (shared,) = (row for row in plan.shared if row["step"] == "vgbench.pretrain")
    assert shared["nodes"] == 2 and shared["cells"] == 17
    assert shared["seconds_unshared"] == pytest.approx(17 * shared["seconds"], rel=0.01)


def test_draws_of_a_part_are_probe_seeds_and_the_network_is_one(home: Path) -> None:
    plan = planned(home, ["original"], ["transfer8/pets"], probe_seeds=5, downstream_fraction=[1, 0.5, 0.1])
    assert len(plan.cells) == 15
    subsets = list(nodes_of(plan, "vgbench.subset"))
    assert {(node.param["fraction"], node.seed) for node in subsets} == {(f, s) for f in (0.5, 0.1) for s in range(5)}
    assert supposed(plan)["vgbench.pretrain"] == 1
    assert supposed(plan)["vgbench.represent"] == 1 + 1 + 10  # test, all training images, ten parts


def test_a_part_is_given_in_one_way(home: Path) -> None:
    with pytest.raises(UsageError, match="both say how many training images"):
        planned(home, ["random-init"], ["transfer8/pets:shots=4,downstream_fraction=0.5"])
    plan = planned(home, ["random-init"], ["transfer8/pets:shots=1"], probe="trex-sklearn")
    assert "needs 2 images of each class" in str(plan.cells[0].reason)


def test_tests_travel_as_their_protocol_says(home: Path) -> None:
    """Validation and shifts: shorter side 256, centre 224; transfer and biases: the central square at 224."""
    plan = planned(home, ["original"], TASKS)
    packs = {
        (n.param["store_px"], n.param.get("resize_px"), n.param["labelled"]) for n in nodes_of(plan, "vgbench.pack")
    }
    assert packs == {(256, None, True), (224, 256, False), (224, None, False), (224, None, True)}


# ── Heads ────────────────────────────────────────────────────────────────────────────────────────


def options(**given: Any) -> dict[str, Any]:
    defaults = {option.name: option.cast(option.default) for option in imagenet.options()}
    return {**defaults, "floor": None, **given}


def given(g: Builder, head: ClassList | None) -> Backbone:
    return Backbone(g.node(StepRef("vgbench.any", "1", "")), head)


def scored(g: Builder, registry: Registry, task: str, head: str | None, **given_options: Any) -> Any:
    subject = given(g, registry.class_list(head) if head else None)
    return registry.tasks.get(task).spec.graph(g, subject, options(**given_options))


def test_a_head_of_the_tests_classes_answers_as_it_is(g: Builder, registry: Registry) -> None:
    scores = scored(g, registry, "ood/imagenet-v2", "imagenet-1k")
    assert [node for node in scores.score.walk() if node.step.id == "vgbench.categorise"] == []
    assert scores.n_classes == 1000 and not scores.controls


def test_a_head_is_restricted_to_the_classes_that_a_test_has(g: Builder, registry: Registry) -> None:
    for task, head, n in (
        ("ood/imagenet-r", "imagenet-1k", 200),
        ("ood/objectnet", "imagenet-1k", 113),
        ("ood/imagenet-v2", "imagenet-100", 100),
        ("imagenet100-val", "imagenet-1k", 100),
        ("ood/imagenet-a", "imagenet-r", len(set(class_ids("imagenet-a")) & set(class_ids("imagenet-r")))),
    ):
        scores = scored(g, registry, task, head)
        (node,) = (node for node in scores.score.walk() if node.step.id == "vgbench.categorise")
        assert node.param["rule"] == "restricted" and len(node.param["categories"]) == n == scores.n_classes
        assert scores.score.param["scorer"]["values"]["covered"] == [name for name, _ in node.param["categories"]]


def test_an_object_is_any_of_its_imagenet_classes(registry: Registry) -> None:
    objects = registry.class_list("objectnet")
    assert all(entry.wnids for entry in objects.classes)
    whole = registry.class_list("imagenet-1k")
    places = dict(shared(whole, objects))
    assert [whole.ids[p] for p in places["alarm_clock"]] == ["n02708093", "n03196217"]
    assert sum(map(len, places.values())) == len({p for found in places.values() for p in found})  # none counts twice


def test_a_backbone_without_a_named_head_is_asked_for_one(g: Builder, registry: Registry) -> None:
    with pytest.raises(UsageError, match="classes that nobody named") as refused:
        scored(g, registry, "imagenet-val", None)
    assert "head=imagenet-1k" in str(refused.value.hint)
    with pytest.raises(UsageError, match="answers with toybox40"):
        scored(g, registry, "ood/imagenet-r", "toybox40")
    probed = scored(g, registry, "imagenet100-val", None, probe="logreg", classes="imagenet-100")
    assert [node.step.id for node in probed.score.walk() if node.step.id == "vgbench.probe"] == ["vgbench.probe"]


def test_biases_need_every_class_that_counts(g: Builder, registry: Registry) -> None:
    for task, n in (("cue-conflict", 207), ("focus", 226), ("background-gap", 370)):
        with pytest.raises(CannotServe, match=rf"of the {n} that count are not among the 100 of imagenet-100"):
            scored(g, registry, task, "imagenet-100")


def test_a_head_in_another_order_is_mapped_by_wnid(g: Builder, registry: Registry) -> None:
    whole = registry.class_list("imagenet-1k")
    turned = ClassList("turned", "1", whole.classes[::-1])
    mapped = dict(imagenet.mapped(g, turned, TEN, "focus"))
    assert [turned.ids[p] for p in mapped["plane"]] == [whole.ids[404], whole.ids[895]]


def test_a_head_of_toybox_kinds_answers_toybox_tests_only_if_it_fits(g: Builder, registry: Registry) -> None:
    spec = registry.tasks.get("toybox/val").spec
    defaults = {option.name: option.cast(option.default) for option in spec.options}
    for head, step in (("toybox40", "vgbench.predict"), ("imagenet-1k", "vgbench.probe"), (None, "vgbench.probe")):
        scores = spec.graph(g, given(g, registry.class_list(head) if head else None), defaults)
        assert dict(scores.score.inputs)["predictions"].step.id == step  # type: ignore[union-attr]  # a node


# ── References ───────────────────────────────────────────────────────────────────────────────────


def test_a_source_that_needs_no_real_images_is_not_blocked_by_theirs(registry: Registry) -> None:
    g = Builder(registry, Locator(), {})
    request = imagenet.request(g, options())
    assert request.references is None and isinstance(request.unobserved, NotObserved)
    original = registry.source("original")
    with pytest.raises(NotObserved, match="imagenet-1k"):
        g.images_of(original, request)


def test_classes_of_ones_own_are_a_part_of_imagenets_training_images(
    g: Builder, registry: Registry, tmp_path: Path
) -> None:
    wnids = registry.class_list("imagenet-1k").ids[5:8]
    path = tmp_path / "three.json"
    path.write_text(json.dumps({"name": "three", "version": "1", "classes": [{"id": w, "name": w} for w in wnids]}))
    found = imagenet.real(g, g.class_list(str(path)))
    assert found.classes.ids == wnids and found.index.step.id == "vgbench.select"
    assert imagenet.request(g, options(classes="digits")).references is None


# ── Fixed lists ──────────────────────────────────────────────────────────────────────────────────


def test_known_classes_follow_from_names(registry: Registry) -> None:
    def plain(name: str) -> str:
        return re.sub(r"[\s_/-]+", " ", name).strip().lower()

    taught = {plain(n) for e in registry.class_list("imagenet-1k").classes for n in (e.name, *e.synonyms)}
    for of in SETS.values():
        found = []
        for entry in registry.class_list(of.dataset).classes:
            names = {plain(n) for n in (entry.id, entry.name, *entry.synonyms)}
            names |= {re.sub(r" (indoor|outdoor)$", "", name) for name in names} | {f"{name} cat" for name in names}
            if names & taught or entry.id in BY_HAND:
                found.append(entry.id)
        assert tuple(sorted(KNOWN.get(of.dataset, ()))) == tuple(sorted(found)), of.dataset
        assert of.n_classes == len(registry.class_list(of.dataset))


def test_chance_on_focus_is_that_of_the_released_annotations() -> None:
    sizes = [len(members) / 1000 for _, members in TEN]
    guessed: dict[int, list[float]] = {k: [] for k in range(4)}
    with gzip.open(golden("focus_resnet50.csv.gz"), "rt", newline="") as file:
        for row in csv.DictReader(file):
            k = sum(int(row[name]) for name in ("uncommon_time", "uncommon_weather", "uncommon_location"))
            guessed[k].append(sizes[int(row["category_index"])])
    assert [round(float(np.mean(guessed[k])), 5) for k in range(4)] == list(CHANCES)


# ── Scorers ──────────────────────────────────────────────────────────────────────────────────────


def columns(**given: Sequence[str]) -> dict[str, Any]:
    return {name: np.asarray(values) for name, values in given.items()}


def test_what_a_head_does_not_know_is_left_out_and_its_share_said() -> None:
    labels = columns(class_id=["a", "a", "b", "c"])
    found = covered.top1(columns(prediction=["a", "b", "b", "b"]), labels, {"covered": ["a", "b"]})
    values = {value.metric: (value.value, value.n) for value in found.metrics}
    assert values == {"top1": (2 / 3, 3), "mean_per_class": (0.75, 3), "coverage": (0.75, 4)}
    assert found.per_item is None and [row[0] for row in found.per_class] == ["a", "b"]
    whole = covered.top1(columns(prediction=["a", "b", "b", "b"]), labels, {})
    assert whole.per_item == [1, 0, 1, 0] and whole.metrics[-1].value == 1


def test_novel_classes_are_scored_among_all_answers() -> None:
    labels, said = columns(class_id=["a", "b", "b", "c"]), columns(prediction=["a", "b", "a", "b"])
    found = {value.metric: value for value in novel.top1(said, labels, {"known": ["a", "c"]}).metrics}
    assert found["top1"].value == 0.5 and found["top1_novel"].value == 0.5 and found["top1_novel"].n == 2
    none = novel.top1(said, labels, {"known": ["a", "b", "c"]}).metrics[-1]
    assert none.value is None and none.reason == "no novel class"


def test_restriction_takes_the_most_probable_member() -> None:
    probabilities = np.asarray([[0.5, 0.2, 0.1, 0.2], [0.1, 0.1, 0.45, 0.35]])
    assert by_restricted(probabilities, [("x", [1, 2]), ("y", [3])]).tolist() == ["x", "x"]
    with pytest.raises(ValueError, match="outside"):
        by_restricted(probabilities, [("x", [4])])
