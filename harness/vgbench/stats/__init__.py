"""Intervals and tests for figures: what can be said from n items and K training runs. See docs/statistics.md.

Importing it is light; what computes on arrays imports numpy when called.
"""

from __future__ import annotations

from vgbench.stats.controls import permutation_control_holds
from vgbench.stats.difference import RESAMPLES, Difference, difference, interval, resamples_for
from vgbench.stats.many import holm, tie_groups
from vgbench.stats.proportions import detectable, mcnemar_exact, newcombe, wilson

__all__ = [
    "RESAMPLES",
    "Difference",
    "detectable",
    "difference",
    "holm",
    "interval",
    "mcnemar_exact",
    "newcombe",
    "permutation_control_holds",
    "resamples_for",
    "tie_groups",
    "wilson",
]
