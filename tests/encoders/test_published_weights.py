"""Published weights are told, observed and read from the Hub's cache as data sets are; nothing is fetched unasked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.conftest import Answer
from tests.encoders import made

from vgbench import inplace, stages
from vgbench.errors import NotObserved
from vgbench.locate import Locator
from vgbench.planning import Builder
from vgbench.registry import Registry

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ENCODER, REPOSITORY = "dinov2/vit-b-14", "facebook/dinov2-base"


@pytest.fixture
def hub(tmp_path: Path) -> Mapping[str, str]:
    """The environment of a machine without network whose Hub cache lies in a folder of its own."""
    return {"HF_HOME": str(tmp_path / "hub-home"), "HF_HUB_OFFLINE": "1"}


def observe(home: Path) -> None:
    """Write the lock file as fetching on another day left it."""
    home.mkdir(exist_ok=True)
    lock = {"schema": "vgbench.lock/1", "datasets": {}, "hub": {f"models/{REPOSITORY}@main": COMMIT}}
    (home / "lock.json").write_text(json.dumps(lock))


def download(hub: Mapping[str, str]) -> None:
    """Lay a tiny model where the Hub's client keeps a repository's files."""
    folder = Path(hub["HF_HOME"], "hub", f"models--{REPOSITORY.replace('/', '--')}", "snapshots", COMMIT)
    made.dinov2_folder(folder)


def state(answer: Answer) -> str:
    (weights,) = answer.json["weights"]
    return str(weights["state"])


def test_doctor_tells_weights_from_absent_to_present(
    vgbench: Callable[..., Answer], home: Path, hub: dict[str, str]
) -> None:
    ask = ("data", "doctor", "--encoder", ENCODER, "--json")
    unseen = vgbench(*ask, env=hub)
    assert unseen.code == 3 and state(unseen) == "not observed"
    assert unseen.json["weights"][0]["hint"] == f"vgbench data fetch --encoder {ENCODER}"
    observe(home)
    assert state(vgbench(*ask, env=hub)) == "needs download"
    download(hub)
    here = vgbench(*ask, env=hub)
    assert here.code == 0 and state(here) == "present"
    assert here.json["weights"][0]["identity"] == f"hf:models/{REPOSITORY}@{COMMIT}"
    assert here.json["datasets"] == []


def test_cell_is_blocked_until_weights_are_observed_and_then_run_from_the_cache(
    vgbench: Callable[..., Answer], home: Path, hub: dict[str, str], tmp_path: Path
) -> None:
    for split in ("train", "test"):
        for label, name in enumerate(("dark", "light")):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(4):
                data = made.jpeg(100 * label + i + 10 * (split == "test"), (40, 36))
                (tmp_path / split / name / f"{i}.jpg").write_bytes(data)
    task = f"own:dataset=folder:{tmp_path / 'test'},encoder={ENCODER}"
    run = ("run", "--source", f"folder:{tmp_path / 'train'}", "--tasks", task, "--json")
    blocked = vgbench(*run, env=hub)
    assert blocked.code == 3 and "nobody has observed its commit" in blocked.json["cells"][0]["reason"]
    assert state(vgbench("data", "doctor", "--tasks", task, "--json", env=hub)) == "not observed"
    observe(home)
    download(hub)
    done = vgbench(*run, env=hub)
    assert done.code == 0, done.err


def test_models_and_data_sets_of_one_name_are_two(tmp_path: Path) -> None:
    assert inplace.repository("models/openai/clip") == ("model", "openai/clip")
    assert inplace.repository("openai/clip") == ("dataset", "openai/clip")
    assert inplace.repository("models/clip") == ("dataset", "models/clip")


def test_every_published_encoder_has_weights_and_none_is_pinned_unseen() -> None:
    registry = Registry()
    g = Builder(registry, Locator(), {})
    published = [offer.spec for offer in registry.weights if offer.spec.place.startswith("hf://")]
    for spec in published:  # encoders', generators' and a T5's
        with pytest.raises(NotObserved):
            g.weights(spec.name)
    encoders = [
        spec.name for spec in published if spec.name.partition("/")[0] in {"openai", "laion2b", "siglip", "dinov2"}
    ]
    assert len(encoders) >= 6
    for name in encoders:
        assert g.part("encoder", name).values["weights"] == name
        with pytest.raises(NotObserved):
            stages.encoder(g, name)
