"""A user's own weights as an option's value: known by their bytes, refused where they cannot be what was meant."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Answer
from tests.encoders import made

from vgbench import stages
from vgbench.errors import CannotServe, NotObserved, UsageError
from vgbench.locate import Locator
from vgbench.planning import Builder
from vgbench.registry import Registry
from vgbench.types import ClassEntry, ClassList, Images, Part, StepRef


@pytest.fixture(scope="module")
def g() -> Builder:
    return Builder(Registry(), Locator(), {})


@pytest.fixture
def images(g: Builder) -> Images:
    classes = ClassList("pets", "1", (ClassEntry("cat", "cat"), ClassEntry("dog", "dog")))
    return Images(g.node(StepRef("vgbench.some_images", "1", "")), (), classes)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("openai/vit-b-32", ("openai/vit-b-32", "", "")),
        ("acme::clip", ("acme::clip", "", "")),
        ("timm:resnet50@my.pth", ("timm", "resnet50", "my.pth")),
        ("open_clip:/models/a@b", ("open_clip", "", "/models/a@b")),
        ("open_clip:ViT-B-32/openai@/models/a@b.pt", ("open_clip", "ViT-B-32/openai", "/models/a@b.pt")),
        ("vgbench::transformers:~/dino", ("vgbench::transformers", "", "~/dino")),
        ("timm:", ("timm", "", "")),
    ],
)
def test_name_is_split_into_part_architecture_and_path(name: str, parts: tuple[str, str, str]) -> None:
    assert stages.split_encoder(name) == parts


def test_weights_enter_the_key_and_their_place_does_not(g: Builder, images: Images, tmp_path: Path) -> None:
    one = made.timm_file(tmp_path / "one.safetensors")
    same = shutil.copy(one, tmp_path / "same.safetensors")
    other = tmp_path / "other.safetensors"
    other.write_bytes(one.read_bytes() + b"\0")

    def digest(path: Any, arch: str = "test_resnet") -> str:
        return stages.features(g, images, stages.encoder(g, f"timm:{arch}@{path}")).digest

    assert digest(one) == digest(same)
    assert len({digest(one), digest(other), digest(one, "test_vit")}) == 3


def test_crop_enters_the_key(g: Builder, images: Images, tmp_path: Path) -> None:
    encoder = stages.encoder(g, f"timm:test_resnet@{made.timm_file(tmp_path / 'f.safetensors')}")
    nodes = {stages.features(g, images, encoder, crop=crop).digest for crop in ("center", "squash")}
    assert len(nodes) == 2


def test_node_needs_what_its_encoder_needs(g: Builder, images: Images, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "f").write_text("x")
    for name, library in (("open_clip", "open_clip"), ("transformers", "transformers"), ("timm", "timm")):
        encoder = stages.encoder(g, f"{name}:{tmp_path / 'folder'}")
        assert library in stages.features(g, images, encoder).step.needs


@pytest.mark.parametrize(
    ("name", "says", "hint"),
    [
        ("timm", "names no weights of yours", "timm:ARCH@FILE"),
        ("pixels:/some/file", "has weights of its own, or needs none", "write pixels"),
        ("timm:resnet50@/not/here.pth", "/not/here.pth", ""),
        ("tim:resnet50@x", "no encoder is called 'tim'", "did you mean 'timm'"),
    ],
)
def test_wrong_names_are_refused_with_what_to_type(g: Builder, name: str, says: str, hint: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        stages.encoder(g, name)
    assert hint in (refused.value.hint or "")


def test_published_weights_that_nobody_observed_block(g: Builder, images: Images) -> None:
    with pytest.raises(NotObserved, match="openai/vit-b-32"):
        stages.features(g, images, g.part("encoder", "openai/vit-b-32"))


def test_encoder_without_a_text_tower_embeds_no_text(g: Builder, images: Images, tmp_path: Path) -> None:
    for encoder in (
        g.part("encoder", "pixels"),
        stages.encoder(g, f"timm:test_resnet@{made.timm_file(tmp_path / 'f')}"),
    ):
        with pytest.raises(CannotServe, match="has no text tower"):
            stages.text_features(g, encoder, images.classes, Part("prompts", "p", "1"))


def test_text_features_know_names_and_templates_only(g: Builder, images: Images, tmp_path: Path) -> None:
    encoder = stages.encoder(g, f"transformers:{made.timm_file(tmp_path / 'f.safetensors')}")
    prompts = Part("prompts", "p", "1", values={"templates": ["a {}"]})
    entries = images.classes.classes
    other_ids = ClassList("others", "2", tuple(ClassEntry(f"id-{e.id}", e.name, "defined") for e in entries))
    other_names = ClassList("pets", "1", tuple(ClassEntry(e.id, f"big {e.name}") for e in entries))
    digests = [
        stages.text_features(g, encoder, classes, prompts).digest
        for classes in (images.classes, other_ids, other_names)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_own_weights_are_run_once_whatever_their_place(
    vgbench: Callable[..., Answer], tmp_path: Path, home: Path
) -> None:
    for split in ("train", "test"):
        for label, name in enumerate(("dark", "light")):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(6):
                data = made.jpeg(100 * label + i + 10 * (split == "test"), (40, 36), quality=90 - 40 * label)
                (tmp_path / split / name / f"{i}.jpg").write_bytes(data)
    made.timm_file(tmp_path / "mine.safetensors")
    shutil.copy(tmp_path / "mine.safetensors", tmp_path / "copy.safetensors")

    def run(weights: str) -> Answer:
        task = f"own:dataset=folder:{tmp_path / 'test'},encoder=timm:test_resnet@{weights}"
        return vgbench("run", "--source", f"folder:{tmp_path / 'train'}", "--tasks", task, "--json")

    first, again = run("mine.safetensors"), run("copy.safetensors")
    assert first.code == 0, first.err
    assert again.code == 0 and again.json["shards_made"] == 0
    assert [cell["digest"] for cell in first.json["cells"]] == [cell["digest"] for cell in again.json["cells"]]
