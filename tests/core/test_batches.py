"""Batches are the same whoever decodes them: threads ahead, the caller who waits, or the caller alone."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from vgbench import batches as module
from vgbench.batches import SHARE, Batch, batches
from vgbench.decoding import Preprocessing, decode, framed

PREPROCESSING = Preprocessing(8, (0, 0, 0), (1, 1, 1))


def encoded(n: int, *, broken: tuple[int, ...] = ()) -> list[tuple[str, bytes]]:
    """Return n JPEGs of noise."""
    made = []
    for i in range(n):
        buffer = io.BytesIO()
        pixels = np.random.default_rng(i).integers(0, 256, (14, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, "JPEG")
        made.append((f"image-{i}", buffer.getvalue()[: 300 if i in broken else None]))
    return made


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(("read", "decode"))]


@pytest.mark.parametrize("threads", [0, 1, 4])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 40])
def test_batches_hold_every_image_once_in_order(n: int, threads: int) -> None:
    images = encoded(n)
    made = list(batches(images, PREPROCESSING, batch=8, threads=threads))
    assert [(one.start, one.n) for one in made] == [(start, min(8, n - start)) for start in range(0, n, 8)]
    for one in made:
        assert one.pixels.shape == (8, 3, 8, 8)
        for row in range(8):
            expected = framed(decode(images[min(one.start + row, n - 1)][1]), PREPROCESSING)
            np.testing.assert_array_equal(one.pixels[row].numpy(), expected.numpy())
    assert not decoders()


@pytest.mark.parametrize("threads", [0, 2])
def test_no_more_is_read_than_is_soon_used(threads: int) -> None:
    read = []

    def reading() -> Iterator[tuple[str, bytes]]:
        for image in encoded(100):
            read.append(image)
            yield image

    made = batches(reading(), PREPROCESSING, batch=4, threads=threads)
    next(made)
    while len(read) < 4 * (threads + 1):  # they read on, up to the bound
        time.sleep(0.001)
    time.sleep(0.05)
    made.close()
    assert len(read) <= 4 * (threads + 2)
    assert not decoders()


def test_who_waits_for_a_batch_decodes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the one thread ahead held up in its first share, the caller decodes the others of the batch."""
    by_caller, resumed, caller = [], threading.Event(), threading.current_thread()

    def held(data: bytes, scratch: object) -> np.ndarray:
        if threading.current_thread() is caller:
            by_caller.append(data)
            if len(by_caller) == 3 * SHARE:
                resumed.set()
        else:
            resumed.wait(5)
        return decode(data)

    monkeypatch.setattr(module, "decode", held)
    images = encoded(8 * SHARE)
    made = list(batches(images, PREPROCESSING, batch=4 * SHARE, threads=1))
    assert resumed.is_set() and [one.start for one in made] == [0, 4 * SHARE]
    for one in made:
        for row in range(one.n):
            expected = framed(decode(images[one.start + row][1]), PREPROCESSING)
            np.testing.assert_array_equal(one.pixels[row].numpy(), expected.numpy())


def test_a_batch_that_is_done_does_not_wait_for_the_source() -> None:
    """The caller never reads: a slow source holds up nobody but who waits for its images."""
    go_on = threading.Event()

    def reading() -> Iterator[tuple[str, bytes]]:
        yield from encoded(8)
        assert go_on.wait(30)
        yield from encoded(4)

    made = batches(reading(), PREPROCESSING, batch=4, threads=1)
    assert [next(made).start, next(made).start] == [0, 4]
    go_on.set()
    assert [one.start for one in made] == [8]


def test_reading_goes_on_while_batches_are_used() -> None:
    read = []

    def reading() -> Iterator[tuple[str, bytes]]:
        for image in encoded(100):
            read.append(image)
            yield image

    made = batches(reading(), PREPROCESSING, batch=4, threads=1)
    for taken in (1, 2, 3):
        next(made)
        until = time.monotonic() + 10
        while len(read) < 4 * (2 + taken) and time.monotonic() < until:
            time.sleep(0.001)
        assert len(read) == 4 * (2 + taken)
    made.close()


@pytest.mark.parametrize("threads", [1, 4])
def test_images_that_are_decoded_leave_no_bytes(threads: int) -> None:
    freed = []

    class Watched(bytes):
        def __del__(self) -> None:
            freed.append(len(self))

    def reading() -> Iterator[tuple[str, bytes]]:
        yield from ((image_id, Watched(data)) for image_id, data in encoded(40))

    made = batches(reading(), PREPROCESSING, batch=8, threads=threads)
    next(made)
    until = time.monotonic() + 10
    while len(freed) < 16 and time.monotonic() < until:  # those of the next batch, too, which nobody asked for yet
        time.sleep(0.001)
    assert len(freed) >= 16
    made.close()


@pytest.mark.parametrize("threads", [0, 3])
def test_first_image_that_does_not_decode_is_named_after_the_batches_before_it(threads: int) -> None:
    found: list[Batch] = []
    with pytest.raises(ValueError, match="image image-10 does not decode"):
        for one in batches(encoded(20, broken=(10, 11, 17)), PREPROCESSING, batch=4, threads=threads):
            found.append(one)
    assert [one.start for one in found] == [0, 4]
    assert not decoders()


@pytest.mark.parametrize("threads", [0, 3])
def test_what_reading_raises_is_raised_after_the_batches_before_it(threads: int) -> None:
    def reading() -> Iterator[tuple[str, bytes]]:
        yield from encoded(8)
        raise OSError("the disk is gone")

    made = batches(reading(), PREPROCESSING, batch=4, threads=threads)
    assert [next(made).start, next(made).start] == [0, 4]
    with pytest.raises(OSError, match="the disk is gone"):
        next(made)
    assert not decoders()


@pytest.mark.parametrize("threads", [0, 2])
def test_caller_may_be_in_inference_mode_or_not(threads: int) -> None:
    """Threads have modes of their own; what one made, another fills."""
    images = encoded(40)
    with torch.inference_mode():
        within = list(batches(images, PREPROCESSING, batch=8, threads=threads))
    for one, other in zip(within, batches(images, PREPROCESSING, batch=8, threads=threads), strict=True):
        assert torch.equal(one.pixels, other.pixels) and not one.pixels.is_inference()
