"""Many comparisons at once: Holm's correction, and groups of rows that are not shown to differ."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the given order.

    Controls the chance of even one false claim under any dependence; comparisons that share a row are dependent.
    Source: S. Holm, Scandinavian Journal of Statistics 6 (1979) 65–70.
    """
    m = len(p_values)
    adjusted, highest = [0.0] * m, 0.0
    for rank, i in enumerate(sorted(range(m), key=lambda k: p_values[k])):
        highest = max(highest, min(1.0, (m - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def tie_groups(tied: Sequence[Sequence[bool]]) -> list[list[int]]:
    """Return for each row the numbers (from 1) of its groups: two rows share a group exactly when they are tied.

    ``tied`` is a symmetric (R, R) table, rows best first. Ties are not transitive (a ties with b, b with c, a beats
    c), so b stands in two groups: the compact letter display of H.-P. Piepho, Journal of Computational and
    Graphical Statistics 13 (2004) 456–466. Pairs not yet covered open a group, best rows first; each group takes in
    every further row that is tied with all its members.
    """
    rows = range(len(tied))
    groups: list[list[int]] = []
    for i in rows:
        for j in rows:
            if (j > i and tied[i][j]) and not any(i in group and j in group for group in groups):
                group = [i, j]
                for k in rows:
                    if k not in group and all(tied[k][member] for member in group):
                        group.append(k)
                groups.append(group)
        if not any(i in group for group in groups):
            groups.append([i])
    return [[number for number, group in enumerate(groups, 1) if i in group] for i in rows]
