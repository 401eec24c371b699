"""What can be said of a source's images without a label: do they go with their class names, are they varied, are they
near the real ones? And what a corpus of captions says of a data set's classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vgbench import Backbone, CannotServe, Graph, Images, Node, Option, Scores, UsageError, stages
from vgbench.metrics.measures import MEASURES
from vgbench_tasks.genbench.readout import encoded
from vgbench_tasks.genbench.sets import BenchmarkSet


def options(*, encoder: str, n: int, n_per_class: int, images_per_class: int | None) -> tuple[Option, ...]:
    """Return the options of the quality tasks; ``n`` and ``n_per_class`` are the defaults of the stated numbers."""
    return (
        Option("encoder", "encoder", encoder, "the fixed encoder whose features are measured"),
        Option("n", "int", n, "images that FID, KID and the neighbourhood measures are taken of", minimum=6),
        Option(
            "fid_on",
            "str",
            "unit",
            "FID of features at length 1 (GenBench's), or as encoded (Inception's)",
            choices=("unit", "raw"),
        ),
        Option("n_per_class", "int", n_per_class, "images of each class that the Vendi score is taken of", minimum=2),
        Option("images_per_class", "count", images_per_class, "images asked of the source for each class", axis="row"),
    )


def graph(g: Graph, subject: Images | Backbone, chosen: Mapping[str, Any], *, of: BenchmarkSet, prompt: str) -> Scores:
    """Measure the subject's images by an encoder's features, against the data set's test images and class names.

    ``prompt`` is the CLIP score's prompts part: "a photo of a {}", by which GenBench ranks images (protocols §1.4).

    GenBench compares a source with the test images too (FID between external training and real test, protocols §1.5).
    """
    if isinstance(subject, Backbone):
        raise CannotServe("a backbone brings no images to measure")
    encoder = stages.encoder(g, chosen["encoder"])
    classes = g.class_list(of.classes)
    text = None
    measures = [name for name, measure in MEASURES.items() if "text" not in measure.reads or stages.has_text(encoder)]
    if stages.has_text(encoder):
        text = stages.text_features(g, encoder, classes, g.part("prompts", prompt))
    n = {name: chosen["n_per_class"] if measure.n == "class" else chosen["n"] for name, measure in MEASURES.items()}
    test = of.split(g, chosen, "test").images
    score = stages.measured(
        g,
        encoded(g, subject, encoder, of),
        classes,
        measures=measures,
        n=n,
        reference=encoded(g, test, encoder, of),
        text=text,
        fid_on=chosen["fid_on"],
    )
    return Scores(score, remarks=tuple(_withheld(test, chosen, of)))


def _withheld(test: Node, chosen: Mapping[str, Any], of: BenchmarkSet) -> Iterator[str]:
    """Say which measures will be withheld, by what is declared of the test images and asked of the source."""
    n, asked = chosen["n"], chosen["images_per_class"]
    names = ", ".join(name for name, measure in MEASURES.items() if measure.n == "set")
    known = {
        "test images": test.param.get("n") if of.dataset else None,  # a set that a graph draws is as large as asked for
        "images of the source": None if asked is None else asked * of.n_classes,
    }
    for whose, found in known.items():
        if found is not None and found < n:
            yield f"{found:,} {whose} are fewer than n={n:,}: {names} will be withheld"


def text_similarity(g: Graph, subject: Images | Backbone, chosen: Mapping[str, Any], *, of: BenchmarkSet) -> Scores:
    """Score how much of a corpus of captions is about the data set's classes; the same for every source."""
    if not chosen["corpus"]:
        raise UsageError(
            "mts needs a corpus of captions", hint=f"…/{of.name}/mts:/path/to/captions.parquet, with a column caption"
        )
    classes = g.class_list(of.classes)
    return Scores(
        stages.mean_text_similarity(
            g,
            stages.encoder(g, chosen["encoder"]),
            classes,
            prompts=g.part("prompts", of.prompts),
            captions=g.path(chosen["corpus"]),
        )
    )
