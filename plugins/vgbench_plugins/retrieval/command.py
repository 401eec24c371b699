"""``vgbench index build``: an index of captioned images as a folder, in clip-retrieval's layout."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench import Node, UsageError, stages
from vgbench.commands.output import note, write, write_json
from vgbench_plugins.retrieval import index_of, read

if TYPE_CHECKING:
    from vgbench.commands import Context
    from vgbench.store import Store

ABOUT_FILE = "vgbench.json"


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = commands.add_parser("index", help="build an index of captioned images, for the source retrieval")
    verbs = parser.add_subparsers(metavar="build", required=True, parser_class=type(parser))
    build = verbs.add_parser("build", help="embed captioned images, index them, write a clip-retrieval folder")
    build.add_argument("corpus", metavar="CORPUS", help="captioned images: webdataset tars or Parquet files")
    build.add_argument("-o", "--output", required=True, metavar="DIR", help="a folder that is absent or empty")
    build.add_argument("--encoder", default="openai/vit-b-32", metavar="E", help="an encoder with a text tower")
    build.add_argument("--by", default="image", choices=["image", "text", "both"], help="which vectors are indexed")
    build.add_argument("--kind", default="auto", choices=["auto", *stages.INDEX_KINDS], help="auto goes by size")
    build.add_argument("--workers", type=int, metavar="N", help="worker processes at a time (default: cores, or GPUs)")
    build.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where the encoder runs")
    build.add_argument("--offline", action="store_true", help="forbid every download")
    build.add_argument("--json", action="store_true", help="folder, number of images, and each index as built")
    build.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
    target = Path(args.output)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"-o {target}: not an empty folder", hint="nothing there is replaced; choose another place")
    if args.workers is not None and args.workers < 1:
        raise UsageError(f"--workers {args.workers}: at least 1 is needed")

    from vgbench.commands.making import make
    from vgbench.locate import Locator
    from vgbench.planning import Builder
    from vgbench.store import Store, whole_folder

    g = Builder(context.registry, Locator(context.home, note), {})
    with g.running("vgbench::retrieval", "vgbench"):  # as the source's graph does, so that a run finds it made
        corpus = read(g, args.corpus)
        encoder = stages.encoder_with_text(g, stages.encoder(g, args.encoder, reads_text=True))
        ways = ("image", "text") if args.by == "both" else (args.by,)
        indexes = {by: index_of(g, corpus, encoder, by=by, kind=args.kind) for by in ways}
    options = {"workers": args.workers, "device": args.device, "offline": args.offline}
    make([corpus, *indexes.values()], context, **options, quiet=args.json)
    store = Store(context.home)
    built: dict[str, Any] = {}
    with whole_folder(target) as staging:
        n = _metadata(staging / "metadata", store.use(corpus.digest))
        for by, node in indexes.items():
            built[by] = _index(staging, by, node, store)
        about = {"encoder": args.encoder, "corpus": dict(corpus.param)["place"], "images": n, "indexes": built}
        (staging / ABOUT_FILE).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    if args.json:
        write_json({"schema": "vgbench.index/1", "folder": str(target), "images": n, "indexes": built})
        return 0
    for by, one in built.items():
        lists = f", {one['nprobe']} of {one['n_lists']} lists probed: recall@10 {one['recall']:.3f}"
        write(f"{by}: {n} vectors of {one['dimensions']} numbers, {one['kind']}{lists if one['n_lists'] else ''}")
    by = "" if "image" in built else ",by=text"
    write(f"retrieval:index={target},images={args.corpus},encoder={args.encoder}{by}")
    return 0


def _metadata(folder: Path, corpus: Path) -> int:
    """Write what each row is, in the columns that clip-retrieval and img2dataset name; return the number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from vgbench.images import SHARD_FILE, read_table
    from vgbench.steps.captions import CORPUS_FILE

    folder.mkdir()
    pages = read_table(corpus / CORPUS_FILE)
    images = read_table(corpus / SHARD_FILE, ["image"])["image"].combine_chunks()
    columns = {
        "image_path": images.field("path"),
        "key": pages["image_id"],
        "caption": pages["caption"],
        "url": pages["url"],
        "punsafe": pages["unsafe"],
        "AESTHETIC_SCORE": pages["aesthetic"],
    }
    pq.write_table(pa.table(columns), folder / "metadata_0.parquet", row_group_size=10_000)
    return int(pages.num_rows)


def _index(staging: Path, by: str, node: Node, store: Store) -> dict[str, Any]:
    """Copy an index out of the store, and beside it write what clip-retrieval opens; return what it is."""
    import faiss
    import numpy as np

    from vgbench.neighbours import FAISS_FILE, FILES, META_FILE, VECTORS_FILE

    made, folder = store.use(node.digest), staging / by
    folder.mkdir()
    for name in FILES:
        if (made / name).exists():
            shutil.copyfile(made / name, folder / name)
    about: dict[str, Any] = json.loads((folder / META_FILE).read_text())
    about.pop("lists_of_few", None)  # how it is searched is for the search to know
    if about["kind"] == "flat":
        flat = faiss.IndexFlatIP(about["dimensions"])
        flat.add(np.load(folder / VECTORS_FILE))
        faiss.write_index(flat, str(staging / f"{by}.index"))
    else:
        try:
            os.link(folder / FAISS_FILE, staging / f"{by}.index")
        except OSError:  # a file system without hard links
            shutil.copyfile(folder / FAISS_FILE, staging / f"{by}.index")
    return about
