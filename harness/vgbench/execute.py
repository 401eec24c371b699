"""Make what a plan misses: ready shards to the executor, commits as they come, cells the moment they are done."""

from __future__ import annotations

import heapq
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vgbench import cells, results
from vgbench.claims import Claims, NoClaims
from vgbench.errors import DiskFull, VgbenchError
from vgbench.executors import Event, Executor, Job
from vgbench.planned import Plan, PlannedCell, PlannedNode
from vgbench.planning import shard_count
from vgbench.store import Store
from vgbench.types import Head, Node

COMMIT_SCHEMA = "vgbench.commit/1"
GRACE_SECONDS = 4.0  # what a running shard gets to finish after Ctrl-C
POLL_SECONDS = 0.1  # how often a shard that another process is making is looked for


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a node could not be made; its consumers inherit it."""

    step: str
    shard: int
    reason: str
    traceback: str = ""

    def __str__(self) -> str:
        return f"{self.step} shard {self.shard}: {self.reason}"


@dataclass(slots=True)
class Run:
    """The state of one execution. ``on_event`` sees every event, ``on_commit`` every committed shard."""

    plan: Plan
    store: Store
    executor: Executor
    on_event: Callable[[Event], None] = lambda event: None
    on_commit: Callable[[PlannedNode, int, int], None] = lambda node, shard, items: None
    failures: dict[str, Failure] = field(default_factory=dict)
    cells: dict[str, results.Cell] = field(default_factory=dict)
    claims: Claims = field(default_factory=NoClaims)
    made: int = 0
    other_code: set[str] = field(default_factory=set)
    _left: dict[str, set[int]] = field(default_factory=dict)
    _waits: dict[str, set[str]] = field(default_factory=dict)
    _feeds: dict[str, list[str]] = field(default_factory=dict)
    _ready: dict[str, list[tuple[float, int, str, int]]] = field(default_factory=dict)
    _staged: dict[tuple[str, int], tuple[Path, Path]] = field(default_factory=dict)
    _reads: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    _elsewhere: dict[tuple[str, int], None] = field(default_factory=dict)
    _codes: dict[str, str] = field(default_factory=dict)
    _owed: dict[str, set[str]] = field(default_factory=dict)
    _priority: dict[str, float] = field(default_factory=dict)
    _order: int = 0

    def finish(self) -> dict[str, results.Cell]:
        """Make everything that can be made; return every cell by digest, failed and blocked ones included.

        The first Ctrl-C starts nothing more and gives running shards a few seconds to finish; a second one, like a
        full disk, drops them. What is committed stays.
        """
        try:
            self._prepare()
            while self._submit_ready() or self._staged or self._elsewhere:
                self._step()
        except KeyboardInterrupt:
            deadline = time.monotonic() + GRACE_SECONDS
            while self._staged and time.monotonic() < deadline:
                for event in self.executor.wait(0.1):
                    self._handle(event)
            raise
        finally:
            self.executor.close()
            if sys.exc_info()[0] is not None:
                self.store.sweep()
            self.claims.close()
        self._compare_codes()
        for cell in self.plan.cells:
            if cell.digest not in self.cells:
                self.cells[cell.digest] = self._unfinished(cell)
        return {cell.digest: self.cells[cell.digest] for cell in self.plan.cells}

    def _step(self) -> None:
        """Wait for a worker, or for what other processes are making, and take note of it."""
        if self._staged:
            for event in self.executor.wait(POLL_SECONDS if self._elsewhere else None):
                self._handle(event)
        else:
            time.sleep(POLL_SECONDS)
        for digest, shard in list(self._elsewhere):
            del self._elsewhere[digest, shard]
            if digest in self.failures:
                continue
            if self.store.has(digest, shard):
                self._shard_done(digest, shard)
            else:
                self._queue(digest, shard)

    def _compare_codes(self) -> None:
        """Find the steps that ran now with other code than made what was already there, under an equal version."""
        for planned in self.plan.nodes.values():
            code = self._codes.get(planned.node.step.id)
            if code and any(
                self.store.commit_of(planned.node.digest, shard).record["code"] != code
                for shard in planned.shards
                if self.store.has(planned.node.digest, shard)
            ):
                self.other_code.add(planned.node.step.id)

    # ── order ────────────────────────────────────────────────────────────────────────────────────

    def _prepare(self) -> None:
        nodes = self.plan.nodes
        self._left = {digest: set(planned.missing) for digest, planned in nodes.items() if planned.missing}
        for digest, planned in nodes.items():
            if digest in self._left:
                parents = {(g.node if isinstance(g, Head) else g).digest for _, g in planned.node.inputs}
                self._waits[digest] = {parent for parent in parents if parent in self._left}
                for parent in self._waits[digest]:
                    self._feeds.setdefault(parent, []).append(digest)
        for digest in reversed(list(nodes)):  # consumers first: the longest way to a score is begun first
            ahead = max((self._priority[consumer] for consumer in self._feeds.get(digest, ())), default=0.0)
            self._priority[digest] = nodes[digest].estimate.seconds + ahead
        for digest, waits in self._waits.items():
            if not waits:
                self._enqueue(digest)
        for cell in self.plan.cells:
            if cell.state == "have":
                self.cells[cell.digest] = results.read_cell(self.store.check(self.store.cell(cell.digest)))
            elif cell.state == "make":
                self._owed[cell.digest] = {node.digest for node in cell.targets if node.digest in self._left}
                if not self._owed[cell.digest]:
                    self._finish_cell(cell)

    def _enqueue(self, digest: str) -> None:
        for shard in sorted(self._left[digest]):
            self._queue(digest, shard)

    def _queue(self, digest: str, shard: int) -> None:
        self._order += 1
        queue = self._ready.setdefault(self.plan.nodes[digest].node.owner, [])
        heapq.heappush(queue, (-self._priority[digest], self._order, digest, shard))

    def _submit_ready(self) -> bool:
        """Fill the free workers; prefer owners whose worker idles, then the most urgent. True if anything started."""
        started = False
        while self.executor.free > 0:
            idle, can_start = self.executor.idle_owners, self.executor.can_start
            waiting = [owner for owner, queue in self._ready.items() if queue and (owner in idle or can_start(owner))]
            if not waiting:
                break
            owner = min([o for o in waiting if o in idle] or waiting, key=lambda o: self._ready[o][0])
            _, _, digest, shard = heapq.heappop(self._ready[owner])
            if digest in self.failures:
                continue
            claim = f"{digest}-{shard:06d}"
            reads = [(g.node if isinstance(g, Head) else g).digest for _, g in self.plan.nodes[digest].node.inputs]
            if not self.claims.take(claim, reads):
                self._elsewhere[digest, shard] = None
            elif self.store.has(digest, shard):  # made elsewhere since the plan
                self.claims.release(claim)
                self._shard_done(digest, shard)
                started = True
            else:
                started |= self._submit(digest, shard)
        return started

    def _submit(self, digest: str, shard: int) -> bool:
        planned = self.plan.nodes[digest]
        node = planned.node
        self.store.need(2 * planned.estimate.bytes // max(len(planned.missing), 1))
        try:
            inputs, read = self._inputs(node, shard)
            out = self.store.staging(node.step.id)
        except DiskFull:
            raise
        except VgbenchError as error:
            self.claims.release(f"{digest}-{shard:06d}")
            self._fail(digest, Failure(node.step.id, shard, error.what))
            return False
        scratch = self.store.scratch(digest, shard)
        message = {
            "node": digest,
            "entry": node.step.entry,
            "params": json.loads(node.params),
            "bindings": dict(node.bindings),
            "seed": node.seed,
            "shard": shard,
            "inputs": inputs,
            "out": str(out),
            "scratch": str(scratch),
        }
        job = Job(digest, shard, node.owner, message)
        self._staged[digest, shard] = out, scratch
        self._reads[digest, shard] = read
        self.executor.submit(job)
        self.on_event(Event("started", job, {"step": node.step.id}))
        return True

    def _inputs(self, node: Node, shard: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return where the inputs lie, each file checked now, and the content hashes that will be recorded."""
        inputs: dict[str, Any] = {}
        read: dict[str, Any] = {}
        one_of = node.step.shards.partition(":")[2] if node.step.shards.startswith("input:") else None
        for name, given in node.inputs:
            parent, n = (given.node, given.n) if isinstance(given, Head) else (given, None)
            wanted = [shard] if name == one_of else range(shard_count(given))
            paths = [str(self.store.use(parent.digest, k)) for k in wanted]
            place = dict(parent.bindings).get("place")
            inputs[name] = {"digest": parent.digest, "shards": paths, "n": n, "place": place}
            read[name] = [self.store.commit_of(parent.digest, k).content for k in wanted]
        return inputs, read

    # ── events ───────────────────────────────────────────────────────────────────────────────────

    def _handle(self, event: Event) -> None:
        digest, shard = event.job.digest, event.job.shard
        if event.kind == "made":
            items = self._commit(event)
            self.on_event(event)
            self.claims.release(f"{digest}-{shard:06d}")
            self.on_commit(self.plan.nodes[digest], shard, items)
            self._shard_done(digest, shard)
        elif event.kind == "failed":
            staging, _ = self._staged.pop((digest, shard))
            self.store.discard(staging)
            self.claims.release(f"{digest}-{shard:06d}")
            if event.detail.get("disk_full"):
                raise DiskFull(str(self.store.home))
            step = self.plan.nodes[digest].node.step.id
            detail = event.detail
            self._fail(digest, Failure(step, shard, str(detail["failed"]), str(detail.get("traceback", ""))))
            self.on_event(event)
        else:
            self.on_event(event)

    def _commit(self, event: Event) -> int:
        digest, shard = event.job.digest, event.job.shard
        node = self.plan.nodes[digest].node
        staging, scratch = self._staged.pop((digest, shard))
        made = event.detail["made"]
        record = {
            "schema": COMMIT_SCHEMA,
            "node": digest,
            "step": [node.step.id, node.step.version],
            "shard": shard,
            **made,
            "inputs": {name: (g.node if isinstance(g, Head) else g).digest for name, g in node.inputs},
            "read": self._reads.pop((digest, shard)),
            "code": event.detail["code"],
        }
        observed = {
            "seconds": event.detail["seconds"],
            "versions": event.detail["versions"],
            "host": platform.node(),
        }
        self.store.commit(staging, self.store.folder(digest, shard), record, observed=observed)
        self.store.discard(scratch)
        self._codes[node.step.id] = event.detail["code"]
        self.made += 1
        return int(made["items"])

    def _shard_done(self, digest: str, shard: int) -> None:
        self._left[digest].discard(shard)
        if not self._left[digest]:
            self._node_done(digest)

    def _node_done(self, digest: str) -> None:
        for consumer in self._feeds.get(digest, ()):
            self._waits[consumer].discard(digest)
            if not self._waits[consumer] and consumer not in self.failures:
                self._enqueue(consumer)
        for cell in self.plan.cells:
            owed = self._owed.get(cell.digest, set())
            if digest in owed:
                owed.discard(digest)
                if not owed:
                    self._finish_cell(cell)

    def _fail(self, digest: str, failure: Failure) -> None:
        """Fail a node and everything that needs it; the rest goes on."""
        stack = [digest]
        while stack:
            current = stack.pop()
            if current not in self.failures:
                self.failures[current] = failure
                stack.extend(self._feeds.get(current, ()))

    # ── cells ────────────────────────────────────────────────────────────────────────────────────

    def _finish_cell(self, planned: PlannedCell) -> None:
        assert planned.score is not None
        try:
            cell = cells.finished(planned, self.store)
            if cell.status == "ok":
                score = self.store.use(planned.score.digest)
                results.commit_cell(self.store, cell, score, observed=cells.observed(planned, self.store))
        except VgbenchError as error:
            cell = cells.without_values(planned, "failed", error.what)
        self.cells[planned.digest] = cell

    def _unfinished(self, planned: PlannedCell) -> results.Cell:
        if planned.state == "blocked":
            return cells.without_values(planned, "blocked", planned.reason)
        failure = next((self.failures[n.digest] for n in planned.targets if n.digest in self.failures), None)
        return cells.without_values(planned, "failed", str(failure) if failure else "not made")
