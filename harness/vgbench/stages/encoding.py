"""What encoders make of images, class names and captions, and the index of what they made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from vgbench.errors import CannotServe, UsageError
from vgbench.types import Backbone, ClassList, Graph, Images, Input, Node, Part, Place, Rate, StepRef

TORCH = ("torch", "timm", "safetensors")
REPRESENT = StepRef(
    "vgbench.represent", "2", "vgbench.steps.represent:represent", gpu=True, rate=Rate(1_000, 1_000), needs=TORCH
)
ENCODE = StepRef("vgbench.encode", "1", "vgbench.steps.encode:encode", gpu=True, rate=Rate(600, 2_100))
ENCODE_TEXT = StepRef("vgbench.encode_text", "1", "vgbench.steps.encode:encode_text", gpu=True, rate=Rate(100, 2_100))
EMBED = StepRef("vgbench.embed", "1", "vgbench.steps.embed:embed", rate=Rate(20_000, 290))
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
