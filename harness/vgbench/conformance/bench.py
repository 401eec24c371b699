"""The test bench: a throw-away home, two unlike child processes, and nodes made shard by shard in either."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from vgbench.conformance.outcome import Broken
from vgbench.locate import Locator
from vgbench.planning import Builder, shard_count
from vgbench.registry import Registry
from vgbench.store import Commit, Store, hash_file
from vgbench.types import Axis, Head, Node

# Processes with another hash seed, folder and home. *later* lives in another year and only builds graphs: pyarrow
# does not survive a moved clock.
Where: TypeAlias = Literal["here", "elsewhere", "later"]
HASH_SEED: dict[Where, str] = {"here": "1", "elsewhere": "4242", "later": "31337"}


@dataclass(frozen=True, slots=True)
class Body:
    """What one run of a body reported, and what it touched outside ``out`` and ``scratch``."""

    node: Node
    shard: int
    folder: Path
    made: Mapping[str, Any]
    touched: tuple[str, ...]


@dataclass(eq=False)
class Bench:
    """A place to try a plugin in. ``environment`` is all that child processes see of ours; None: all of it."""

    registry: Registry
    environment: Mapping[str, str] | None
    home: Path
    store: Store
    locator: Locator = field(default_factory=Locator)
    bodies: dict[tuple[str, int], Body] = field(default_factory=dict)
    _children: dict[Where, subprocess.Popen[str]] = field(default_factory=dict)
    _cleanup: weakref.finalize[..., Bench] | None = None

    @classmethod
    def open(cls, registry: Registry, environment: Mapping[str, str] | None) -> Bench:
        """Set one up in the system's temporary folder; it is removed with the object, at the latest at exit."""
        home = Path(tempfile.mkdtemp(prefix="vgbench-conformance-")).resolve()
        bench = cls(registry, environment, home, Store(home))
        bench._cleanup = weakref.finalize(bench, _remove, home, bench._children)
        return bench

    def close(self) -> None:
        """Stop the children and remove the folder."""
        if self._cleanup:
            self._cleanup()

    def builder(self, seeds: Mapping[Axis, int] | None = None) -> Builder:
        """Return a fresh graph builder; the source seed is 0 unless given."""
        return Builder(self.registry, self.locator, seeds or {})

    def folder(self, name: str) -> Path:
        """Return a folder in which a form may put the images it needs."""
        path = self.home / "forms" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    # ── child processes ──────────────────────────────────────────────────────────────────────────

    def ask(self, job: Mapping[str, Any], *, where: Where = "here") -> dict[str, Any]:
        """Send a job to one of the two children and return its answer."""
        child = self._children.get(where) or self._start(where)
        assert child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(json.dumps(job) + "\n")
            child.stdin.flush()
            line = child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._stop(where)
            return {"failed": f"the process left with exit code {child.returncode}", "traceback": ""}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask_fresh(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Send a job to a child of its own, which has imported nothing yet."""
        child = self._spawn(["-m", "vgbench.conformance.child"], where="here")
        said, _ = child.communicate(json.dumps(job) + "\n")
        answer: dict[str, Any] = json.loads(said) if said else {"failed": f"exit code {child.returncode}"}
        return answer

    def _spawn(self, arguments: Sequence[str], *, where: Where) -> subprocess.Popen[str]:
        """Start ``python ARGUMENTS`` in a folder and home of its own."""
        folder = self.home / where
        for name in ("work", "home"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        ours = (f"PYTHONHASHSEED={HASH_SEED[where]}", "PYTHONDONTWRITEBYTECODE=1", f"HOME={folder / 'home'}")
        with (folder / "log").open("a") as log:
            return subprocess.Popen(
                ["env", *ours, sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=folder / "work",
                env=None if self.environment is None else dict(self.environment),
            )

    def _start(self, where: Where) -> subprocess.Popen[str]:
        clock = ["--another-time"] if where == "later" else []
        self._children[where] = self._spawn(["-m", "vgbench.conformance.child", *clock], where=where)
        return self._children[where]

    def _stop(self, where: Where) -> None:
        _end(self._children.pop(where))

    # ── making ───────────────────────────────────────────────────────────────────────────────────

    def make(self, given: Node | Head) -> list[Path]:
        """Make the first n items of a node and all it needs; return the folders of its shards.

        Raises ``Broken`` with the body's error. What is there is not made again.
        """
        node = given.node if isinstance(given, Head) else given
        order: list[tuple[Node, Head | Node]] = []
        seen: set[tuple[str, int]] = set()
        stack: list[tuple[Node | Head, bool]] = [(given, False)]
        while stack:
            current, inputs_done = stack.pop()
            plain, n = (current.node, current.n) if isinstance(current, Head) else (current, 0)
            if inputs_done:
                order.append((plain, current))
            elif (plain.digest, n) not in seen:
                seen.add((plain.digest, n))
                stack.append((current, True))
                stack.extend((parent, False) for _, parent in plain.inputs)
        for plain, current in order:
            for shard in range(shard_count(current)):
                if not self.store.has(plain.digest, shard):
                    self._commit(self.run(plain, shard))
        return [self.store.folder(node.digest, shard) for shard in range(shard_count(given))]

    def run(self, node: Node, shard: int, *, where: Where = "here") -> Body:
        """Run one body whose inputs are there; return what it left in a staging folder."""
        out = self.store.staging(node.step.id.replace("/", "_"))
        scratch = self.store.scratch(node.digest, shard)
        inputs = self._inputs(node, shard)
        watched = [Path(folder) for given in inputs.values() for folder in given["shards"]]
        watched += [Path(path) for _, path in node.bindings if Path(path).is_absolute()]
        before = _look(watched), self._elsewhere()
        answer = self.ask(
            {
                "do": "body",
                "node": node.digest,
                "entry": node.step.entry,
                "params": node.param,
                "bindings": dict(node.bindings),
                "seed": node.seed,
                "shard": shard,
                "inputs": inputs,
                "out": str(out),
                "scratch": str(scratch),
                "device": "cpu",
            },
            where=where,
        )
        self.store.discard(scratch)
        if "failed" in answer:
            raise Broken(f"{node.step.id} shard {shard}: {answer['failed']}")
        touched = list(answer["seen"])
        touched += [f"changed its input {name}" for name in _difference(before[0], _look(watched))]
        touched += [f"wrote {name}" for name in _difference(before[1], self._elsewhere())]
        body = Body(node, shard, out, answer["made"], tuple(touched))
        self.bodies.setdefault((node.digest, shard), body)
        return body

    def _commit(self, body: Body) -> Commit:
        record = {"node": body.node.digest, "shard": body.shard, **body.made}
        return self.store.commit(body.folder, self.store.folder(body.node.digest, body.shard), record, observed={})

    def _inputs(self, node: Node, shard: int) -> dict[str, Any]:
        one_of = node.step.shards.partition(":")[2] if node.step.shards.startswith("input:") else None
        inputs: dict[str, Any] = {}
        for name, given in node.inputs:
            parent, n = (given.node, given.n) if isinstance(given, Head) else (given, None)
            wanted = [shard] if name == one_of else range(shard_count(given))
            paths = [str(self.store.folder(parent.digest, k)) for k in wanted]
            place = dict(parent.bindings).get("place")
            inputs[name] = {"digest": parent.digest, "shards": paths, "n": n, "place": place}
        return inputs

    def _elsewhere(self) -> dict[str, object]:
        """Look at the places where careless code writes: the working folder and the home folder of each child."""
        return _look([self.home / where / name for where in ("here", "elsewhere") for name in ("work", "home")])


def _look(places: Sequence[Path]) -> dict[str, object]:
    """Return what lies in some places: size, time and, of small files, the hash."""
    found: dict[str, object] = {}
    for place in places:
        for path in [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file()):
            stat = path.stat()
            content = hash_file(path) if stat.st_size < 1 << 24 else ""
            found[str(path)] = (stat.st_size, stat.st_mtime_ns, content)
    return found


def _difference(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _end(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None and child.stdout is not None
    child.stdin.close()
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()


def _remove(home: Path, children: dict[Where, subprocess.Popen[str]]) -> None:
    while children:
        _end(children.popitem()[1])
    shutil.rmtree(home, ignore_errors=True)
