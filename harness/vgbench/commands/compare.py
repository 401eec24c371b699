"""``vgbench compare A B``: what two results on the same test items allow to be said, column by column."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from vgbench.commands.output import write, write_columns, write_json
from vgbench.commands.sides import Found, find, uncompared_columns, withheld_columns
from vgbench.commands.table import PERCENT, column_names, is_share, shown, signed
from vgbench.errors import UsageError
from vgbench.metrics.declared import NO_INTERVAL

if TYPE_CHECKING:
    from vgbench.commands import Context
    from vgbench.commands.answers import ClassPair, CompareAnswer, Comparison, Side
    from vgbench.results import Cell, Ci
    from vgbench.stats import Difference

ALPHA = 0.05
SCOPES = {
    "sources": "about the sources on the image sets that were run: {a} and {b} training runs × {n} test items",
    "networks": "about these networks, not the sources ({a} and {b} training runs): {n} test items",
}


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("compare", help="test the difference of two rows, or two cells, item by item")
    for name in ("a", "b"):
        parser.add_argument(name, metavar=name.upper(), help="RUN_DIR[:ROW], or a cell's folder")
    parser.add_argument("--per-class", action="store_true", help="both values of every class")
    parser.add_argument("--json", action="store_true", help="the same as JSON (schema compare)")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
    from vgbench import results
    from vgbench.commands.answers import CompareAnswer, Side

    a, b = find(args.a), find(args.b)
    common = [column for column in a.columns if column in b.columns]
    firsts = {column: cells[0][0] for side in (a, b) for column, cells in side.columns.items()}
    names = column_names([results.column_of(cell) for cell in firsts.values()])
    uncompared = uncompared_columns(a, b, names)
    if not common:
        reasons = "; ".join(f"{item.name}: {item.why}" for item in uncompared if item.side == "A")
        raise UsageError(f"{a.name} and {b.name} share no column: {reasons}", hint="run both on the same task")
    withheld = {column: withheld_columns(a, b, column, names) for column in common}
    left = [column for column in common if not withheld[column]]
    uncompared += [item for items in withheld.values() for item in items]
    if not left:
        reasons = "; ".join(f"{item.name} of {item.side}: {item.why}" for items in withheld.values() for item in items)
        raise UsageError(f"{a.name} and {b.name} have no value to compare: {reasons}")
    differences = {column: _difference(a.columns[column], b.columns[column]) for column in left}
    compared = _comparisons(a, b, differences, names, per_class=args.per_class)
    answer = CompareAnswer(a=_side(a, Side), b=_side(b, Side), columns=compared, uncompared=uncompared)
    if args.json:
        write_json(answer.model_dump(mode="json", by_alias=True))
    else:
        _write(answer)
    return 0


# ── What can be said ─────────────────────────────────────────────────────────────────────────────


def _difference(a: Sequence[tuple[Cell, Path]], b: Sequence[tuple[Cell, Path]]) -> Difference | str:
    """Return the difference of one column, or why the two cannot be paired."""
    from vgbench import results, stats

    sides = []
    for cells in (a, b):
        items = {cell.digest: results.read_items(folder) for cell, folder in cells}
        runs = results.training_runs(cell for cell, _ in cells)
        values = results.items_by_run(runs, items)
        if any(cell.is_best_epoch for cell, _ in cells):
            return NO_INTERVAL
        if values is None:
            return "no value per item: the metric is no mean over items, or the cell was made before vgbench kept them"
        sides.append(values)
    if sides[0].sample_ids != sides[1].sample_ids:
        return "scored on different samples"
    return stats.difference(sides[0].values, sides[1].values)


def _comparisons(
    a: Found, b: Found, differences: Mapping[str, Difference | str], names: Mapping[str, str], *, per_class: bool
) -> list[Comparison]:
    from vgbench import results, stats
    from vgbench.commands.answers import Comparison
    from vgbench.results import Ci

    tested = [found for found in differences.values() if not isinstance(found, str)]
    corrected = iter(stats.holm([found.p for found in tested]))
    compared = []
    for column, found in differences.items():
        cells = a.columns[column], b.columns[column]
        runs = [results.training_runs(cell for cell, _ in side) for side in cells]
        values = [fmean(fmean(_main(cell) for cell in run) for run in side) for side in runs]
        main = cells[0][0][0].main
        assert main is not None
        ci: Ci | None = None
        p_holm = None
        if not isinstance(found, str):
            p_holm = next(corrected)
            ci = Ci(lo=found.ci.lo, hi=found.ci.hi, level=found.ci.level, method=found.ci.method)
        paired = None if isinstance(found, str) else found
        classes = _per_class(*cells, main.name) if per_class else None
        compared.append(
            Comparison(
                column=column,
                name=names[column],
                metric=main.name,
                unit=main.unit,
                higher_is_better=main.higher_is_better,
                n=main.n,
                a=values[0],
                b=values[1],
                a_runs=len(runs[0]),
                b_runs=len(runs[1]),
                difference=values[0] - values[1],
                ci=ci,
                p=paired.p if paired else None,
                p_holm=p_holm,
                method=paired.method if paired else None,
                detectable=paired.detectable if paired else None,
                scope=paired.scope if paired else None,
                verdict=_verdict(values[0] - values[1], p_holm, higher=main.higher_is_better),
                reason=found if isinstance(found, str) else None,
                per_class=classes,
                per_class_reason=f"no class has a value of {main.name} on both sides" if classes == [] else None,
            )
        )
    return compared


def _main(cell: Cell) -> float:
    assert cell.main is not None and cell.main.value is not None  # a column with a withheld value is not compared
    return cell.main.value


def _verdict(
    difference: float, p: float | None, *, higher: bool
) -> Literal["A better", "B better", "no difference shown"] | None:
    if p is None:
        return None
    if p >= ALPHA:
        return "no difference shown"
    return "A better" if (difference > 0) == higher else "B better"


def _per_class(a: Sequence[tuple[Cell, Path]], b: Sequence[tuple[Cell, Path]], metric: str) -> list[ClassPair]:
    from vgbench.commands.answers import ClassPair

    left, right = _class_values(a, metric), _class_values(b, metric)
    return [
        ClassPair(class_id=c, n=n, a=value, b=right[c][1], difference=value - right[c][1])
        for c, (n, value) in left.items()
        if c in right
    ]


def _class_values(cells: Sequence[tuple[Cell, Path]], metric: str) -> dict[str, tuple[int, float]]:
    """Return n and the mean value over cells, by class: those of ``metric`` where a cell has several, each by name."""
    from vgbench.images import read_table
    from vgbench.results import PER_CLASS_FILE

    found: dict[str, list[tuple[int, float]]] = {}
    for _, folder in cells:
        for row in read_table(folder / PER_CLASS_FILE).to_pylist():
            if row.get("metric", metric) == metric:  # no such column: a scorer has one value of a class
                found.setdefault(row["class_id"], []).append((row["n"], row["value"]))
    return {c: (values[0][0], fmean(value for _, value in values)) for c, values in found.items()}


# ── As text ──────────────────────────────────────────────────────────────────────────────────────


def _side(found: Found, model: type[Side]) -> Side:
    return model(name=found.name, path=found.path, sees=found.sees, cells=[cell.digest for cell in found.cells])


def _write(answer: CompareAnswer) -> None:
    write(f"A = {answer.a.name} ({answer.a.path})\nB = {answer.b.name} ({answer.b.path})\n")
    rows: list[tuple[str, ...]] = [
        ("column", "metric", "A", "B", "A − B", "95 % interval", "p", "p (Holm)", "detectable", "verdict")
    ]
    for c in answer.columns:
        interval = f"{signed(c.ci.lo, c)} to {signed(c.ci.hi, c)}" if c.ci else "–"
        p = [_p(c.p), _p(c.p_holm), "–" if c.detectable is None else shown(c.detectable, c)]
        values = (shown(c.a, c), shown(c.b, c), signed(c.difference, c), interval, *p)
        rows.append(
            (c.name, f"{c.metric}{PERCENT if is_share(c) else ''}", *values, c.verdict or f"not tested: {c.reason}")
        )
    write_columns(rows)
    write()
    for c in answer.columns:
        if c.scope:
            text = SCOPES[c.scope].format(a=c.a_runs, b=c.b_runs, n=c.n)
            write(f"{c.name}: {c.method}, {text}")
    points = " in points" if all(is_share(c) for c in answer.columns) else ", of % in points"
    write(f"differences and what is detectable (power 0.8){points}; p (Holm) is corrected over the columns")
    if answer.a.sees != answer.b.sees:
        write(f"unequal means: A's source sees {answer.a.sees}, B's {answer.b.sees}")
    for item in answer.uncompared:
        what = f"{item.side} has no value of" if item.is_withheld else f"only {item.side} has"
        write(f"{what} {item.name}: {item.why}")
    for c in answer.columns:
        if c.per_class_reason is not None:
            write(f"\n{c.name} by class: {c.per_class_reason}")
        elif c.per_class is not None:
            write(f"\n{c.name} by class (no test: a cell holds no labels)")
            lines = [(p.class_id, str(p.n), shown(p.a, c), shown(p.b, c), signed(p.difference, c)) for p in c.per_class]
            write_columns([("class", "n", "A", "B", "A − B"), *lines])


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
