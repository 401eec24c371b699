"""Digits: how well do a source's digits teach a model to read real handwriting?

The test images are scikit-learn's copy of the UCI *Optical Recognition of Handwritten Digits* test set: 1,797 real
digits, each a 32 × 32 bitmap reduced to 8 × 8 counts (0..16) of the set pixels in blocks of 4 × 4. Every image, real
or not, is read as such counts. The 80/20 split is frozen in ``split.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vgbench import (
    Backbone,
    ClassListSpec,
    DataRequest,
    DatasetSpec,
    Graph,
    Images,
    Node,
    Option,
    Part,
    Rate,
    Scores,
    Split,
    StepRef,
    TaskSpec,
    hookimpl,
    stages,
)
from vgbench.types import Metric

CLASSES = "digits"
N_CLASSES = 10
READ_IMAGES = StepRef("vgbench.read_digits", "1", "vgbench_tasks.digits.read:images", rate=Rate(5_400, 260))
READ_LABELS = StepRef("vgbench.read_digit_labels", "1", "vgbench_tasks.digits.read:labels", rate=Rate(44_000, 28))
COUNTS = StepRef("vgbench.digit_counts", "1", "vgbench_tasks.digits.counts:counts", rate=Rate(8_400, 176))
SCORER = Part("scorer", "digits", "1", "vgbench.metrics.classify:top1")
ENCODER = Part("encoder", "block-counts", "1", "vgbench_tasks.digits.counts:encode", summary="64 block counts, 0..16")


def request(g: Graph, options: Mapping[str, Any]) -> DataRequest:
    """Ask for the ten digits; the real training digits are the references, copies of test digits are left out."""
    classes = g.class_list(CLASSES)
    return DataRequest(
        classes,
        options["images_per_class"],
        references=stages.labelled(g, g.dataset("digits", "train"), classes),
        exclude=(g.dataset("digits", "test").images,),
    )


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any]) -> Scores:
    """Teach with the subject's digits, test on the real ones."""
    classes = g.class_list(CLASSES)
    test = g.dataset("digits", "test")
    test_pack = g.node(COUNTS, inputs={"images": test.images})

    def probed(teaching: Images, encoder: Part | Backbone) -> Scores:
        pack = g.node(COUNTS, inputs={"images": teaching})
        return stages.probed(
            g,
            stages.features(g, pack, encoder),
            stages.features(g, test_pack, encoder),
            classes,
            probe=g.part("probe", options["probe"]),
            labels=test.labels,
            scorer=SCORER,
        )

    if isinstance(subject, Backbone):  # it brings no images to teach with: its frozen features are probed on real ones
        return probed(stages.labelled(g, g.dataset("digits", "train"), classes), subject)
    if options["train"] == "probe":
        return probed(subject, ENCODER)

    recipe = g.part("recipe", options["recipe"])
    arch, arch_args = stages.architecture(g, options["backbone"])

    def read_by(network: Backbone) -> Node:
        predictions = stages.predict(g, network, test_pack, classes, recipe=recipe)
        return stages.score(g, predictions, test.labels, scorer=SCORER)

    pack = g.node(COUNTS, inputs={"images": subject})

    def trained(samples_seen: int | None, *, permute_labels: bool = False) -> Backbone:
        return stages.backbone(
            g,
            pack,
            arch=arch,
            arch_args=arch_args,
            n_classes=N_CLASSES,
            recipe=recipe,
            samples_seen=samples_seen,
            permute_labels=permute_labels,
        )

    budget = stages.budget(recipe)
    controls = {
        "random_init": read_by(trained(0)),
        "permuted_labels": read_by(trained(budget, permute_labels=True)),
    }
    return Scores(read_by(trained(budget)), controls)


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    yield TaskSpec(
        name="digits",
        version="1",
        summary="teach a model to read with the source's digits, test it on real handwriting",
        request=request,
        graph=graph,
        metrics=(Metric("top1", chance="1/C"), Metric("mean_per_class", chance="1/C")),
        scorer=SCORER.entry,
        labels=("digits", "test"),
        primary="train",
        options=(
            Option("train", "str", "probe", "what is trained on the source's images", choices=("probe", "backbone")),
            Option("probe", "str", "logreg", "probe fitted on the 64 block counts (train=probe)"),
            Option("recipe", "str", "digits-small", "training recipe (train=backbone)"),
            Option(
                "backbone",
                "str",
                "test_resnet",
                "a declared backbone, or a timm architecture (train=backbone)",
                axis="row",
            ),
            Option("images_per_class", "count", 500, "images asked of the source for each digit", axis="row"),
        ),
        datasets=("digits",),
        citation="Alpaydin & Kaynak, UCI Machine Learning Repository, 1998",
    )


@hookimpl
def vgbench_offer_class_lists() -> Iterable[ClassListSpec]:
    yield ClassListSpec(CLASSES, "the ten digits", "vgbench_tasks.digits:classes.json")


@hookimpl
def vgbench_offer_parts() -> Iterable[Part]:
    yield ENCODER


@hookimpl
def vgbench_offer_datasets() -> Iterable[DatasetSpec]:
    yield DatasetSpec(
        name="digits",
        summary="1,797 real handwritten digits, bundled with scikit-learn",
        classes=CLASSES,
        splits={
            "train": Split(1438, "9124b1f4bd626adc26e8a93e16cec468126569a91af10073469a8e78ff150565"),
            "test": Split(359, "e5c0e6163ce77da62c0dbcca4efc89e8b109fc4cf3960c196ac82421ce071744"),
            "val20": Split(284, "3833116bc0fa1a06948e51f43ae2f3a136c235a3c59bafa778f7a18de4e57852"),
            "train80": Split(1154, "29087889ce99b7a2bc2a8139b305550c5890869622be0d7e67cff8dca546b757"),
        },
        place="sklearn:datasets/data/digits.csv.gz",
        sha256="09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",  # observed in scikit-learn 1.9.1
        read_images=READ_IMAGES,
        read_labels=READ_LABELS,
        license="CC BY 4.0",
        citation="Alpaydin & Kaynak, UCI Machine Learning Repository, 1998",
    )
