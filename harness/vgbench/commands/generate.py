"""``vgbench generate``: the data itself, for use elsewhere: an image folder, webdataset tars, or Parquet."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench import mixture
from vgbench.commands.asking import add_source_arguments
from vgbench.commands.output import write, write_json
from vgbench.errors import UsageError
from vgbench.types import Option

if TYPE_CHECKING:
    from vgbench.commands import Context
    from vgbench.commands.imageset import WantedImages
    from vgbench.registry import Registry
    from vgbench.store import Store

COUNT = Option("--images-per-class", "count", None, "how many images of each class")


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("generate", help="export a source's images as files that other tools read")
    add_source_arguments(parser)
    parser.add_argument("--images-per-class", required=True, metavar="N", help="a number, or 'all' there are")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="a folder that is absent or empty")
    parser.add_argument(
        "--format", required=True, choices=["folder", "wds", "parquet"], help="image folder, webdataset tars, Parquet"
    )
    parser.add_argument("--json", action="store_true", help="folder, counts, shortfall, recipe")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
    n: int | None = COUNT.cast(args.images_per_class)
    target = Path(args.output)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"-o {target}: not an empty folder", hint="nothing there is replaced; choose another place")

    from vgbench import formats
    from vgbench.commands.imageset import artifact, image_set
    from vgbench.commands.making import make
    from vgbench.images import ImageSet
    from vgbench.store import Store, whole_folder

    wanted = image_set(args, context, n)
    made = make(
        [wanted.images.index, *wanted.images.members],
        context,
        workers=args.workers,
        device=args.device,
        offline=args.offline,
        quiet=args.json,
    )
    store = Store(context.home)
    found = ImageSet.open(artifact(wanted.images, store))
    about = _about(wanted, store, args, n, context.registry)
    with whole_folder(target) as staging:
        formats.export(staging, found, wanted.images.classes, kind=args.format, about=about)
    counts = about["counts"]
    if args.json:
        write_json({"schema": "vgbench.generated/1", "folder": str(target), "images_made": made, **counts})
        return 0
    write(f"{counts['images']} images of {len(counts['per_class'])} classes, {made} of them new to the store")
    if counts["shortfall"]:
        short = sum(counts["shortfall"].values())
        write(f"{short} fewer than asked, in {len(counts['shortfall'])} classes; see counts in manifest.json")
    write(str(target))
    return 0


def _about(
    wanted: WantedImages, store: Store, args: argparse.Namespace, n: int | None, registry: Registry
) -> dict[str, Any]:
    """Return the manifest's head: what the images are, from whom, and under which licence."""
    from vgbench.cells import rejected

    index = store.commit_of(wanted.images.index.digest)
    spec, classes = wanted.source.spec, wanted.images.classes
    names = sorted({str(node.param["dataset"]) for node in wanted.images.index.walk() if "dataset" in node.param})
    real = [registry.datasets.get(name).spec for name in names]
    return {
        "schema": "vgbench.manifest/1",
        "format": args.format,
        "source": {
            "name": spec.name,
            "distribution": wanted.source.distribution,
            "options": dict(wanted.source.options),
            "kind": spec.kind,
            "license": spec.license,
            "citation": spec.citation,
            "generator_training_data": spec.generator_training_data,
        },
        "components": {  # a mixture's image ids begin with these names
            part.name: list(part.component.terms())
            for option in spec.options
            if option.type == "mixture"
            for part in mixture.resolved(wanted.source.options[option.name], wanted.g.recipe)
        },
        "real_data": [{"name": d.name, "license": d.license, "citation": d.citation} for d in real],
        "task": wanted.task.spec.name if wanted.task else None,
        "images_per_class": n,
        "recipe": wanted.images.index.digest,
        "content": index.content,
        "classes": {
            "name": classes.name,
            "version": classes.version,
            "classes": [{"id": entry.id, "name": entry.name, "label": i} for i, entry in enumerate(classes.classes)],
        },
        "counts": {
            "images": index.items,
            "per_class": index.per_class,
            "shortfall": {} if n is None else {c: n - k for c, k in index.per_class.items() if k < n},
            **rejected(wanted.images, store),
        },
    }
