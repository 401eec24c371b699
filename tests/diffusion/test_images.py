"""Images of a text-to-image source: the same bytes however they are made; faulty ones are counted and kept out."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tests.conftest import Answer
from tests.diffusion import made
from torch import Tensor

from vgbench import images
from vgbench.steps.diffuse import Drawn, diffuse, settled, written
from vgbench.steps.pipeline import TextToImage, open_pipeline
from vgbench.types import Place, Step

CLASSES = "toybox16/star,fish,moon"
Hashes = Mapping[tuple[str, int], str]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.sd(tmp_path_factory.mktemp("sd"))


def source(folder: Path, **more: Any) -> str:
    options = {"path": folder, "steps": 2, "micro_batch": 4, "codec": "png", "dtype": "float32", **more}
    return "sd:" + ",".join(f"{name}={value}" for name, value in options.items())


def hashes(home: Path) -> Hashes:
    """Return the hash of every image in a home's store, by class and index."""
    found = {}
    for path in shards(home):
        for row in pq.read_table(path, columns=["class_id", "index", "sha256"]).to_pylist():
            found[row["class_id"], row["index"]] = row["sha256"]
    return found


def shards(home: Path) -> list[Path]:
    """Return the shards of images that a home's store holds; what is being written lies in its ``tmp``."""
    return list(home.glob("store/*/*/*/images.parquet"))


def generate(home: Path, asked: str, n: int, target: Path, *more: str, classes: str = CLASSES) -> list[str]:
    return [
        *(sys.executable, "-m", "vgbench.cli", f"--home={home}", "generate", "--source", asked, "--classes", classes),
        *("--images-per-class", str(n), "--format", "parquet", "-o", str(target), *more),
    ]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_images_depend_on_nothing_but_recipe_class_and_index(pipeline: Path, tmp_path: Path, dtype: str) -> None:
    """One worker; two workers, classes in another order, fewer images first, killed twice on the way."""
    asked = source(pipeline, dtype=dtype, steps=20)  # so slow that a kill falls between two shards
    subprocess.run(generate(tmp_path / "a", asked, 10, tmp_path / "out-a", "--workers=1"), check=True)
    chance = random.Random(0)
    shuffled = "toybox16/moon,star,fish"
    for n, n_shards in ((6, 6), (10, 9)):  # of 4 images, of 3 classes
        command = generate(tmp_path / "b", asked, n, tmp_path / f"killed-{n}", "--workers=2", classes=shuffled)
        known = len(shards(tmp_path / "b"))
        with subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL) as process:
            while len(shards(tmp_path / "b")) == known and process.poll() is None:  # starting takes as long as it takes
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.1))
            os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL  # it was not done yet
        assert known < len(shards(tmp_path / "b")) < n_shards
    command = generate(tmp_path / "b", asked, 10, tmp_path / "out-b", "--workers=2", classes=shuffled)
    subprocess.run(command, check=True)
    found = hashes(tmp_path / "a")
    assert len(found) == len(set(found.values())) == 36
    assert hashes(tmp_path / "b") == found


def test_smaller_requests_are_part_of_larger_ones(
    vgbench: Callable[..., Answer], home: Path, pipeline: Path, tmp_path: Path
) -> None:
    def made_by(n: int, classes: str = CLASSES) -> Hashes:
        target = f"{n}-{len(classes)}"
        asked = ("--source", source(pipeline), "--classes", classes, "--images-per-class", str(n), "-o", target)
        assert vgbench("generate", *asked, "--format", "parquet").code == 0
        return hashes(home)

    five = made_by(5)
    assert made_by(8) == five  # both are two micro-batches
    thirteen = made_by(13)
    assert len(thirteen) == 48 and five.items() <= thirteen.items()
    assert thirteen.items() <= made_by(5, f"{CLASSES},tree").items()


# ── One shape for every call ─────────────────────────────────────────────────────────────────────

DTYPE = "float32"


def step_of(pipeline: Path, out: Path, opened: TextToImage | None = None, **params: Any) -> Step:
    """Return what a worker gives the body for the second shard of "star"; ``opened``: the pipeline it has open."""
    given = {
        "class_id": "star",
        "pipeline": Place("tiny", str(pipeline)),
        "prompts": ["a star", "the star", "a photo of a star"],
        "negative": "",
        "steps": 6,
        "guidance": 5.0,
        "size_px": None,
        "dtype": DTYPE,
        "scheduler": None,
        "safety": "off",
        "attempts": 3,
        "codec": "png",
        "micro_batch": 4,
        "compile": False,
        "threads": 1,
    } | params
    kept: dict[str, Any] = {}

    def resident(key: str, make: Callable[[], Any]) -> Any:
        if key not in kept:
            kept[key] = opened if opened is not None and key.startswith("pipeline/") else make()
        return kept[key]

    out.mkdir(parents=True, exist_ok=True)
    return Step(
        node="ab" * 32,
        params=given,
        inputs={},
        seed=0,
        shard=1,
        out=out,
        scratch=out,
        device="cpu",
        progress=lambda done, total: None,
        resident=resident,
        load=lambda part: open_pipeline,
    )


class Spying(TextToImage):
    """A pipeline that notes the shapes of its calls, and spoils the images of some seeds."""

    def __init__(self, opened: TextToImage, spoilt: Sequence[int] = ()) -> None:
        super().__init__(opened.pipeline, opened.device, opened.checker)
        self.spoilt = set(spoilt)
        self.shapes: list[int] = []
        self.made: dict[int, Tensor] = {}

    def draw(self, embeddings: Any, texts: Any, seeds: Sequence[int], **more: Any) -> Tensor:
        self.shapes.append(len(seeds))
        found = self.whole(embeddings, texts, seeds, **more)
        self.made |= {seed: one.clone() for seed, one in zip(seeds, found, strict=True)}
        for row, seed in enumerate(seeds):
            if seed in self.spoilt:
                found[row] = torch.nan
        return found

    def whole(self, embeddings: Any, texts: Any, seeds: Sequence[int], **more: Any) -> Tensor:
        return TextToImage.draw(self, embeddings, texts, seeds, **more)


class Ragged(Spying):
    """The mutant: what the body takes for one batch is drawn in batches of three and of one."""

    def whole(self, embeddings: Any, texts: Any, seeds: Sequence[int], **more: Any) -> Tensor:
        parts = [
            TextToImage.draw(self, embeddings[at], texts[at], seeds[at], **more) for at in (slice(0, 3), slice(3, 4))
        ]
        return torch.cat(parts)


def bare(pipeline: Path, step: Step, attempt: int) -> Tensor:
    """Draw the whole micro-batch by one call of diffusers' pipeline: (4, 3, H, W), 0 to 1."""
    own = open_pipeline(str(pipeline), "cpu", dtype=DTYPE).pipeline
    prompts = [step.params["prompts"][index % 3] for index in step.range(4)]
    parts = [own.encode_prompt([text], "cpu", 1, True, [""]) for text in prompts]
    found: Tensor = own(
        prompt_embeds=torch.cat([part[0] for part in parts]),
        negative_prompt_embeds=torch.cat([part[1] for part in parts]),
        num_inference_steps=6,
        guidance_scale=5.0,
        generator=[torch.Generator("cpu").manual_seed(step.image_seed(index, attempt)) for index in step.range(4)],
        output_type="pt",
    ).images
    return found


def redrawn(kind: type[Spying], pipeline: Path, out: Path) -> tuple[Step, Spying, list[dict[str, Any]]]:
    """Make a shard of images 4 to 7, of which 5 and 6 have to be drawn again."""
    step = step_of(pipeline, out)
    spoilt = [step.image_seed(index, 0) for index in (5, 6)]
    spy = kind(open_pipeline(str(pipeline), "cpu", dtype=DTYPE), spoilt)
    answer = diffuse(step_of(pipeline, out, spy))()
    assert answer.rejected == {"not finite": 2}
    return step, spy, pq.read_table(out / images.SHARD_FILE).to_pylist()


def differing(step: Step, pipeline: Path, spy: Spying, rows: Sequence[Mapping[str, Any]]) -> int:
    """Return how many kept images are not, to the bit, those of a bare call over the whole micro-batch."""
    wanted = {attempt: bare(pipeline, step, attempt) for attempt in (0, 1)}
    return sum(not torch.equal(spy.made[row["seed"]], wanted[row["attempt"]][row["index"] - 4]) for row in rows)


def test_every_call_has_the_shape_of_the_micro_batch(pipeline: Path, tmp_path: Path) -> None:
    step, spy, rows = redrawn(Spying, pipeline, tmp_path)
    assert spy.shapes == [4, 4]
    assert [(row["index"], row["attempt"]) for row in rows] == [(4, 0), (5, 1), (6, 1), (7, 0)]
    assert [row["prompt"] for row in rows] == ["the star", "a photo of a star", "a star", "the star"]
    assert [row["seed"] for row in rows] == [step.image_seed(row["index"], row["attempt"]) for row in rows]
    assert differing(step, pipeline, spy, rows) == 0
    pixels = [
        images.encode_png(np.asarray((spy.made[row["seed"]] * 255).round().to(torch.uint8).permute(1, 2, 0)))
        for row in rows
    ]
    assert [row["image"]["bytes"] for row in rows] == pixels


def test_a_ragged_batch_is_noticed(pipeline: Path, tmp_path: Path) -> None:
    """The check above can fail: batches of another shape give other bytes, on this machine too."""
    step, spy, rows = redrawn(Ragged, pipeline, tmp_path)
    assert differing(step, pipeline, spy, rows) > 0


# ── Faulty images ────────────────────────────────────────────────────────────────────────────────

SOUND = torch.linspace(0, 1, 48).reshape(3, 4, 4)
FAULTY = {
    "black": torch.zeros(3, 4, 4),
    "constant": torch.full((3, 4, 4), 0.3),
    "not finite": torch.where(SOUND > 0.9, torch.nan, SOUND),
}


def settle(drawn: Callable[[int], Sequence[Tensor]], *, flags: Sequence[bool] = (), **more: Any) -> Any:
    counts: Counter[str] = Counter()
    n = len(drawn(0))
    found = settled(
        lambda attempt: torch.stack(list(drawn(attempt))),
        lambda pixels: flags or [False] * len(pixels),
        counts=counts,
        **{"attempts": 3, "redraw_flagged": False, "n": n, **more},
    )
    return found, dict(counts)


@pytest.mark.parametrize("reason", FAULTY)
def test_faulty_images_are_drawn_again(reason: str) -> None:
    found, counts = settle(lambda attempt: [SOUND, FAULTY[reason] if attempt < 2 else SOUND])
    assert counts == {reason: 2}
    assert {position: one.attempt for position, one in found.items()} == {0: 0, 1: 2}


def test_what_stays_faulty_is_left_out() -> None:
    found, counts = settle(lambda attempt: [FAULTY["black"], SOUND, FAULTY["constant"], FAULTY["not finite"]])
    assert list(found) == [1]
    assert counts == {"black": 3, "constant": 3, "not finite": 3}


def test_flagged_images_are_kept_and_marked_or_drawn_again() -> None:
    found, counts = settle(lambda attempt: [SOUND, SOUND], flags=[False, True])
    assert [one.flags for one in found.values()] == [(), ("flagged by the safety checker",)]
    assert counts == {}
    found, counts = settle(lambda attempt: [SOUND, SOUND], flags=[False, True], redraw_flagged=True)
    assert list(found) == [0]
    assert counts == {"flagged by the safety checker": 3}


def test_bytes_that_are_no_image_are_not_committed() -> None:
    one = Drawn((SOUND * 255).to(torch.uint8), 0)
    data = images.encode_png(one.pixels.permute(1, 2, 0).contiguous().numpy())
    assert isinstance(written(one, "star", 0, prompt="", seed=0, data=data), images.ImageRow)
    assert "not to be read again" in str(written(one, "star", 0, prompt="", seed=0, data=data[: len(data) // 2]))


def test_a_shard_without_a_sound_image_is_empty_and_the_class_fails(pipeline: Path, tmp_path: Path) -> None:
    step = step_of(pipeline, tmp_path)
    spoilt = [step.image_seed(index, attempt) for index in step.range(4) for attempt in range(3)]
    spy = Spying(open_pipeline(str(pipeline), "cpu", dtype=DTYPE), spoilt)
    answer = diffuse(step_of(pipeline, tmp_path, spy))()
    assert (answer.items, answer.rejected) == (0, {"not finite": 12})
