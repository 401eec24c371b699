"""Workers as child processes on this machine: a source's code never shares a process with the scoring."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from vgbench.cores import cores
from vgbench.errors import UsageError, VgbenchError
from vgbench.executors import Event, Job

TAIL_LINES = 15
PATIENCE_SECONDS = (
    10.0  # ours: torch and open_clip take a worker 6 s of a core to import, and a small run all in all 10
)
GPUS = "CUDA_VISIBLE_DEVICES"
DEVICE_FILES = Path("/dev")


@dataclass(frozen=True, slots=True)
class Machine:
    """What networks run on here: ``kind`` cpu or cuda, and the GPUs by the names that CUDA gives them.

    ``each``: how many devices a worker has.
    """

    kind: str
    gpus: tuple[str, ...] = ()
    each: int = 1

    @property
    def workers(self) -> int:
        """How many workers this machine feeds by default."""
        return max(1, (len(self.gpus) if self.kind == "cuda" else cores()) // self.each)

    def visible_to(self, place: int) -> dict[str, str]:
        """Return what tells the worker at a place which GPUs are its own; workers beyond the last share them."""
        if self.kind != "cuda":
            return {}
        first = place % self.workers * self.each
        return {GPUS: ",".join(self.gpus[first : first + self.each])}


def machine(device: str, environment: Mapping[str, str], *, devices: int = 1) -> Machine:
    """Return this machine for ``--device`` auto, cpu or cuda, with so many devices for each worker.

    GPUs are those of `CUDA_VISIBLE_DEVICES` up to the first that is no GPU, as CUDA reads it; without it their device
    files are counted, since the parent never imports torch.
    Raises ``UsageError`` for devices that are not there.
    """
    if devices < 1:
        raise UsageError(f"--devices {devices}: at least 1 is needed")
    files = sorted(DEVICE_FILES.glob("nvidia[0-9]*"), key=lambda path: int(path.name.removeprefix("nvidia")))
    gpus = tuple(str(i) for i in range(len(files)))
    if gpus and GPUS in environment:
        named = (name.strip() for name in environment[GPUS].split(","))
        gpus = tuple(itertools.takewhile(lambda name: name.isdecimal() or name.startswith(("GPU-", "MIG-")), named))
    if device == "cuda" and not gpus:
        raise UsageError("--device cuda: this machine shows no NVIDIA GPU", hint="use --device cpu")
    if device == "cpu" or not gpus:
        return Machine("cpu", each=devices)
    if devices > len(gpus):
        raise UsageError(f"--devices {devices}: this machine shows {len(gpus)} GPUs")
    return Machine("cuda", gpus, devices)


@dataclass(slots=True)
class _Worker:
    """A process. ``job`` is what it computes, ``finishing`` what a thread of it finishes besides."""

    owner: str
    place: int
    process: subprocess.Popen[str]
    log: Path
    began: float = field(default_factory=time.monotonic)
    reader: threading.Thread = field(default_factory=threading.Thread)
    job: Job | None = None
    finishing: Job | None = None


@dataclass(slots=True)
class LocalExecutor:
    """Up to ``workers`` processes at a time, each serving one owner while that owner has jobs.

    An owner's further workers start when its first is ``patience_seconds`` old: each imports what the first did, and a
    small run ends sooner. ``environment`` is all a worker sees of ours. Workers compute on one thread unless a
    step's key says otherwise: parallel work comes from processes, so their number changes no byte.
    """

    workers: int
    environment: Mapping[str, str]
    logs: Path
    machine: Machine = field(default_factory=lambda: Machine("cpu"))
    patience_seconds: float = 0.0
    _alive: list[_Worker] = field(default_factory=list)
    _events: queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]] = field(default_factory=queue.SimpleQueue)
    _started: int = 0
    _looked: float = 0.0  # when the caller last heard who may start

    @classmethod
    def on(
        cls, here: Machine, environment: Mapping[str, str], logs: Path, *, workers: int | None = None
    ) -> LocalExecutor:
        """Return an executor of so many workers, at once; without a number of as many as the machine feeds, in time."""
        patience = PATIENCE_SECONDS if workers is None else 0.0
        return cls(workers or here.workers, environment, logs, here, patience)

    @property
    def free(self) -> int:
        return self.workers - sum(worker.job is not None for worker in self._alive)

    @property
    def idle_owners(self) -> set[str]:
        return {worker.owner for worker in self._alive if worker.job is None}

    def can_start(self, owner: str) -> bool:
        if len(self._alive) >= self.workers and self._stoppable() is None:
            return False
        due = [self._due(worker) for worker in self._alive if worker.owner == owner]
        return not due or min(due) <= time.monotonic()

    def _due(self, worker: _Worker) -> float:
        """Return when a worker's owner may have a further one."""
        return worker.began + self.patience_seconds

    def _stoppable(self) -> _Worker | None:
        return next((w for w in self._alive if w.job is None and w.finishing is None), None)

    def submit(self, job: Job) -> None:
        worker = next((w for w in self._alive if w.job is None and w.owner == job.owner), None)
        if worker is None:
            if len(self._alive) >= self.workers:
                idle = self._stoppable()
                assert idle is not None  # can_start was asked
                self._stop(idle)
            worker = self._start(job.owner)
        worker.job = job
        message = {**job.message, "device": self.machine.kind, "devices": self.machine.each}
        assert worker.process.stdin is not None
        try:
            worker.process.stdin.write(json.dumps(message) + "\n")
            worker.process.stdin.flush()
        except BrokenPipeError:
            pass  # it died before the job: its reader thread reports that

    def wait(self, timeout_seconds: float | None = None) -> list[Event]:
        due = [until for worker in self._alive if (until := self._due(worker)) > self._looked]
        limits = [*([] if timeout_seconds is None else [timeout_seconds]), *(until - time.monotonic() for until in due)]
        try:
            worker, answer = self._events.get(timeout=max(0.0, min(limits)) if limits else None)
        except queue.Empty:
            return []
        finally:
            self._looked = time.monotonic()
        if answer is None:
            self._stop(worker)
            lost = [job for job in (worker.finishing, worker.job) if job is not None]
            code = worker.process.returncode
            reason = f"the worker died (signal {-code})" if code < 0 else f"the worker left with exit code {code}"
            detail = {"failed": reason, "traceback": _tail(worker.log), "seconds": 0.0}
            return [Event("failed", job, detail) for job in lost]
        about = tuple(answer.pop("job"))
        job = next((j for j in (worker.finishing, worker.job) if j and (j.digest, j.shard) == about), None)
        if job is None and "progress" in answer:  # of a thread that outlived its job
            return []
        if job is None:
            raise VgbenchError(f"worker {worker.owner} answered without a job")
        if "progress" in answer:
            return [Event("progress", job, answer)]
        if "finishing" in answer:
            worker.finishing, worker.job = job, None
            return []
        if job is worker.job:
            worker.job = None
        else:
            worker.finishing = None
        return [Event("made" if "made" in answer else "failed", job, answer)]

    def close(self) -> None:
        for worker in list(self._alive):
            self._stop(worker)

    def _start(self, owner: str) -> _Worker:
        self._started += 1
        taken = {worker.place for worker in self._alive}
        place = next(i for i in range(len(taken) + 1) if i not in taken)
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"worker-{os.getpid()}-{self._started}.log"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "vgbench.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**self.environment, **self.machine.visible_to(place)},
                start_new_session=True,  # Ctrl-C is for the parent, which lets running shards finish
            )
        worker = _Worker(owner, place, process, log)
        self._alive.append(worker)
        assert process.stdout is not None
        worker.reader = threading.Thread(target=self._read, args=(worker, process.stdout), daemon=True)
        worker.reader.start()
        return worker

    def _read(self, worker: _Worker, answers: IO[str]) -> None:
        with answers:
            for line in answers:
                try:
                    self._events.put((worker, json.loads(line)))
                except ValueError:  # not our protocol: the process is no longer to be trusted with an answer
                    worker.process.kill()
                    break
        self._events.put((worker, None))

    def _stop(self, worker: _Worker) -> None:
        """End a worker: it leaves by itself when its stdin closes; one that does not is killed."""
        if worker in self._alive:
            self._alive.remove(worker)
        assert worker.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            worker.process.stdin.close()
        try:
            worker.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
        worker.reader.join()


def _tail(log: Path) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
    except OSError:
        return ""
