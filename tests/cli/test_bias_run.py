"""A bias task from plan to leaderboard: a scripted observer in place of a network, its initialisation as floor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Answer
from tests.guards.product import install

PLUGIN = """
from vgbench import DataRequest, Option, Part, Scores, StepRef, TaskSpec, hookimpl, stages
from vgbench.metrics.declared import texture_metrics

KINDS = ["kind-%02d" % i for i in range(16)]
SCORER = Part("scorer", "scripted", "1", "vgbench.metrics.bias:cue_conflict", {"n_classes": 16})
LABELS = StepRef("scripted.labels", "1", "MODULE:labels")
ANSWERS = StepRef("scripted.answers", "1", "MODULE:answers")

def table():
    import numpy as np
    shape = np.resize(KINDS, 1600)
    other = np.asarray(KINDS)[(np.arange(1600) * 7 // 16 + 1 + np.arange(1600)) % 16]
    n = ["x%04d" % i for i in range(1600)]
    return {
        "sample_id": np.array([i + v for v in "coa" for i in n]),
        "shape": np.tile(shape, 3),
        "texture": np.concatenate([other, shape, other]),
        "variant": np.repeat(["conflict", "own_texture", "other_texture"], 1600),
        "pair": np.array([None] * 1600 + n + n, object),
    }

def write(step, name, columns):
    import pyarrow as pa
    from vgbench import Made
    from vgbench.images import write_table
    write_table(step.out / name, pa.table({k: v.tolist() for k, v in columns.items()}))
    return Made(4800)

def labels(step):
    return write(step, "labels.parquet", table())

def answers(step):
    from vgbench.testing.observers import follow
    weights = {"shape": step.params["shape"], "texture": step.params["texture"]}
    said = follow(table(), weights, 1)
    return write(step, "predictions.parquet", {"sample_id": table()["sample_id"], "prediction": said})

def request(g, options):
    return DataRequest(g.class_list("digits"), 1)

def graph(g, subject, options):
    truth = g.node(LABELS)
    said = g.node(ANSWERS, params={"shape": options["shape"], "texture": options["texture"]})
    floor = g.node(ANSWERS, params={"shape": 0.0, "texture": 0.0})
    main = stages.score(g, said, truth, scorer=SCORER, random_init=floor)
    return Scores(main, {"random_init": stages.score(g, floor, truth, scorer=SCORER)})

@hookimpl
def vgbench_offer_tasks():
    yield TaskSpec(
        name="scripted", version="1", summary="a scripted observer", request=request, graph=graph,
        metrics=texture_metrics(16, gap=True), scorer=SCORER.entry,
        options=(Option("shape", "float", 0.5, "by shape"), Option("texture", "float", 0.25, "by texture")),
    )
"""


@pytest.fixture
def run(vgbench: Callable[..., Answer], tmp_path: Path) -> Callable[[str], Answer]:
    site = install(tmp_path / "plugins", "scripted", PLUGIN.replace("MODULE", "scripted"))
    env = {"PYTHONPATH": str(site)}
    return lambda task: vgbench("run", "--source", "toybox", "--tasks", task, "-o", "out", env=env)


def test_observer_gets_its_bias_and_a_guesser_none_with_the_reason(
    run: Callable[[str], Answer], tmp_path: Path
) -> None:
    answer = run("scripted")
    assert answer.code == 0, answer.err
    (path,) = (tmp_path / "out" / "cells").glob("*/result.json")
    cell = json.loads(path.read_text())
    found = {metric["name"]: metric for metric in cell["metrics"]}
    for name, truth in (("texture_inclination_corrected", 1 / 3), ("texture_gap", 0.25)):
        assert found[name]["ci"]["lo"] <= truth <= found[name]["ci"]["hi"]
    assert found["texture_gap"]["n"] == 1600 and found["texture_gap"]["ci"]["method"] == "newcombe, paired"
    (control,) = cell["controls"]
    assert control["metric"] == "shape_accuracy" and control["chance"] == 1 / 16
    assert abs(control["mean"] - 1 / 16) < 0.03


def test_observer_no_better_than_the_initialisation_has_no_bias(run: Callable[[str], Answer], tmp_path: Path) -> None:
    answer = run("scripted:shape=0.0,texture=0.0")
    assert answer.code == 0, answer.err
    (path,) = (tmp_path / "out" / "cells").glob("*/result.json")
    found = {metric["name"]: metric for metric in json.loads(path.read_text())["metrics"]}
    for name in ("texture_inclination", "texture_inclination_corrected", "texture_gap"):
        assert found[name]["value"] is None and "an untrained network" in found[name]["reason"]
    board = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    (row,) = board["rows"]
    (value,) = row["values"].values()
    assert value["value"] is None and value["metric"] == "texture_inclination"
