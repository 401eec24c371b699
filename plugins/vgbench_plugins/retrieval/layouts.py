"""Corpora as retrieval reads them: one that was made as nodes, a clip-retrieval folder or service, DataComp's."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vgbench import Artifact, Step
from vgbench.images import SHARD_FILE, ImageSet
from vgbench.inplace import InPlace, local
from vgbench.neighbours import META_FILE, Index, exact, unit
from vgbench_plugins.retrieval.captioned import CAPTIONS, TOLD, identity, page_of, rows_of, words
from vgbench_plugins.retrieval.corpus import Page, pages_of, read_pages
from vgbench_plugins.retrieval.remote import Remote

# What a disk or a network's file system says when it fails: no property of the corpus, and so never counted as one.
FAILED_DISK = {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class NotThere(Exception):
    """An image that a corpus's metadata names and that is not there; the text is one of few reasons."""


class Corpus(Protocol):
    """What is searched: the nearest rows to one vector, what stands there, and its image."""

    def search(self, query: NDArray[np.float32], k: int) -> tuple[Sequence[float], Sequence[int]]:
        """Return the similarities and rows of the k nearest to a query (D,), the nearest first."""
        ...

    def pages(self, rows: Sequence[int]) -> list[Page]:
        """Return what stands in some rows."""
        ...

    def read(self, page: Page, row: int) -> bytes | None:
        """Return an image's bytes; None where the corpus has none (its address may). Raises ``NotThere``."""
        ...


def opened(step: Step) -> Corpus:
    """Open the step's corpus, or return it as an earlier shard of this worker left it."""
    if "index" in step.params:
        place, images = step.params["index"], step.params.get("images")
        key = f"corpus/{place.identity}/{step.params['by']}/{step.params['embeddings']}/{images and images.identity}"
        return step.resident(key, lambda: _folder(step))  # type: ignore[no-any-return]  # what was made
    if "endpoint" in step.params:
        return Remote(step.params["endpoint"], step.params["endpoint_index"], step.params["by"])
    corpus, index = step.inputs["corpus"], step.inputs["index"]
    return step.resident(f"corpus/{index.digest}", lambda: Stored(corpus, index))  # type: ignore[no-any-return]


def _folder(step: Step) -> Corpus:
    folder = Path(local(step.params["index"].path))
    images = step.params.get("images")
    root = Path(local(images.path)) if images else folder
    if (folder / "metadata").is_dir():
        return ClipRetrieval(folder, step.params["by"], root)
    if any(folder.glob("*.npz")):
        return DataComp(folder, step.params["by"], step.params["embeddings"], root)
    raise ValueError(
        f"{folder}: neither a clip-retrieval index (image.index, metadata/*.parquet) nor DataComp's metadata "
        "(*.parquet with *.npz)"
    )


class Stored:
    """A corpus in the store, and the index that was built of it."""

    def __init__(self, corpus: Artifact, index: Artifact) -> None:
        self._pages = read_pages(corpus.path)
        self._images = Rows(ImageSet.open_unlabelled(corpus))
        self._index = Index.open(index.path)

    def search(self, query: NDArray[np.float32], k: int) -> tuple[Sequence[float], Sequence[int]]:
        similarities, rows = self._index.search(query[None], min(k, len(self._pages)))
        return _row(similarities, rows)

    def pages(self, rows: Sequence[int]) -> list[Page]:
        return pages_of(self._pages, rows)

    def read(self, page: Page, row: int) -> bytes | None:
        return self._images.bytes(row)


@dataclass(frozen=True)
class Rows:
    """The images of a set, one by one."""

    images: ImageSet

    @cached_property
    def _data(self) -> Any:
        shard = self.images.members[0].shards[0]
        table = pq.read_table(shard / SHARD_FILE, columns=["image", "sha256"], memory_map=True)
        return table["image"].combine_chunks(), table["sha256"], InPlace(self.images.members[0].place or "")

    def bytes(self, row: int) -> bytes:
        image, sha256, place = self._data
        value = image[row].as_py()
        found: bytes = value["bytes"] or place.read(value["path"], sha256=sha256[row].as_py())
        return found


class _Metadata:
    """Metadata in Parquet files, one after the other: rows are counted over all of them."""

    def __init__(self, files: Sequence[Path], root: Path) -> None:
        if not files:
            raise ValueError("an index without metadata/*.parquet: nobody knows what its rows are")
        self._paths = files
        self._files = [_table(path) for path in files]
        self._ends = np.cumsum([file.metadata.num_rows for file in self._files])
        self._place = InPlace(str(root))
        self._root = self._place.root.resolve()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def pages(self, rows: Sequence[int]) -> list[Page]:
        """Read each row group that holds some of the rows once, in order."""
        found: dict[int, Page] = {}
        group: tuple[int, int, int] | None = None  # file, its first row, the row after its last
        table: Any = None
        for row in sorted(rows):
            if group is None or row >= group[2]:
                group, table = self._group(row)
            told = rows_of(table.slice(row - group[1], 1))[0]
            found[row] = self._page(told, f"{self._paths[group[0]].name}#{row}")
        return [found[row] for row in rows]

    def read(self, page: Page, row: int) -> bytes | None:
        if page.location is None:
            return None
        try:  # metadata of others may name any file of this machine, and nonsense
            path = self._place.file(page.location).resolve()
            if ".." in Path(page.location).parts or not path.is_relative_to(self._root):
                raise NotThere("a path outside the images' folder")
            if not path.is_file():
                raise NotThere("no such file")
            return self._place.read(page.location)
        except NotThere:
            raise
        except Exception as error:  # whatever one row's nonsense raises, it is no reason to fail the class
            if any(isinstance(one, OSError) and one.errno in FAILED_DISK for one in (error, error.__cause__)):
                raise
            raise NotThere("cannot be read") from error

    def _group(self, row: int) -> tuple[tuple[int, int, int], Any]:
        number = int(np.searchsorted(self._ends, row, side="right"))
        file = self._files[number]
        first_row = int(self._ends[number - 1]) if number else 0
        group = 0
        while row >= first_row + file.metadata.row_group(group).num_rows:
            first_row += file.metadata.row_group(group).num_rows
            group += 1
        try:
            table = file.read_row_group(group, columns=[name for name in file.schema_arrow.names if name in TOLD])
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{self._paths[number]}: cannot be read: {error}") from error
        return (number, first_row, first_row + table.num_rows), table

    def _page(self, told: dict[str, Any], where: str) -> Page:
        path = words(told, ("image_path",))
        return page_of(told, identity(told) or where, words(told, CAPTIONS) or "", location=path)


class ClipRetrieval(_Metadata):
    """A folder that clip-retrieval wrote: ``image.index``, ``text.index`` (of faiss), ``metadata/*.parquet``."""

    def __init__(self, folder: Path, by: str, root: Path) -> None:
        super().__init__(sorted((folder / "metadata").glob("*.parquet")), root)
        self._own: Index | None = None
        if (folder / by / META_FILE).exists():  # `vgbench index build` knows how many lists to probe, and reranks
            self._own = Index.open(folder / by)
        path = folder / f"{by}.index"
        if not path.exists():
            there = ", ".join(sorted(p.name for p in folder.glob("*.index"))) or "no .index file"
            raise ValueError(f"{path} is missing (there: {there}): by=image or by=text says which is searched")
        self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        if self._index.ntotal != len(self):
            raise ValueError(f"{path} has {self._index.ntotal} vectors, the metadata {len(self)} rows")

    def search(self, query: NDArray[np.float32], k: int) -> tuple[Sequence[float], Sequence[int]]:
        if len(query) != self._index.d:
            raise ValueError(f"the encoder gives {len(query)} numbers, the index holds vectors of {self._index.d}")
        asked, k = unit(query[None]), min(k, len(self))
        return _row(*(self._index if self._own is None else self._own).search(asked, k))


class DataComp(_Metadata):
    """DataComp's metadata as downloaded: ``NAME.parquet`` with ``NAME.npz`` (b32_img, b32_txt, l14_img, l14_txt).

    Compared exactly, file by file: nothing is built.
    """

    def __init__(self, folder: Path, by: str, embeddings: str, root: Path) -> None:
        files = sorted(folder.glob("*.parquet"))
        super().__init__(files, root)
        self._column = f"{embeddings}_{'img' if by == 'image' else 'txt'}"
        self._vectors = [path.with_suffix(".npz") for path in files]
        if missing := [path for path in self._vectors if not path.exists()]:
            raise ValueError(f"{missing[0]} is missing: each .parquet of DataComp's metadata has its .npz")

    def search(self, query: NDArray[np.float32], k: int) -> tuple[Sequence[float], Sequence[int]]:
        asked = unit(query[None])
        similarities, rows, start = np.empty((1, 0), np.float32), np.empty((1, 0), np.int64), 0
        for path, file in zip(self._vectors, self._files, strict=True):
            with np.load(path, allow_pickle=False) as arrays:
                if self._column not in arrays:
                    raise ValueError(f"{path} has no {self._column}; it has {', '.join(arrays)}")
                vectors = arrays[self._column]
            if len(vectors) != file.metadata.num_rows or vectors.shape[1] != len(query):
                raise ValueError(
                    f"{path}: {vectors.shape[0]} vectors of {vectors.shape[1]} numbers; its metadata has "
                    f"{file.metadata.num_rows} rows, and the encoder gives {len(query)} numbers"
                )
            near, at = exact(asked, unit(vectors), k)
            similarities, rows = np.concatenate([similarities, near], 1), np.concatenate([rows, at + start], 1)
            start += len(vectors)
        order = np.argsort(-similarities[0], kind="stable")[:k]
        return _row(similarities[:, order], rows[:, order])


def _table(path: Path) -> Any:
    try:
        return pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: cannot be read as Parquet: {error}; get it again") from error


def _row(similarities: NDArray[Any], rows: NDArray[Any]) -> tuple[Sequence[float], Sequence[int]]:
    there = rows[0] >= 0
    return similarities[0][there].tolist(), rows[0][there].tolist()
