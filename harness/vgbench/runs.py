"""One run, from a plan to a folder that stands by itself: what ``vgbench run`` and the Python API share.

run = vgbench.plan(sources=["original", "toybox"], tasks=["digits"]).run("runs/mine")
run.leaderboard.rows
vgbench.load_run("runs/mine").to_pandas()
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench import results
from vgbench.claims import Claims, FileClaims
from vgbench.errors import UsageError
from vgbench.execute import Failure, Run
from vgbench.executors import Event, Executor
from vgbench.executors.local import LocalExecutor, machine
from vgbench.locate import Locator
from vgbench.planned import Plan, PlannedNode
from vgbench.planning import Asked, make_plan
from vgbench.registry import Registry, Wanted
from vgbench.store import Store
from vgbench.types import Axis

if TYPE_CHECKING:
    import pandas as pd


MOST_OF_DISK = 0.9  # of what is free: above it a run is refused before it starts (reliability.md §1.3)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a plan: its folder, every cell, shards made, why nodes failed, steps whose code has changed."""

    run_dir: Path
    cells: tuple[results.Cell, ...]
    shards_made: int
    failures: Mapping[str, Failure]
    other_code: frozenset[str]


def default_folder(plan: Plan) -> Path:
    """Return the folder of a run that names none: by the plan's digest, so that the same command finds it again."""
    return Path("vgbench-runs") / plan.digest[:12]


def carry_out(
    plan: Plan,
    registry: Registry,
    *,
    store: Store,
    executor: Executor,
    run_dir: Path,
    claims: Claims | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Outcome:
    """Make what the plan misses and write the run's folder: plan, cells, and what plugins add at its end."""

    def announce(planned: PlannedNode, shard: int, items: int) -> None:
        registry.node_finished(node=planned.node.digest, step=planned.node.step.id, shard=shard, items=items)

    predicted, free = plan.totals()["bytes"], store.free_bytes()
    if predicted > MOST_OF_DISK * free:
        raise UsageError(
            f"the run would write about {predicted / 1e9:.1f} GB, and {store.home} has {free / 1e9:.1f} GB left",
            hint="choose another place with --home, free some with: vgbench cache gc, or ask for fewer images",
        )
    claims = claims or FileClaims(store.home / "claims")
    run = Run(plan, store, executor, on_event=on_event, on_commit=announce, claims=claims)
    cells = run.finish()
    results.write_plan(run_dir, plan.to_json())
    for cell in cells.values():
        if cell.status == "ok":
            store.copy_cell(cell.digest, run_dir)
        else:
            results.write_unfinished(run_dir, cell)
    registry.run_finished(str(run_dir))
    return Outcome(run_dir, tuple(cells.values()), run.made, run.failures, frozenset(run.other_code))


# ── The Python API ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan that Python code can look at (``plan.totals()``, ``plan.to_json()``) and run."""

    plan: Plan
    registry: Registry
    store: Store

    def run(
        self,
        output: str | Path | None = None,
        *,
        workers: int | None = None,
        device: str = "auto",
        devices: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> FinishedRun:
        """Make what is missing and return the finished run; see ``vgbench run`` for its folder.

        ``environment``: more variables that workers see, ``CUDA_VISIBLE_DEVICES`` among them; none of yours otherwise.
        """
        run_dir = Path(output) if output is not None else default_folder(self.plan)
        seen = {"PYTHONPATH": ":".join(p for p in sys.path if p), "OMP_NUM_THREADS": "1", **(environment or {})}
        self.plan.refuse_devices(devices)
        here = machine(device, seen, devices=devices)
        executor = LocalExecutor.on(here, seen, run_dir / "logs", workers=workers)
        carry_out(self.plan, self.registry, store=self.store, executor=executor, run_dir=run_dir)
        return load_run(run_dir)


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run's folder, read."""

    folder: Path
    cells: tuple[results.Cell, ...]
    leaderboard: results.Leaderboard

    def to_pandas(self) -> pd.DataFrame:
        """Return one line for each cell and metric. Raises ``UsageError`` where pandas is not installed."""
        try:
            import pandas as pd
        except ImportError:
            raise UsageError("to_pandas needs pandas", hint="pip install pandas") from None
        return pd.DataFrame([line for cell in self.cells for line in _lines(cell)])


def _lines(cell: results.Cell) -> list[dict[str, Any]]:
    options = {f"{cell.source.name}.{name}": value for name, value in cell.source.options.items()}
    seeds = {f"{axis}_seed": seed for axis, seed in cell.seeds.items()}
    named = {
        "source": cell.source.name,
        "task": cell.task.name,
        **options,
        **cell.task.options,
        **cell.task.row_options,
    }
    return [
        {
            **named,
            **seeds,
            "status": cell.status,
            "metric": metric.name,
            "value": metric.value,
            "lo": metric.ci.lo if metric.ci else None,
            "hi": metric.ci.hi if metric.ci else None,
            "n": metric.n,
            "cell": cell.digest,
        }
        for metric in cell.metrics
    ]


def plan(
    sources: Sequence[str | Wanted],
    tasks: Sequence[str | Wanted],
    *,
    options: Mapping[str, object] | None = None,
    seeds: Mapping[Axis, int] | None = None,
    home: str | Path | None = None,
) -> Planned:
    """Plan sources × tasks; ``options`` are run-wide (a list: one cell for each value), ``seeds`` counts per axis.

    Raises ``UsageError`` for an unknown name or option, with the nearest right one. Nothing is made.
    """
    from platformdirs import user_cache_path

    listed = {name: value if isinstance(value, list) else [value] for name, value in (options or {}).items()}
    registry = Registry()
    store = Store(Path(home) if home is not None else user_cache_path("vgbench"))
    return Planned(make_plan(Asked(sources, tasks, listed, seeds or {}), registry, store, Locator()), registry, store)


def load_run(folder: str | Path) -> FinishedRun:
    """Read a run's folder; raises ``UsageError`` when it is not one."""
    path = Path(folder)
    if not (path / results.PLAN_FILE).exists():
        raise UsageError(f"{folder} is not a run's folder: it has no {results.PLAN_FILE}")
    board = results.read_leaderboard(path / results.LEADERBOARD_FILE)
    return FinishedRun(path, tuple(results.read_cells(path)), board)
