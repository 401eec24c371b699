"""Each worker has GPUs of its own, as many as were asked for; what is not there is refused before anything starts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Answer

from vgbench.cli import ONE_THREAD
from vgbench.errors import UsageError
from vgbench.executors import Job
from vgbench.executors.local import LocalExecutor, Machine, machine

BODY = """
import json, os, time
from vgbench import Made
def tell(step):
    seen = {"gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "devices": step.devices, "device": step.device}
    (step.out / "seen.json").write_text(json.dumps(seen))
    time.sleep(step.params["seconds"])
    return Made(1)
"""


def told(executor: LocalExecutor, folder: Path, owners: list[str]) -> list[dict[str, Any]]:
    """Let workers of several owners work at a time; return what each saw."""
    for owner in owners:
        out = folder / owner
        out.mkdir(parents=True)
        message = {"node": owner, "entry": "bodies:tell", "params": {"seconds": 1}, "bindings": {}, "seed": 0}
        places = {"shard": 0, "inputs": {}, "out": str(out), "scratch": str(out)}
        executor.submit(Job(owner, 0, owner, {**message, **places}))
    done: list[str] = []
    while len(done) < len(owners):
        done += [event.kind for event in executor.wait(60)]
    assert set(done) == {"made"}
    return [json.loads((folder / owner / "seen.json").read_text()) for owner in owners]


def test_workers_have_gpus_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "bodies.py").write_text(BODY)
    environment = {"PYTHONPATH": str(tmp_path), **ONE_THREAD, "CUDA_VISIBLE_DEVICES": "4,5,6,7"}
    here = Machine("cuda", ("4", "5", "6", "7"), 2)
    assert here.workers == 2
    executor = LocalExecutor(here.workers, environment, tmp_path / "logs", here)
    try:
        first = told(executor, tmp_path / "first", ["a", "b"])
        assert [seen["gpus"] for seen in first] == ["4,5", "6,7"]
        assert all((seen["device"], seen["devices"]) == ("cuda", 2) for seen in first)
        # workers of other owners take the places of those that they replace
        assert sorted(seen["gpus"] for seen in told(executor, tmp_path / "then", ["c", "d"])) == ["4,5", "6,7"]
    finally:
        executor.close()


def test_an_owners_second_worker_starts_when_its_first_is_old_enough(tmp_path: Path) -> None:
    executor = LocalExecutor(3, {**ONE_THREAD}, tmp_path, patience_seconds=1.0)
    job = {"entry": "time:sleep", "params": {}, "bindings": {}, "seed": 0, "shard": 0, "inputs": {}}
    try:
        assert executor.can_start("a")
        executor.submit(
            Job("digest", 0, "a", {"node": "digest", **job, "out": str(tmp_path), "scratch": str(tmp_path)})
        )
        began = time.monotonic()
        assert executor.free == 2 and not executor.can_start("a") and executor.can_start("b")
        while not executor.can_start("a"):  # nobody asks again before something happens
            executor.wait()
        assert 0.9 < time.monotonic() - began < 5
        assert executor.wait(0.01) == []  # said once
    finally:
        executor.close()


@pytest.mark.parametrize(("asked", "patient"), [(None, True), (1, False), (7, False)])
def test_workers_that_are_asked_for_start_at_once(tmp_path: Path, asked: int | None, patient: bool) -> None:
    here = Machine("cuda", ("0", "1", "2"))
    executor = LocalExecutor.on(here, {}, tmp_path, workers=asked)
    assert executor.workers == (asked or 3) and (executor.patience_seconds > 0) == patient


def test_more_workers_than_gpus_share_them() -> None:
    here = Machine("cuda", ("0", "1"))
    assert [here.visible_to(place)["CUDA_VISIBLE_DEVICES"] for place in range(4)] == ["0", "1", "0", "1"]
    assert Machine("cpu").visible_to(0) == {}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not say which cores are ours")
def test_workers_default_to_the_cores_that_are_ours() -> None:
    """A scheduler that lends one core of a node's many gets one worker."""
    all_cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(all_cores)})
        assert Machine("cpu").workers == 1
    finally:
        os.sched_setaffinity(0, all_cores)
    assert Machine("cpu").workers == len(all_cores)


def test_devices_that_are_not_there_are_refused(vgbench: Callable[..., Answer]) -> None:
    with pytest.raises(UsageError, match="--devices 0: at least 1"):
        machine("cpu", {}, devices=0)
    if machine("auto", {}).kind == "cpu":
        with pytest.raises(UsageError, match="shows no NVIDIA GPU"):
            machine("cuda", {})
    answer = vgbench("run", "--source", "toybox", "--tasks", "digits", "--devices", "0")
    assert answer.code == 2 and "--devices 0: at least 1 is needed" in answer.err


@pytest.mark.slow
def test_two_devices_train_one_network(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    """The same cell, whose digest knows nothing of devices, by one process and by two."""
    request = ("--source", "toybox:world=coarse", "--tasks")
    task = "toybox/val:world=coarse,backbone=test_resnet,recipe=smoke,samples_seen=128,images_per_class=4,n_test=64"
    more = ("--device", "cpu", "--workers", "1", "--json")
    found = {}
    for devices in ("1", "2"):
        home, out = tmp_path / f"home-{devices}", str(tmp_path / f"run-{devices}")
        answer = vgbench("--home", str(home), "run", *request, task, *more, "--devices", devices, "-o", out)
        assert answer.code == 0, answer.err
        (cell,) = answer.json["cells"]
        metas = [json.loads(path.read_text()) for path in home.glob("store/*/*/*/meta.json")]
        losses = [meta["final_train_loss"] for meta in metas if meta.get("samples_seen") and not meta["permute_labels"]]
        found[devices] = cell["digest"], losses
    assert found["1"][0] == found["2"][0]
    assert found["1"][1] == pytest.approx(found["2"][1], abs=1e-4)


def test_gpus_are_those_that_cuda_would_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl"):
        (tmp_path / name).touch()
    monkeypatch.setattr("vgbench.executors.local.DEVICE_FILES", tmp_path)
    assert machine("auto", {}) == Machine("cuda", ("0", "1", "2"))
    for told, gpus in (
        ("2,0", ("2", "0")),
        ("1,-1,0", ("1",)),
        ("GPU-8932f937,MIG-5c1a", ("GPU-8932f937", "MIG-5c1a")),
    ):
        assert machine("auto", {"CUDA_VISIBLE_DEVICES": told}).gpus == gpus
    for told in ("-1", "", "NoDevFiles"):
        assert machine("auto", {"CUDA_VISIBLE_DEVICES": told}).kind == "cpu"
    with pytest.raises(UsageError, match="--devices 4: this machine shows 3 GPUs"):
        machine("cuda", {}, devices=4)


def test_training_that_cannot_be_shared_out_is_refused_before_anything_is_made(
    vgbench: Callable[..., Answer], home: Path
) -> None:
    task = "toybox/val:world=coarse,recipe=toybox-small"
    answer = vgbench("run", "--source", "toybox:world=coarse", "--tasks", task, "--device", "cpu", "--devices", "2")
    assert answer.code == 2 and "recipe toybox-small trains on 1 micro-batches at a step" in answer.err
    assert "for example: --devices 1" in answer.err and not (home / "store").exists()
