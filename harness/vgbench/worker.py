"""The child process in which a step's body runs: jobs come as JSON lines on stdin, answers go as JSON lines to stdout.

It exits when stdin closes, so it never outlives a killed parent. What a body prints goes to stderr: the real stdout
is kept for answers. A worker imports no planning and no store: it sees the folders it was given.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, TypeVar

from vgbench.errors import is_disk_full
from vgbench.types import Artifact, Body, Made, Part, Place, Step

T = TypeVar("T")
PROGRESS_SECONDS = 0.5


@dataclass(slots=True)
class Answers:
    """Where answers go: whole lines, whichever thread writes them, each with the job that it is about."""

    file: IO[str]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, job: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        line = json.dumps({"job": [job["node"], job["shard"]], **answer}, allow_nan=False)
        with self.lock:
            self.file.write(line + "\n")


def main() -> None:
    """Serve jobs until stdin closes.

    A body that returns a function has that finished in a thread, one at a time, while the next job is begun.
    """
    answers = Answers(os.fdopen(os.dup(1), "w", buffering=1))
    os.dup2(2, 1)
    jobs: list[dict[str, Any]] = []
    arrived = threading.Condition()
    threading.Thread(target=_listen, args=(sys.stdin, jobs, arrived), daemon=True).start()
    resident: dict[str, Any] = {}
    finishing: threading.Thread | None = None
    while True:
        with arrived:
            while not jobs:
                arrived.wait()
            job = jobs.pop(0)
        began = time.perf_counter()
        try:
            body: Body = resolve(job["entry"])
            made = body(step_of(job, answers, resident))
        except Exception as error:
            answers.write(job, _failed(error, time.perf_counter() - began))
            continue
        seconds = time.perf_counter() - began  # without the wait for the shard before, which is not this one's work
        if not callable(made):
            answers.write(job, _answer(job, made, seconds))
            continue
        if finishing is not None:
            finishing.join()  # no more than one shard waits, with all its pixels
        finishing = threading.Thread(target=_finish, args=(job, made, seconds, answers), daemon=True)
        answers.write(job, {"finishing": True})
        finishing.start()


def _listen(source: IO[str], jobs: list[dict[str, Any]], arrived: threading.Condition) -> None:
    """Queue jobs; leave at once when the parent is gone, also in the middle of a body."""
    for line in source:
        with arrived:
            jobs.append(json.loads(line))
            arrived.notify()
    os._exit(0)


def _finish(job: Mapping[str, Any], finish: Callable[[], Made], seconds: float, answers: Answers) -> None:
    """Answer for a shard from its thread; what is no answer ends the worker, as it would outside a thread."""
    try:
        answers.write(job, _answer(job, finish, seconds))
    except BaseException:  # a thread's own end would be silence, and the run would wait for ever
        traceback.print_exc()
        os._exit(1)


def _answer(job: Mapping[str, Any], made: Made | Callable[[], Made], seconds: float) -> dict[str, Any]:
    """Describe what a body made in so many seconds; where there is something to finish, do that first."""
    began = time.perf_counter()
    try:
        if callable(made):
            made = made()
        if not isinstance(made, Made):
            raise TypeError(f"{job['entry']} returned {type(made).__name__}, not vgbench.Made")
    except Exception as error:
        return _failed(error, seconds + time.perf_counter() - began)
    return {
        "made": {"items": int(made.items), "per_class": _whole(made.per_class), "rejected": _whole(made.rejected)},
        "code": code_hash(sys.modules[job["entry"].partition(":")[0]]),
        "versions": _versions(),
        "seconds": seconds + time.perf_counter() - began,
    }


def _whole(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: int(n) for name, n in counts.items()}  # a body counts with numpy, perhaps


def _failed(error: Exception, seconds: float) -> dict[str, Any]:
    return {
        "failed": f"{type(error).__name__}: {error}",
        "disk_full": is_disk_full(error),
        "traceback": "".join(traceback.format_exception(error)),
        "seconds": seconds,
    }


def step_of(job: Mapping[str, Any], answers: Answers, resident: dict[str, Any]) -> Step:
    """Build a body's view of the world from a job."""
    last = [0.0]

    def progress(done: int, total: int) -> None:
        now = time.monotonic()
        if now - last[0] >= PROGRESS_SECONDS:
            last[0] = now
            answers.write(job, {"progress": [int(done), int(total)]})

    def keep(key: str, make: Callable[[], T]) -> T:
        if key not in resident:
            resident[key] = make()
        value: T = resident[key]
        return value

    def load(part: Part) -> Callable[..., Any]:
        loaded: Callable[..., Any] = resolve(part.entry)
        return loaded

    return Step(
        node=job["node"],
        params=bound(job["params"], job["bindings"]),
        inputs=grouped({name: _artifact(value) for name, value in job["inputs"].items()}),
        seed=job["seed"],
        shard=job["shard"],
        out=Path(job["out"]),
        scratch=Path(job["scratch"]),
        device=job["device"],
        progress=progress,
        resident=keep,
        load=load,
        devices=job.get("devices", 1),
    )


def bound(params: Mapping[str, Any], bindings: Mapping[str, str]) -> dict[str, Any]:
    """Put parts and places back together from their keys and their bindings."""
    result = dict(params)
    for name, binding in bindings.items():
        key = params[name]
        if "place" in key:
            result[name] = Place(key["place"], binding)
        else:
            result[name] = Part(key["part"], key["name"], key["version"], binding, key["values"])
    return result


def grouped(inputs: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """Gather ``name/0000``, ``name/0001``, … as the members of ``name``."""
    plain = {name: artifact for name, artifact in inputs.items() if "/" not in name}
    members: dict[str, list[Artifact]] = {}
    for name in sorted((name for name in inputs if "/" in name), key=lambda name: (len(name), name)):  # 9999 < 10000
        members.setdefault(name.partition("/")[0], []).append(inputs[name])
    for name, found in members.items():
        index = plain.get(name, Artifact("", ()))
        plain[name] = replace(index, members=tuple(found))
    return plain


def resolve(entry: str) -> Callable[..., Any]:
    """Import what "module:function" names."""
    module, _, name = entry.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def code_hash(module: types.ModuleType) -> str:
    """Return the SHA-256 over the sources of a module and of those of its own distribution that it uses."""
    tops = {"vgbench", "vgbench_plugins", "vgbench_tasks", module.__name__.partition(".")[0]}
    files: dict[str, str] = {}
    stack = [module]
    while stack:
        current = stack.pop()
        if current.__name__ in files or current.__name__.partition(".")[0] not in tops:
            continue
        path = Path(current.__file__ or "")
        files[current.__name__] = hashlib.sha256(path.read_bytes()).hexdigest() if path.suffix == ".py" else ""
        for value in list(vars(current).values()):
            name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
            used = sys.modules.get(name) if isinstance(name, str) else None
            if used is not None:
                stack.append(used)
    listing = "\n".join(f"{name} {digest}" for name, digest in sorted(files.items()))
    return hashlib.sha256(listing.encode()).hexdigest()


def _versions() -> dict[str, str]:
    """Return the versions of the libraries that this process has loaded: observed, never in a key."""
    names = ("numpy", "pyarrow", "PIL", "torch", "timm", "sklearn", "diffusers", "open_clip")
    return {n: str(getattr(sys.modules[n], "__version__", "")) for n in names if n in sys.modules}


def _artifact(value: Mapping[str, Any]) -> Artifact:
    return Artifact(value["digest"], tuple(Path(p) for p in value["shards"]), value["n"], place=value.get("place"))


if __name__ == "__main__":
    main()
