"""Toybox's captioned "web" as a corpus, with what a real one suffers from: and what it is, for each page, is known."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from vgbench import Made, Step
from vgbench.images import ImageRow, encode_png, write_shard
from vgbench.toybox import downstream, web, words
from vgbench_plugins.retrieval.corpus import Page, write_pages

SIZE_PX = 64
FIRST_PAGE = 40_000_000  # no foundation model was trained on pages from here on
CHUNK = 500
# Shares of the corpus (ours). The rest are pages with captions of their own.
PLANTED = 0.01  # images of downstream test sets, stored otherwise
DUPLICATES = 0.05  # of the page before, stored otherwise
WRONG = 0.05  # captions of another page
NOISE = 0.02  # no picture at all
PLANTED_OF_CLASS = 20  # the first test images of each downstream class, in turn


def draw_corpus(step: Step) -> Made:
    """Write the corpus: ``images.parquet``, and ``corpus.parquet`` with captions and what each page is.

    Params: ``n`` pages. ``what`` is page, duplicate, wrong caption, noise, or planted (``of``: the test image's id).
    """
    n: int = step.params["n"]
    rng = np.random.default_rng(0)
    what = rng.choice(
        ["planted", "duplicate", "wrong caption", "noise", "page"],
        size=n,
        p=[PLANTED, DUPLICATES, WRONG, NOISE, 1 - PLANTED - DUPLICATES - WRONG - NOISE],
    )
    what[0] = "page"  # there is none before it
    planted = _test_images(int((what == "planted").sum()))
    rows: list[ImageRow] = []
    pages: list[Page] = []
    before: NDArray[np.uint8] = np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8)
    for start in range(0, n, CHUNK):
        drawn = web.pages(min(CHUNK, n - start), first=FIRST_PAGE + start)
        pixels = drawn.pixels(size_px=SIZE_PX)
        for i, caption in enumerate(drawn.captions):
            kind, of = str(what[start + i]), None
            data, shown = encode_png(pixels[i]), pixels[i]
            if kind == "planted":
                of, caption, shown = next(planted)
                data = _stored_otherwise(shown, rng)
            elif kind == "duplicate":
                caption, shown = pages[-1].caption, before
                data = _stored_otherwise(shown, rng)
            elif kind == "wrong caption":
                caption = drawn.captions[(i + 1) % len(drawn)]
            elif kind == "noise":
                shown = rng.integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
                data = encode_png(shown)
            before = shown
            image_id = f"page-{start + i:06d}"
            with Image.open(io.BytesIO(data)) as stored:
                rows.append(ImageRow(data, start + i, image_id, stored.width, stored.height))
            pages.append(Page(image_id, caption, what=kind, of=of))
        step.progress(start + len(drawn), n)
    write_shard(step.out, rows)
    write_pages(step.out, pages)
    return Made(n)


def _test_images(n: int) -> Iterator[tuple[str, str, NDArray[np.uint8]]]:
    """Yield n times (sample id, caption, pixels) of the downstream test sets' first images, in a fixed order."""
    found = []
    for name, one in downstream.DOWNSTREAM.items():
        examples = downstream.downstream(name, "test", PLANTED_OF_CLASS)
        pixels = examples.pixels(size_px=SIZE_PX)
        for i, label in enumerate(examples.label.tolist()):
            found.append((f"{name}/test/{i:05d}", words.kind(one.class_names[label]), pixels[i]))
    order = np.random.default_rng(1).permutation(len(found))
    for i in range(n):
        yield found[order[i % len(found)]]


def _stored_otherwise(pixels: NDArray[np.uint8], rng: np.random.Generator) -> bytes:
    """Store an image as someone else would: a little cropped, another size, brighter or darker, a JPEG."""
    image = Image.fromarray(pixels)
    cut = int(rng.integers(0, 4))
    image = image.crop((cut, cut, image.width - cut, image.height - cut))
    side = int(rng.integers(48, 97))
    image = image.resize((side, side), Image.Resampling.BICUBIC)
    image = ImageEnhance.Brightness(image).enhance(float(rng.uniform(0.8, 1.2)))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(50, 96)))
    return buffer.getvalue()
