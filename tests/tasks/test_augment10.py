"""augment10: nested tenths, nothing held out is trained on, one budget for all rows, and what a source may see."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import Answer

from vgbench.errors import CannotServe
from vgbench.images import INDEX_FILE, LABELS_FILE, SHARD_FILE, encode_png, read_table
from vgbench.locate import Locator
from vgbench.planned import Plan
from vgbench.planning import Asked, Builder, make_plan
from vgbench.registry import Registry
from vgbench.store import Store
from vgbench.types import Backbone, Node, Step
from vgbench_tasks.augment10 import real, twin
from vgbench_tasks.augment10.graph import graph, request
from vgbench_tasks.datasets import real as real_sets
from vgbench_tasks.datasets import toybox_draw
from vgbench_tasks.datasets.samples import Copy, Sample
from vgbench_tasks.datasets.splits import Splits
from vgbench_tasks.datasets.tenths import HELD, RATIOS, SPLITS, TRAIN, Share, pool

SMALL = "toybox/augment10:world=coarse,size_px=32,real_per_class=60,samples_seen=640,n_test=32"


def planned(home: Path, sources: list[str], tasks: list[str]) -> Plan:
    return make_plan(Asked(sources, tasks), Registry(), Store(home), Locator())


def nodes_of(plan: Plan, step: str) -> list[Node]:
    return [planned.node for planned in plan.nodes.values() if planned.node.step.id == step]


def inputs_of(node: Node) -> dict[str, Any]:
    return dict(node.inputs)


# ── Shares ───────────────────────────────────────────────────────────────────────────────────────


def drawn(tmp_path: Path, share: Share | None, *, images: bool = False) -> dict[str, str]:
    """Return a share of a training set of 60 images of each of 16 kinds: class ids, or hashes of images, by sample."""
    out = tmp_path / f"{share}-{images}"
    out.mkdir()
    params: dict[str, Any] = {"set": "train", "world": "coarse", "n": 960, "size_px": 32}
    params |= {} if share is None else {"share": list(share)}
    step = Step("0" * 64, params, {}, None, 0, out, out, "cpu", lambda d, t: None, lambda k, m: m(), lambda p: print)
    (toybox_draw.images if images else toybox_draw.labels)(step)
    table = read_table(out / (SHARD_FILE if images else LABELS_FILE))
    names = ("image_id", "sha256") if images else ("sample_id", "class_id")
    return dict(zip(*(table[name].to_pylist() for name in names), strict=True))


def test_tenths_are_nested_and_what_is_held_out_is_in_none(tmp_path: Path) -> None:
    held, train, *beyond = (drawn(tmp_path, share) for share in (HELD, TRAIN, *(pool(r) for r in (1, 2, 9))))
    assert Counter(held.values()) == dict.fromkeys(set(held.values()), 1)  # a fifth of 6, rounded down
    assert Counter(train.values()) == dict.fromkeys(set(train.values()), 5)
    assert not held.keys() & train.keys()
    tenth = held.keys() | train.keys()
    larger = [tenth | more.keys() for more in beyond]  # 20 %, 30 %, all
    assert tenth < larger[0] < larger[1] < larger[2] == drawn(tmp_path, None).keys()
    assert [len(ids) for ids in (tenth, *larger)] == [96, 192, 288, 960]
    assert not any(tenth & more.keys() for more in beyond)


def test_share_holds_the_same_images_as_the_whole(tmp_path: Path) -> None:
    whole, part = (drawn(tmp_path, share, images=True) for share in (None, TRAIN))
    assert part.items() < whole.items()
    assert part.keys() == drawn(tmp_path, TRAIN).keys()


def test_imagenets_splits_are_the_same_shares_of_each_class() -> None:
    (spec,) = (spec for spec in real_sets.vgbench_offer_datasets() if spec.name == "imagenet-1k")
    assert spec.reading is not None
    samples = [Sample(f"{name}_{i}", "", (name,)) for name, n in (("a", 1300), ("b", 732)) for i in range(n)]
    splits = Splits(Copy("made", {"train": lambda: samples, "val": list}), spec.reading["splits"], {})

    def ids(share: Share) -> set[str]:
        return {sample.sample_id for sample in splits.samples(SPLITS[share])}

    held, train = ids(HELD), ids(TRAIN)
    assert len(held) == 26 + 14 and len(train) == 104 + 59 and not held & train
    sizes = [len(held | train | ids(pool(ratio))) for ratio in RATIOS[1:]]
    assert sizes == [260 + 146, 390 + 219, 650 + 366, 1300 + 732]
    assert ids(pool(1)) < ids(pool(2)) < ids(pool(4)) < ids(pool(9))
    assert set(SPLITS.values()) <= set(spec.splits)
    assert int(0.1 * 1300) == real.LARGEST_TENTH["imagenet-1k"]


# ── The graph ────────────────────────────────────────────────────────────────────────────────────


def test_every_row_has_the_same_budget_and_validation(home: Path) -> None:
    asked = [f"{SMALL},ratio={ratio}" for ratio in RATIOS]
    plan = planned(home, ["original", "toybox:world=coarse"], asked)
    trainings = [node for node in nodes_of(plan, "vgbench.plateau") if node.inputs]
    assert len(trainings) == 2 * (1 + 2 * 4)  # of ratio 0 one for both sources; each with its permuted control
    for name in ("samples_seen", "recipe", "store_px"):
        assert len({json.dumps(node.param[name]) for node in trainings}) == 1
    assert trainings[0].param["samples_seen"] == 640
    assert trainings[0].param["recipe"]["values"]["validate_every"] == 25
    assert len({inputs_of(node)["val"] for node in trainings}) == 1
    assert len({cell.column for cell in plan.cells}) == 1
    assert len([node for node in nodes_of(plan, "vgbench.plateau") if not node.inputs]) == 1  # one initialisation


def test_validation_labels_and_test_labels_go_where_they_belong(home: Path) -> None:
    plan = planned(home, ["toybox:world=coarse"], [SMALL])
    labels = {json.dumps(n.param.get("share")): n for n in nodes_of(plan, "vgbench.draw_truth")}
    readers: dict[str, set[str]] = {}
    for share, truth in labels.items():
        readers[share] = {n.node.step.id for n in plan.nodes.values() for _, given in n.node.inputs if given == truth}
    assert readers[json.dumps(None)] == {"vgbench.score"}  # the test's
    assert readers[json.dumps(list(HELD))] == {"vgbench.label", "vgbench.proportion"}


def test_source_is_shown_the_tenth_and_nothing_else_real() -> None:
    registry = Registry()
    (offer,) = registry.task("toybox/augment10")
    for ratio in (0, 2):
        g = Builder(registry, Locator(), {})
        options = {**offer.options, "ratio": ratio}
        made = twin.setting(g, options)
        asked = request(g, made, options)
        assert asked.references is not None
        shown = inputs_of(asked.references.index)
        assert set(shown.values()) == {made.share(TRAIN).images, made.share(TRAIN).labels}
        assert asked.exclude == (made.test.images, made.share(HELD).images)
        assert asked.images_per_class == max(1, ratio * 25)
        if ratio:
            assert asked.pool is not None and asked.pool.members == (made.share(pool(ratio)).images,)
        else:
            assert asked.pool is None


def test_real_images_beyond_the_tenth_are_marked(home: Path) -> None:
    sources = ["original", "toybox:world=coarse", "mix:0.5*(toybox:world=coarse)+0.5*(original)"]
    plan = planned(home, sources, [SMALL])
    sees = [cell.source.spec.sees.level for cell in plan.cells]
    assert sees == ["full labelled set", "class names", "full labelled set"]


def test_backbone_trained_elsewhere_is_refused_with_what_to_do() -> None:
    registry = Registry()
    (offer,) = registry.task("toybox/augment10")
    g = Builder(registry, Locator(), {})
    made = twin.setting(g, offer.options)
    with pytest.raises(CannotServe, match="brings no images"):
        graph(g, made, Backbone(made.test.images), offer.options)


def test_without_the_data_a_plan_says_what_is_missing(home: Path) -> None:
    plan = planned(home, ["original"], ["augment10:ratio=1", "augment10:caltech256"])
    imagenet, caltech = plan.cells
    assert imagenet.state == caltech.state == "blocked"
    assert imagenet.reason is not None and "vgbench data fetch imagenet-1k" in imagenet.reason
    assert caltech.reason is not None and "vgbench data add caltech-256 PATH" in caltech.reason


# ── A run ────────────────────────────────────────────────────────────────────────────────────────


def test_run_trains_on_the_union_and_never_on_what_is_held_out(
    vgbench: Callable[..., Answer], home: Path, tmp_path: Path
) -> None:
    sources = ["original", "toybox:world=coarse,size_px=32,micro_batch=4"]
    answer = vgbench("run", "--source", *sources, "--tasks", f"{SMALL},ratio=1", "-o", "out", "--json")
    assert answer.code == 0, answer.err
    cells = [json.loads(path.read_text()) for path in (tmp_path / "out" / "cells").glob("*/result.json")]
    assert {(cell["source"]["name"], cell["source"]["sees"]) for cell in cells} == {
        ("original", "full labelled set"),
        ("toybox", "class names"),
    }
    assert all(
        {control["name"] for control in cell["controls"]} == {"random_init", "permuted_labels"} for cell in cells
    )

    store = Store(home)
    (made,) = ({node.digest: node for node in _all_nodes(home, sources)}.values(),)
    unions = [node for node in made if node.step.id == "vgbench.union"]
    held = set(drawn(tmp_path, HELD))
    twenty = {*drawn(tmp_path, TRAIN), *drawn(tmp_path, pool(1))}
    found = {}
    for node in unions:
        ids = read_table(store.use(node.digest) / INDEX_FILE)["image_id"].to_pylist()
        assert len(ids) == 16 * (5 + 6)  # what is left of the tenth, and once the tenth besides
        bare = {name.partition("/")[2] for name in ids}
        assert not bare & held and not any(name.startswith("val/") for name in bare)
        found[bare == twenty] = ids
    assert set(found) == {True, False}  # the 20 % are those, and the generated ones are others
    trained = [node for node in made if node.step.id == "vgbench.plateau" and node.inputs]
    told = [json.loads((store.use(node.digest) / "meta.json").read_text()) for node in trained]
    assert len(told) == 4 and {one["max_steps"] for one in told} == {10}
    assert all([one["step"] for one in meta["validations"]] == [10] for meta in told)


def _all_nodes(home: Path, sources: list[str]) -> list[Node]:
    """Return every node of the run's cells, whether it was made or not."""
    plan = planned(home / "elsewhere", sources, [f"{SMALL},ratio=1"])
    return [planned.node for planned in plan.nodes.values()]


def test_real_copy_is_split_and_planned_as_the_twin_is(
    vgbench: Callable[..., Answer], home: Path, tmp_path: Path
) -> None:
    """Caltech-256 in small: 32 images of each class, 26 of them to train, of which a tenth is 2."""
    png = encode_png(np.zeros((2, 2), np.uint8))
    for class_id in Registry().class_list("caltech-256").ids:
        folder = tmp_path / "caltech" / "256_ObjectCategories" / class_id
        folder.mkdir(parents=True)
        for i in range(32):
            (folder / f"{class_id[:3]}_{i:04d}.png").write_bytes(png)
    added = vgbench("data", "add", "caltech-256", str(tmp_path / "caltech"))
    assert added.code == 0, added.err
    answer = vgbench("plan", "--source", "original", "--tasks", "augment10:caltech256,ratio=1", "--json")
    assert answer.code == 0 and [cell["state"] for cell in answer.json["cells"]] == ["make"], answer.err
    locator = Locator(home)
    (spec,) = (spec for spec in real_sets.vgbench_offer_datasets() if spec.name == "caltech-256")
    observed = {split: locator.sample_ids(spec, split) for split in spec.splits}
    assert None not in observed.values() and len(set(observed.values())) == len(observed)
