"""Corpora as retrieval reads them: one that was made as nodes, a clip-retrieval folder or service, DataComp's."""

from __future__ import annotations

import errno
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from vgbench.inplace import DAMAGED_ZIP, InPlace, local
from vgbench.neighbours import META_FILE, Index, exact, has_direction, unit
from vgbench_plugins.retrieval.captioned import CAPTIONS, TOLD, identity, page_of, rows_of, words
from vgbench_plugins.retrieval.corpus import Near, Page, pages_of, read_pages
from vgbench_plugins.retrieval.remote import Remote

# What a disk or a network's file system says when it fails: no property of the corpus, and so never counted as one.
FAILED_DISK = {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}

# What numpy and faiss (RuntimeError) raise of files that are damaged, or something else.
UNREADABLE = (OSError, ValueError, *DAMAGED_ZIP)


class NotThere(Exception):
    """An image that a corpus's metadata names and that is not there; the text is one of few reasons."""


class Corpus(Protocol):
    """What is searched: the nearest rows to one vector, what stands there, and its image."""

    def search(self, query: NDArray[np.float32], k: int) -> Near:
        """Return the k nearest to a query (D,)."""
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

    def search(self, query: NDArray[np.float32], k: int) -> Near:
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
            try:
                self._own = Index.open(folder / by)
            except (*UNREADABLE, KeyError) as error:
                raise ValueError(f"{folder / by}: cannot be opened: {error}; `vgbench index build` again") from error
        path = folder / f"{by}.index"
        if not path.exists():
            there = ", ".join(sorted(p.name for p in folder.glob("*.index"))) or "no .index file"
            raise ValueError(f"{path} is missing (there: {there}): by=image or by=text says which is searched")
        try:
            self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        except UNREADABLE as error:
            # Without faiss's own words: it reports any short file as "No such file or directory".
            raise ValueError(f"{path}: not a whole index of faiss; get or build it again") from error
        if self._index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise ValueError(
                f"{path} compares by distances (faiss's metric {self._index.metric_type}), and similarities are inner "
                "products: build it as clip-retrieval does, with autofaiss's metric_type='ip'"
            )
        if self._index.ntotal != len(self):
            raise ValueError(f"{path} has {self._index.ntotal} vectors, the metadata {len(self)} rows")

    def search(self, query: NDArray[np.float32], k: int) -> Near:
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

    def search(self, query: NDArray[np.float32], k: int) -> Near:
        asked = unit(query[None])
        similarities, rows, start = np.empty((1, 0), np.float32), np.empty((1, 0), np.int64), 0
        n_passed = 0
        for path, file in zip(self._vectors, self._files, strict=True):
            vectors = self._vectors_of(path)
            if vectors.ndim != 2 or vectors.shape != (file.metadata.num_rows, len(query)):
                raise ValueError(
                    f"{path}: {self._column} is {' × '.join(map(str, vectors.shape))} numbers; its metadata has "
                    f"{file.metadata.num_rows} rows, and the encoder gives {len(query)} numbers"
                )
            there = np.flatnonzero(has_direction(vectors))  # downloads of millions hold some that are all zeros
            near, at = exact(asked, unit(vectors[there]), k)
            similarities, rows = np.concatenate([similarities, near], 1), np.concatenate([rows, there[at] + start], 1)
            n_passed, start = n_passed + len(vectors) - len(there), start + len(vectors)
        order = np.argsort(-similarities[0], kind="stable")[:k]
        return replace(_row(similarities[:, order], rows[:, order]), n_passed=n_passed)

    def _vectors_of(self, path: Path) -> NDArray[Any]:
        try:
            if not zipfile.is_zipfile(path):  # else numpy takes it for pickled data, and says so
                raise ValueError("it is not whole, or not an .npz")
            with np.load(path, allow_pickle=False) as arrays:
                names = list(arrays)
                vectors = arrays[self._column] if self._column in names else None
        except UNREADABLE as error:
            raise ValueError(
                f"{path}: cannot be read: {error}; get it again, or take it and its .parquet out"
            ) from error
        if vectors is None:
            raise ValueError(f"{path} has no {self._column}; it has {', '.join(names)}")
        if not np.issubdtype(vectors.dtype, np.floating):
            raise ValueError(f"{path}: {self._column} holds {vectors.dtype}, not vectors of floating point numbers")
        return np.asarray(vectors)


def _table(path: Path) -> Any:
    try:
        return pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: cannot be read as Parquet: {error}; get it again") from error


def _row(similarities: NDArray[Any], rows: NDArray[Any]) -> Near:
    there = rows[0] >= 0
    return Near(similarities[0][there].tolist(), rows[0][there].tolist())
