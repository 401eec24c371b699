"""A training copy → micro-batches of pixels, in the order of the run, made ahead of the network where that takes long.

Small sets of images that are not cropped anew each time are decoded once and kept. All others are decoded, cropped and
augmented in processes beside the training: timm draws from generators that threads of one process would share.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vgbench.cores import cores
from vgbench.images import Pack, decode, read_table
from vgbench.steps import checkpoints
from vgbench.steps.augmentation import Transform, seed_all, transform_of
from vgbench.steps.predict import DECODED_BYTES, Pixels, Preprocessing
from vgbench.steps.ranks import Ranks
from vgbench.steps.recipe import Recipe
from vgbench.steps.schedule import MicroBatch
from vgbench.types import Artifact

MAPPED_FILE = "images.arrow"
AHEAD = 2  # micro-batches that each process makes ahead (torch's default)


def labels_of(artifact: Artifact) -> NDArray[np.int64]:
    """Read the labels of a training copy, (N,) int64, and none of its images."""
    tables = [read_table(file, ["label"]) for file in _files(artifact)]
    labels: NDArray[np.int64] = pa.concat_tables(tables)["label"].to_numpy().astype(np.int64)
    return labels


def mapped(artifact: Artifact, folder: Path) -> Path:
    """Write the encoded images of a training copy into one Arrow file of ``folder``, once, and return its path.

    Parquet has to be read before it can be used, by each process for itself; this can be mapped, and lies in memory
    once for all. A file of other images that an earlier training left here goes.
    """
    path = folder / f"{checkpoints.files_of(artifact)[:16]}-{MAPPED_FILE}"
    if not path.exists():
        for other in folder.glob(f"*{MAPPED_FILE}*"):
            other.unlink()
        temporary = folder / f"{MAPPED_FILE}.tmp"
        schema = pa.schema([("bytes", pa.binary())])
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for file in _files(artifact):
                image = read_table(file, ["image"])["image"].combine_chunks()
                writer.write_table(pa.table({"bytes": image.field("bytes")}, schema=schema))
        temporary.replace(path)
    return path


def _files(artifact: Artifact) -> list[Path]:
    return sorted(artifact.path.glob("pack-*.parquet"))


class Loader(Protocol):
    """Yields the pixels of micro-batches, (M, C, P, P) uint8 on the CPU, in the order asked for."""

    def load(self, order: Iterable[MicroBatch]) -> Iterator[tuple[MicroBatch, Tensor]]: ...


def loader(
    artifact: Artifact, recipe: Recipe, preprocessing: Preprocessing, *, n: int, scratch: Path, ranks: Ranks, pin: bool
) -> Loader:
    """Choose how a training copy of n images is read, by one of the processes that train on this machine."""
    fits = n * recipe.in_chans * recipe.input_px**2 <= DECODED_BYTES
    if recipe.crop_scale is None and fits:
        return Kept(Pixels(Pack.open(artifact), preprocessing))
    path = ranks.first(lambda: mapped(artifact, scratch))
    images = Images(path, recipe, preprocessing)
    return Anew(images, n_processes=free_cores(recipe.threads, world=ranks.world), pin=pin)


def free_cores(threads: int, *, world: int = 1) -> int:
    """Return how many processes may make images beside one that trains on ``threads``, one of ``world`` here."""
    return max(1, cores() // world - threads)


@dataclass(frozen=True, slots=True)
class Kept:
    """Images that were decoded once."""

    pixels: Pixels

    def load(self, order: Iterable[MicroBatch]) -> Iterator[tuple[MicroBatch, Tensor]]:
        for micro in order:
            yield micro, self.pixels.take(micro.samples.indices)


class Anew:
    """Images that processes decode and augment anew each time, ``AHEAD`` micro-batches each."""

    def __init__(self, images: Images, *, n_processes: int, pin: bool = False) -> None:
        self._order = _Order()
        # The worker has threads, which a fork would not take along. Of the server that forks instead, each process has
        # this module, with torch and timm, without importing it for itself.
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self._loader: DataLoader[Tensor] = DataLoader(
            images,
            batch_sampler=self._order,
            num_workers=n_processes,
            collate_fn=torch.stack,
            pin_memory=pin,
            prefetch_factor=AHEAD,
            persistent_workers=True,
            multiprocessing_context=context,
            generator=torch.Generator(),  # its own: the global one belongs to the network
        )

    def load(self, order: Iterable[MicroBatch]) -> Iterator[tuple[MicroBatch, Tensor]]:
        self._order.asked, self._order.ahead = order, deque()
        for pixels in self._loader:
            yield self._order.ahead.popleft(), pixels


@dataclass(slots=True)
class _Order:
    """What is asked of the processes, and which micro-batches are on their way; they come back in this order."""

    asked: Iterable[MicroBatch] = ()
    ahead: deque[MicroBatch] = field(default_factory=deque)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for micro in self.asked:
            self.ahead.append(micro)
            yield list(zip(micro.samples.indices.tolist(), micro.samples.draw.tolist(), strict=True))


class Images(Dataset[Tensor]):
    """Images by (index, draw): a pure function of both. Opens its file where it is used."""

    def __init__(self, path: Path, recipe: Recipe, preprocessing: Preprocessing) -> None:
        self._path, self._recipe, self._preprocessing = path, recipe, preprocessing
        self._opened: tuple[Any, Transform | None] | None = None

    def __getitem__(self, asked: tuple[int, int]) -> Tensor:
        index, draw = asked
        if self._opened is None:
            file = pa.ipc.open_file(pa.memory_map(str(self._path)))
            self._opened = file.read_all()["bytes"], transform_of(self._recipe)
        encoded, transform = self._opened
        image = decode(encoded[index].as_py())
        if transform is None:
            return torch.from_numpy(self._preprocessing.resized(np.asarray(image)).copy())
        seed_all(draw)
        return transform(image.convert("L" if self._recipe.in_chans == 1 else "RGB"))
