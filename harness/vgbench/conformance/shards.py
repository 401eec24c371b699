"""Checks of what a source's bodies make: bytes, rows and counts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from vgbench.conformance.asking import Built
from vgbench.conformance.bench import Body
from vgbench.conformance.outcome import NotApplicable, require
from vgbench.conformance.subjects import SourceSubject
from vgbench.images import INDEX_FILE, SHARD_FILE, ImageSet, decode, read_table
from vgbench.store import hash_file
from vgbench.types import Artifact, Head, Node

N_REMADE = 4  # shards made a second time; ours: faults of this kind show on the first


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard of images that the source's own body made."""

    body: Body
    folder: Path
    rows: dict[str, list[Any]]


def mock_images_are_made(subject: SourceSubject) -> None:
    """Two images of each of three classes can be made on this machine, offline, on the CPU.

    No class ends up empty, and nothing is made that was not asked for.
    """
    if subject.spec.backbone_graph is not None:
        subject.bench.make(subject.built().members[0])
        return
    built = subject.images(2)
    labels = Counter(image_set(subject, built).labels.tolist())
    n_classes = len(built.request.classes)
    require(sorted(labels) == list(range(n_classes)), f"{n_classes} classes were asked for, labels are {dict(labels)}")
    require(max(labels.values()) <= 2, f"2 images of each class were asked for, labels are {dict(labels)}")


def smaller_requests_nest(subject: SourceSubject) -> None:
    """The images of a request for 5 are the first of those for 8, and these of those for 13, byte for byte.

    A scaling curve then costs its largest point, and a longer run never contradicts a shorter one.
    """
    sets = []
    for n in (5, 8, 13):
        found = image_set(subject, subject.images(n))
        hashes = found.table["sha256"].to_pylist()
        sets.append({(image_id, label): h for image_id, label, h in zip(found.ids, found.labels, hashes, strict=True)})
    for small, large, names in ((sets[0], sets[1], "5 and 8"), (sets[1], sets[2], "8 and 13")):
        gone = [image_id for (image_id, label) in small if (image_id, label) not in large]
        require(not gone, f"of {names}: image {gone[:1]} is in the smaller set only")
        changed = [image_id for (image_id, label), h in small.items() if large[image_id, label] != h]
        require(not changed, f"of {names}: image {changed[:1]} has other bytes")


def what_is_there_is_not_made_again(subject: SourceSubject) -> None:
    """With the shards of 5 images there, 8 make only the shards that are missing.

    With `micro_batch=4` these are none: 5 and 8 images both lie in the first two shards.
    """
    if subject.spec.class_graph is None:
        raise NotApplicable("it finds whole sets")
    subject.images(5)
    before = set(subject.bench.bodies)
    built = subject.images(8)
    own = {node.digest for node in built.members}
    made = {(digest, shard) for digest, shard in set(subject.bench.bodies) - before if digest in own}
    size = built.members[0].shard_size or 1
    again = {(digest, shard) for digest, shard in made if shard < -(-5 // size)}
    expected = len(own) * (-(-8 // size) - -(-5 // size))
    require(not again and len(made) <= expected, f"{len(made)} shards were made, {expected} were missing")


def shards_are_reproducible(subject: SourceSubject) -> None:
    """A shard made again, in another process, another folder and another order, has the same bytes (on the CPU).

    An image is a function of recipe, class and index: not of the clock, of what the process made before, of a global
    random generator, of the hash seed.
    """
    for node, shard, first in reversed(list(_own_shards(subject))[:N_REMADE]):
        again = subject.bench.run(node, shard, where="elsewhere").folder
        different = _different_files(first, again)
        subject.bench.store.discard(again)
        require(not different, f"{node.step.id} shard {shard}: {', '.join(different)} differ when made again")


def source_seed_changes_images(subject: SourceSubject) -> None:
    """A step that declares `seed="source"` makes other images from another seed.

    Otherwise three source seeds would give one image set, and an interval of width zero.
    """
    drawn = [node for node in subject.own_nodes(subject.built()) if node.step.seed == "source"]
    if not drawn or subject.spec.class_graph is None:
        raise NotApplicable("no class node of it draws from a seed")
    first, second = (subject.images(5, seed=seed) for seed in (0, 1))
    same = []
    for a, b in zip(first.members, second.members, strict=True):
        files = [_folder(subject, node, 0) / SHARD_FILE for node in (a, b)]
        hashes = [set(read_table(file, ["sha256"])["sha256"].to_pylist()) for file in files]
        same.append(hashes[0] == hashes[1])
    require(not all(same), "two source seeds give the same images")


def only_out_and_scratch_are_written(subject: SourceSubject) -> None:
    """A body writes under `step.out` and `step.scratch`, changes no input, starts no process, opens no socket.

    What it leaves elsewhere survives kills and garbage collection and is in nobody's key; what it downloads, nobody
    can pin. Files come in through `g.path`, `g.weights` and `g.dataset`.
    """
    list(_own_shards(subject))
    own = {node.digest for node in subject.own_nodes(subject.built())}
    for body in subject.bench.bodies.values():
        if body.node.digest in own:
            require(not body.touched, f"{body.node.step.id} shard {body.shard}: {'; '.join(body.touched[:3])}")


def made_is_true(subject: SourceSubject) -> None:
    """`Made.items` is the number of rows written, and `Made.per_class`, where given, counts them truly.

    These numbers go into the commit record, the plan and the leaderboard's shortfalls without being counted again.
    """
    for shard in _image_shards(subject):
        made, n = shard.body.made, len(shard.rows["image_id"])
        where = f"{shard.body.node.step.id} shard {shard.body.shard}"
        require(made["items"] == n, f"{where}: Made says {made['items']} items, {n} rows were written")
        classes = [class_id for class_id in shard.rows["class_id"] if class_id is not None]
        if made["per_class"] and len(classes) == n:
            counted = dict(Counter(classes))
            said = {class_id: k for class_id, k in made["per_class"].items() if k}
            require(said == counted, f"{where}: Made.per_class says {said}, the rows say {counted}")
        elif made["per_class"]:
            total = sum(made["per_class"].values())
            require(total == n, f"{where}: Made.per_class adds up to {total}, {n} rows were written")


def rows_are_valid(subject: SourceSubject) -> None:
    """Every row opens as an 8-bit image of the stated size, and its `sha256` is that of its bytes.

    Indices of a shard lie in its range and rise; image ids are unique in a set. Checked before anybody trains on it.
    """
    built = _made(subject)
    for shard in _image_shards(subject):
        where = f"{shard.body.node.step.id} shard {shard.body.shard}"
        size, index = shard.body.node.shard_size, shard.rows["index"]
        if size:
            wanted = range(shard.body.shard * size, (shard.body.shard + 1) * size)
            inside = all(i in wanted for i in index) and all(a < b for a, b in pairwise(index))
            require(inside, f"{where}: indices {index[:4]}… do not rise within {wanted}")
        for row, image in enumerate(shard.rows["image"]):
            data = image["bytes"]
            if data is None:  # indexed in place: its bytes are read through the image set, below
                continue
            image_id = shard.rows["image_id"][row]
            require(hashlib.sha256(data).hexdigest() == shard.rows["sha256"][row], f"{image_id}: sha256 is wrong")
            stated = shard.rows["width_px"][row], shard.rows["height_px"][row]
            require(_size_of(data, image_id) == stated, f"{image_id}: the size is not {stated[0]} × {stated[1]} px")
    found = image_set(subject, built)
    require(len(set(found.ids)) == len(found.ids), "an image id stands twice in the set")
    hashes = found.table["sha256"].to_pylist()
    for image_id, sha256, data in zip(found.ids, hashes, found.encoded(), strict=True):
        require(hashlib.sha256(data).hexdigest() == sha256, f"{image_id}: its bytes are not those of its sha256")
        _size_of(data, image_id)


def labels_are_in_range(subject: SourceSubject) -> None:
    """Labels are positions in the request's class list, 0 to C−1; a class node's rows name its own class or none.

    A label outside would be dropped by one consumer, wrap around in another and crash a third.
    """
    built = _built(subject)
    ids = built.request.classes.ids
    if built.found is not None:
        subject.bench.make(built.found.index)
        table = read_table(subject.bench.store.folder(built.found.index.digest, 0) / INDEX_FILE)
        wrong = sorted({label for label in table["label"].to_pylist() if not 0 <= label < len(ids)})
        require(not wrong, f"labels {wrong[:3]} are outside 0 to {len(ids) - 1}")
        return
    for entry, node in zip(built.request.classes.classes, built.members, strict=True):
        for folder in subject.bench.make(node.head(built.request.images_per_class or 1)):
            named = set(read_table(folder / SHARD_FILE, ["class_id"])["class_id"].to_pylist()) - {None}
            require(named <= {entry.id}, f"the rows of class {entry.id} name {', '.join(sorted(named - {entry.id}))}")


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────


def image_set(subject: SourceSubject, built: Built) -> ImageSet:
    """Open a made image set the way a step does."""
    images = built.images
    assert images is not None
    members = tuple(_artifact(subject, member) for member in images.members)
    return ImageSet.open(Artifact(images.index.digest, (_folder(subject, images.index, 0),), None, members))


def _artifact(subject: SourceSubject, given: Node | Head) -> Artifact:
    node, n = (given.node, given.n) if isinstance(given, Head) else (given, None)
    place = dict(node.bindings).get("place")
    return Artifact(node.digest, tuple(subject.bench.make(given)), n, place=place)


def _folder(subject: SourceSubject, node: Node, shard: int) -> Path:
    return subject.bench.store.folder(node.digest, shard)


def _built(subject: SourceSubject) -> Built:
    built = subject.built()
    if built.images is None:
        raise NotApplicable("it offers a backbone, not images")
    return built


def _made(subject: SourceSubject) -> Built:
    return subject.images(5)


def _own_shards(subject: SourceSubject) -> Iterator[tuple[Node, int, Path]]:
    """Make what 5 images need and yield the source's own nodes' shards, producers first."""
    if subject.spec.backbone_graph is not None:
        subject.bench.make(subject.built().members[0])
    else:
        _made(subject)
    for node in reversed(subject.own_nodes(subject.built())):
        for commit in subject.bench.store.shards(node.digest):
            yield node, int(commit.record["shard"]), commit.folder


def _image_shards(subject: SourceSubject) -> Iterator[Shard]:
    """Yield the shards of images that the source's own bodies made."""
    _built(subject)
    for node, number, folder in _own_shards(subject):
        if (folder / SHARD_FILE).exists():
            body = subject.bench.bodies[node.digest, number]
            yield Shard(body, folder, read_table(folder / SHARD_FILE).to_pydict())


def _different_files(first: Path, second: Path) -> list[str]:
    def hashes(folder: Path) -> dict[str, str]:
        records = ("commit.json", "observed.json")
        files = (p for p in folder.rglob("*") if p.is_file() and p.name not in records)
        return {p.relative_to(folder).as_posix(): hash_file(p) for p in files}

    a, b = hashes(first), hashes(second)
    return sorted(name for name in {*a, *b} if a.get(name) != b.get(name))


def _size_of(data: bytes, image_id: str) -> tuple[int, int]:
    """Decode an image and return its (width, height) in px."""
    try:
        image = decode(data)
    except Exception as error:
        require(False, f"{image_id} does not decode: {type(error).__name__}: {error}")
        raise
    return image.size
