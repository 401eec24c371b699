"""Encoded images → batches for a network, decoded ahead of it by threads, and by whoever has to wait for a batch."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from vgbench.decoding import Crop, Preprocessing, Scratch, decode, framed

SHARE = 4  # images that a thread takes at a time: few, so that a batch is done soon; one by one took 1 to 3 % more


@dataclass(frozen=True, slots=True)
class Batch:
    """Images ``start`` to ``start + n`` of a set: ``pixels`` (B, 3, P, P) uint8, filled up with copies of the last."""

    start: int
    n: int
    pixels: Tensor


@dataclass(frozen=True, slots=True)
class _Share:
    """Some images of a batch, and the rows that they go to; ``done`` tells what became of them in another thread."""

    rows: Tensor
    images: list[tuple[str, bytes]]
    done: Future[ValueError | None]


def batches(
    encoded: Iterable[tuple[str, bytes]],
    preprocessing: Preprocessing,
    *,
    batch: int,
    crop: Crop = "center",
    threads: int = 1,
) -> Generator[Batch, None, None]:
    """Yield batches of (image id, bytes) in their order, all of one shape, decoded by ``threads`` ahead of their use.

    Who asks for a batch that is not done decodes what no thread has begun of it; with no threads, all. One more thread
    reads. No more than ``threads + 1`` batches are read and not yet asked for; the threads end with the generator.

    Raises, after the batches before: ``ValueError`` naming the first image that does not decode; what reading raises.
    """
    source = iter(encoded)
    scratches = threading.local()
    n_read = 0

    def fill(rows: Tensor, images: list[tuple[str, bytes]]) -> ValueError | None:
        if not hasattr(scratches, "own"):
            scratches.own = Scratch()
        for row, (image_id, data) in zip(rows, images, strict=True):
            try:
                row.copy_(framed(decode(data, scratches.own), preprocessing, crop=crop))
            except Exception as error:  # whatever a decoder raises over damaged bytes
                return ValueError(f"image {image_id} does not decode: {error}")
        images.clear()  # the batch may wait long for its use, without the bytes
        return None

    def read() -> tuple[Batch, list[_Share]] | None:
        nonlocal n_read
        if not (images := list(islice(source, batch))):
            return None
        pixels = torch.empty((batch, 3, preprocessing.input_px, preprocessing.input_px), dtype=torch.uint8)
        made = Batch(n_read, len(images), pixels)
        n_read += made.n
        shares = []
        for start in range(0, made.n, SHARE):
            some = slice(start, min(start + SHARE, made.n))
            given = pixels[some], images[some]
            shares.append(_Share(*given, decoders.submit(fill, *given) if threads else Future()))
        return made, shares

    reader = ThreadPoolExecutor(1, "read")
    # torch counts threads per thread: without the initializer each of these would start a team of its own.
    decoders = ThreadPoolExecutor(max(1, threads), "decode", torch.set_num_threads, (1,))
    try:
        ahead = deque(reader.submit(read) for _ in range(threads + 1))
        while (found := ahead.popleft().result()) is not None:
            ahead.append(reader.submit(read))
            made, shares = found
            own = [fill(share.rows, share.images) if share.done.cancel() else share.done for share in shares]
            for one in own:
                if (error := one.result() if isinstance(one, Future) else one) is not None:
                    raise error
            made.pixels[made.n :] = made.pixels[made.n - 1]
            yield made
    finally:
        for pool in (reader, decoders):  # the reader first: it gives the others work
            pool.shutdown(cancel_futures=True)
