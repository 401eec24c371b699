"""Which rows of a column are not shown to differ: intervals and tie groups over training runs × test items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from vgbench import stats
from vgbench.results import Ci, Column, Items, Row

ALPHA = 0.05


def row_interval(items: Items) -> Ci:
    """Return the interval of a row's value from its training runs' values per item (K, N), K ≥ 2."""
    found = stats.interval(items.values)
    return Ci(lo=found.lo, hi=found.hi, level=found.level, method=found.method)


def with_tie_groups(
    rows: Sequence[Row], items: Sequence[Mapping[str, Items | None]], columns: Mapping[str, Column]
) -> list[Row]:
    """Give the rows their tie groups, column by column; ``items`` holds each row's values per item by column.

    A pair differs when its p-value, after Holm's correction over the column's pairs, is below 5 %. Only rows with at
    least two training runs and nothing missing take part, and only rows whose sources saw the same (design §2,
    *sees*) are compared; group numbers do not repeat within a column.
    """
    groups: dict[tuple[int, str], list[int]] = {}
    for column in sorted(columns):
        taken, compared = 0, _compared(rows, items, columns[column])
        pairs = [pair for level in compared for pair in combinations(level, 2)]
        resamples = stats.resamples_for(len(pairs))
        p_values = []
        for i, j in pairs:
            a, b = items[i][column], items[j][column]
            assert a is not None and b is not None
            p_values.append(stats.difference(a.values, b.values, resamples=resamples).p)
        tied = {pair for pair, p in zip(pairs, stats.holm(p_values), strict=True) if p >= ALPHA}
        for level in compared:
            table = [[i == j or (i, j) in tied or (j, i) in tied for j in level] for i in level]
            found = stats.tie_groups(table)
            for i, numbers in zip(level, found, strict=True):
                groups[i, column] = [taken + number for number in numbers]
            taken += max(number for numbers in found for number in numbers)
    return [
        row.model_copy(
            update={
                "values": {
                    column: value.model_copy(update={"tie_groups": groups.get((i, column))})
                    for column, value in row.values.items()
                }
            }
        )
        for i, row in enumerate(rows)
    ]


def _compared(rows: Sequence[Row], items: Sequence[Mapping[str, Items | None]], column: Column) -> list[list[int]]:
    """Return the rows that can be compared in a column, level by level of what was seen, best first."""
    levels: dict[str, list[tuple[float, int]]] = {}
    for i, row in enumerate(rows):
        value = row.values.get(column.digest)
        if value and value.value is not None and not value.missing and items[i].get(column.digest) is not None:
            badness = -value.value if column.higher_is_better else value.value
            levels.setdefault(row.sees, []).append((badness, i))
    return [[i for _, i in sorted(level)] for _, level in sorted(levels.items()) if len(level) > 1]
