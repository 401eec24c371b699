"""``vgbench preview``: a contact sheet of any source and classes, to look before paying."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench import mixture
from vgbench.commands.asking import add_source_arguments
from vgbench.commands.output import write, write_json
from vgbench.errors import UsageError

if TYPE_CHECKING:
    from vgbench.commands import Context
    from vgbench.registry import Chosen, Registry
    from vgbench.types import SourceSpec


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("preview", help="a contact sheet of a source: look before paying")
    add_source_arguments(parser)
    parser.add_argument("-n", "--images", type=int, default=4, metavar="N", help="images of each class (default: 4)")
    parser.add_argument("--sheet", default="sheet.png", metavar="F.png", help="where to write it (default: sheet.png)")
    parser.add_argument("--json", action="store_true", help="sheet, sizes, prompts, images of each class")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
    if args.images < 1:
        raise UsageError(f"-n {args.images}: at least 1 is needed")
    sheet = Path(args.sheet)
    if sheet.suffix.lower() != ".png" or sheet.is_dir():
        raise UsageError(
            f"--sheet {args.sheet}: a contact sheet is a PNG file", hint=f"try {sheet.stem or 'sheet'}.png"
        )

    from vgbench import stages
    from vgbench.commands.imageset import image_set
    from vgbench.commands.making import make
    from vgbench.steps.sheet import capacity
    from vgbench.store import Store, copy_file

    page = capacity(args.images)
    n = min(args.images, page.columns)
    wanted = image_set(args, context, n, most_classes=page.classes)
    cut = {"classes": wanted.left_out, "columns": args.images - n}
    title = _title(wanted.source, context.registry)
    node = stages.sheet(wanted.g, wanted.images, images_per_class=n, title=title, cut=cut)
    made = make([node], context, workers=args.workers, device=args.device, offline=args.offline, quiet=args.json)
    folder = Store(context.home).use(node.digest)
    copy_file(folder / "sheet.png", sheet)
    summary: dict[str, Any] = json.loads((folder / "sheet.json").read_text())
    if args.json:
        write_json({"schema": "vgbench.preview/1", "sheet": str(sheet), "images_made": made, **summary})
    else:
        _write(summary, sheet, made, n)
    return 0


def _title(source: Chosen[SourceSpec], registry: Registry) -> str:
    """Name a source with the options that differ from their defaults; never a path, since params hold none."""
    texts = []
    for option in source.spec.options:
        value = source.options[option.name]
        if option.type == "mixture":
            titled = [replace(c, source=_title(registry.source(c.source), registry)) for c in mixture.parse(value)]
            texts += [" + ".join(term for component in titled for term in component.terms())]
        elif option.type not in ("path", "source") and value != option.default:
            texts.append(f"{option.name}={value}")
    return f"{source.spec.name}: {', '.join(texts)}" if texts else source.spec.name


def _write(summary: dict[str, Any], sheet: Path, made: int, n: int) -> None:
    """Say what the sheet shows, what of it is missing, and where it lies."""
    sizes = [size.replace("x", " × ") for size in summary["sizes_px"]]
    shown = ", ".join(sizes[:3]) + (f" and {len(sizes) - 3} other sizes" if len(sizes) > 3 else "")
    per_class = summary["per_class"]
    write(f"{summary['images']} images of {len(per_class)} classes, {shown} px, {', '.join(summary['formats'])}")
    if made:
        write(f"made {made} images, in whole micro-batches; a run of this source starts from them")
    short = {class_id: count for class_id, count in per_class.items() if count < n}
    if short:
        named = ", ".join(f"{class_id} {count}" for class_id, count in list(short.items())[:5])
        write(f"fewer than {n} images of {len(short)} classes: {named}{', …' if len(short) > 5 else ''}")
    for class_id, prompt in summary["prompts"]:
        write(f"prompt of {class_id}: {prompt}")
    if any(summary["cut"].values()):
        more = summary["cut"]
        write(f"the page is full: {more['classes']} more classes, {more['columns']} more of each, were not made")
    write(str(sheet))
