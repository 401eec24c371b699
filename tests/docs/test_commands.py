"""Every command in the README and the docs does what they say, in a home of the tests' own."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conftest import Answer, frugal
from tests.docs.blocks import DOCUMENTS, ROOT, Block, Command, blocks
from tests.sources.drawn import NAMES, digit_members, digit_rows, write_parquet, write_tar

from vgbench.testing.forms import export

CHECKPOINT = (
    "import sys, timm, torch; torch.save(timm.create_model('resnet50', num_classes=7).state_dict(), sys.argv[1])"
)
NEED_RESULTS = {"docs/statistics.md"}  # their commands read a run and predictions that the reader has made before


@dataclass(frozen=True)
class World:
    """Where a document's commands run: ``/data`` of the reader, a folder of packages, one home for all documents."""

    work: Path
    data: Path
    site: Path
    home: Path

    def run(self, *words: str) -> Answer:
        """Run a command of a document; ``/data/…`` is the world's own, ``docs/…`` ours; pip installs elsewhere."""
        given = [word.replace("/data/", f"{self.data}/") for word in words]
        given = [f"{ROOT}/{word}" if word.startswith("docs/") else word for word in given]
        if given[0] == "pip":
            quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--upgrade")
            given = ["-m", "pip", "install", *quiet, "--target", str(self.site), *(w for w in given[2:] if w != "-e")]
        else:
            given = ["-m", "vgbench.cli", *frugal(given[1:])]
        environment = {**os.environ, "VGBENCH_HOME": str(self.home), "PYTHONPATH": str(self.site)}
        environment |= {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
        done = subprocess.run(
            [sys.executable, *given], cwd=self.work, env=environment, capture_output=True, text=True, timeout=600
        )
        return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the reader's own files: image folders, Parquet, tars, a saved data set, a checkpoint."""
    data = tmp_path_factory.mktemp("data")
    for name, slant in (("train", 0.5), ("test", 1.5), ("mine", 2.0)):  # copies of test images are left out
        export(data / f"of-{name}", "folder", slant=slant).rename(data / name)
    subprocess.run([sys.executable, "-c", CHECKPOINT, str(data / "my.pth")], check=True)
    rows = [{"img": row["image"], "what": NAMES[row["label"]]} for row in digit_rows(n=4)]
    write_parquet(data / "mine.parquet", rows)
    members = digit_members(n=4)
    for part in range(4):
        write_tar(data / f"train-{part:03d}.tar", members[part * len(members) // 4 : (part + 1) * len(members) // 4])
    save_to_disk(data / "saved")
    publish(data / "mine", data / "download")
    return data


def publish(folder: Path, download: Path) -> None:
    """Write a folder of class folders as somebody would publish it: one zip, and the checksums of its files."""
    shutil.make_archive(str(download / "train"), "zip", folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}\n" for p in files]
    (download / "SHA256SUMS").write_text("".join(sums))


def save_to_disk(folder: Path) -> None:
    """Write what Hugging Face ``datasets`` writes: a dictionary of splits with an image and a label column."""
    import datasets

    rows = digit_rows(n=4)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    columns = {name: [row[name] for row in rows] for name in ("image", "label")}
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(columns, features=features)}).save_to_disk(str(folder))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def world(tmp_path: Path, data: Path, home: Path) -> Iterator[World]:
    (tmp_path / "work").mkdir()
    yield World(tmp_path / "work", data, tmp_path / "site", home)


def shortfalls(world: World, command: Command) -> list[str]:
    """Run a command; return what it did that the document does not say."""
    words = command.words
    if command.hub:
        parsed = world.run(words[0], words[1], *words[2:], "--help")
        plan = world.run("vgbench", "plan", *words[2:]) if words[1] == "run" else parsed
        return [] if parsed.code == 0 and plan.code in (0, 3) else [f"{command}\n{plan.err}"]
    answer = world.run(*words)
    said = squeezed(answer.out + answer.err)
    found = [f"{command}\n  does not print: {line}\n{said}" for line in command.printed if squeezed(line) not in said]
    if answer.code != command.code or "Traceback" in said:
        found.append(f"{command}\n  exits with {answer.code}, not {command.code}\n{answer.out}{answer.err}")
    return found


def squeezed(text: str) -> str:
    """Return a text with its white space made single, and the digits of paths and times as they are."""
    return re.sub(r"\s+", " ", text)


def give_results(world: World) -> None:
    """Leave a finished run in ``out`` and predictions in ``predictions.csv``, as the reader of a page has them."""
    answer = world.run("vgbench", "run", "--source", "original", "toybox", "--tasks", "digits", "-o", "out")
    assert answer.code == 0, answer.err
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    table = pq.read_table(next((world.work / "out").glob("cells/*/predictions.parquet")))
    csv.write_csv(table.select(["sample_id", "prediction"]), world.work / "predictions.csv")


def give_answers(world: World) -> None:
    """Leave the answers of somebody, and what is known of the images, as the reader of the page on biases has them."""
    (world.work / "answers.csv").write_text("sample_id,prediction\ndog1-bird1,dog\nbird1-dog1,dog\n")
    (world.work / "annotations.csv").write_text(
        "sample_id,category,time,weather,locations\ndog1-bird1,dog,day,sunny,grass\nbird1-dog1,bird,night,sunny,grass\n"
    )
    (world.work / "images.csv").write_text("sample_id,class_id,variant\ndog1-bird1,dog,same\nbird1-dog1,bird,rand\n")


def runnable(document: Path) -> list[Block]:
    return [block for block in blocks(document) if block.commands() or block.is_experiment]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("document", [d for d in DOCUMENTS if runnable(d)], ids=lambda d: d.name)
def test_commands_of_a_document_do_what_it_says(world: World, document: Path) -> None:
    if document.relative_to(ROOT).as_posix() in NEED_RESULTS:
        give_results(world)
    if document.name == "bias.md":
        give_answers(world)
    wrong: list[str] = []
    for block in runnable(document):
        if block.is_experiment:
            text = block.text.replace("/data/", f"{world.data}/")
            (world.work / "experiment.toml").write_text(text)
            answer = world.run("vgbench", "plan", "experiment.toml")
            wrong += [] if answer.code == 0 else [f"{block.document}:{block.line}: {answer.out}{answer.err}"]
        for command in block.commands():
            wrong += shortfalls(world, command)
    assert not wrong, "\n\n".join(wrong)


def test_commands_are_found_in_the_documents() -> None:
    found = [command for document in DOCUMENTS for block in blocks(document) for command in block.commands()]
    assert len(found) > 30
    assert {command.document for command in found} >= {"README.md", "docs/first-score.md", "docs/errors.md"}


def test_wrong_document_is_caught(world: World) -> None:
    first = Block("page.md", ("console",), ("vgbench lst",), 2).commands()
    second = Block("page.md", ("console", "exit", "2"), ("$ vgbench show digit", "error: all is well"), 5).commands()
    assert "exits with 2, not 0" in shortfalls(world, first[0])[0]
    assert "does not print: error: all is well" in shortfalls(world, second[0])[0]
