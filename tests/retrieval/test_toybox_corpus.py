"""Toybox's web as a corpus is what it says: test images are planted in it, and the detector of copies finds them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.core.test_copies import step

from vgbench.copies import SIMILARITY, Prints, similarity
from vgbench.images import SHARD_FILE
from vgbench.steps.fingerprint import fingerprint_images, read_prints
from vgbench.steps.select import select
from vgbench.toybox import downstream
from vgbench.types import Artifact
from vgbench_plugins.retrieval.corpus import Page, pages_of, read_pages
from vgbench_plugins.retrieval.toybox import (
    DUPLICATES,
    NOISE,
    PLANTED,
    PLANTED_OF_CLASS,
    SIZE_PX,
    WRONG,
    draw_corpus,
)
from vgbench_tasks.datasets.toybox_draw import images

N = 2_000


@dataclass(frozen=True)
class Images:
    """Images with their names, hashes, and fingerprints as the step of a run writes them."""

    artifact: Artifact
    prints: Artifact
    sha256_of: dict[str, str]  # by image id

    @cached_property
    def fingerprints(self) -> Prints:
        """Return the fingerprint of each image, in the order of ``sha256_of``: (N, 3, 768)."""
        sha256s, prints = read_prints(self.prints)
        row = {sha256: i for i, sha256 in enumerate(sha256s)}
        found: Prints = prints[[row[sha256] for sha256 in self.sha256_of.values()]]
        return found


def printed(folder: Path) -> Images:
    table = pq.read_table(folder / SHARD_FILE, columns=["image_id", "sha256"])
    artifact, out = Artifact(folder.name, (folder,)), folder.with_name(f"{folder.name}-prints")
    fingerprint_images(step(out, {"images": artifact}))
    sha256_of = dict(zip(table["image_id"].to_pylist(), table["sha256"].to_pylist(), strict=True))
    return Images(artifact, Artifact(out.name, (out,)), sha256_of)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("web")
    draw_corpus(step(made / "corpus", {}, n=N))
    return made


@pytest.fixture(scope="module")
def pages(folder: Path) -> list[Page]:
    table = read_pages(folder / "corpus")
    return pages_of(table, list(range(table.num_rows)))


@pytest.fixture(scope="module")
def corpus(folder: Path, pages: list[Page]) -> Images:
    return printed(folder / "corpus")


@pytest.fixture(scope="module")
def tests(folder: Path) -> dict[str, Images]:
    """Return the test images of each downstream set, as the tasks' own step draws them."""
    for name in downstream.DOWNSTREAM:
        drawn = {"set": f"downstream/{name}/test", "n": PLANTED_OF_CLASS, "size_px": SIZE_PX}
        images(step(folder / name, {}, **drawn))
    return {name: printed(folder / name) for name in downstream.DOWNSTREAM}


def test_the_shares_are_what_they_say(pages: list[Page]) -> None:
    counts = Counter(page.what for page in pages)
    told = {"planted": PLANTED, "duplicate": DUPLICATES, "wrong caption": WRONG, "noise": NOISE}
    assert set(counts) == {*told, "page"} and counts.total() == N
    for what, share in told.items():
        assert abs(counts[what] - share * N) <= 4 * (share * (1 - share) * N) ** 0.5  # standard deviations
    assert all((page.of is not None) == (page.what == "planted") for page in pages)


def test_planted_pages_are_copies_of_the_test_images_that_they_name(
    pages: list[Page], corpus: Images, tests: dict[str, Images]
) -> None:
    for row, page in enumerate(pages):
        if page.of is None:
            continue
        known = tests[page.of.partition("/")[0]]
        assert corpus.sha256_of[page.image_id] not in known.sha256_of.values()  # stored otherwise
        alike = similarity(corpus.fingerprints[row][None], known.fingerprints)[0]
        assert alike.max() >= SIMILARITY
        assert list(known.sha256_of)[alike.argmax()] == page.of


def test_every_planted_page_is_left_out_when_images_are_chosen(
    pages: list[Page], corpus: Images, tests: dict[str, Images], tmp_path: Path
) -> None:
    inputs = {
        "member": Artifact("m", (), members=(corpus.artifact,)),
        "exclude": Artifact("e", (), members=tuple(known.artifact for known in tests.values())),
        "prints": corpus.prints,
        "exclude_prints": Artifact("p", (), members=tuple(known.prints for known in tests.values())),
    }
    answer = select(step(tmp_path / "chosen", inputs, class_ids=["any"], images_per_class=None))
    chosen = set(pq.read_table(tmp_path / "chosen" / "index.parquet")["image_id"].to_pylist())
    planted = {page.image_id for page in pages if page.what == "planted"}
    assert planted and not planted & chosen
    # A page before may have been planted and stored once more; others are bare patterns that are alike (docs).
    more = {page.image_id for page in pages} - planted - chosen
    assert answer.rejected == {"copy of an excluded image": len(planted) + len(more)} and len(more) < 0.01 * N
