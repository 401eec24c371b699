"""What a plan will cost: seconds, bytes and money, from the rates that steps declare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vgbench.types import Node

UNKNOWN_STEP_SECONDS = 1.0  # a step that declares no rate: our guess, so that a plan never shows zero


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds of one worker, bytes on disk, and USD (None: no price was given)."""

    seconds: float
    bytes: int
    usd: float | None = None


def work(node: Node, items: int) -> Estimate:
    """Estimate making ``items`` items of a node."""
    rate = node.step.rate
    if rate is None:
        return Estimate(UNKNOWN_STEP_SECONDS, 0)
    return Estimate(items / rate.items_per_second, round(items * rate.bytes_per_item))


def total(parts: Iterable[Estimate], *, usd_per_hour: float | None = None) -> Estimate:
    """Add estimates up; the price is that of one worker's time."""
    parts = list(parts)
    seconds = sum(p.seconds for p in parts)
    usd = None if usd_per_hour is None else seconds / 3600 * usd_per_hour
    return Estimate(seconds, sum(p.bytes for p in parts), usd)
