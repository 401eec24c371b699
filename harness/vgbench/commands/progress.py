"""What a run shows while it works: a live line on a terminal, plain lines when piped."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from vgbench.commands.output import note
from vgbench.executors import Event

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from vgbench.planned import Plan


class Display:
    """Show shards done, images per second and the time left. Plain lines name each shard as it starts and ends."""

    def __init__(self, plan: Plan, *, quiet: bool) -> None:
        self._total = sum(len(planned.missing) for planned in plan.nodes.values())
        self._step_of = {digest: planned.node.step.id for digest, planned in plan.nodes.items()}
        self._images = {digest for digest, planned in plan.nodes.items() if planned.node.shard_size}
        self._estimated = sum(planned.estimate.seconds for planned in plan.nodes.values())
        self._live = not quiet and sys.stderr.isatty()
        self._plain = not quiet and not self._live
        self._done = self._made_images = 0
        self._start = time.monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def __enter__(self) -> Display:
        if self._live and self._total:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(
                *columns, TextColumn("{task.fields[rate]}"), console=Console(stderr=True), transient=True
            )
            self._task = self._bar.add_task("starting", total=self._total, rate="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def event(self, event: Event) -> None:
        """Show one event of the executor."""
        step, shard = self._step_of[event.job.digest], event.job.shard
        if event.kind in ("made", "failed"):
            self._done += 1
            if event.kind == "made" and event.job.digest in self._images:
                self._made_images += int(event.detail["made"]["items"])
        if self._plain and event.kind != "progress":
            seconds = f" {event.detail['seconds']:.2f} s" if "seconds" in event.detail else ""
            note(f"[{self._done}/{self._total}] {event.kind} {step} {event.job.digest[:12]}/{shard}{seconds}")
        if self._bar is not None and self._task is not None:
            rate = f"{self._made_images / max(self.seconds, 1e-9):.0f} images/s" if self._made_images else ""
            part = ""
            if event.kind == "progress":
                done, total = event.detail["progress"]
                part = f" {100 * done // max(total, 1)} %"
            self._bar.update(self._task, completed=self._done, description=step + part, rate=rate)
