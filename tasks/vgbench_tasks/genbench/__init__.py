"""GenBench: what is a source worth for 22 data sets, read out by a fixed encoder, without training a network?

The real data sets and their Toybox twin share one graph (``readout``, ``quality``); ``sets`` and ``twin`` say what
the sets are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from vgbench import Metric, Option, Part, SuiteSpec, TaskSpec, hookimpl
from vgbench.metrics.declared import ranking_metrics
from vgbench.metrics.measures import MEASURES, MTS
from vgbench_tasks.genbench import quality, readout
from vgbench_tasks.genbench.sets import GENBENCH, BenchmarkSet, Group
from vgbench_tasks.genbench.twin import N_TEST, TOYBOX

CITATION = "GenBench, arXiv 2307.13697"
SUITE_READOUTS = ("zeroshot", "cler", "linear-probe")
GROUPS: Mapping[Group, str] = {
    "common": "the data sets of common things",
    "fine-grained": "the fine-grained data sets",
    "rare": "the data sets of rare things",
}
SHOTS = 500  # images of each class in the paper's headline figure
N_TEST_OPTION = Option("n_test", "int", N_TEST, "test images of each class (digits: all of them)", minimum=1)


def _metrics(of: BenchmarkSet) -> tuple[Metric, ...]:
    top1 = Metric("top1", chance=1 / of.n_classes)
    balanced = Metric("mean_per_class", chance=1 / of.n_classes)
    return {
        "top1": (top1, balanced),
        "mean_per_class": (balanced, top1),
        "eleven_point_map": ranking_metrics(several_labels=True),
        "roc_auc": ranking_metrics(several_labels=False),
    }[of.metric]


@dataclass(frozen=True, slots=True)
class _Family:
    """The real benchmark or its twin: where its tasks' names begin, and the defaults of their options."""

    prefix: str
    sets: Mapping[str, BenchmarkSet]
    encoder: str
    shots: int
    n: int
    n_per_class: int
    prompt: str
    more: tuple[Option, ...] = ()


REAL = _Family("genbench", GENBENCH, "openai/vit-b-32", SHOTS, n=2_048, n_per_class=100, prompt="photo")
# Of the twin: half of the images that 6 classes of 100 have, and of each class's
TWIN = _Family(
    "toybox/genbench", TOYBOX, "toybox-clip", 100, n=300, n_per_class=50, prompt="toybox/photo", more=(N_TEST_OPTION,)
)


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    for family in (REAL, TWIN):
        for of in family.sets.values():
            yield from _tasks(family, of)


def _tasks(family: _Family, of: BenchmarkSet) -> Iterator[TaskSpec]:
    def task(name: str, summary: str, **fields: Any) -> TaskSpec:
        fields.setdefault("request", partial(readout.request, of=of))
        return TaskSpec(
            name=f"{family.prefix}/{of.name}{name}",
            version="1",
            summary=summary,
            datasets=(of.dataset,) if of.dataset else (),
            extra="clip",
            citation=CITATION,
            **fields,
        )

    yield task(
        "",
        f"{of.name} read out by a fixed encoder from the source's images",
        graph=partial(readout.graph, of=of),
        metrics=_metrics(of),
        scorer=readout.entry(of),
        scorer_options=readout.SCORER_OPTIONS.get(of.metric, {}),
        labels=(of.dataset, "test") if of.dataset else None,
        primary="readout",
        options=(*readout.options(encoder=family.encoder, images_per_class=family.shots), *family.more),
    )
    yield task(
        "/quality",
        f"what the source's images for {of.name} are like: CLIP score, FID, KID, diversity",
        graph=partial(quality.graph, of=of, prompt=family.prompt),
        metrics=tuple(measure.metric for measure in MEASURES.values()),
        scorer=None,
        options=(
            *quality.options(
                encoder=family.encoder, n=family.n, n_per_class=family.n_per_class, images_per_class=family.shots
            ),
            *family.more,
        ),
    )
    yield task(
        "/mts",
        f"how much of a corpus of captions is about {of.name}; the same for every source",
        request=partial(readout.unread, of=of),
        graph=partial(quality.text_similarity, of=of),
        metrics=(MTS,),
        scorer=None,
        primary="corpus",
        options=(
            Option("corpus", "path", None, "captions: a Parquet file with a column caption, or a text of lines"),
            Option("encoder", "encoder", family.encoder, "the encoder whose text tower compares"),
            *_unasked(family),
        ),
    )


def _unasked(family: _Family) -> tuple[Option, ...]:
    """Return the options that a request reads, of a task that reads no image of the source."""
    images = Option("images_per_class", "count", family.shots, "images asked of the source; none is read", axis="row")
    return (images, *family.more)


@hookimpl
def vgbench_offer_suites() -> Iterable[SuiteSpec]:
    yield from _suites("genbench22", REAL, "GenBench's 22 data sets")
    yield from _suites("toybox/genbench", TWIN, "GenBench's protocol on Toybox")


def _suites(name: str, family: _Family, summary: str) -> Iterator[SuiteSpec]:
    def tasks(*groups: Group) -> tuple[str, ...]:
        sets = [of for of in family.sets.values() if of.group in groups]
        return tuple(f"{family.prefix}/{of.name}:readout={how}" for how in SUITE_READOUTS for of in sets)

    yield SuiteSpec(name, f"{summary}: {', '.join(SUITE_READOUTS)}", tasks(*GROUPS))
    for group, what in GROUPS.items():
        assumed = " (which these are is assumed)" if family is REAL else ""
        yield SuiteSpec(f"{name}/{group}", f"{what} of {name}{assumed}", tasks(group))
    every = tuple(f"{family.prefix}/{of.name}/quality" for of in family.sets.values())
    yield SuiteSpec(f"{name}/quality", f"what a source's images are like, for each data set of {name}", every)


@hookimpl
def vgbench_offer_parts() -> Iterable[Part]:
    for name, template in (
        ("photo", "a photo of a {}"),
        ("pattern", "a pattern of {}"),
        ("texture", "something with {}"),
        ("digit", "the digit {}"),
    ):
        summary = f"'{template}', as the Toybox CLIP's captions have it"
        yield Part("prompts", f"toybox/{name}", "1", values={"templates": [template]}, summary=summary)
