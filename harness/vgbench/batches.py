"""Encoded images → batches for a network, decoded ahead of it by threads, and by whoever has to wait for a batch."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from vgbench.decoding import Crop, Preprocessing, Scratch, decode, framed


@dataclass(frozen=True, slots=True)
class Batch:
    """Images ``start`` to ``start + n`` of a set: ``pixels`` (B, 3, P, P) uint8, filled up with copies of the last."""

    start: int
    n: int
    pixels: Tensor


def batches(
    encoded: Iterable[tuple[str, bytes]],
    preprocessing: Preprocessing,
    *,
    batch: int,
    crop: Crop = "center",
    threads: int = 1,
) -> Generator[Batch, None, None]:
    """Yield batches of (image id, bytes) in their order, all of one shape, decoded by ``threads`` ahead of their use.

    Who asks for a batch that is not ready decodes as well, image by image, until it is: no core waits for another that
    has work left, and with no threads the caller does it all. No more than ``threads + 1`` are kept beside the one
    yielded last; the threads end with the generator. Raises ``ValueError`` naming the first image that does not decode,
    after the batches before its own.
    """
    shape = (batch, 3, preprocessing.input_px, preprocessing.input_px)
    line = _Line(
        iter(encoded),
        lambda start, images: _Making(start, images, torch.empty(shape, dtype=torch.uint8)),
        lambda data, scratch: framed(decode(data, scratch), preprocessing, crop=crop),
        batch=batch,
        kept=threads + 1,
    )
    helpers = [threading.Thread(target=line.help, name=f"decode-{i}", daemon=True) for i in range(threads)]
    for helper in helpers:
        helper.start()
    try:
        scratch = Scratch()
        while (made := line.first(scratch)) is not None:
            yield made
    finally:
        line.close()
        for helper in helpers:
            helper.join()


@dataclass(slots=True)
class _Making:
    """A batch in the making: how many of its images were handed to a thread, how many are done, which failed."""

    start: int
    images: list[tuple[str, bytes]]
    pixels: Tensor
    n_taken: int = 0
    n_done: int = 0
    errors: dict[int, Exception] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return self.n_done == len(self.images)

    def batch(self) -> Batch:
        if self.errors:
            row = min(self.errors)
            raise ValueError(f"image {self.images[row][0]} does not decode: {self.errors[row]}") from self.errors[row]
        n = len(self.images)
        self.pixels[n:] = self.pixels[n - 1]
        return Batch(self.start, n, self.pixels)


class _Line:
    """The batches in the making, in their order. One thread at a time reads a batch's images, all decode them."""

    def __init__(
        self,
        encoded: Iterator[tuple[str, bytes]],
        opened: Callable[[int, list[tuple[str, bytes]]], _Making],
        decoded: Callable[[bytes, Scratch], Tensor],
        *,
        batch: int,
        kept: int,
    ) -> None:
        self._encoded, self._opened, self._decoded = encoded, opened, decoded
        self._batch, self._kept = batch, kept
        self._line: deque[_Making] = deque()
        self._n_read = 0
        self._is_reading = self._is_read = self._is_closed = False
        self._failed: Exception | None = None  # what reading raised
        self._changed = threading.Condition()  # guards all of the above, and every batch's counts

    def first(self, scratch: Scratch) -> Batch | None:
        """Take the first batch off the line, decoding until it is done; None after the last."""
        self._work(scratch, until=lambda: self._line[0].is_done if self._line else self._is_read)
        with self._changed:
            if not self._line:
                if self._failed is not None:
                    raise self._failed
                return None
            made = self._line.popleft()
            self._changed.notify_all()  # there is room for another
        return made.batch()

    def help(self) -> None:
        """Decode until the line is closed: what a thread of its own does."""
        torch.set_num_threads(1)  # torch counts threads per thread: each of these would start a team of its own
        self._work(Scratch(), until=lambda: self._is_closed)

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @torch.inference_mode(False)  # a thread has its own mode, and may not fill what was made in another
    def _work(self, scratch: Scratch, *, until: Callable[[], bool]) -> None:
        """Read and decode, or wait for what others do, until something holds."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: until() or self._next() is not None or self._may_read())
                if until():
                    return
                taken = self._take()
                if taken is None:
                    self._is_reading = True
            if taken is None:
                self._read()
            else:
                self._decode(*taken, scratch)

    def _take(self) -> tuple[_Making, int] | None:
        """Take the next image, by its batch and row; None if all that were read are taken."""
        making = self._next()
        if making is None:
            return None
        making.n_taken += 1
        return making, making.n_taken - 1

    def _next(self) -> _Making | None:
        """Return the first batch with an image that no thread has taken."""
        return next((making for making in self._line if making.n_taken < len(making.images)), None)

    def _may_read(self) -> bool:
        return not (self._is_reading or self._is_read or self._is_closed) and len(self._line) < self._kept

    def _read(self) -> None:
        failed: Exception | None = None
        making: _Making | None = None
        try:
            if images := list(islice(self._encoded, self._batch)):
                making = self._opened(self._n_read, images)
        except Exception as error:  # whatever a source raises: the caller hears it after the batches before
            failed = error
        with self._changed:
            if making is None:
                self._is_read, self._failed = True, failed
            else:
                self._line.append(making)
                self._n_read += len(making.images)
            self._is_reading = False
            self._changed.notify_all()

    def _decode(self, making: _Making, row: int, scratch: Scratch) -> None:
        error: Exception | None = None
        try:
            making.pixels[row] = self._decoded(making.images[row][1], scratch)
        except Exception as raised:  # whatever a decoder raises over damaged bytes
            error = raised
        with self._changed:
            if error is not None:
                making.errors[row] = error
            making.n_done += 1
            if making.is_done:
                self._changed.notify_all()
