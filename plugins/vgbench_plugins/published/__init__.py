"""Images that somebody published, keyed by class id: a folder, zips or tars, read where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vgbench import DataRequest, Graph, Images, Option, Sees, SourceSpec, StepRef, hookimpl
from vgbench_plugins.files import RATE, indexed

INDEX_PUBLISHED = StepRef(
    "vgbench.index_published", "1", "vgbench_plugins.published.reading:index_published", rate=RATE
)
OPTIONS = (
    Option("split", "str", "", "split (default: train where there is one)", choices=("", "train", "val", "test")),
    Option("manifest", "path", None, "list that every file must be on: of sha256sum, md5sum, or PATH LABEL lines"),
)


def images(g: Graph, request: DataRequest, options: Mapping[str, Any]) -> Images:
    """Index what was published; other sources, which know a paper's facts, call this with their options."""
    return indexed(g, INDEX_PUBLISHED, request, options, beside=("manifest",))


@hookimpl
def vgbench_offer_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="published",
        summary="published images by class id: a folder, zips, tars, one tar for each class",
        kind="files",
        sees=Sees("full labelled set"),  # nobody has told us less: the most that can be, so that no claim is too strong
        set_graph=images,
        primary="path",
        options=(Option("path", "path", None, "a folder, a zip, a tar, or a folder of those"), *OPTIONS),
    )
