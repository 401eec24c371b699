"""Sources over images that exist already: the task's own (``original``), and anyone's files, indexed where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vgbench import (
    CannotServe,
    DataRequest,
    Graph,
    Images,
    Option,
    Rate,
    Sees,
    SourceSpec,
    StepRef,
    UsageError,
    hookimpl,
)

# Measured on two busy cores: 20,000 PNG of 32 × 32 px in a folder; photographs of 500 × 375 px are 460 a second.
RATE = Rate(5_500, 200)
INDEX_FOLDER = StepRef("vgbench.index_folder", "1", "vgbench_plugins.files.indexing:index_folder", rate=RATE)
INDEX_PARQUET = StepRef("vgbench.index_parquet", "1", "vgbench_plugins.files.indexing:index_parquet", rate=RATE)
INDEX_HF = StepRef("vgbench.index_hf", "1", "vgbench_plugins.files.indexing:index_hf", rate=RATE)
INDEX_TARS = StepRef("vgbench.index_tars", "1", "vgbench_plugins.files.indexing:index_tars", rate=RATE)

_LABELS = Option("labels", "str", "names", "what a label is", choices=("names", "positions"))
_NAMES = Option("names", "path", None, "text file: one class name a line, for labels that are whole numbers")
_COLUMNS = (
    Option("image", "str", "", "image column (default: the one with a usual name)"),
    Option("label", "str", "", "label column (default: the one with a usual name)"),
    Option("id", "str", "", "column of unique image ids (default: file and row)"),
    _LABELS,
    _NAMES,
)


def original(g: Graph, request: DataRequest, options: Mapping[str, Any]) -> Images:
    """Return the request's pool, or its references, as they are: nothing is copied."""
    found = request.pool or request.references
    if found is None:
        if request.unobserved:
            raise request.unobserved
        raise CannotServe("the task names no real training images of its classes")
    return found


def folder(g: Graph, request: DataRequest, options: Mapping[str, Any]) -> Images:
    """Index a folder of class folders."""
    return indexed(g, INDEX_FOLDER, request, options)


def parquet(g: Graph, request: DataRequest, options: Mapping[str, Any]) -> Images:
    """Index Parquet files."""
    return indexed(g, INDEX_PARQUET, request, options)


def hf(g: Graph, request: DataRequest, options: Mapping[str, Any]) -> Images:
    """Index a split of a Hugging Face data set, saved on disk or at a commit of the Hub."""
    return indexed(g, INDEX_HF, request, options)


def wds(g: Graph, request: DataRequest, options: Mapping[str, Any]) -> Images:
    """Index webdataset tars."""
    return indexed(g, INDEX_TARS, request, options)


def indexed(
    g: Graph, step: StepRef, request: DataRequest, options: Mapping[str, Any], *, beside: Sequence[str] = ("names",)
) -> Images:
    """Return the image set of one node, which is its index and, since nothing is copied, its only member.

    ``beside``: the options, besides ``path``, that say where something lies. Raises ``UsageError`` without a path.
    """
    if not options["path"]:
        raise UsageError("which files? the source is given no path", hint="type it after the name: folder:/data/mine")
    params: dict[str, Any] = {name: value for name, value in options.items() if name not in ("path", *beside)}
    params["place"] = g.path(options["path"])
    params |= {name: g.path(options[name]) for name in beside if options.get(name)}
    params["partial"] = request.partial
    params["classes"] = [
        {"id": entry.id, "name": entry.name, "synonyms": list(entry.synonyms)} for entry in request.classes.classes
    ]
    node = g.node(step, params=params)
    return Images(node, (node,), request.classes)


def _source(name: str, summary: str, set_graph: Any, path: str, *options: Option) -> SourceSpec:
    return SourceSpec(
        name=name,
        summary=summary,
        kind="files",
        sees=Sees("full labelled set"),  # nobody has told us less: the most that can be, so that no claim is too strong
        set_graph=set_graph,
        primary="path",
        options=(Option("path", "path", None, path), *options),
    )


@hookimpl
def vgbench_offer_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="original",
        summary="the task's own real training images",
        kind="real",
        sees=Sees("full labelled set"),
        set_graph=original,
        generator_training_data="none: the images are real",
    )
    yield _source(
        "folder",
        "your images in class folders, named by class id, name or synonym",
        folder,
        "a folder with one folder for each class",
    )
    yield _source(
        "parquet",
        "your images in Parquet files",
        parquet,
        "a Parquet file, a folder of them, or a pattern",
        *_COLUMNS,
    )
    yield _source(
        "hf",
        "a Hugging Face data set: saved on disk, a local copy of its repository, or hf://OWNER/NAME@COMMIT",
        hf,
        "a folder, or //OWNER/NAME@COMMIT on the Hub",
        Option("split", "str", "train", "split"),
        Option("config", "str", "", "folder of the configuration, where there are several"),
        *_COLUMNS,
    )
    yield _source(
        "wds",
        "your images in webdataset tars",
        wds,
        "a tar, a folder of tars, or a pattern such as train-{000..127}.tar",
        Option("image", "str", "", "kind of the image member (default: the only one that is an image)"),
        Option("label", "str", "cls", "kind of the label member; json.KEY takes a key of a JSON member"),
        _LABELS,
        _NAMES,
    )
