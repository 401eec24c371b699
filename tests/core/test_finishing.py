"""A body may leave its shard's encoding and writing to a thread: the worker begins the next job meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vgbench.cli import ONE_THREAD
from vgbench.executors import Event, Job
from vgbench.executors.local import LocalExecutor

BODIES = """
import os, time
from vgbench import Made
def later(step):
    (step.out / "computed").write_text(str(time.monotonic()))
    def finish():
        time.sleep(step.params["seconds"])
        if step.params.get("die"):
            os._exit(9)
        if step.params.get("leave"):
            raise SystemExit(3)
        if step.params.get("fail"):
            raise ValueError("no ink left")
        (step.out / "finished").write_text(str(time.monotonic()))
        import numpy
        return Made(1, {"a": numpy.int64(1)})
    return finish
def slow(step):
    time.sleep(step.params["seconds"])
    return Made(1)
def talkative(step):
    known = step.resident("first", lambda: step)  # of an earlier shard, whose progress it is not any more
    known.progress(1, 2)
    return Made(1)
"""


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[LocalExecutor]:
    (tmp_path / "bodies.py").write_text(BODIES)
    made = LocalExecutor(1, {"PYTHONPATH": str(tmp_path), **ONE_THREAD}, tmp_path / "logs")
    yield made
    made.close()


def job(folder: Path, shard: int, entry: str = "later", owner: str = "source", **params: Any) -> Job:
    out = folder / f"{owner}-{shard}"
    out.mkdir()
    message = {
        "node": owner,
        "entry": f"bodies:{entry}",
        "params": params,
        "bindings": {},
        "seed": 0,
        "shard": shard,
        "inputs": {},
        "out": str(out),
        "scratch": str(out),
    }
    return Job(owner, shard, owner, message)


def until(executor: LocalExecutor, condition: Any) -> list[Event]:
    events: list[Event] = []
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        events += executor.wait(0.2)
    assert condition()
    return events


def test_the_next_job_is_computed_while_one_is_finished(executor: LocalExecutor, tmp_path: Path) -> None:
    executor.submit(job(tmp_path, 0, seconds=1.5))
    assert until(executor, lambda: executor.free == 1) == []  # it computes no more, and is not made
    assert executor.idle_owners == {"source"} and not executor.can_start("source")  # nobody may stop this worker
    executor.submit(job(tmp_path, 1, seconds=0.1))
    events: list[Event] = []
    while len(events) < 2:
        events += executor.wait(60)
    assert [(event.kind, event.job.shard) for event in events] == [("made", 0), ("made", 1)]
    assert executor.can_start("source") and executor.free == 1

    def moment(shard: int, name: str) -> float:
        return float((tmp_path / f"source-{shard}" / name).read_text())

    assert moment(1, "computed") < moment(0, "finished") < moment(1, "finished")  # one is finished at a time
    waited = moment(0, "finished") - moment(1, "computed")
    assert events[1].detail["seconds"] < 0.1 + waited  # its own work, not the wait for the other's


def test_what_finishing_raises_fails_its_own_job(executor: LocalExecutor, tmp_path: Path) -> None:
    executor.submit(job(tmp_path, 0, seconds=0.5, fail=True))
    until(executor, lambda: executor.free == 1)
    executor.submit(job(tmp_path, 1, "slow", seconds=1.5))
    events: list[Event] = []
    while len(events) < 2:
        events += executor.wait(60)
    assert [(event.kind, event.job.shard) for event in events] == [("failed", 0), ("made", 1)]
    assert events[0].detail["failed"] == "ValueError: no ink left"


def test_a_worker_that_dies_fails_both(executor: LocalExecutor, tmp_path: Path) -> None:
    executor.submit(job(tmp_path, 0, seconds=0.5, die=True))
    until(executor, lambda: executor.free == 1)
    executor.submit(job(tmp_path, 1, "slow", seconds=30))
    events = executor.wait(60)
    assert [(event.kind, event.job.shard) for event in events] == [("failed", 0), ("failed", 1)]
    assert "exit code 9" in events[0].detail["failed"] and executor.can_start("source")


def test_progress_of_a_job_that_is_done_is_nobodys(executor: LocalExecutor, tmp_path: Path) -> None:
    kinds = []
    for shard in (0, 1):
        executor.submit(job(tmp_path, shard, "talkative"))
        events: list[Event] = []
        while not any(event.kind == "made" for event in events):
            events += executor.wait(60)
        kinds.append([event.kind for event in events])
    assert kinds == [["progress", "made"], ["made"]]


def test_a_thread_that_leaves_is_no_silence(executor: LocalExecutor, tmp_path: Path) -> None:
    executor.submit(job(tmp_path, 0, seconds=0.1, leave=True))
    events: list[Event] = []
    while not events:
        events += executor.wait(60)
    assert [(event.kind, event.job.shard) for event in events] == [("failed", 0)] and executor.can_start("source")
