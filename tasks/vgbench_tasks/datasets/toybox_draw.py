"""Draw Toybox's test sets, and apart from them their labels with the factors that the bias scorers read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from vgbench import Made, Step
from vgbench.images import ImageRow, encode_png, write_labels, write_shard
from vgbench.metrics.declared import CHANGED_FACTORS
from vgbench.toybox import downstream, kinds, sets
from vgbench.toybox.scene import DEFAULT_STYLE, Style
from vgbench.toybox.sets import Examples
from vgbench.toybox.world import World, world
from vgbench_tasks.datasets.samples import Sample
from vgbench_tasks.datasets.splits import cut

CHUNK = 512  # images drawn together: an image depends on its own seed only


@dataclass(frozen=True, slots=True)
class Cases:
    """Some images of a set: their names, what is drawn, their class ids, and further label columns."""

    prefix: str
    examples: Examples
    class_ids: Sequence[str]
    more: dict[str, Sequence[Any]] = field(default_factory=dict)
    numbers: Sequence[int] | None = None  # of the cases in their split, where these are not all of it
    style: Style = DEFAULT_STYLE

    @property
    def sample_ids(self) -> list[str]:
        numbers = range(len(self.examples)) if self.numbers is None else self.numbers
        return [f"{self.prefix}/{i:05d}" for i in numbers]

    def share(self, first: float, last: float) -> Cases:
        """Return of each class the cases between two fractions in the order of the SHA-256 of their ids."""
        samples = [Sample(name, "", (c,)) for name, c in zip(self.sample_ids, self.class_ids, strict=True)]
        kept = {sample.sample_id for sample in cut(samples, first, last)}
        rows = [row for row, name in enumerate(self.sample_ids) if name in kept]
        at = np.asarray(rows, np.intp)
        examples = Examples(self.examples.seeds[at], self.examples.factors[at], self.examples.label[at])
        more: dict[str, Sequence[Any]] = {name: [column[row] for row in rows] for name, column in self.more.items()}
        return Cases(self.prefix, examples, [self.class_ids[row] for row in rows], more, rows, self.style)


def images(step: Step) -> Made:
    """Write the set's images as PNG without labels. Params: ``set``, ``world``, ``n`` cases, ``size_px``, ``share``."""
    rows: list[ImageRow] = []
    size_px: int = step.params["size_px"]
    for cases in _cases(step):
        for first in range(0, len(cases.examples), CHUNK):
            pixels = cases.examples.pixels(size_px=size_px, style=cases.style, rows=slice(first, first + CHUNK))
            names = cases.sample_ids[first : first + CHUNK]
            for name, image in zip(names, pixels, strict=True):
                rows.append(ImageRow(encode_png(image), len(rows), name, size_px, size_px))
            step.progress(first, len(cases.examples))
    write_shard(step.out, rows)
    return Made(len(rows))


def labels(step: Step) -> Made:
    """Write the set's labels: ``class_id``, and the columns that its scorer reads besides."""
    found = _cases(step)
    rows = [row for cases in found for row in zip(cases.sample_ids, cases.class_ids, strict=True)]
    more = {name: [value for cases in found for value in cases.more[name]] for name in found[0].more}
    write_labels(step.out, rows, more=more)
    return Made(len(rows), dict(Counter(class_id for _, class_id in rows)))


def _cases(step: Step) -> list[Cases]:
    found = _all_cases(step)
    share = step.params.get("share")
    return found if share is None else [cases.share(*share) for cases in found]


def _all_cases(step: Step) -> list[Cases]:
    name, n = str(step.params["set"]), int(step.params["n"])
    if name.startswith("downstream/"):
        _, which, split = name.split("/")
        return _downstream(which, cast(downstream.Split, split), n)
    return SETS[name](world(step.params["world"]), n)


def _plain(split: str) -> Callable[[World, int], list[Cases]]:
    def cases(here: World, n: int) -> list[Cases]:
        found = sets.examples(here, split, n)
        return [Cases(split, found, _names(found.label))]

    return cases


def _shifted(
    name: str, make: Callable[[World, int], Examples], *, style: Style = DEFAULT_STYLE
) -> Callable[[World, int], list[Cases]]:
    def cases(here: World, n: int) -> list[Cases]:
        found = make(here, n)
        return [Cases(name, found, _names(found.label), style=style)]

    return cases


def _cue_conflict(here: World, n: int) -> list[Cases]:
    """Trials of conflict, and pairs of objects in their own and in another texture (``variant``, ``pair``)."""
    trials, texture = sets.cue_conflict(here, n)
    found = [("conflict", trials, texture)]
    own, other = sets.texture_pair(here, n)
    found += [("own_texture", own, own.label), ("other_texture", other, _kind_of_texture(here, other))]
    return [
        Cases(
            variant,
            drawn,
            _names(drawn.label),
            {
                "shape": _names(drawn.label),
                "texture": _names(of),
                "variant": [variant] * n,
                "pair": list(range(n)),
            },
        )
        for variant, drawn, of in found
    ]


def _kind_of_texture(here: World, found: Examples) -> Any:
    """Return the coarse kinds whose typical textures the images have (N,)."""
    coarse = np.asarray(here.coarse)
    typical = here.typical("texture", coarse)
    order = np.argsort(typical)
    return coarse[order[np.searchsorted(typical[order], found.factors.texture)]]


def _focus(here: World, n: int) -> list[Cases]:
    return [
        Cases(f"p{k}", partition, _names(partition.label), {"n_uncommon": [k] * n})
        for k, partition in enumerate(sets.focus(here, n))
    ]


def _background_pair(here: World, n: int) -> list[Cases]:
    pair = zip(("same", "rand"), sets.background_pair(here, n), strict=True)
    return [
        Cases(variant, found, _names(found.label), {"variant": [variant] * n, "foreground": list(range(n))})
        for variant, found in pair
    ]


def _interventions(here: World, n: int) -> list[Cases]:
    """Unbiased images, and the same with one factor alone changed."""
    base = sets.examples(here, "interventions", n)
    found = [("base", base), *((factor, sets.changed(here, base, factor)) for factor in CHANGED_FACTORS)]
    return [
        Cases(variant, drawn, _names(drawn.label), {"variant": [variant] * n, "pair": list(range(n))})
        for variant, drawn in found
    ]


def _downstream(name: str, split: downstream.Split, n: int) -> list[Cases]:
    """A downstream set's split, ``n`` images of each class."""
    found = downstream.downstream(name, split, n)
    names = downstream.DOWNSTREAM[name].class_names
    return [Cases(f"{name}/{split}", found, [names[i] for i in found.label.tolist()])]


def _names(numbers: Any) -> list[str]:
    return [kinds.NAMES[int(number)] for number in numbers]


SETS: dict[str, Callable[[World, int], list[Cases]]] = {
    "train": _plain("train"),
    "val": _plain("val"),
    "cue-conflict": _cue_conflict,
    "focus": _focus,
    "background-pair": _background_pair,
    "interventions": _interventions,
    "sketches": _shifted("sketches", sets.sketches),
    "renditions": _shifted("renditions", sets.renditions),
    "poses": _shifted("poses", sets.poses, style=sets.POSES),
}
