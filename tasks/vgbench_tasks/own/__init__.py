"""A task on your own test set, without a plugin: any image set that a source can find, probed on fixed features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vgbench import (
    Backbone,
    DataRequest,
    Graph,
    Images,
    Metric,
    Node,
    Option,
    Part,
    Scores,
    TaskSpec,
    UsageError,
    hookimpl,
    stages,
)

PIXELS = Part(
    "encoder",
    "pixels",
    "1",
    "vgbench_tasks.own.pixels:encode",
    {"size_px": 16},  # ours: 768 numbers, few enough for a probe on a laptop; a floor, not a feature (assumed)
    summary="the image itself at 16 × 16 px, 768 numbers: a floor for real encoders",
)


def request(g: Graph, options: Mapping[str, Any]) -> DataRequest:
    """Ask for the test set's classes; copies of test images are left out of whatever is asked."""
    classes = g.class_list(_classes(options))
    pool = None
    if options["pool"]:
        pool = g.images(options["pool"], DataRequest(classes, None))
    return DataRequest(classes, options["images_per_class"], references=pool, exclude=(_test(g, options).index,))


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any]) -> Scores:
    """Probe features of the subject's images (or a backbone's features of the pool's), test on the test set."""
    test = _test(g, options)
    teaching: Images
    encoder: Part | stages.Encoder | Backbone
    if isinstance(subject, Backbone):
        if not options["pool"]:
            raise UsageError(
                "a backbone brings no images to fit the probe on", hint='give the task real ones: pool = "folder:PATH"'
            )
        teaching, encoder = g.images(options["pool"], DataRequest(test.classes, None)), subject
    else:
        teaching, encoder = subject, stages.encoder(g, options["encoder"])

    def features(images: Images, *, labelled: bool) -> Node:
        if isinstance(encoder, stages.Encoder):  # it reads images at their full size
            return stages.features(g, images, encoder)
        pack = stages.pack(g, images, store_px=options["store_px"], labelled=labelled)
        return stages.features(g, pack, encoder)

    return stages.probed(
        g,
        features(teaching, labelled=True),
        features(test, labelled=False),
        test.classes,
        probe=g.part("probe", options["probe"]),
        labels=stages.truth(g, test),
        scorer=Part("scorer", options["metric"], "1", f"vgbench.metrics.classify:{options['metric']}"),
    )


def _classes(options: Mapping[str, Any]) -> str:
    return str(options["classes"] or options["dataset"])


def _test(g: Graph, options: Mapping[str, Any]) -> Images:
    if not options["dataset"]:
        raise UsageError(
            "task own needs a test set", hint="own:folder:/data/test, or dataset = … in an experiment file"
        )
    return g.images(options["dataset"], DataRequest(g.class_list(_classes(options)), None))


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    yield TaskSpec(
        name="own",
        version="1",
        summary="your own test set: a probe on fixed features of the source's images",
        request=request,
        graph=graph,
        metrics=(Metric("top1", chance="1/C"), Metric("mean_per_class", chance="1/C")),
        scorer="vgbench.metrics.classify:top1",
        primary="dataset",
        options=(
            Option("dataset", "source", "", "the test set, as a source: folder:PATH, parquet:PATH, …"),
            Option("pool", "source", "", "real training images, for the source `original` and for --weights"),
            Option("classes", "str", "", "class list: a name or a JSON file (default: the folders of the test set)"),
            Option("encoder", "encoder", "pixels", "a declared encoder, or weights of yours: open_clip:FOLDER, …"),
            Option("probe", "str", "logreg", "probe fitted on the features"),
            Option("metric", "str", "top1", "main metric", choices=("top1", "mean_per_class")),
            Option("store_px", "int", 64, "side of the training copy, which encoders without weights read", minimum=8),
            Option("images_per_class", "count", None, "images asked of the source for each class", axis="row"),
        ),
    )


@hookimpl
def vgbench_offer_parts() -> Iterable[Part]:
    yield PIXELS
