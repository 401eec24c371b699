"""GenBench's protocol: what its cells share, what they read, and that they come out as an independent reading does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import scipy.linalg
import timm
import torch
from tests.conftest import Answer

from vgbench import stages
from vgbench.errors import UsageError
from vgbench.locate import Locator, Observed
from vgbench.planned import Plan
from vgbench.planning import Asked, Builder, make_plan
from vgbench.registry import Registry
from vgbench.store import Store
from vgbench_tasks.genbench.sets import GENBENCH, Which
from vgbench_tasks.genbench.twin import TOYBOX

ENCODES = ("vgbench.encode", "vgbench.encode_text")


def planned(
    home: Path, sources: list[str], tasks: list[str], *, locator: Locator | None = None, **options: object
) -> Plan:
    listed = {name: value if isinstance(value, list) else [value] for name, value in options.items()}
    return make_plan(Asked(sources, tasks, listed), Registry(), Store(home), locator or Locator())


def steps(plan: Plan) -> Counter[str]:
    return Counter(node.node.step.id for node in plan.nodes.values())


# ── What the suite holds ─────────────────────────────────────────────────────────────────────────


def test_the_22_sets_have_2548_classes() -> None:
    assert len(GENBENCH) == 22
    assert sum(of.n_classes for of in GENBENCH.values()) == 2_548  # abstract
    registry = Registry()
    for of in (*GENBENCH.values(), *TOYBOX.values()):
        assert len(registry.class_list(of.classes)) == of.n_classes, of.name


def test_each_set_has_the_metric_that_the_released_code_reports() -> None:
    """multi_task_configs.py and the data sets' yaml files, TEST.METRIC (protocols §1.1)."""
    balanced = {"caltech-101", "oxford-iiit-pets", "oxford-flower-102", "fgvc-aircraft-2013b-variants102"}
    for name, of in GENBENCH.items():
        wanted = "mean_per_class" if name in balanced else "top1"
        wanted = {"voc-2007-classification": "eleven_point_map", "hateful-memes": "roc_auc"}.get(name, wanted)
        assert of.metric == wanted, name
        spec = Registry().tasks.get(f"genbench/{name}").spec
        assert spec.metrics[0].id == wanted
    assert [name for name, of in GENBENCH.items() if of.crop == "squash"] == ["kitti-distance"]


# Upstream's own validation images (protocols §1.1: the sets whose middle column is a number), else a fifth of train.
# SUN397 has 19,850 in that column, but they may overlap with its test (§1.12).
OWN, FIFTH = ("train", "val"), ("train80", "val20")
VALIDATION = {
    "imagenet-1k": FIFTH,
    "sun397": FIFTH,
    "caltech-101": FIFTH,
    "cifar-10": FIFTH,
    "cifar-100": FIFTH,
    "voc-2007-classification": OWN,
    "food-101": FIFTH,
    "oxford-iiit-pets": FIFTH,
    "oxford-flower-102": OWN,
    "stanford-cars": FIFTH,
    "fgvc-aircraft-2013b-variants102": OWN,
    "country211": OWN,
    "dtd": OWN,
    "eurosat_clip": OWN,
    "resisc45_clip": OWN,
    "gtsrb": OWN,
    "fer-2013": OWN,
    "kitti-distance": OWN,
    "patch-camelyon": OWN,
    "rendered-sst2": OWN,
    "hateful-memes": FIFTH,
    "mnist": FIFTH,
}


@pytest.mark.parametrize("name", VALIDATION)
def test_validation_images_are_upstreams_own_or_a_fifth_of_train(name: str) -> None:
    assert set(VALIDATION) == set(GENBENCH)
    registry = Registry()
    g = Builder(registry, Locator(), {}, supposing=True)

    def splits(*wanted: Which, **options: str) -> tuple[str, ...]:
        found = [GENBENCH[name].split(g, options, which) for which in wanted]
        return tuple(dataset.images.param["split"] for dataset in found)

    # nothing is held out of train where no validation image is looked at
    assert splits("train", "test", split="test", val="source") == ("train", "test")
    for options in ({"split": "test", "val": "real"}, {"split": "val", "val": "source"}):
        assert splits("train", "val", "test", **options) == (*VALIDATION[name], "test")
    (spec,) = (offer.spec for offer in registry.datasets if offer.spec.name == name)
    rules = (spec.reading or {})["splits"]
    derived = {split: rules.get(split) for split in ("train80", "val20") if split in spec.splits}
    fifths = {"train80": {"of": ["train"], "from": 0.2}, "val20": {"of": ["train"], "from": 0, "to": 0.2}}
    assert derived == (fifths if VALIDATION[name] == FIFTH else {})


def test_groups_share_the_sets_out() -> None:
    suites = {offer.spec.name: offer.spec.tasks for offer in Registry().suites}
    groups = [suites[f"genbench22/{group}"] for group in ("common", "fine-grained", "rare")]
    assert sorted(task for group in groups for task in group) == sorted(suites["genbench22"])
    assert len(suites["genbench22"]) == 3 * 22
    # the one check that the paper allows: six Common sets of 1,629 classes, 500 images each, cost 9,774 USD (§1.2)
    assert sum(of.n_classes for of in GENBENCH.values() if of.group == "common") == 1_629


def test_elevaters_search_knows_the_sets_metric_and_patch_camelyons_limit(home: Path) -> None:
    """Elevater_Toolkit_IC: "search using 10000-shot subset, final run with the full dataset" (protocols §1.6)."""
    told = {}
    registry = Registry()
    for name in ("patch-camelyon", "caltech-101", "cifar-10"):
        (task,) = registry.task(f"genbench/{name}:readout=linear-probe,probe=elevater-reference")
        g = Builder(registry, Locator(), {}, supposing=True)
        subject = g.images_of(registry.source("original"), task.spec.request(g, task.options))
        values = task.spec.graph(g, subject, task.options).score.walk()
        (probe,) = (node.param["probe"]["values"] for node in values if node.step.id == "vgbench.probe")
        told[name] = (probe["metric"], probe.get("tuned_per_class"))
    assert told == {
        "patch-camelyon": ("accuracy", 10_000),
        "caltech-101": ("mean_per_class", None),
        "cifar-10": ("accuracy", None),
    }


# ── What cells share ─────────────────────────────────────────────────────────────────────────────


def test_features_are_extracted_once_for_all_readouts_probes_and_measures(home: Path) -> None:
    tasks = ["toybox/genbench/stars", "toybox/genbench/stars/quality"]
    readouts = ["zeroshot", "cler", "cler+text", "knn", "linear-probe"]
    probes = ["logreg-text", "logreg-path", "elevater-reference"]
    plan = planned(home, ["toybox", "original"], tasks, readout=readouts, probe=probes)
    assert steps(plan)["vgbench.encode"] == 3  # the test images, and each source's
    assert steps(plan)["vgbench.encode_text"] == 1


def test_zero_shot_depends_on_no_source(home: Path) -> None:
    plan = planned(home, ["toybox", "original"], ["toybox/genbench/stars:zeroshot"])
    assert len({cell.score for cell in plan.cells}) == 1 and len({cell.digest for cell in plan.cells}) == 2
    assert all(cell.images is None and not cell.controls for cell in plan.cells)
    assert steps(plan)["vgbench.draw_scenes"] == 0


def test_probes_readouts_and_encoders_never_share_a_column(home: Path) -> None:
    options: dict[str, Any] = {"readout": ["cler", "knn", "linear-probe"], "probe": ["logreg-path", "trex-sklearn"]}
    plan = planned(home, ["toybox"], ["toybox/genbench/stars"], val=["source", "real"], **options)
    by_column = {cell.column: cell for cell in plan.cells}
    assert len(by_column) == 2 + 4  # cler and knn have no strength to choose and no probe to name
    assert sum(any(n.step.id == "vgbench.label" for n in c.score.walk()) for c in by_column.values() if c.score) == 2


def test_validation_on_real_images_is_marked(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    task = "toybox/genbench/stars:readout=linear-probe,probe=logreg-path,n_test=4,val="
    tasks = (task + "real", task + "source")
    answer = vgbench("run", "--source", "toybox", "--tasks", *tasks, "--images-per-class", "8", "-o", "run")
    assert answer.code == 0, answer.err
    assert (
        "learns from real labels beside the source's images: toybox/genbench/stars:readout=linear-probe,val=real"
        in answer.out
    )
    cells = [json.loads(path.read_text())["task"] for path in (tmp_path / "run" / "cells").glob("*/result.json")]
    assert {cell["options"]["val"]: cell["uses_real_labels"] for cell in cells} == {"real": True, "source": False}


def test_what_reads_no_validation_is_the_same_whatever_it_is_told(home: Path) -> None:
    plan = planned(home, ["original"], ["toybox/genbench/stars"], readout=["cler", "knn"], val=["source", "real"])
    assert len({cell.column for cell in plan.cells}) == 2 and not any(cell.uses_real_labels for cell in plan.cells)
    assert len({cell.score for cell in plan.cells}) == 2


def test_images_that_choose_a_probe_teach_and_judge_it_not(home: Path) -> None:
    task = "toybox/genbench/stars:readout=linear-probe,val=real"
    (cell,) = planned(home, ["original"], [task]).cells
    assert cell.uses_real_labels and cell.images is not None
    excluded = {_node(given) for name, given in cell.images.index.inputs if name.startswith("exclude/")}
    assert len(excluded) == 2
    (blocked,) = planned(home, ["original"], [task + ",split=val"]).cells
    assert blocked.state == "blocked" and "cannot both choose a probe and judge it" in str(blocked.reason)
    (judged,) = planned(home, ["original"], ["toybox/genbench/stars:cler,split=val"]).cells
    assert judged.state == "make" and not judged.uses_real_labels


def test_original_draws_no_digit_that_is_held_out_for_validation(home: Path) -> None:
    splits = {
        "val=real,readout=linear-probe": {"train80", "val20", "test"},
        "split=val,readout=cler": {"train80", "val20"},
    }
    for options, wanted in {**splits, "readout=linear-probe": {"train", "test"}}.items():
        (cell,) = planned(home, ["original"], [f"toybox/genbench/digits:{options}"]).cells
        assert cell.score is not None
        read = {node.param["split"] for node in cell.score.walk() if node.step.id == "vgbench.read_digits"}
        assert read == wanted, options


def test_what_a_probe_cannot_do_blocks_its_cell_before_anything_is_made(home: Path) -> None:
    task = ["toybox/genbench/stars:readout=linear-probe"]
    plan = planned(
        home, ["toybox"], task, probe=["trex-sklearn", "elevater-reference", "logreg-path"], images_per_class=1
    )
    states = {str(cell.task.options["probe"]): cell.state for cell in plan.cells}
    assert states == {"trex-sklearn": "blocked", "elevater-reference": "blocked", "logreg-path": "make"}
    with pytest.raises(UsageError, match="probe cler is a readout"):
        planned(home, ["toybox"], task, probe="cler")


def test_measures_that_will_be_withheld_are_told_before_anything_is_made(
    vgbench: Callable[..., Answer], home: Path
) -> None:
    """By the declared test size (dtd's is 1,880), and by what can be had of the source at most."""
    registry, locator = Registry(), Locator(home)
    locator.lock_hub("tanganke/dtd@main", "a" * 40)
    locator.lock_hub("models/timm/vit_base_patch32_clip_224.openai@main", "b" * 40)
    locator.lock_samples(registry.datasets.get("dtd").spec, Observed({"train": "c" * 64, "test": "d" * 64}))
    measures = "fid, kid, precision, recall, density, coverage will be withheld"
    told = {}
    for n, images in ((2_048, 500), (500, 500), (500, 10)):
        task = f"genbench/dtd/quality:n={n}"
        (cell,) = planned(home, ["original"], [task], locator=locator, images_per_class=images).cells
        told[n, images] = cell.remarks
    assert told == {
        (2_048, 500): (f"1,880 test images are fewer than n=2,048: {measures}",),
        (500, 500): (),
        (500, 10): (f"470 images of the source are fewer than n=500: {measures}",),
    }
    task = "toybox/genbench/digits/quality"
    answer = vgbench("plan", "--source", "original", "toybox", "--tasks", task, "--images-per-class", "20", "--json")
    remark = f"200 images of the source are fewer than n=300: {measures}"
    assert [cell["remarks"] for cell in answer.json["cells"]] == [[remark]] * 2
    assert answer.err.splitlines().count(f"{task}: {remark}") == 1


def test_an_encoder_without_text_leaves_out_what_reads_text(home: Path, tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"not read by a plan")
    encoder = f"timm:test_resnet@{tmp_path / 'weights.safetensors'}"
    tasks = ["toybox/genbench/stars", "toybox/genbench/stars/quality"]
    plan = planned(home, ["toybox"], tasks, readout=["zeroshot", "cler"], encoder=encoder)
    states = {(cell.task.spec.name, cell.task.options.get("readout")): cell.state for cell in plan.cells}
    assert states == {(tasks[0], "zeroshot"): "blocked", (tasks[0], "cler"): "make", (tasks[1], None): "make"}
    (measure,) = (node.node for node in plan.nodes.values() if node.node.step.id == "vgbench.measure")
    assert "clip_score" not in measure.param["measures"] and "fid" in measure.param["measures"]


# ── A run ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two sources on two sets, and its home beside it."""
    import os
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("genbench")
    environment = {**os.environ, "VGBENCH_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "vgbench.cli", "run", "--source", "toybox", "--source", "original", "--tasks"]
    command += [f"toybox/genbench/{name}:readout={how}" for name in ("stars", "tools") for how in READOUTS]
    command += ["--images-per-class", "20", "--workers", "1", "-o", "run"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=280)
    assert done.returncode == 0, done.stderr
    return folder


READOUTS = ("zeroshot", "cler", "linear-probe")


def test_cler_and_zero_shot_are_what_their_definitions_say(finished: Path) -> None:
    """Read features from the store, and compute both from the definitions (protocols §1.5), by other code."""
    plan = planned(finished / "home", ["toybox"], ["toybox/genbench/stars:cler"], images_per_class=20)
    (cell,) = plan.cells
    store = Store(finished / "home")
    assert cell.score is not None and store.has_cell(cell.digest)
    nodes = {n.step.id: n for n in cell.score.walk() if n.step.id not in ENCODES}
    encoded = dict(nodes["vgbench.probe"].inputs)
    train, test = (np.load(store.use(_node(encoded[name]).digest) / "features.npy") for name in ("train", "test"))
    rows = pq.read_table(store.use(_node(encoded["train"]).digest) / "rows.parquet")
    labels = rows["label"].to_numpy()
    unit_train = train / np.linalg.norm(train, axis=1, keepdims=True)
    centres = np.stack([unit_train[labels == k].mean(axis=0) for k in range(6)])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    answers = (test @ centres.T).argmax(axis=1)
    table = pq.read_table(store.use(nodes["vgbench.probe"].digest) / "predictions.parquet")
    class_ids = Registry().class_list("toybox-stars").ids
    assert table["prediction"].to_pylist() == [class_ids[k] for k in answers]


def _node(given: Any) -> Any:
    return getattr(given, "node", given)


def test_adding_a_task_to_a_finished_run_extracts_nothing_again(finished: Path) -> None:
    tasks = [f"toybox/genbench/{name}" for name in ("stars", "tools")]
    plan = planned(finished / "home", ["toybox", "original"], tasks, images_per_class=20, readout=["knn", "cler+text"])
    assert len(plan.cells) == 8 and all(cell.state == "make" for cell in plan.cells)
    missing = {node.node.step.id for node in plan.nodes.values() if node.missing}
    assert missing == {"vgbench.probe", "vgbench.score"}


def test_the_best_strategy_is_chosen_on_validation_images_of_every_set(
    vgbench: Callable[..., Answer], tmp_path: Path
) -> None:
    """Also on the digits, of whose training images a fifth is held out."""
    tasks = [f"toybox/genbench/{name}:cler,n_test=4" for name in ("patterns", "coats", "digits")]
    by_real = "toybox/genbench/digits:linear-probe,val=real"
    asked = ("--source", "toybox", "--grid", "toybox.warp=0,1", "--images-per-class", "2", "--workers", "1")
    answer = vgbench("run", *asked, "--tasks", *tasks, *(f"{task},split=val" for task in tasks), by_real, "-o", "run")
    assert answer.code == 0, answer.err
    cells = [json.loads(path.read_text()) for path in (tmp_path / "run" / "cells").glob("*/result.json")]
    of_digits = [cell for cell in cells if cell["task"]["name"].endswith("/digits")]
    assert len(cells) == 14 and {cell["status"] for cell in cells} == {"ok"}
    n = {(c["task"]["options"]["readout"], c["task"]["options"]["split"]): c["metrics"][0]["n"] for c in of_digits}
    assert n == {("cler", "test"): 359, ("cler", "val"): 284, ("linear-probe", "test"): 359}
    told = vgbench("leaderboard", "aggregate", "strategy", "run", "--suite", "toybox/genbench/rare", "--json").json
    found = told["aggregates"]["strategies"]
    (best,) = (one for one in found if (one["readout"], one["label"]) == ("cler", "best"))
    assert best["reason"] is None and best["value"] > 0.1 and len(best["chosen"]) == 3


def test_what_was_learned_beats_the_control_and_original_beats_chance(finished: Path) -> None:
    cells = [json.loads(path.read_text()) for path in (finished / "run" / "cells").glob("*/result.json")]
    assert len(cells) == 12 and {cell["status"] for cell in cells} == {"ok"}
    for cell in cells:
        if cell["task"]["options"]["readout"] == "zeroshot":
            assert cell["counts"] is None and not cell["controls"]
            continue
        (control,) = cell["controls"]
        assert control["at_chance"] and control["above_all"], (cell["source"]["name"], cell["task"])


@pytest.mark.slow  # a minute: each batch is 64 images of 299 px, whatever it holds
def test_fid_and_kid_are_taken_of_inceptions_features(
    vgbench: Callable[..., Answer], home: Path, tmp_path: Path
) -> None:
    """Weights of one's own, as timm has the network; against the definitions, by scipy (Heusel et al.; Bińkowski)."""
    torch.manual_seed(0)
    model = timm.create_model("inception_v3", pretrained=False, aux_logits=True)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)  # else numbers grow from layer to layer, to 1e10
    safetensors.torch.save_file(model.state_dict(), tmp_path / "inception.safetensors")
    options = {"encoder": f"timm:inception_v3@{tmp_path / 'inception.safetensors'}", "fid_on": "raw", "n": 24}
    options |= {"n_test": 4, "n_per_class": 4}
    task = "toybox/genbench/stars/quality:" + ",".join(f"{name}={value}" for name, value in options.items())
    answer = vgbench("run", "--source", "toybox", "--tasks", task, "--images-per-class", "4", "-o", "run")
    assert answer.code == 0, answer.err
    (cell,) = [json.loads(path.read_text()) for path in (tmp_path / "run" / "cells").glob("*/result.json")]
    values = {metric["name"]: metric["value"] for metric in cell["metrics"]}
    (planned_cell,) = planned(home, ["toybox"], [task], images_per_class=4).cells
    assert planned_cell.score is not None
    encoded = {n for n in planned_cell.score.walk() if n.step.id == "vgbench.encode"}
    x, y = (np.load(Store(home).use(node.digest) / "features.npy").astype(float) for node in encoded)
    assert x.shape == y.shape == (24, 2048) and "clip_score" not in values
    products = scipy.linalg.svdvals((x - x.mean(0)) @ (y - y.mean(0)).T).sum() / 23  # tr (S T)^(1/2) of few rows
    fid = ((x.mean(0) - y.mean(0)) ** 2).sum() + x.var(0, ddof=1).sum() + y.var(0, ddof=1).sum() - 2 * products
    assert values["fid"] == pytest.approx(fid, rel=1e-6, abs=1e-9)
    within = [((z @ z.T / 2048 + 1) ** 3)[~np.eye(24, dtype=bool)].mean() for z in (x, y)]
    assert values["kid"] == pytest.approx(sum(within) - 2 * ((x @ y.T / 2048 + 1) ** 3).mean(), rel=1e-6, abs=1e-12)


# ── Errors ───────────────────────────────────────────────────────────────────────────────────────


def test_a_source_that_lacks_a_class_gets_no_score(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    classes = "toybox-stars/star-4,star-6,star-7,star-8,star-9"
    request = ("--source", "toybox:micro_batch=4", "--classes", classes, "--images-per-class", "4")
    made = vgbench("generate", *request, "--format", "folder", "-o", str(tmp_path / "mine"))
    assert made.code == 0, made.err
    source = ("--source", f"folder:{tmp_path / 'mine'}", "--images-per-class", "4")
    answer = vgbench("run", *source, "--tasks", "toybox/genbench/stars", "--json")
    assert answer.code in (1, 3), answer.err
    assert "star-10" in answer.out + answer.err and "Traceback" not in answer.err
    assert [cell["status"] for cell in answer.json["cells"]] == ["failed"]


def test_a_backbone_without_class_names_is_refused_where_they_are_read(home: Path) -> None:
    (blocked,) = planned(home, ["random-init"], ["toybox/genbench/stars:zeroshot"]).cells
    assert blocked.state == "blocked" and "reads text features" in str(blocked.reason)
    plan = planned(home, ["random-init"], ["toybox/genbench/stars:cler"])
    assert steps(plan)["vgbench.represent"] == 2


def test_real_sets_are_blocked_until_they_and_the_encoder_are_here(home: Path) -> None:
    plan = planned(home, ["original"], ["genbench22"])
    assert len(plan.cells) == 66 and {cell.state for cell in plan.cells} == {"blocked"}
    assert stages.PERMUTATIONS == 20


def test_only_what_reads_training_images_waits_for_them(home: Path, tmp_path: Path) -> None:
    """With the test samples observed, a source of its own images is read out; the same cells as with all observed."""
    locator = Locator(home)
    spec = Registry().datasets.get("country211").spec
    locator.lock_hub("clip-benchmark/wds_country211@main", "a" * 40)
    locator.lock_hub("models/timm/vit_base_patch32_clip_224.openai@main", "b" * 40)
    for name in ("mine/x.png", "captions.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("read by no plan")
    readouts = [f"genbench/country211:readout={name}" for name in ("zeroshot", "cler", "knn", "linear-probe")]
    described = ["genbench/country211/quality", f"genbench/country211/mts:{tmp_path / 'captions.txt'}"]
    validated = ["genbench/country211:readout=linear-probe,val=real", "genbench/country211:readout=cler,split=val"]

    def cells(source: str, *tasks: str) -> list[tuple[str, str, str]]:
        plan = planned(home, [source], list(tasks), locator=locator)
        return [(cell.state, cell.digest, str(cell.reason)) for cell in plan.cells]

    captions_alone = cells(f"folder:{tmp_path / 'mine'}", described[1])
    locator.lock_samples(spec, Observed({"test": "c" * 64}))
    mine = cells(f"folder:{tmp_path / 'mine'}", *readouts, *described)
    assert {state for state, *_ in mine} == {"make"} and captions_alone[0] == mine[-1]
    for source, tasks, split in (
        ("original", [*readouts, *described], "train"),
        ("random-init", readouts[1:3], "train"),
        (f"folder:{tmp_path / 'mine'}", validated, "val"),
    ):
        waiting = cells(source, *tasks)
        assert len(waiting) == len(tasks)
        assert all(state == "blocked" and f"split '{split}'" in reason for state, _, reason in waiting), source
    locator.lock_samples(spec, Observed({"train": "d" * 64, "val": "e" * 64}))
    assert cells(f"folder:{tmp_path / 'mine'}", *readouts, *described) == mine
    assert {state for state, *_ in cells("original", *readouts, *described, *validated)} == {"make"}
