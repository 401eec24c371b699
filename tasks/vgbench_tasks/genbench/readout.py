"""The protocol: a data set's test images, told apart by what a fixed encoder shows of a source's images.

GenBench (arXiv 2307.13697): CLER is CLIP's zero-shot classifier with the class names' text features replaced by the
mean features of a source's images; the linear probe is what it is to predict. Both read the same features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vgbench import (
    Backbone,
    CannotServe,
    ClassList,
    DataRequest,
    Graph,
    Images,
    Node,
    Option,
    Part,
    Scores,
    UsageError,
    stages,
)
from vgbench.errors import NotObserved
from vgbench_tasks.genbench.sets import BenchmarkSet

LINEAR_PROBE = "linear-probe"
READOUTS = ("zeroshot", "cler", "cler+text", "knn", LINEAR_PROBE)
STORE_PX = 224  # of the training copy that a network of one's own (--weights) reads
_SCORERS = {
    "top1": "vgbench.metrics.classify:top1",
    "mean_per_class": "vgbench.metrics.classify:mean_per_class",
    "eleven_point_map": "vgbench.metrics.multilabel:eleven_point_map",
    "roc_auc": "vgbench.metrics.ranking:roc_auc",
}
# Images of each class that ELEVATER's search is limited to, before the final fit on all of them (protocols.md §1.6:
# the code does so at full shot; ours of any source that has more).
_TUNED: Mapping[str, Mapping[str, int]] = {"patch-camelyon": {"tuned_per_class": 10_000}}
_SEARCHED = {"top1": "accuracy", "eleven_point_map": "accuracy"}  # of several labels it is always the mAP
# What a scorer is told. GenBench's VOC figure is its toolkit's, whose precision at recall 0 is always 1; the devkit's
# is the highest precision. The positive class of Hateful Memes is the second, `hateful`.
SCORER_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "eleven_point_map": {"precision_at_recall_0": "one"},
    "roc_auc": {"positive": "hateful"},
}


def options(*, encoder: str, images_per_class: int | None) -> tuple[Option, ...]:
    """Return the options that every data set's tasks have."""
    return (
        Option("readout", "str", LINEAR_PROBE, "how test images are told apart", choices=READOUTS),
        Option("probe", "str", "logreg-text", "probe fitted on the features (readout=linear-probe)"),
        Option("encoder", "encoder", encoder, "the fixed encoder"),
        Option(
            "val",
            "str",
            "source",
            "where a probe's strength is chosen: on a fifth of the source's images, or on real ones",
            choices=("source", "real"),
        ),
        Option("split", "str", "test", "what is read out; val to choose a strategy", choices=("test", "val")),
        Option("images_per_class", "count", images_per_class, "images asked of the source for each class", axis="row"),
    )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A task's options, with the probe that they name; ``val`` is source unless the probe chooses by real images."""

    probe: Part
    options: Mapping[str, Any]

    @classmethod
    def of(cls, g: Graph, options: Mapping[str, Any]) -> _Chosen:
        """Resolve the probe; ``UsageError`` for one that is a readout of its own."""
        if options["probe"] in READOUTS:
            raise UsageError(f"probe {options['probe']} is a readout", hint=f"readout={options['probe']}")
        named = g.part("probe", options["probe"])  # a name that is none is refused whatever the readout
        probe = named if options["readout"] == LINEAR_PROBE else g.part("probe", options["readout"])
        val = options["val"] if "val" in stages.reads(probe) else "source"
        return cls(probe, {**options, "val": val})

    @property
    def is_by_real(self) -> bool:
        return bool(self.options["val"] == "real")


def request(g: Graph, options: Mapping[str, Any], *, of: BenchmarkSet) -> DataRequest:
    """Ask for images of the data set's classes.

    Copies of images that are read out, or that choose a probe's strength, are left out.
    """
    has_readout = "readout" in options  # the task that describes the images shares this request
    chosen = _Chosen.of(g, options) if has_readout else None
    given = chosen.options if chosen else options
    exclude = [of.split(g, given, given.get("split", "test")).images]
    if chosen and chosen.is_by_real:
        exclude.append(of.split(g, given, "val").images)
    return replace(unread(g, given, of=of), exclude=tuple(exclude))


def unread(g: Graph, options: Mapping[str, Any], *, of: BenchmarkSet) -> DataRequest:
    """Ask for the classes alone, of a task that reads no image of its own: none has to be left out.

    `original` draws from the training split. No other source is blocked where nobody has observed that.
    """
    classes = g.class_list(of.classes)
    references, unobserved = None, None
    try:
        references = real(g, options, classes, of=of)
    except NotObserved as error:
        unobserved = error
    return DataRequest(classes, options["images_per_class"], references=references, unobserved=unobserved)


def real(g: Graph, options: Mapping[str, Any], classes: ClassList, *, of: BenchmarkSet) -> Images:
    """Return the real training images, without those held out for validation."""
    return stages.labelled(g, of.split(g, options, "train"), classes)


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any], *, of: BenchmarkSet) -> Scores:
    """Read the test images out by the subject's; a backbone brings no images, so it reads the set's own ones."""
    resolved = _Chosen.of(g, options)
    chosen, probe = resolved.options, resolved.probe
    if resolved.is_by_real and chosen["split"] == "val":
        raise CannotServe("the validation images cannot both choose a probe and judge it", hint="val=source")
    fewest, asked = probe.values.get("min_per_class", 1), chosen["images_per_class"]
    if isinstance(subject, Images) and asked is not None and asked < fewest:
        raise CannotServe(f"probe {probe.name} needs {fewest} images of each class", hint="for example: logreg-path")
    classes = g.class_list(of.classes)
    test = of.split(g, chosen, chosen["split"])
    if "metric" in probe.values:  # ELEVATER's search is for the data set's own metric
        searched = {"metric": _SEARCHED.get(of.metric, of.metric), **_TUNED.get(of.name, {})}
        probe = replace(probe, values={**probe.values, **searched})
    text: Node | None
    if isinstance(subject, Backbone):
        teaching = real(g, chosen, classes, of=of)
        text = None  # without a text tower, probes that read class names are refused

        def features(images: Images | Node) -> Node:
            return encoded(g, images, subject, of)

    else:
        teaching, encoder = subject, stages.encoder(g, chosen["encoder"])
        prompts = g.part("prompts", of.prompts)
        text = stages.text_features(g, encoder, classes, prompts) if "text" in stages.reads(probe) else None

        def features(images: Images | Node) -> Node:
            return encoded(g, images, encoder, of)

    return stages.probed(
        g,
        features(teaching),
        features(test.images),
        classes,
        probe=probe,
        labels=test.labels,
        scorer=scorer(g, of),
        text=text,
        val=features(stages.labelled(g, of.split(g, chosen, "val"), classes)) if resolved.is_by_real else None,
        multi_label=of.is_multi_label,
        ranked=of.metric == "roc_auc",
    )


def encoded(g: Graph, images: Images | Node, encoder: Part | stages.Encoder | Backbone, of: BenchmarkSet) -> Node:
    """Return images' features. What is no network with weights of its own reads a training copy of them."""
    is_network = isinstance(encoder, stages.Encoder) or (isinstance(encoder, Part) and encoder.values.get("weights"))
    if is_network:
        return stages.features(g, images, encoder, crop=of.crop)
    return stages.features(g, stages.pack(g, images, store_px=STORE_PX, labelled=isinstance(images, Images)), encoder)


def entry(of: BenchmarkSet) -> str:
    """Return where the scorer of a data set's metric lies."""
    return _SCORERS[of.metric]


def scorer(g: Graph, of: BenchmarkSet) -> Part:
    """Return the scorer of a data set's metric; one that ranks is told the classes that scores stand for."""
    values = dict(SCORER_OPTIONS.get(of.metric, {}))
    if values:
        values["class_ids"] = list(g.class_list(of.classes).ids)
    return Part("scorer", of.metric, "1", entry(of), values)
