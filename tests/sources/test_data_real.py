"""`vgbench data` on the real data sets: what each waits for, copies in any layout, samples that changed."""

from __future__ import annotations

import json
import os
import re
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Answer
from tests.guards.product import install
from tests.twins.sets import CIFAR10, TWINS
from tests.twins.test_twins import SPECS, call, spec_of
from tests.twins.writing import Truth, hub, iris, rows, swapped

from vgbench.errors import NotObserved, UsageError
from vgbench.locate import Locator, Observed, snapshot
from vgbench.planning import Builder
from vgbench.registry import Registry
from vgbench.types import Split

GENBENCH22 = [name for name, spec in SPECS.items() if "elevater" in (spec.reading or {}) or name == "imagenet-1k"]
STATES = {"not observed", "licence click", "manual path"}
PLUGIN = """
from dataclasses import replace
from vgbench import DataRequest, Metric, Split, TaskSpec, hookimpl
from vgbench_tasks.datasets import real

@hookimpl
def vgbench_offer_tasks():
    def asked(g, options): return DataRequest(g.class_list("cifar-10"), 1)
    yield TaskSpec("mini-task", "1", "for a test", asked, None, (Metric("top1"), Metric("mean_per_class")),
                   "vgbench.metrics.classify:top1", labels=("mini", "test"), datasets=("mini",))

@hookimpl
def vgbench_offer_datasets():
    (cifar,) = [spec for spec in real.vgbench_offer_datasets() if spec.name == "cifar-10"]
    splits = {"train": Split(30, None), "val": Split(20, None), "test": Split(10, None)}
    yield replace(cifar, name="mini", splits=splits, reading={**cifar.reading, "elevater": "mini"})
    (dtd,) = [spec for spec in real.vgbench_offer_datasets() if spec.name == "dtd"]
    splits = {split: Split(47 * n, None) for split, n in (("train", 2), ("val", 3), ("trainval", 5), ("test", 1))}
    yield replace(dtd, name="mini-dtd", splits=splits)
"""


@pytest.fixture
def data(vgbench: Callable[..., Answer], tmp_path: Path) -> Callable[..., Answer]:
    """Run `vgbench data` with two more data sets: CIFAR-10 with 60 images, DTD with 282."""
    plugins = install(tmp_path / "plugins", "test-mini", PLUGIN)
    env = {"PYTHONPATH": os.pathsep.join([str(plugins), os.environ.get("PYTHONPATH", "")])}
    return lambda *args: vgbench("data", *args, env=env)


def mini(root: Path, start: int = 0, declared: list[str] = CIFAR10, n: int = 1, n_train: int = 3) -> Path:
    splits = {"train": rows(CIFAR10, n_train, start), "test": rows(CIFAR10, n, start + 1_000)}
    ids = {"id": lambda split, row, class_id: f"{start}-{row}"}
    hub(root, splits, {c: i for i, c in enumerate(CIFAR10)}, declared=declared, image="img", more=ids)
    return root


def only(answer: Answer) -> dict[str, Any]:
    (entry,) = answer.json["datasets"]
    found: dict[str, Any] = entry
    return found


def test_doctor_says_of_each_what_to_do_and_is_quick(vgbench: Callable[..., Answer]) -> None:
    assert len(GENBENCH22) == 22
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        answer = vgbench("data", "doctor", *GENBENCH22, "--offline", "--json")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    entries = {entry["name"]: entry for entry in answer.json["datasets"]}
    assert answer.code == 3 and list(entries) == GENBENCH22
    assert all(e["state"] in STATES and e["hint"] and e["detail"] and e["license"] for e in entries.values())
    assert all("vgbench data" in e["hint"] for e in entries.values())
    licensed = {name for name, e in entries.items() if e["state"] == "licence click"}
    assert licensed == {"imagenet-1k", "hateful-memes"}
    assert "datasets/ILSVRC/imagenet-1k" in entries["imagenet-1k"]["detail"]
    assert entries["cifar-10"]["splits"]["test"] == {"n": 10_000, "sample_ids": None, "not_taken": None}
    assert min(seconds) < 1  # wall time where the machine is not busy with something else


def test_manual_set_asks_for_a_path(vgbench: Callable[..., Answer]) -> None:
    entry = only(vgbench("data", "doctor", "objectnet", "--json"))
    assert entry["state"] == "manual path" and entry["hint"] == "vgbench data add objectnet PATH"
    assert entry["access"] == "manual"


def test_copy_is_observed_when_it_is_added(data: Callable[..., Answer], tmp_path: Path, home: Path) -> None:
    added = data("add", "mini", str(mini(tmp_path / "copy")), "--json")
    assert added.code == 0, added.err
    assert only(added)["state"] == "present"
    assert "val is not among its splits: test, train" in only(added)["splits"]["val"]["not_taken"]
    observed = json.loads((home / "lock.json").read_text())["datasets"]["mini"]["sample_ids"]
    assert set(observed) == {"train", "test"} and all(len(sha256) == 64 for sha256 in observed.values())
    entry = only(data("doctor", "mini", "--json"))
    assert entry["state"] == "present" and entry["hash_ok"]
    assert {s: found["sample_ids"] for s, found in entry["splits"].items()} == {**observed, "val": None}
    assert data("fetch", "mini", "--offline").code == 0 and data("verify", "mini").code == 0


def test_split_that_the_copy_lacks_is_blocked_and_others_are_not(
    data: Callable[..., Answer], tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    blocked = Builder(Registry(), Locator(home), {})
    with pytest.raises(NotObserved, match="nobody has observed its commit"):
        blocked.dataset("mini", "test")
    assert data("add", "mini", str(mini(tmp_path / "copy"))).code == 0
    g = Builder(Registry(), Locator(home), {})
    assert g.dataset("mini", "test").images.param["n"] == 10
    with pytest.raises(NotObserved, match="has no split 'val' as declared: val is not among its splits: test, train"):
        g.dataset("mini", "val")
    column = Builder(Registry(), Locator(home), {}, column=True).dataset("mini", "test").labels.param
    assert "place" not in column and column["sample_ids"] == g.dataset("mini", "test").labels.param["sample_ids"]


def test_split_of_another_size_is_named_and_the_others_are_used(
    data: Callable[..., Answer], tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "copy").mkdir()
    TWINS["dtd with train and val joined"].build(tmp_path / "copy", "")
    reason = "235 samples, 94 expected; what lies there: test 47, train 235"
    assert f"mini-dtd: split train: not taken: {reason}" in data("add", "mini-dtd", str(tmp_path / "copy")).out
    assert set(json.loads((home / "lock.json").read_text())["datasets"]["mini-dtd"]["sample_ids"]) == {
        "test",
        "trainval",
    }
    for verb in (["doctor", "mini-dtd"], ["fetch", "mini-dtd", "--offline"]):
        told, entry = data(*verb), only(data(*verb, "--json"))
        assert told.code == 0 and f"mini-dtd: split train: not taken: {reason}" in told.out
        assert entry["state"] == "present" and entry["splits"]["train"]["not_taken"] == reason
        assert entry["splits"]["train"]["sample_ids"] is None and entry["splits"]["test"]["not_taken"] is None
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    g = Builder(Registry(), Locator(home), {})
    assert g.dataset("mini-dtd", "trainval").images.param["n"] == 235
    with pytest.raises(NotObserved, match=f"has no split 'train' as declared: {reason}"):
        g.dataset("mini-dtd", "train")


def test_doctor_says_beforehand_what_the_place_lacks(vgbench: Callable[..., Answer]) -> None:
    told = vgbench("data", "doctor", "dtd", "caltech-101", "--offline").out
    assert "dtd: split train: not taken: the Hub's train joins the two, 3,760 samples" in told
    assert "caltech-101: vgbench data add caltech-101 PATH" in told  # its public copy has VTAB's split


def test_labels_are_read_through_the_store(
    vgbench: Callable[..., Answer], data: Callable[..., Answer], tmp_path: Path
) -> None:
    lines = [f"test/{i:07d},{CIFAR10[i if i < 7 else 0]}" for i in range(10)]
    (tmp_path / "answers.csv").write_text("\n".join(["sample_id,prediction", *lines]))
    env = {"PYTHONPATH": str(tmp_path / "plugins")}
    asked = ["score", "mini-task", "answers.csv", "--json"]
    blocked = vgbench(*asked, env=env)
    assert blocked.code == 3 and "nobody has observed its commit" in blocked.err
    assert data("add", "mini", str(mini(tmp_path / "copy"))).code == 0
    scored = vgbench(*asked, env=env)
    assert scored.code == 0, scored.err
    assert '"value": 0.7' in scored.out
    doctor = data("doctor", "--tasks", "mini-task", "--offline", "--json")
    assert only(doctor)["name"] == "mini"


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"declared": swapped(CIFAR10, 3, 5)}, "label 3 is 'dog' there, 'cat' in the class list"),
        ({"declared": CIFAR10[:9]}, "names 9 classes, the class list of mini has 10; missing there: truck"),
        ({"declared": [*CIFAR10[:9], "lorry"]}, "label 9 is 'lorry' there, 'truck' in the class list"),
        ({"n": 2, "n_train": 4}, "split test: 20 samples, 10 expected; what lies there: test 20, train 40"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_wrong_copy_is_refused_and_nothing_is_recorded(
    data: Callable[..., Answer], tmp_path: Path, home: Path, wrong: dict[str, Any], what: str
) -> None:
    answer = data("add", "mini", str(mini(tmp_path / "copy", **wrong)))
    assert answer.code == 2 and what in answer.err and "ValueError" not in answer.err
    assert not (home / "lock.json").exists()


def test_other_samples_than_those_observed_are_refused(data: Callable[..., Answer], tmp_path: Path, home: Path) -> None:
    copy = mini(tmp_path / "copy")
    assert data("add", "mini", str(copy)).code == 0
    before = (home / "lock.json").read_text()
    other = tmp_path / "other"
    iris_of = {"train": rows(CIFAR10, 3, 0), "test": rows(CIFAR10, 1, 1_000)}
    iris(other, iris_of, {c: i for i, c in enumerate(CIFAR10)}, labels=CIFAR10)
    refused = data("add", "mini", str(other))
    assert refused.code == 2 and "was observed here (lock.json) with" in refused.err
    assert (home / "lock.json").read_text() == before
    assert data("add", "mini", str(other), "--replace").code == 0
    (other / "train.zip").write_bytes((other / "test.zip").read_bytes())
    assert only(data("doctor", "mini", "--json"))["state"] == "changed"


def test_reader_compares_the_samples_with_the_key(tmp_path: Path) -> None:
    root = mini(tmp_path / "copy")
    spec = spec_of("cifar-10", Truth({"test": rows(CIFAR10, 1, 0)}))
    with pytest.raises(ValueError, match=r"its sample ids have the hash .* but 000000000000… is known"):
        call(spec, "labels", "test", root, tmp_path / "out", sample_ids="0" * 64)


def test_root_of_elevater_adds_what_is_right_in_it(data: Callable[..., Answer], tmp_path: Path, home: Path) -> None:
    """A set is found by its folder; one whose sizes are others is refused, and keeps none out that comes after it."""
    root = tmp_path / "root" / "classification"
    splits = {"train": rows(CIFAR10, 1, 0), "test": rows(CIFAR10, 1, 50)}
    iris(root / "cifar_10_20211007", splits, {c: i for i, c in enumerate(CIFAR10)}, labels=CIFAR10)
    iris(root / "mini", splits | {"train": rows(CIFAR10, 3, 0)}, {c: i for i, c in enumerate(CIFAR10)}, labels=CIFAR10)
    answer = data("add", "--root", str(tmp_path / "root"), "--json")
    wrong, good = sorted(answer.json["datasets"], key=lambda entry: entry["name"])
    assert answer.code == 3 and (wrong["name"], good["name"]) == ("cifar-10", "mini")
    assert wrong["state"] == "refused" and "split train: 10 samples, 50,000 expected" in wrong["detail"]
    assert good["state"] == "present" and good["splits"]["test"]["sample_ids"]
    assert set(json.loads((home / "lock.json").read_text())["datasets"]) == {"mini"}
    told = data("add", "--root", str(tmp_path / "root"))
    assert told.code == 3 and re.search(r"cifar-10 +refused", told.out) and re.search(r"mini +present", told.out)
    assert data("add", "--root", str(tmp_path)).code == 2


def test_commit_that_was_fetched_is_looked_for_in_the_cache(
    data: Callable[..., Answer], tmp_path: Path, home: Path
) -> None:
    home.mkdir()
    commit = "0" * 40
    lock = {"schema": "vgbench.lock/1", "datasets": {}, "hub": {"uoft-cs/cifar10@main": commit}}
    (home / "lock.json").write_text(json.dumps(lock))
    entry = only(data("doctor", "cifar-10", "--json"))
    assert entry["state"] == "needs download" and entry["hint"] == "vgbench data fetch cifar-10"
    cache = tmp_path / "cache"
    place = f"hf://uoft-cs/cifar10@{commit}"
    assert snapshot(place, {"HF_HOME": str(cache)}) is None
    folder = cache / "hub" / "datasets--uoft-cs--cifar10" / "snapshots" / commit
    folder.mkdir(parents=True)
    assert snapshot(place, {"HF_HOME": str(cache)}) == folder


def test_locator_refuses_other_samples_than_declared(tmp_path: Path) -> None:
    spec = replace(SPECS["cifar-10"], splits={"test": Split(10, "a" * 64)})
    with pytest.raises(UsageError, match="is declared with aaaaaaaaaaaa"):
        Locator(tmp_path).lock_samples(spec, Observed({"test": "b" * 64}))
