"""The watched child process: it builds graphs and runs bodies, and reports what they touched.

A source's or task's code says what it does by what it opens. An audit hook (PEP 578) sees every file that Python opens,
every socket and every process; writes made inside C++ are found by what appears in the watched folders afterwards.
Jobs come as JSON lines on stdin, answers go as JSON lines to stdout.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEAVY = (
    "torch", "torchvision", "timm", "numpy", "pyarrow", "PIL", "pydantic", "rich", "sklearn", "scipy", "pandas", "cv2",
    "matplotlib", "transformers", "diffusers", "datasets", "huggingface_hub", "open_clip", "jax", "tensorflow",
    "webdataset", "ray", "requests", "httpx",
)  # fmt: skip
SHIFT_DAYS = 400  # the second process lives in another year, month, weekday and day
OUTSIDE = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "urllib.Request", "ftplib.",
           "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")  # fmt: skip
LOOKING = ("open", "os.listdir", "os.scandir", "glob.glob", "pathlib.Path.glob", "sqlite3.connect")
CHANGING = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
            "os.chown", "os.utime", "shutil.")  # fmt: skip


@dataclass(slots=True)
class Watch:
    """An audit hook that is off until it is told what to look for, and remembers what it saw."""

    mode: str | None = None
    allowed: tuple[str, ...] = ()
    seen: list[str] = field(default_factory=list)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.mode is None:
            return
        mode, self.mode = self.mode, None  # what this function does itself is not looked at
        try:
            refused = OUTSIDE if mode == "body" else (*OUTSIDE, *LOOKING, *CHANGING)
            if event.startswith(refused):
                self.seen.append(f"{event} {_shown(args)}")
            elif mode == "body" and (event.startswith(CHANGING) or (event == "open" and _writes(args))):
                for path in args[: 2 if event in ("os.rename", "os.link", "os.symlink") else 1]:
                    if isinstance(path, (str, bytes, os.PathLike)) and not self._is_allowed(os.fsdecode(path)):
                        self.seen.append(f"{event} {os.fsdecode(path)}")
        finally:
            self.mode = mode

    def _is_allowed(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == os.devnull or any(real == root or real.startswith(root + os.sep) for root in self.allowed)

    @contextlib.contextmanager
    def on(self, mode: str | None, allowed: tuple[str, ...] = ()) -> Iterator[None]:
        """Look for one kind of event inside; None looks away."""
        before = self.mode, self.allowed
        self.mode, self.allowed = mode, allowed
        try:
            yield
        finally:
            self.mode, self.allowed = before


def main() -> None:
    """Serve jobs until stdin closes. With ``--another-time`` the clock is ``SHIFT_DAYS`` ahead."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if "--another-time" in sys.argv:
        move_clock(SHIFT_DAYS)
    watch = Watch()
    sys.addaudithook(watch)
    kept: dict[str, Any] = {}
    kinds: Mapping[str, Callable[..., dict[str, Any]]] = {
        "load": _load,
        "graph": _graph,
        "body": _body,
        "resolve": _resolve,
    }
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = kinds[job["do"]](job, watch, kept)
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")


def _load(job: Mapping[str, Any], watch: Watch, kept: dict[str, Any]) -> dict[str, Any]:
    """Import a distribution's plugins and ask for their offers, as every command does; say how heavy that was."""
    from importlib import metadata

    import vgbench  # noqa: F401  # its own time is not the plugin's
    from vgbench.registry import GROUP, Registry

    points = [p for p in metadata.entry_points(group=GROUP) if p.dist and p.dist.name == job["distribution"]]
    before = set(sys.modules)
    start = time.perf_counter()
    registry = Registry(points)
    seconds = time.perf_counter() - start
    heavy = sorted(set(HEAVY) & {name.partition(".")[0] for name in set(sys.modules) - before})
    return {"seconds": seconds, "heavy": heavy, "failures": [str(p.failure) for p in registry.failures]}


def _graph(job: Mapping[str, Any], watch: Watch, kept: dict[str, Any]) -> dict[str, Any]:
    """Build a graph twice, the second time watched; return both digests and what the graph function touched."""
    from vgbench.conformance.asking import digests_of

    before = set(sys.modules)
    first = digests_of(job, kept)
    heavy = sorted(set(HEAVY) & {name.partition(".")[0] for name in set(sys.modules) - before})
    watch.seen.clear()
    second = digests_of(job, kept, watch=watch)
    return {"first": first, "second": second, "seen": list(watch.seen), "heavy": heavy}


def _resolve(job: Mapping[str, Any], watch: Watch, kept: dict[str, Any]) -> dict[str, Any]:
    """Import what "module:function" texts name; say which cannot be, and what heavy modules came along."""
    from vgbench.worker import resolve

    before = set(sys.modules)
    wrong: list[str] = []
    for entry in job["entries"]:
        try:
            if not callable(resolve(entry)):
                wrong.append(f"{entry} is not a function")
        except Exception as error:
            wrong.append(f"{entry}: {type(error).__name__}: {error}")
    heavy = sorted(set(HEAVY) & {name.partition(".")[0] for name in set(sys.modules) - before})
    return {"wrong": wrong, "heavy": heavy}


def _body(job: Mapping[str, Any], watch: Watch, kept: dict[str, Any]) -> dict[str, Any]:
    """Run one body under watch and return what it reported and what it wrote elsewhere."""
    from vgbench.types import Made
    from vgbench.worker import Answers, resolve, step_of

    body = resolve(job["entry"])
    step = step_of(job, Answers(io.StringIO()), kept)
    allowed = (os.path.realpath(job["out"]), os.path.realpath(job["scratch"]))
    watch.seen.clear()
    with watch.on("body", allowed):
        made = body(step)
        if callable(made):
            made = made()
    if not isinstance(made, Made):
        raise TypeError(f"{job['entry']} returned {type(made).__name__}, not vgbench.Made")
    report = {"items": int(made.items), "per_class": dict(made.per_class), "rejected": dict(made.rejected)}
    return {"made": report, "seen": list(watch.seen)}


def move_clock(days: float) -> None:
    """Set this process's clocks ahead, for modules imported later: whoever puts the time in a key is found out."""
    shift = days * 86_400.0
    clock = time.time
    time.time = lambda: clock() + shift
    time.time_ns = lambda: int((clock() + shift) * 1e9)
    local, utc = time.localtime, time.gmtime
    time.localtime = lambda seconds=None: local(clock() + shift if seconds is None else seconds)
    time.gmtime = lambda seconds=None: utc(clock() + shift if seconds is None else seconds)

    class Moved(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Moved:
            return cls.fromtimestamp(clock() + shift, tz)

        @classmethod
        def utcnow(cls) -> Moved:
            return cls.fromtimestamp(clock() + shift, datetime.UTC).replace(tzinfo=None)

    class MovedDate(datetime.date):
        @classmethod
        def today(cls) -> MovedDate:
            return cls.fromtimestamp(clock() + shift)

    datetime.datetime, datetime.date = Moved, MovedDate  # type: ignore[misc]  # that is the point


def _writes(args: tuple[Any, ...]) -> bool:
    """Say whether an ``open`` event is for writing: by mode, or by flags where there is none."""
    mode, flags = args[1], args[2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _shown(args: tuple[Any, ...]) -> str:
    return " ".join(str(a) for a in args[:2] if isinstance(a, (str, bytes, int, tuple, Path)))


if __name__ == "__main__":
    main()
