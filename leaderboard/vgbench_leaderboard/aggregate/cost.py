"""What a row's images cost over a suite: at published prices, and as observed while they were made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from vgbench.results import Cell, Cost, Counts, MeasuredCost, Production, SuiteMean
from vgbench_leaderboard.aggregate.readings import TEST, Suite, named

VERSION = "3"  # 2: images that were made and left out are paid for; 3: those of several sets of one request once
POINT = 0.01  # of a metric's scale 0..1
# Kinds whose every image is made for the request: also one that a filter, a check or the selection left out. What
# retrieval passed over and what a folder holds besides was there before; a mixture does not tell its parts apart.
MADE = frozenset({"generated", "rendered"})
NO_IMAGES = "no cell reads an image of this source"

ProductionOf = Callable[[Cell], Production | None]


@dataclass(frozen=True, slots=True)
class Price:
    """USD for an image of one kind of source, with where the figure stands; None with the reason."""

    usd_per_image: float | None
    citation: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """Unit prices by ``SourceSpec.kind``; their version enters that of the aggregate."""

    version: str
    by_kind: Mapping[str, Price]

    def of(self, kind: str) -> Price:
        return self.by_kind.get(kind, Price(None, reason=f"no source states what an image of kind {kind!r} costs"))

    def changed(self, own: Mapping[str, float]) -> Prices:
        """Return the prices with a user's own for some kinds."""
        given = {kind: Price(usd, citation="given by the user") for kind, usd in own.items()}
        return Prices(f"{self.version} with own", {**self.by_kind, **given}) if own else self


def published_prices() -> Prices:
    """Return the packaged unit prices."""
    found = json.loads((files("vgbench_leaderboard.aggregate") / "prices.json").read_text())
    return Prices(found["version"], {kind: Price(**price) for kind, price in found["prices"].items()})


@dataclass(frozen=True, slots=True)
class _Row:
    """A row's finished cells in a suite, and what keeps its cost from being complete."""

    at: int
    cells: tuple[Cell, ...]
    lacks: tuple[str, ...]

    @property
    def images(self) -> int | None:
        """The number of images, those of one request once; None where there are none, or a cell is missing."""
        return self._over_requests(lambda counts: counts.images)

    @property
    def images_paid(self) -> int | None:
        """The number of images that cost something: with those that were made and left out, redrawn ones each time."""
        if self.cells[0].source.kind not in MADE:
            return self.images
        return self._over_requests(lambda counts: counts.images + sum(counts.rejected.values()))

    def _over_requests(self, n_of: Callable[[Counts], int]) -> int | None:
        """Add up the largest image set of each request.

        What one data set asks with one seed for the same classes are the same images, whatever else is left out of
        some of its image sets (copies of the real images that choose a probe's strength). A set that several data sets
        share makes their requests one.
        """
        found: list[tuple[set[object], int]] = []
        for cell in self.cells:
            if cell.counts:
                asked = cell.task.name, cell.seeds.get("source"), tuple(sorted(cell.counts.per_class))
                names, n = {asked, cell.nodes["image_set"]}, n_of(cell.counts)
                alike = [one for one in found if one[0] & names]
                apart = [one for one in found if not one[0] & names]
                found = [*apart, (names.union(*(one for one, _ in alike)), max([n, *(most for _, most in alike)]))]
        return None if self.lacks or not found else sum(n for _, n in found)


def costs(suite: Suite, means: Sequence[SuiteMean], prices: Prices) -> list[Cost]:
    """Return each row's images × unit price, and USD for each point gained over zero-shot in each way of reading out.

    Images that several cells share are paid for once; images that were made and left out are paid for too. A
    published unit price is marginal: what is spent once, whatever the number of images, stands in no source.
    """
    return [_cost(suite, row, [mean for mean in means if mean.row == row.at], prices) for row in _rows(suite)]


def measured(
    suite: Suite, means: Sequence[SuiteMean], production_of: ProductionOf, *, usd_per_hour: float | None = None
) -> list[MeasuredCost]:
    """Return the seconds of one worker that each row's images took; a node that several cells share counts once.

    With a price of the hour, USD too, and USD for each point gained over zero-shot, with what is spent once.
    """
    return [
        _measured(suite, row, [mean for mean in means if mean.row == row.at], production_of, usd_per_hour)
        for row in _rows(suite)
    ]


def _rows(suite: Suite) -> list[_Row]:
    found = []
    for at, row in enumerate(suite.rows):
        # what chooses a strategy is read out by the same images: they are paid for once
        readings = [reading for (r, _, _, split), reading in suite.readings.items() if r == row and split == TEST]
        finished = {cell.digest: cell for reading in readings for cell in reading.cells}
        paid = {digest: cell for digest, cell in finished.items() if cell.counts}  # zero-shot reads none of the images
        seen = {cell.task.name for cell in paid.values()}
        lacks = tuple(f"{dataset} (no finished cell)" for dataset in suite.datasets if dataset not in seen)
        if finished:
            cells = tuple(cell for _, cell in sorted((paid or finished).items()))
            found.append(_Row(at, cells, lacks if paid else ()))
    return found


def _cost(suite: Suite, row: _Row, means: Sequence[SuiteMean], prices: Prices) -> Cost:
    kind = row.cells[0].source.kind
    price = prices.of(kind)
    paid = row.images_paid
    usd = None if paid is None or price.usd_per_image is None else paid * price.usd_per_image
    return Cost(
        version=f"{VERSION}, prices {prices.version}",
        suite=suite.name,
        row=row.at,
        kind=kind,
        images=row.images,
        images_paid=paid,
        usd_per_image=price.usd_per_image,
        usd=usd,
        usd_per_point=_of_point(usd, means),
        citation=price.citation,
        cells=[cell.digest for cell in row.cells],
        reason=named(row.lacks) or (NO_IMAGES if row.images is None else price.reason),
    )


def _of_point(usd: float | None, means: Sequence[SuiteMean]) -> dict[str, float | None]:
    """Return USD for each point gained over zero-shot, by way of reading out; None where nothing was gained."""
    gains = {mean.way: mean.gain for mean in means if mean.gain is not None}
    return {way: usd / (gain / POINT) if usd is not None and gain > 0 else None for way, gain in gains.items()}


def _measured(
    suite: Suite, row: _Row, means: Sequence[SuiteMean], production_of: ProductionOf, usd_per_hour: float | None
) -> MeasuredCost:
    found = [(cell.task.name, production_of(cell)) for cell in row.cells]  # a task may have several cells
    unknown = dict.fromkeys(f"{name} (made before its seconds were kept)" for name, one in found if not one)
    lacks = [*row.lacks, *unknown]
    if row.images is None and not row.lacks:
        lacks = [NO_IMAGES]
    fixed: dict[str, float] = {}
    marginal: dict[str, float] = {}
    for _, one in found:
        for kept, seconds in ((fixed, one.fixed), (marginal, one.marginal)) if one else ():
            for node, took in seconds.items():
                kept[node] = max(kept.get(node, 0.0), took)  # of a shared node, the cell that reads most of it

    def total(seconds: Mapping[str, float]) -> float | None:
        return None if lacks else round(sum(seconds.values()), 3)

    def usd(seconds: Mapping[str, float]) -> float | None:
        return None if lacks or usd_per_hour is None else round(sum(seconds.values()) / 3600 * usd_per_hour, 6)

    both = usd(fixed), usd(marginal)
    return MeasuredCost(
        suite=suite.name,
        row=row.at,
        images=row.images,
        fixed_seconds=total(fixed),
        marginal_seconds=total(marginal),
        fixed_usd=both[0],
        marginal_usd=both[1],
        usd_per_point=_of_point(None if both[0] is None or both[1] is None else both[0] + both[1], means),
        reason=NO_IMAGES if lacks == [NO_IMAGES] else named(lacks),
    )
