"""Retrieval as a source: the images of a captioned corpus that are nearest to a class's prompts."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from vgbench import (
    ClassEntry,
    DataRequest,
    Graph,
    Input,
    Node,
    Option,
    Rate,
    Sees,
    SourceSpec,
    StepRef,
    UsageError,
    hookimpl,
    stages,
)

FAISS = ("faiss",)
CITATION = (
    "Burg et al., Image retrieval outperforms diffusion models on data augmentation, TMLR 2023; "
    "GenBench, arXiv 2307.13697"
)
N_TOYBOX = 20_000

DRAW_CORPUS = StepRef("vgbench.draw_corpus", "1", "vgbench_plugins.retrieval.toybox:draw_corpus", rate=Rate(250, 9_000))
READ_CORPUS = StepRef(
    "vgbench.read_corpus", "2", "vgbench_plugins.retrieval.captioned:read_corpus", rate=Rate(450, 300)
)
RETRIEVE = StepRef(
    "vgbench.retrieve",
    "2",
    "vgbench_plugins.retrieval.retrieve:retrieve",
    shards="index:micro_batch",
    gpu=True,
    rate=Rate(500, 9_000, "assumed: local images of 64 px; what a corpus on the web takes nobody can say"),
)


def find(g: Graph, entry: ClassEntry, request: DataRequest, options: Mapping[str, Any]) -> Node:
    """Return the images of one class, the nearest first; no more than ``depth`` of the corpus are looked at."""
    from vgbench import prompting  # late: `list` and `--help` need it not, and have 200 ms

    given = [name for name in ("corpus", "path", "index", "endpoint") if options[name]]
    if len(given) != 1:
        raise UsageError(
            f"retrieval from which corpus? {' and '.join(given) or 'none'} given",
            hint="retrieval:corpus=toybox, retrieval:path=CAPTIONED_IMAGES, retrieval:index=FOLDER "
            "or retrieval:endpoint=URL",
        )
    asked, depth = request.images_per_class, options["depth"]
    if asked is not None and asked > depth:
        raise UsageError(f"{asked} images per class of {depth} neighbours looked at", hint=f"retrieval:depth={asked}")
    encoder = stages.encoder_with_text(g, stages.encoder(g, _encoder(options), reads_text=True))
    places = {"wordnet": options["wordnet"]}
    prompts = prompting.prompts_of(g, entry, request.classes, options["prompts"], n=options["n_prompts"], places=places)
    inputs: dict[str, Input] = {}
    params: dict[str, Any] = {"class_id": entry.id, "encoder": encoder.part, "weights": encoder.weights}
    if isinstance(prompts, Node):
        inputs["prompts"] = prompts
    else:
        params["prompts"] = prompts
    if options["index"] is not None:
        params |= {"index": g.path(options["index"]), "by": options["by"], "embeddings": options["embeddings"]}
        if options["images"] is not None:
            params["images"] = g.path(options["images"])
    elif options["endpoint"]:
        params |= {"endpoint": _service(options), "endpoint_index": options["endpoint_index"], "by": options["by"]}
    else:
        is_toybox = options["corpus"] == "toybox"
        corpus = g.node(DRAW_CORPUS, params={"n": options["pages"]}) if is_toybox else read(g, options["path"])
        inputs["corpus"] = corpus
        inputs["index"] = index_of(g, corpus, encoder, by=options["by"], kind=options["kind"])
    params |= {name: options[name] for name in ("depth", "duplicates", "max_unsafe", "min_aesthetic", "fetch")}
    # What the network gives is not the same twice, so a class of it is one shard, of one worker.
    network = options["fetch"] or bool(options["endpoint"])
    params["micro_batch"] = depth if network else options["micro_batch"]
    params |= {"batch": 64, "threads": 1}
    step = replace(RETRIEVE, needs=(*FAISS, *encoder.part.needs), network=network)
    return g.node(step, inputs=inputs, params=params)


def _service(options: Mapping[str, Any]) -> str:
    url: str = options["endpoint"]
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"endpoint={url}: not an http address", hint="such as http://localhost:1234/knn-service")
    if not options["endpoint_index"]:
        raise UsageError(f"endpoint={url}: which of its indexes?", hint="endpoint_index=NAME; /indices-list names them")
    return url


def _encoder(options: Mapping[str, Any]) -> str:
    return str(options["encoder"] or ("toybox-clip" if options["corpus"] else "openai/vit-b-32"))


def read(g: Graph, path: str) -> Node:
    """Return the corpus of captioned images that lies at a path."""
    return g.node(READ_CORPUS, params={"place": g.path(path)})


def index_of(g: Graph, corpus: Node, encoder: stages.Encoder, *, by: str, kind: str) -> Node:
    """Index a corpus by its images' or its captions' features."""
    found = stages.features(g, corpus, encoder) if by == "image" else stages.captions(g, corpus, encoder)
    return stages.index(g, found, kind=kind)


def _under(spec: SourceSpec, options: Mapping[str, Any]) -> SourceSpec:
    return replace(spec, sees=replace(spec.sees, models=(stages.split_encoder(_encoder(options))[0],)))


_OPTIONS = (
    Option("corpus", "str", "", "a corpus that comes with vgbench", choices=("", "toybox")),
    Option("pages", "int", N_TOYBOX, "of corpus=toybox: how many", minimum=100),
    Option("path", "path", None, "your corpus: captioned images in webdataset tars or Parquet files"),
    Option("index", "path", None, "an index that is there: a clip-retrieval folder, or DataComp's metadata"),
    Option("images", "path", None, "with index=: the folder that the metadata's image paths are relative to"),
    Option("endpoint", "str", "", "a clip-retrieval service: the address of its knn-service"),
    Option("endpoint_index", "str", "", "with endpoint=: the name of its index"),
    Option("by", "str", "image", "what prompts are compared with", choices=("image", "text")),
    Option(
        "encoder", "encoder", "", "encoder with a text tower (default: openai/vit-b-32; of Toybox's corpus its CLIP)"
    ),
    Option("embeddings", "str", "b32", "DataComp's metadata: whose embeddings", choices=("b32", "l14")),
    Option("kind", "str", "auto", "index that is built: auto goes by size", choices=("auto", *stages.INDEX_KINDS)),
    Option("prompts", "str", "simple", "prompt strategy: a part of kind prompts, or dataset-templates; averaged"),
    Option("n_prompts", "int", 16, "how many prompts a strategy that samples writes", minimum=1),
    Option("wordnet", "path", None, "folder of WordNet 3.0's database (data.noun), for prompts=hypernym"),
    Option("depth", "int", 1_000, "neighbours of a class that are looked at: no more images than that", minimum=1),
    Option("duplicates", "str", "drop", "images that look like a nearer one of the class", choices=("drop", "keep")),
    Option(
        "max_unsafe",
        "float",
        None,
        "leave out what the metadata calls less safe (LAION: punsafe)",
        minimum=0,
        maximum=1,
    ),
    Option("min_aesthetic", "float", None, "leave out what the metadata scores lower (LAION-Aesthetics: 0 to 10)"),
    Option("fetch", "bool", False, "get images that the metadata only has the addresses of, from the web"),
    Option("micro_batch", "int", 64, "images kept in one shard", minimum=1),
)


@hookimpl
def vgbench_offer_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="retrieval",
        summary="the images of a captioned corpus that are nearest to a class's prompts",
        kind="retrieved",
        sees=Sees("class names"),
        class_graph=find,
        under=_under,
        finds_images=True,
        primary="corpus",
        options=_OPTIONS,
        extra="retrieval",
        citation=CITATION,
        license="that of each image found: its place and its address are recorded beside it",
        generator_training_data="none: the images were found in the corpus",
    )


@hookimpl
def vgbench_offer_commands(add: argparse._SubParsersAction[Any]) -> None:
    from vgbench_plugins.retrieval import command  # late, as the core's own are

    command.add(add)
