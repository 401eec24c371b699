"""Find a class's images in a corpus: its prompts' neighbours, the nearest first, without what is no use."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, repeat
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vgbench import Made, Step
from vgbench.copies import SIMILARITY, Prints, fingerprint, similarity
from vgbench.images import ImageRow, decode, write_shard, write_table
from vgbench.neighbours import unit
from vgbench.steps.encode import embedded_texts
from vgbench.steps.prompt import PROMPTS_FILE
from vgbench.types import Progress
from vgbench_plugins.retrieval.corpus import Page
from vgbench_plugins.retrieval.fetch import NotFetched, fetch
from vgbench_plugins.retrieval.layouts import Corpus, NotThere, opened

FOUND_FILE = "found.parquet"
AT_A_TIME = 32  # images read ahead; fetched at once
DUPLICATE = "looks like a nearer one"
# Of a few that are asked some hosts are always gone; where hardly one is reached, the network is (ours).
UNREACHED = ("not fetched: no such host", "not fetched: no answer")
MOST_UNREACHED, FEW = 0.95, 10  # of fewer than that all may be gone


@dataclass(frozen=True, slots=True)
class Hit:
    """An image that was kept: what it is in the corpus, how near, its bytes and size."""

    page: Page
    similarity: float
    data: bytes
    width_px: int
    height_px: int


@dataclass(slots=True)
class Ranking:
    """A class's images so far, and what was passed over: reasons by the number of images kept before it."""

    candidates: Iterator[Hit | str]
    kept: list[Hit] = field(default_factory=list)
    passed: list[tuple[int, str]] = field(default_factory=list)
    is_broken: bool = False

    def first(self, n: int, *, progress: Progress) -> list[Hit]:
        """Return the first n images, fewer where the depth is reached."""
        while len(self.kept) < n:
            progress(len(self.kept), n)
            try:
                found = next(self.candidates, None)
            except Exception:
                self.is_broken = True
                raise
            if found is None:
                break
            if isinstance(found, Hit):
                self.kept.append(found)
            else:
                self.passed.append((len(self.kept), found))
        return self.kept[:n]


def retrieve(step: Step) -> Made:
    """Write ``images.parquet`` with the shard's images of one class, and ``found.parquet``: whence, and how near.

    The class's prompts are embedded, brought to length 1 and averaged; the ``depth`` nearest of the corpus are looked
    at in turn. Left out and counted: what the metadata calls unsafe or plain (``max_unsafe``, ``min_aesthetic``; under
    a limit also what has no such score), what cannot be read or decoded, and with ``duplicates`` drop what has the
    bytes of a nearer image, or looks like one (`vgbench.copies`). Image i is the i-th that is left.

    Raises:
        ValueError: a corpus that cannot be searched with this encoder; a limit on a score that no page has.
    """
    size = step.params["micro_batch"]
    ranking = _ranking(step)
    shard = step.range(size)
    hits = ranking.first(shard.stop, progress=step.progress)[shard.start :]
    counts = Counter(reason for at, reason in ranking.passed if shard.start <= at < shard.stop)
    class_id = step.params["class_id"]
    rows = [
        ImageRow(
            data=hit.data,
            index=index,
            image_id=f"{class_id}/{index:07d}",
            width_px=hit.width_px,
            height_px=hit.height_px,
            class_id=class_id,
            prompt=hit.page.caption,
        )
        for index, hit in zip(shard, hits, strict=False)
    ]
    write_shard(step.out, rows)
    columns: dict[str, Any] = {
        "index": pa.array([row.index for row in rows], pa.int64()),
        "corpus_id": pa.array([hit.page.image_id for hit in hits], pa.string()),
        "url": pa.array([hit.page.url for hit in hits], pa.string()),
        "similarity": pa.array([hit.similarity for hit in hits], pa.float32()),
    }
    write_table(step.out / FOUND_FILE, pa.table(columns))
    return Made(len(rows), {class_id: len(rows)}, dict(counts))


def _ranking(step: Step) -> Ranking:
    """Return the class's ranking, begun by an earlier shard of this worker or anew: it is the same."""
    known: dict[str, Ranking] = step.resident("ranking", dict)  # of one class, not of all that were
    if step.node not in known or known[step.node].is_broken:
        known.clear()
        known[step.node] = Ranking(_candidates(step, opened(step)))
    return known[step.node]


def _candidates(step: Step, corpus: Corpus) -> Iterator[Hit | str]:
    p = step.params
    nearest = corpus.search(_query(step), p["depth"])
    yield from repeat(NO_VECTOR, nearest.n_passed)
    ranked = iter(zip(nearest.similarities, nearest.rows, corpus.pages(nearest.rows), strict=True))
    seen: set[str] = set()
    prints: list[NDArray[np.uint8]] = []
    n_scored = 0
    done = 0
    with ThreadPoolExecutor(AT_A_TIME if p["fetch"] else 1) as pool:
        while chunk := list(islice(ranked, AT_A_TIME)):
            plain = [_plain(page, p["max_unsafe"], p["min_aesthetic"]) for _, _, page in chunk]
            n_scored += sum(reason != NO_SCORE for reason in plain)
            wanted = [page for (_, _, page), why in zip(chunk, plain, strict=True) if why is None]
            # Read one by one, since files and tables are not shared; fetched at once.
            here = [_read(corpus, page, row) for (_, row, page), why in zip(chunk, plain, strict=True) if why is None]
            found = list(pool.map(partial(_fetched, fetching=p["fetch"]), wanted, here))
            if len(found) >= FEW and sum(one in UNREACHED for one in found) > MOST_UNREACHED * len(found):
                raise ValueError(f"{len(found)} images asked for, and hardly any host answers: is there a network?")
            read = iter(found)
            for (near, _, page), why in zip(chunk, plain, strict=True):
                done += 1
                yield why if why is not None else _judged(page, near, next(read), seen, prints, p["duplicates"])
    if done and not n_scored:
        raise ValueError("max_unsafe or min_aesthetic is set, and the metadata has no such scores")


NO_SCORE = "no score in the metadata"
NO_VECTOR = "no vector to compare"


def _plain(page: Page, max_unsafe: float | None, min_aesthetic: float | None) -> str | None:
    """Say why the metadata rules a page out."""
    if (max_unsafe is not None and page.unsafe is None) or (min_aesthetic is not None and page.aesthetic is None):
        return NO_SCORE
    if max_unsafe is not None and page.unsafe is not None and page.unsafe > max_unsafe:
        return "unsafe"
    return "plain" if min_aesthetic is not None and (page.aesthetic or 0.0) < min_aesthetic else None


def _read(corpus: Corpus, page: Page, row: int) -> bytes | str | None:
    """Return an image's bytes, or why there are none; a disk that fails is no property of the corpus, and raises."""
    try:
        return corpus.read(page, row)
    except NotThere as reason:
        return str(reason)


def _fetched(page: Page, data: bytes | str | None, *, fetching: bool) -> bytes | str:
    url = page.url
    if data is not None:
        return data
    if not fetching or url is None:
        return "only its address is known" if url else "neither an image nor an address"
    try:
        return fetch(url)
    except NotFetched as reason:
        return f"not fetched: {reason}"


def _judged(
    page: Page,
    near: float,
    data: bytes | str,
    seen: set[str],
    prints: list[NDArray[np.uint8]],
    duplicates: str,
) -> Hit | str:
    """Return the hit that bytes are, or why they are none; remember it, so that another like it is known."""
    if isinstance(data, str):
        return data
    try:
        image = decode(data)
    except Exception:  # whatever a decoder raises over bytes of others, it is no image
        return "does not decode"
    if duplicates == "drop":
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in seen:
            return "the same bytes as a nearer one"
        one = fingerprint(image)
        if prints and _is_like(one, prints):
            return DUPLICATE
        seen.add(sha256)
        prints.append(one)
    return Hit(page, near, data, image.width, image.height)


def _is_like(one: NDArray[np.uint8], others: Sequence[NDArray[np.uint8]]) -> bool:
    """Say whether an image is a copy of one of others, or one of them of it: either may be the one that was cut."""
    known: Prints = np.stack(others)
    return bool(
        (similarity(one[None], known) >= SIMILARITY).any() or (similarity(known, one[None]) >= SIMILARITY).any()
    )


def _query(step: Step) -> NDArray[np.float32]:
    """Return the mean of the prompts' features, each of length 1 (D,)."""
    if "prompts" in step.inputs:
        prompts = json.loads((step.inputs["prompts"].path / PROMPTS_FILE).read_text())["prompts"]
    else:
        prompts = step.params["prompts"]
    return np.asarray(unit(embedded_texts(step, prompts)).mean(axis=0), np.float32)
