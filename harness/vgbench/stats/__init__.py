"""Intervals and tests for figures: what can be said from n items and K training runs. See docs/statistics.md.

Importing it is light; what computes on arrays imports numpy when called.
"""

from __future__ import annotations

from vgbench.stats.controls import is_above_all, is_at_chance
from vgbench.stats.correlation import RankCorrelation, mean_spearman, ranks, spearman
from vgbench.stats.difference import RESAMPLES, Difference, difference, interval, mean_interval, resamples_for
from vgbench.stats.many import holm, tie_groups
from vgbench.stats.proportions import detectable, mcnemar_exact, newcombe, newcombe_unpaired, stratified, wilson

__all__ = [
    "RESAMPLES",
    "Difference",
    "RankCorrelation",
    "detectable",
    "difference",
    "holm",
    "interval",
    "is_above_all",
    "is_at_chance",
    "mcnemar_exact",
    "mean_interval",
    "mean_spearman",
    "newcombe",
    "newcombe_unpaired",
    "ranks",
    "resamples_for",
    "spearman",
    "stratified",
    "tie_groups",
    "wilson",
]
