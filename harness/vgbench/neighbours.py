"""The nearest vectors of many by cosine: exactly, or by an index of faiss that knows what it misses.

An index is a folder: ``vectors.npy`` (N, D) float32 of length 1 and ``index.json``; for the approximate kinds
``index.faiss`` besides, and ``few.npy`` (F, D), by which the nearest of its lists are found. The large ones are
memory-mapped. How many lists are probed is measured when it is built: the fewest at which search finds ``RECALL`` of
what exact search finds, for some of its own vectors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import faiss
import numpy as np
from numpy.typing import NDArray

from vgbench.clusters import Clusters

Kind: TypeAlias = Literal["flat", "ivf-flat", "ivf-pq"]
VECTORS_FILE, FAISS_FILE, FEW_FILE, META_FILE = FILES = ("vectors.npy", "index.faiss", "few.npy", "index.json")
FLAT_UP_TO, IVF_UP_TO = 100_000, 5_000_000  # vectors; performance.md §4
K = 10
RECALL = (
    0.997  # of the K nearest of its own vectors, when it is built: others, of which 0.99 should be found, lie farther
)
N_TUNING = 1_000  # of its own vectors, by which nprobe is chosen (ours)
POINTS_PER_LIST = 40  # k-means sees so many (ours; faiss warns below 39, and takes 256 at most)
LISTS, MANY_LISTS = 4, 16  # times the square root of the number of vectors (faiss's guidelines: 4 to 16)
MANY_FROM = 500_000  # vectors: here reading the lists takes longer than choosing them
CODE_DIMENSIONS = 8  # of a vector to each byte of a product code
CODES = 256  # that a byte can tell apart: k-means finds them among so many vectors at least
DEEP = 4  # times k vectors lie in the lists that are probed (ours)
RERANK = 10  # of k: so many candidates of product codes are compared exactly
BLOCK = 65_536  # vectors compared at a time in exact search

Float: TypeAlias = NDArray[np.float32]
# Similarities and rows, each (Q, k), the nearest first; where there is none the row is -1.
Found: TypeAlias = tuple[Float, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Index:
    """An opened index. ``n_lists``, ``nprobe`` and ``recall`` (at 10, as tuned) of the approximate kinds."""

    kind: Kind
    vectors: Any  # (N, D), memory-mapped
    lists: Any = None
    clusters: Clusters | None = None  # their centres are the lists'
    n_lists: int = 0
    nprobe: int = 0
    recall: float = 1.0

    @classmethod
    def open(cls, folder: Path) -> Index:
        """Open an index that `build` wrote; nothing is read before it is searched."""
        meta = json.loads((folder / META_FILE).read_text())
        vectors = np.load(folder / VECTORS_FILE, mmap_mode="r")
        if meta["kind"] == "flat":
            return cls(meta["kind"], vectors)
        lists = faiss.read_index(str(folder / FAISS_FILE), faiss.IO_FLAG_MMAP)
        clusters = Clusters(np.load(folder / FEW_FILE), np.array(meta["lists_of_few"]), _centroids(lists))
        return cls(meta["kind"], vectors, lists, clusters, meta["n_lists"], meta["nprobe"], meta["recall"])

    def search(self, queries: NDArray[Any], k: int, *, nprobe: int | None = None) -> Found:
        """Return the k nearest of each query (Q, D), which need not be of length 1, by cosine.

        For a large k more lists are probed than were for ten: so many that they hold several times k vectors.
        """
        asked = unit(queries)
        if self.clusters is None:
            return exact(asked, self.vectors, k)
        deep = math.ceil(DEEP * k * self.n_lists / len(self.vectors))
        n_probed = nprobe or min(self.n_lists, max(self.nprobe, deep))
        near, lists = self.clusters.search(asked, n_probed)
        self.lists.nprobe = n_probed
        if self.kind == "ivf-flat":
            similarities, rows = self.lists.search_preassigned(asked, k, lists, near)
            return similarities, rows
        _, candidates = self.lists.search_preassigned(asked, k * RERANK, lists, near)
        return _reranked(asked, self.vectors, candidates, k)


def build(folder: Path, vectors: NDArray[Any], kind: Kind | Literal["auto"]) -> Index:
    """Write an index of vectors (N, D) into ``folder`` and open it.

    ``auto``: exact up to 100,000 vectors, inverted lists up to 5 million, product codes with exact rerank beyond.
    Raises ``ValueError`` for no vectors, for one that has no direction, and for too few to make product codes of.
    """
    if not len(vectors):
        raise ValueError("there is nothing to index")
    n, dimensions = vectors.shape
    if kind == "auto":
        kind = "flat" if n <= FLAT_UP_TO else "ivf-flat" if n <= IVF_UP_TO else "ivf-pq"
    if kind == "ivf-pq" and n < CODES:
        raise ValueError(
            f"ivf-pq makes codes of {CODES} vectors or more, and there are {n}: kind=flat compares with all"
        )
    np.save(folder / VECTORS_FILE, unit(vectors))
    stored = np.load(folder / VECTORS_FILE, mmap_mode="r")
    found = Index(kind, stored)
    if kind != "flat":
        found = _tuned(_with_lists(kind, stored, n, dimensions))
        faiss.write_index(found.lists, str(folder / FAISS_FILE))
    meta: dict[str, Any] = {name: getattr(found, name) for name in ("kind", "n_lists", "nprobe", "recall")}
    meta |= {"n": n, "dimensions": dimensions}
    if found.clusters is not None:
        np.save(folder / FEW_FILE, found.clusters.few)
        meta["lists_of_few"] = found.clusters.sizes.tolist()
    (folder / META_FILE).write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n")
    return found


def exact(queries: Float, vectors: Any, k: int) -> Found:
    """Compare queries (Q, D) with every vector, of equal similarities the first row first."""
    k = min(k, len(vectors))
    best: Found = (np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64))
    for start in range(0, len(vectors), BLOCK):
        part = queries @ np.asarray(vectors[start : start + BLOCK], np.float32).T
        similarities = np.concatenate([best[0], part], axis=1)
        here = np.broadcast_to(np.arange(start, start + part.shape[1]), part.shape)
        rows = np.concatenate([best[1], here], axis=1)
        best = _first(similarities, rows, k)
    return best


def unit(vectors: NDArray[Any]) -> Float:
    """Return vectors (N, D) at length 1; ``ValueError`` for one of length 0 or not finite."""
    values = np.asarray(vectors, np.float32)
    if not has_direction(values).all():
        raise ValueError("a vector to index or to search with has no direction")
    return np.ascontiguousarray(values / np.linalg.norm(values, axis=1, keepdims=True))


def has_direction(vectors: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which vectors (N, D) can be compared by cosine: (N,), false for one of length 0 or not finite."""
    lengths = np.linalg.norm(np.asarray(vectors, np.float32), axis=1)
    return np.asarray(np.isfinite(lengths) & (lengths > 0))


def recall(found: Iterable[NDArray[np.int64]], truth: Iterable[NDArray[np.int64]]) -> float:
    """Return the mean share of the true neighbours (Q, k) that were found (Q, k)."""
    return float(np.mean([len(np.intersect1d(a, b)) / max(len(b), 1) for a, b in zip(found, truth, strict=True)]))


def _with_lists(kind: Kind, vectors: Any, n: int, dimensions: int) -> Index:
    lists_per_root = MANY_LISTS if n >= MANY_FROM else LISTS
    n_lists = max(1, min(2 ** round(math.log2(lists_per_root * math.sqrt(n))), n // POINTS_PER_LIST or 1))
    coarse = faiss.IndexFlatIP(dimensions)
    lists: Any
    if kind == "ivf-flat":
        lists = faiss.IndexIVFFlat(coarse, dimensions, n_lists, faiss.METRIC_INNER_PRODUCT)
    else:
        codes = next(m for m in range(max(1, dimensions // CODE_DIMENSIONS), 0, -1) if dimensions % m == 0)
        lists = faiss.IndexIVFPQ(coarse, dimensions, n_lists, codes, 8, faiss.METRIC_INNER_PRODUCT)
    n_training = min(n, max(POINTS_PER_LIST * n_lists, CODES if kind == "ivf-pq" else 0))
    rows = np.sort(np.random.default_rng(0).choice(n, n_training, replace=False))
    some = np.ascontiguousarray(vectors[rows])
    clusters = Clusters.of(some, n_lists)
    coarse.add(clusters.centres)
    lists.train(some)  # product codes alone are: the lists are known
    for start in range(0, n, BLOCK):
        block = np.ascontiguousarray(vectors[start : start + BLOCK])
        ids, nearest = np.arange(start, start + len(block)), clusters.nearest(block)
        lists.add_core(len(block), *map(faiss.swig_ptr, (block, ids, nearest)))
    return Index(kind, vectors, lists, clusters, n_lists)


def _centroids(lists: Any) -> Float:
    quantizer = faiss.downcast_index(lists.quantizer)
    return np.asarray(quantizer.reconstruct_n(0, lists.nlist), np.float32)


def _tuned(index: Index) -> Index:
    """Return the index with the fewest lists probed that find `RECALL` of the neighbours: doubled, then bisected."""
    n = len(index.vectors)
    rows = np.sort(np.random.default_rng(1).choice(n, min(n, N_TUNING), replace=False))
    queries = np.ascontiguousarray(index.vectors[rows])
    k = min(K + 1, n)  # each finds itself too, which is no merit
    truth = _others(exact(queries, index.vectors, k)[1], rows)

    def reached(nprobe: int) -> float:
        found = index.search(queries, k, nprobe=nprobe)[1]
        return recall([f[f != own] for f, own in zip(found, rows, strict=True)], truth)

    few, enough, found = 0, 1, reached(1)
    while found < RECALL and enough < index.n_lists:
        few, enough = enough, min(2 * enough, index.n_lists)
        found = reached(enough)
    while enough - few > 1:
        middle = (few + enough) // 2
        here = reached(middle)
        few, enough, found = (few, middle, here) if here >= RECALL else (middle, enough, found)
    return replace(index, nprobe=enough, recall=round(found, 4))


def _others(truth: NDArray[np.int64], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return each row's neighbours without itself; where copies of it crowd it out, without the last."""
    return [t[t != own] if own in t else t[:-1] for t, own in zip(truth, rows, strict=True)]


def _reranked(queries: Float, vectors: Any, candidates: NDArray[np.int64], k: int) -> Found:
    similarities = np.full(candidates.shape, -np.inf, np.float32)
    for i, rows in enumerate(candidates):
        there = rows >= 0
        similarities[i, there] = np.asarray(vectors[rows[there]], np.float32) @ queries[i]
    return _first(similarities, candidates, k)


def _first(similarities: Float, rows: NDArray[np.int64], k: int) -> Found:
    """Return the k highest of each row, equal ones by rising row."""
    k = min(k, similarities.shape[1])
    if similarities.shape[1] > 4 * k:  # sort what could be among them: of each row k, where none ties
        some = np.argpartition(similarities, -k, axis=1)[:, -k:]
        least = np.take_along_axis(similarities, some, 1).min(axis=1, keepdims=True)
        could = similarities >= least
        if could.sum() == some.size:
            similarities, rows = np.take_along_axis(similarities, some, 1), np.take_along_axis(rows, some, 1)
        else:
            columns = np.flatnonzero(could.any(axis=0))
            similarities, rows = similarities[:, columns], rows[:, columns]
    order = np.lexsort((rows, -similarities), axis=1)[:, :k]
    return (
        np.ascontiguousarray(np.take_along_axis(similarities, order, 1)),
        np.ascontiguousarray(np.take_along_axis(rows, order, 1).astype(np.int64)),
    )
