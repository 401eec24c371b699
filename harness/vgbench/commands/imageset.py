"""What ``preview`` and ``generate`` share: a source, and the classes asked of it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vgbench import stages
from vgbench.commands.output import note
from vgbench.errors import UsageError, unknown
from vgbench.locate import Locator
from vgbench.planning import Builder, shard_count
from vgbench.registry import Chosen, parse_class_list
from vgbench.store import Store
from vgbench.types import Artifact, ClassList, DataRequest, Graph, Head, Images, Node, SourceSpec, TaskSpec

if TYPE_CHECKING:
    from vgbench.commands import Context


@dataclass(frozen=True, slots=True)
class WantedImages:
    """An image set as asked for: who makes it, of which classes, and its graph."""

    g: Builder
    source: Chosen[SourceSpec]
    task: Chosen[TaskSpec] | None
    images: Images
    left_out: int  # classes


def image_set(
    args: argparse.Namespace, context: Context, n: int | None, *, most_classes: int | None = None
) -> WantedImages:
    """Build the image set of a command: ``n`` images (None: all there are) of each class, or of the first classes.

    Nothing is made yet.
    """
    if args.workers is not None and args.workers < 1:
        raise UsageError(f"--workers {args.workers}: at least 1 is needed")
    if not args.classes and not args.tasks:
        raise UsageError("of which classes?", hint="give --classes NAME (see: vgbench list classes), or --tasks T")
    registry = context.registry
    source = registry.source(args.source)
    g = Builder(registry, Locator(context.home, note), {})
    classes = classes_of(args.classes, g) if args.classes else None
    task = None
    if args.tasks:
        tasks = registry.task(args.tasks)
        if len(tasks) != 1:
            raise UsageError(
                f"{args.tasks} is {len(tasks)} tasks", hint=f"name one: {', '.join(t.spec.name for t in tasks)}"
            )
        task = tasks[0]
        with g.running("scoring", task.distribution):
            request = task.spec.request(g, task.options)
        if classes is not None:
            _refuse_strangers(classes, request.classes, task.spec.name)
            request = replace(request, classes=classes)
    else:
        assert classes is not None
        request = DataRequest(classes, n)
    request = replace(request, images_per_class=n)
    first = replace(request.classes, classes=request.classes.classes[:most_classes])
    left_out = len(request.classes) - len(first)
    if _makes_images(source.spec):
        request = replace(request, classes=first)
    images = g.images_of(source, request)
    if images.classes != first:  # what exists is indexed once, for this and for the run to come
        images = stages.select(g, images, first, images_per_class=n)
    return WantedImages(g, source, task, images, left_out)


def classes_of(text: str, g: Graph) -> ClassList:
    """Read ``NAME``, ``NAME/ID,ID,…``, a JSON file in the form of a class list, or a folder of folders."""
    if text.endswith(".json") or Path(text).is_file():
        try:
            classes = parse_class_list(Path(text).expanduser().read_text())
        except OSError as error:
            raise UsageError(f"{text}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{text} is no class list: {type(error).__name__}: {error}",
                hint='it looks like {"name": …, "version": "1", "classes": [{"id": …, "name": …}, …]}',
            ) from None
        if not classes.classes:
            raise UsageError(f"{text}: a class list without classes")
        return classes
    name, _, ids = (text, "", "") if ":" in text or Path(text).is_dir() else text.partition("/")
    classes = g.class_list(name)
    if not ids:
        return classes
    asked = [class_id.strip() for class_id in ids.split(",")]
    by_id = {entry.id: entry for entry in classes.classes}
    for class_id in asked:
        if class_id not in by_id:
            raise unknown(f"class of {name}", class_id, by_id)
        if asked.count(class_id) > 1:
            raise UsageError(f"{text}: class {class_id!r} stands twice")
    return ClassList(text, classes.version, tuple(by_id[class_id] for class_id in asked))


def artifact(images: Images, store: Store) -> Artifact:
    """Return an image set as a step would see it, every file of it checked against its recorded hash."""

    def opened(given: Node | Head) -> Artifact:
        node, n = (given.node, given.n) if isinstance(given, Head) else (given, None)
        shards = tuple(store.use(node.digest, k) for k in range(shard_count(given)))
        return Artifact(node.digest, shards, n, place=dict(node.bindings).get("place"))

    return replace(opened(images.index), members=tuple(opened(member) for member in images.members))


def _makes_images(spec: SourceSpec) -> bool:
    """Say whether fewer classes mean less work: not for a source that indexes what exists."""
    return spec.class_graph is not None or any(option.type == "mixture" for option in spec.options)


def _refuse_strangers(classes: ClassList, known: ClassList, task: str) -> None:
    for class_id in classes.ids:
        if class_id not in known.ids:
            raise unknown(f"class of the task {task}", class_id, known.ids)
