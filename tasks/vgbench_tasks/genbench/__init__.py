"""GenBench: what is a source worth for 22 data sets, read out by a fixed encoder, without training a network?

The real data sets and their Toybox twin share one graph (``readout``, ``quality``); ``sets`` and ``twin`` say what
the sets are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from vgbench import Metric, Option, Part, SuiteSpec, TaskSpec, hookimpl
from vgbench_tasks.genbench import readout
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
TWIN_OPTIONS = (Option("n_test", "int", N_TEST, "test images of each class (digits: all of them)", minimum=1),)


def _metrics(of: BenchmarkSet) -> tuple[Metric, ...]:
    top1 = Metric("top1", chance=1 / of.n_classes)
    balanced = Metric("mean_per_class", chance=1 / of.n_classes)
    return {
        "top1": (top1, balanced),
        "mean_per_class": (balanced, top1),
        "map_11point": (Metric("map_11point"),),
        "roc_auc": (Metric("roc_auc", chance=0.5),),
    }[of.metric]


def _readout_task(prefix: str, of: BenchmarkSet, *, encoder: str, shots: int, more: tuple[Option, ...]) -> TaskSpec:
    return TaskSpec(
        name=f"{prefix}/{of.name}",
        version="1",
        summary=f"{of.name} read out by a fixed encoder from the source's images",
        request=partial(readout.request, of=of),
        graph=partial(readout.graph, of=of),
        metrics=_metrics(of),
        scorer=readout.entry(of),
        labels=(of.dataset, "test") if of.dataset else None,
        primary="readout",
        options=(*readout.options(encoder=encoder, images_per_class=shots), *more),
        datasets=(of.dataset,) if of.dataset else (),
        extra="clip",
        citation=CITATION,
    )


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    for of in GENBENCH.values():
        yield _readout_task("genbench", of, encoder="openai/vit-b-32", shots=SHOTS, more=())
    for of in TOYBOX.values():
        yield _readout_task("toybox/genbench", of, encoder="toybox-clip", shots=100, more=TWIN_OPTIONS)


@hookimpl
def vgbench_offer_suites() -> Iterable[SuiteSpec]:
    yield from _suites("genbench22", "genbench", GENBENCH, "GenBench's 22 data sets")
    yield from _suites("toybox/genbench", "toybox/genbench", TOYBOX, "GenBench's protocol on Toybox")


def _suites(name: str, prefix: str, sets: Mapping[str, BenchmarkSet], summary: str) -> Iterator[SuiteSpec]:
    def tasks(group: Group | None = None) -> tuple[str, ...]:
        return tuple(
            f"{prefix}/{of.name}:readout={how}"
            for how in SUITE_READOUTS
            for of in sets.values()
            if group in (None, of.group)
        )

    yield SuiteSpec(name, f"{summary}: {', '.join(SUITE_READOUTS)}", tasks())
    for group, what in GROUPS.items():
        assumed = "" if prefix.startswith("toybox") else " (membership assumed)"
        yield SuiteSpec(f"{name}/{group}", f"{what} of {name}{assumed}", tasks(group))


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
