"""The graph pieces that tasks share. Only here do core steps get default params, so equal work gets equal digests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from vgbench.errors import CannotServe, UnknownName, UsageError
from vgbench.metrics.measures import MEASURES
from vgbench.types import (
    Backbone,
    ClassList,
    Dataset,
    Graph,
    Head,
    Images,
    Input,
    Node,
    Part,
    Place,
    Rate,
    Scores,
    StepRef,
)

Categories: TypeAlias = Sequence[tuple[str, Sequence[int]]]
Rule: TypeAlias = Literal["mean", "top1", "restricted"]

TORCH = ("torch", "timm", "safetensors")
PERMUTATIONS = 20  # label permutations of a probe's control (design §2)

# For estimates alone. What a declared backbone's `gflop` is stated at; what an A100 is known to give a diffusion model
# (see vgbench_plugins.sd): nobody has measured our training there.
GFLOP_PX = 224
A100_FLOP_PER_SECOND = 51.6e12
# Photographs (scikit-learn's two, cut into 40) decoded from JPEG and packed as PNG at 256 px on one of two cores.
PACKED, PACKED_PX, PHOTOGRAPHS_PX = Rate(40, 110_000), 256, 128

# Rates: measured on digits on one core of the 2-core reference machine; networks with recipe digits-small.
SELECT = StepRef("vgbench.select", "1", "vgbench.steps.select:select", rate=Rate(35_000, 110))
FINGERPRINT = StepRef(
    "vgbench.fingerprint", "1", "vgbench.steps.fingerprint:fingerprint_images", rate=Rate(2_000, 2_400)
)
UNION = StepRef("vgbench.union", "1", "vgbench.steps.union:union", rate=Rate(35_000, 110))
LABEL = StepRef("vgbench.label", "1", "vgbench.steps.label:label", rate=Rate(30_000, 110))
SUBSET = StepRef("vgbench.subset", "1", "vgbench.steps.subset:subset", seed="probe", rate=Rate(35_000, 110))
PACK = StepRef("vgbench.pack", "1", "vgbench.steps.pack:pack", rate=Rate(1_000, 8_000))
SHEET = StepRef("vgbench.sheet", "1", "vgbench.steps.sheet:sheet", rate=Rate(300, 20_000))
TRUTH = StepRef("vgbench.truth", "1", "vgbench.steps.truth:truth", rate=Rate(40_000, 30))
REPRESENT = StepRef(
    "vgbench.represent", "2", "vgbench.steps.represent:represent", gpu=True, rate=Rate(1_000, 1_000), needs=TORCH
)
ENCODE = StepRef("vgbench.encode", "1", "vgbench.steps.encode:encode", gpu=True, rate=Rate(600, 2_100))
ENCODE_TEXT = StepRef("vgbench.encode_text", "1", "vgbench.steps.encode:encode_text", gpu=True, rate=Rate(100, 2_100))
EMBED = StepRef("vgbench.embed", "1", "vgbench.steps.embed:embed", rate=Rate(20_000, 290))
PROBE = StepRef("vgbench.probe", "1", "vgbench.steps.probe:probe", seed="probe", rate=Rate(10_000, 60))
PRETRAIN = StepRef(
    "vgbench.pretrain", "2", "vgbench.steps.pretrain:pretrain", seed="train", gpu=True, rate=Rate(1_200), needs=TORCH
)
# Rate: recipe augment10-toybox with toybox-resnet at 48 px, validations included.
PLATEAU = StepRef(
    "vgbench.plateau", "1", "vgbench.steps.plateau:train", seed="train", gpu=True, rate=Rate(1_200), needs=TORCH
)
PROPORTION = StepRef("vgbench.proportion", "1", "vgbench.steps.proportion:proportion", rate=Rate(35_000, 110))
PREDICT = StepRef("vgbench.predict", "2", "vgbench.steps.predict:predict", gpu=True, rate=Rate(2_700, 72), needs=TORCH)
CATEGORISE = StepRef("vgbench.categorise", "1", "vgbench.steps.categorise:categorise", rate=Rate(620_000, 15))
MEASURE = StepRef("vgbench.measure", "1", "vgbench.steps.measure:measure", rate=Rate(500, 40))
ENCODE_PROMPTS = StepRef(
    "vgbench.encode_prompts", "1", "vgbench.steps.captions:encode_prompts", gpu=True, rate=Rate(100, 2_100), needs=TORCH
)
ENCODE_CAPTIONS = StepRef(
    "vgbench.encode_captions",
    "1",
    "vgbench.steps.captions:encode_captions",
    gpu=True,
    rate=Rate(100, 2_100),
    needs=TORCH,
)
ENCODE_CORPUS = replace(ENCODE_CAPTIONS, id="vgbench.encode_corpus", entry="vgbench.steps.captions:encode_corpus")
INDEX_KINDS = ("flat", "ivf-flat", "ivf-pq")
INDEX = StepRef("vgbench.index", "3", "vgbench.steps.index:index", rate=Rate(50_000, 2_100), needs=("faiss",))
MTS = StepRef("vgbench.mts", "1", "vgbench.steps.similarity:mts", rate=Rate(10_000))
SCORE = StepRef("vgbench.score", "3", "vgbench.steps.score:score", rate=Rate(43_000, 75))


def select(
    g: Graph,
    found: Images | Sequence[Head],
    classes: ClassList,
    *,
    images_per_class: int | None,
    exclude: Sequence[Node] = (),
    finds_images: bool = False,
    partial: bool = False,
) -> Images:
    """Choose the images of a request: the first ``images_per_class`` of each class's node, or of a whole set.

    Of a whole set the lowest by SHA-256 of the image id are kept, so smaller requests nest in larger ones.
    Images whose bytes equal one of ``exclude`` are left out and counted; where a source ``finds_images``, also those
    that look the same (`vgbench.copies`). A class without an image is an error, unless the choice is ``partial``. A set
    may hold more classes than are asked for.
    """
    inputs: dict[str, Input] = {f"exclude/{i:04d}": node for i, node in enumerate(exclude)}
    if isinstance(found, Images):
        inputs["set"] = found
        members = found.members
    else:
        inputs |= {f"member/{i:04d}": head for i, head in enumerate(found)}
        members = tuple(found)
    if finds_images and exclude:
        here: dict[str, Input] = {"images": found} if isinstance(found, Images) else dict(inputs)
        prints = {name: given for name, given in here.items() if not name.startswith("exclude/")}
        inputs["prints"] = g.node(FINGERPRINT, inputs=prints)
        for i, node in enumerate(exclude):
            inputs[f"exclude_prints/{i:04d}"] = g.node(FINGERPRINT, inputs={"images": node})
    params: dict[str, Any] = {"class_ids": list(classes.ids), "images_per_class": images_per_class}
    if isinstance(found, Images) and found.classes.ids != classes.ids:
        params["set_class_ids"] = list(found.classes.ids)
    if partial:
        params["partial"] = True
    return Images(g.node(SELECT, inputs=inputs, params=params), members, classes)


def union(g: Graph, parts: Mapping[str, Images], classes: ClassList) -> Images:
    """Join image sets of one class list: an index over the members of all; image ids get their part's name ahead."""
    inputs: dict[str, Input] = {f"part-{name}": part for name, part in parts.items()}
    members = tuple(member for _, part in sorted(parts.items()) for member in part.members)
    return Images(g.node(UNION, inputs=inputs, params={"class_ids": list(classes.ids)}), members, classes)


def proportion(g: Graph, images: Images, like: Sequence[Node], *, ratio: int) -> Images:
    """Keep, class by class, the first images: ``ratio`` times as many as the labels of real splits ``like`` name."""
    inputs: dict[str, Input] = {"set": images, **{f"like/{i:04d}": node for i, node in enumerate(like)}}
    index = g.node(PROPORTION, inputs=inputs, params={"class_ids": list(images.classes.ids), "ratio": ratio})
    return Images(index, images.members, images.classes)


def sheet(g: Graph, images: Images, *, images_per_class: int, title: str, cut: Mapping[str, int]) -> Node:
    """Draw an image set's contact sheet: each class's name and its images; ``cut`` says what was left out of it."""
    classes = [[entry.id, entry.name] for entry in images.classes.classes]
    params = {"classes": classes, "images_per_class": images_per_class, "title": title, "cut": dict(cut)}
    return g.node(SHEET, inputs={"images": images}, params=params)


def labelled(g: Graph, dataset: Dataset, classes: ClassList) -> Images:
    """Join a real split's images with its labels: an image set that a source may use as references."""
    inputs: dict[str, Input] = {"images": dataset.images, "labels": dataset.labels}
    index = g.node(LABEL, inputs=inputs, params={"class_ids": list(classes.ids)})
    return Images(index, (dataset.images,), classes)


def pack(
    g: Graph, images: Images | Node, *, store_px: int, labelled: bool = True, resize_px: int | None = None
) -> Node:
    """Make the training copy of an image set; with ``labelled=False`` what a test set's images travel as.

    A data set's images without labels are such a set. ``resize_px``: the shorter side becomes this long before the
    central ``store_px`` are cut out (256 and 224 for ImageNet's tests); without it the central square is resized.
    """
    params: dict[str, Any] = {"store_px": store_px, "labelled": labelled}
    if resize_px is not None and resize_px != store_px:
        params["resize_px"] = resize_px
    rate = _of_photographs(store_px) if store_px >= PHOTOGRAPHS_PX else PACK.rate
    return g.node(replace(PACK, rate=rate), inputs={"images": images}, params=params)


def _of_photographs(store_px: int) -> Rate:
    """Return the rate of packing photographs: pixels cost the same at every size."""
    share = (store_px / PACKED_PX) ** 2
    return Rate(PACKED.items_per_second / share, PACKED.bytes_per_item * share)


def subset(g: Graph, images: Images, *, fraction: float = 1.0, shots: int | None = None, least: int = 1) -> Images:
    """Keep some of each class's images: a fraction, or ``shots``. One draw for each probe seed; smaller ones nest.

    All of them is the set itself: its draws are equal. A class of which fewer than ``least`` are kept is an error.
    """
    if fraction == 1 and shots is None:
        return images
    params = {"fraction": fraction, "shots": shots, "least": least, "class_ids": list(images.classes.ids)}
    return Images(g.node(SUBSET, inputs={"images": images}, params=params), images.members, images.classes)


def truth(g: Graph, images: Images) -> Node:
    """Take an image set's labels apart from its images, for scoring."""
    return g.node(TRUTH, inputs={"images": images}, params={"class_ids": list(images.classes.ids)})


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder that is a network: what builds it, and its weights."""

    part: Part
    weights: Place


def encoder(g: Graph, name: str, *, reads_text: bool = False) -> Part | Encoder:
    """Return what an option of type ``encoder`` names: a declared encoder, or one whose weights the user brings.

    ``reads_text``: one that is known to have no text tower is refused (``CannotServe``) before its weights are looked
    for.

    The bytes of what lies at the path are in the key, the path is not. ``UsageError`` when nothing lies there, or the
    encoder's part has weights of its own (or, without a path, has none).
    """
    found, arch, path = split_encoder(name)
    part = g.part("encoder", found)
    if reads_text and not part.values.get("text", True):
        raise _without_text(found)
    form = part.values.get("form")
    if form and not path:
        raise UsageError(f"encoder {name!r} names no weights of yours", hint=f"write {form}")
    if path and not form:
        raise UsageError(f"encoder {found!r} has weights of its own, or needs none", hint=f"write {found}")
    if path:
        kept = {name: value for name, value in part.values.items() if name == "text"}
        return Encoder(replace(part, values={**kept, "arch": arch} if arch else kept), g.path(path))
    return _network(g, part) if part.values.get("weights") else part


def split_encoder(name: str) -> tuple[str, str, str]:
    """Split ``PART:[ARCH@]PATH`` into its three; of a declared encoder's name the others are empty.

    A path that begins with ``/``, ``.`` or ``~`` may hold an ``@``. A distribution's double colon stays.
    """
    distribution, doubled, rest = name.rpartition("::")
    part, _, own = rest.partition(":")
    arch, at, path = own.partition("@")
    if not at or own[0] in "/.~":
        arch, path = "", own
    return f"{distribution}{doubled}{part}", arch, path


def has_text(encoder: Part | Encoder) -> bool:
    """Say whether an encoder is a network that may have a text tower; one whose part says ``text`` false has none."""
    part = encoder.part if isinstance(encoder, Encoder) else encoder
    is_network = isinstance(encoder, Encoder) or bool(part.values.get("weights"))
    return is_network and bool(part.values.get("text", True))


def encoder_with_text(g: Graph, encoder: Part | Encoder) -> Encoder:
    """Return the network of an encoder that has a text tower; ``CannotServe`` for one that has none."""
    if not has_text(encoder):
        raise _without_text(encoder.part.name if isinstance(encoder, Encoder) else encoder.name)
    return encoder if isinstance(encoder, Encoder) else _network(g, encoder)


def _without_text(name: str) -> CannotServe:
    return CannotServe(f"encoder {name!r} has no text tower", hint="for example: toybox-clip")


def _network(g: Graph, part: Part) -> Encoder:
    return Encoder(part, g.weights(part.values["weights"]))


def features(
    g: Graph,
    images: Images | Node,
    encoder: Part | Encoder | Backbone,
    *,
    crop: Literal["center", "squash"] = "center",
) -> Node:
    """Embed images: ``features.npy`` (N, D) float32 and its rows.

    A network with weights of its own reads an image set, or a data set's images, each at its full size; ``squash``
    brings the whole image onto the network's square where its preprocessing would crop. A frozen backbone and an
    encoder without weights read a training copy.
    """
    if isinstance(encoder, Backbone):
        return g.node(REPRESENT, inputs={"images": images, "backbone": encoder}, params={"batch": 64, "threads": 1})
    if isinstance(encoder, Part) and not encoder.values.get("weights"):
        return g.node(EMBED, inputs={"images": images}, params={"encoder": encoder})
    network = encoder if isinstance(encoder, Encoder) else _network(g, encoder)
    params = {"encoder": network.part, "weights": network.weights, "crop": crop, "batch": 64, "threads": 1}
    return g.node(replace(ENCODE, needs=network.part.needs), inputs={"images": images}, params=params)


def text_features(g: Graph, encoder: Part | Encoder, classes: ClassList, prompts: Part) -> Node:
    """Embed class names in a prompt set's templates: ``features.npy`` (C, D) float32, rows of length 1.

    ``CannotServe`` for an encoder without a text tower.
    """
    network = encoder_with_text(g, encoder)
    params = {
        "encoder": network.part,
        "weights": network.weights,
        "names": [entry.name for entry in classes.classes],
        "templates": prompts,
        "batch": 64,
        "threads": 1,
    }
    return g.node(replace(ENCODE_TEXT, needs=network.part.needs), params=params)


def captions(g: Graph, corpus: Node, encoder: Encoder) -> Node:
    """Embed the captions of a corpus, one for each of its images: ``features.npy`` (N, D) float32."""
    params = {"encoder": encoder.part, "weights": encoder.weights, "batch": 64, "threads": 1}
    return g.node(replace(ENCODE_CORPUS, needs=encoder.part.needs), inputs={"corpus": corpus}, params=params)


def index(g: Graph, features: Node, *, kind: str) -> Node:
    """Index features for nearest-neighbour search by cosine; ``auto`` chooses the kind by their number."""
    return g.node(INDEX, inputs={"features": features}, params={"kind": kind})


def probed(
    g: Graph,
    train: Node | None,
    test: Node,
    classes: ClassList,
    *,
    probe: Part,
    labels: Node,
    scorer: Part,
    text: Node | None = None,
    val: Node | None = None,
    multi_label: bool = False,
    ranked: bool = False,
) -> Scores:
    """Fit a probe, score it, and score its control: the same fit on permuted training labels.

    ``ranked``: the scorer reads the control's scores too (as it does with ``multi_label``). There is no control
    where nothing is learnt from labels, nor of a probe that reports every epoch: its best one is above chance.
    """

    def scored(permutations: int) -> Node:
        fitted = fit_probe(
            g,
            train,
            test,
            classes,
            probe=probe,
            permutations=permutations,
            text=text,
            val=val,
            multi_label=multi_label,
            ranked=ranked,
        )
        return score(g, fitted, labels, scorer=scorer)

    has_control = "train" in reads(probe) and not probe.values.get("per_epoch", False)
    controls = {"permuted_labels": scored(PERMUTATIONS)} if has_control else {}
    return Scores(scored(0), controls, uses_real_labels=val is not None and "val" in reads(probe))


def reads(probe: Part) -> tuple[str, ...]:
    """Return what a probe reads besides the test features: of train, text and val."""
    return tuple(probe.values.get("reads", ("train",)))


def fit_probe(
    g: Graph,
    train: Node | None,
    test: Node,
    classes: ClassList,
    *,
    probe: Part,
    permutations: int = 0,
    text: Node | None = None,
    val: Node | None = None,
    multi_label: bool = False,
    ranked: bool = False,
) -> Node:
    """Fit a probe on what it reads of labelled features, text features and validation features; predict the test's.

    What it does not read is not wired in, so a probe of text alone is the same node for every source. ``val`` is read
    where there is one. With ``permutations`` > 0 it is the control: that many fits, each on permuted training labels;
    its scores are kept with ``multi_label`` or ``ranked``. Raises ``CannotServe`` when train or text is read and not
    given, and for several labels per image where the probe takes one.
    """
    if multi_label and not probe.values.get("multi_label", True):
        raise CannotServe(f"probe {probe.name} takes one label per image", hint="for example: logreg-path")
    given = {"train": train, "text": text, "val": val}
    inputs: dict[str, Input] = {"test": test}
    for name in reads(probe):
        node = given[name]
        if node is not None:
            inputs[name] = node
        elif name != "val":
            raise CannotServe(f"probe {probe.name} reads {name} features, and there are none here", hint=_HINTS[name])
    params: dict[str, Any] = {"probe": probe, "class_ids": list(classes.ids), "permutations": permutations}
    if multi_label:
        params["multi_label"] = True
    if (permutations or probe.values.get("per_epoch", False)) and (multi_label or ranked):
        params["keep_scores"] = True
    return g.node(replace(PROBE, needs=probe.needs), inputs=inputs, params=params)


_HINTS = {
    "train": "a probe that reads text alone: zeroshot",
    "text": "take an encoder with a text tower, or another probe: vgbench list parts",
}


def architecture(g: Graph, name: str) -> tuple[str, Mapping[str, Any]]:
    """Return the timm architecture and its arguments that a name stands for: a declared part's, or timm's own."""
    try:
        values = g.part("backbone", name).values
    except UnknownName:  # timm's: the parent process cannot ask it
        return name, {}
    return values["arch"], values["arch_args"]


def budget(recipe: Part) -> int | None:
    """Return the samples that a recipe trains on, whatever the source's size; None where it counts ``epochs``.

    ``UsageError`` for a recipe that states neither, ``CannotServe`` for one that watches a validation set.
    """
    if "validate_every" in recipe.values:
        raise CannotServe(f"recipe {recipe.name} trains to a plateau, which only augment10 does")
    if "samples_seen" not in recipe.values and "epochs" not in recipe.values:
        raise UsageError(f"recipe {recipe.name!r} does not say how long it trains", hint="samples_seen or epochs")
    found: int | None = recipe.values.get("samples_seen")
    return found


def refuse_budget(recipe: Part, samples_seen: int | None) -> None:
    """Refuse a budget that no optimiser step fits in (``UsageError``), 0 aside."""
    batch = recipe.values.get("batch", 1)
    if samples_seen is not None and 0 < samples_seen < batch:
        raise UsageError(f"samples_seen={samples_seen}: recipe {recipe.name} takes {batch} at a step")


def training_rate(g: Graph, name: str, *, input_px: int) -> Rate:
    """Return how fast a network learns on one GPU, for estimates: computed from what its part says of its size.

    Forward and backward are three forward passes; convolutions cost in proportion to pixels, and a transformer's
    tokens nearly so. Of an architecture that no part declares nothing is known.
    """
    try:
        gflop = float(g.part("backbone", name).values["gflop"])
    except (UnknownName, KeyError):
        source = f"nothing is known of {name}: a small network on digits, far too fast for a larger one"
        return replace(PRETRAIN.rate or Rate(1), source=source)
    at = gflop * (input_px / GFLOP_PX) ** 2
    source = f"computed, not measured: {name}, 3 × {at:.1f} GFLOP an image at 51.6 TFLOP/s (one A100-80G, fal.ai)"
    return Rate(A100_FLOP_PER_SECOND / (3 * at * 1e9), source=source)


def backbone(
    g: Graph,
    subject: Node | Backbone,
    *,
    arch: str,
    arch_args: Mapping[str, Any] | None = None,
    n_classes: int,
    recipe: Part,
    samples_seen: int | None,
    permute_labels: bool = False,
    rate: Rate | None = None,
) -> Backbone:
    """Pre-train a backbone on a training copy. A subject that already is a backbone passes through.

    ``samples_seen=0`` is the random initialisation, which reads no image: it is the same node for every source. None:
    the recipe's epochs of the images that there are (see ``budget``). ``rate``: what is known of this network's speed
    (``training_rate``), for estimates.
    """
    if isinstance(subject, Backbone):
        return subject
    refuse_budget(recipe, samples_seen)
    params = {
        "arch": arch,
        "arch_args": dict(arch_args or {}),
        "n_classes": n_classes,
        "recipe": recipe,
        "samples_seen": samples_seen,
        "permute_labels": permute_labels,
    }
    inputs: dict[str, Input] = {} if samples_seen == 0 else {"images": subject}
    return Backbone(g.node(replace(PRETRAIN, rate=rate or PRETRAIN.rate), inputs=inputs, params=params))


def trained_to_plateau(
    g: Graph,
    images: Node,
    val: Node,
    *,
    store_px: int,
    arch: str,
    arch_args: Mapping[str, Any] | None = None,
    n_classes: int,
    recipe: Part,
    samples_seen: int,
    permute_labels: bool = False,
) -> Backbone:
    """Train a network on a training copy until its accuracy on another, ``val``, stops improving.

    ``samples_seen`` at most; 0 is the random initialisation, the same node for every source. ``CannotServe`` for a
    recipe that does not watch a validation set.
    """
    if "validate_every" not in recipe.values:
        raise CannotServe(f"recipe {recipe.name} does not train to a plateau", hint="for example: augment10")
    refuse_budget(recipe, samples_seen)
    params = {
        "arch": arch,
        "arch_args": dict(arch_args or {}),
        "n_classes": n_classes,
        "recipe": recipe,
        "store_px": store_px,
        "samples_seen": samples_seen,
        "permute_labels": permute_labels,
    }
    inputs: dict[str, Input] = {"images": images, "val": val} if samples_seen else {}
    return Backbone(g.node(PLATEAU, inputs=inputs, params=params))


def predict(g: Graph, network: Backbone, pack: Node, classes: ClassList, *, recipe: Part | None = None) -> Node:
    """Predict a training copy's classes with a network's own head, as its recipe says; float32 where it has none."""
    numerics = {k: recipe.values[k] for k in ("dtype", "threads")} if recipe else {"dtype": "float32", "threads": 1}
    params = {"class_ids": list(classes.ids), **numerics, "batch": 256}
    return g.node(PREDICT, inputs={"backbone": network, "images": pack}, params=params)


def categorised(g: Graph, predictions: Node, categories: Categories, *, rule: Rule) -> Node:
    """Turn predictions with scores over a head's classes into answers in a test's categories.

    ``categories`` are pairs of (category id, positions in the head). ``mean``: the highest mean probability of a
    category's members; ``top1``: the category of the top class, ``na`` where it has none; ``restricted``: the category
    of the most probable member, whatever the head says of other classes.
    """
    listed = [[name, list(members)] for name, members in categories]
    return g.node(CATEGORISE, inputs={"predictions": predictions}, params={"categories": listed, "rule": rule})


def answered(
    g: Graph,
    answers: Node,
    labels: Node,
    *,
    scorer: Part,
    categories: Categories | None = None,
    rule: Rule = "top1",
    untrained: Node | None = None,
    has_floor: bool = True,
) -> Scores:
    """Score answers to a test, in coarser categories where there are some.

    ``untrained``: the answers of the same network's initialisation, the control ``random_init``; and with ``has_floor``
    what a bias scorer compares with: it gives no value to a network that answers no better.
    """

    def in_categories(found: Node) -> Node:
        return found if categories is None else categorised(g, found, categories, rule=rule)

    if untrained is None:
        return Scores(score(g, in_categories(answers), labels, scorer=scorer))
    floor = in_categories(untrained)
    return Scores(
        score(g, in_categories(answers), labels, scorer=scorer, random_init=floor if has_floor else None),
        {"random_init": score(g, floor, labels, scorer=scorer)},
    )


def score(g: Graph, predictions: Node, labels: Node, *, scorer: Part, random_init: Node | None = None) -> Node:
    """Score predictions against the labels of a real split. The scorer's options are its part's values.

    ``random_init``: predictions of the untrained network, which bias scorers compare with (option ``random_init``).
    """
    inputs: dict[str, Input] = {"predictions": predictions, "labels": labels}
    if random_init is not None:
        inputs["random_init"] = random_init
    return g.node(SCORE, inputs=inputs, params={"scorer": scorer})


def measured(
    g: Graph,
    images: Node,
    classes: ClassList,
    *,
    measures: Sequence[str],
    n: Mapping[str, int],
    reference: Node | None = None,
    text: Node | None = None,
    k: int = 5,
    fid_on: Literal["unit", "raw"] = "unit",
) -> Node:
    """Measure an image set's features: ``measures`` of ``vgbench.metrics.measures``, the first the main metric.

    ``n``: the number of images that each of fid, kid, precision, recall, density and coverage (of the set) and vendi
    (of each class) is taken of. ``reference``: features of real images; ``text``: (C, D), of the class names. k = 5:
    Naeem et al. 2020, §5.2, for density and coverage; Kynkäänniemi et al. 2019 take 3. ``fid_on``: GenBench takes the
    FID of CLIP features at length 1 (its code), Inception features are taken as they are.
    """
    inputs: dict[str, Input] = {"images": images}
    params: dict[str, Any] = {"class_ids": list(classes.ids), "measures": list(measures)}
    read = {name for measure in measures for name in MEASURES[measure].reads}
    for name, node in (("reference", reference), ("text", text)):
        if name in read:
            if node is None:
                raise UsageError(f"{', '.join(measures)}: the features `{name}` are read, and there are none here")
            inputs[name] = node
    params["n"] = {measure: n[measure] for measure in measures if MEASURES[measure].n != "all"}
    if "fid" in measures:
        params["fid_on"] = fid_on
    if {"precision", "recall", "density", "coverage"} & set(measures):
        params["k"] = k
    return g.node(MEASURE, inputs=inputs, params=params)


def mean_text_similarity(
    g: Graph,
    encoder: Part | Encoder,
    classes: ClassList,
    *,
    prompts: Part,
    captions: Place,
    k: int = 500,
    top: int = 10,
) -> Node:
    """Score how much of a corpus of captions is about the classes, by an encoder's text tower.

    k captions for each prompt, the ``top`` images of each class: 500 and 10 in GenBench (protocols.md §1.7).
    """
    network = encoder_with_text(g, encoder)
    given = {"encoder": network.part, "weights": network.weights, "batch": 64, "threads": 1}
    names = [entry.name for entry in classes.classes]

    def encoded(step: StepRef, **texts: Any) -> Node:
        return g.node(replace(step, needs=network.part.needs), params={**given, **texts})

    inputs: dict[str, Input] = {
        "prompts": encoded(ENCODE_PROMPTS, names=names, templates=prompts),
        "captions": encoded(ENCODE_CAPTIONS, captions=captions),
    }
    return g.node(MTS, inputs=inputs, params={"class_ids": list(classes.ids), "k": k, "top": top})
