"""A checkpoint of one's own in place of a source: read safely, compared key by key, probed frozen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Answer

from vgbench.types import Place, Step

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")


def checkpoint(path: Path, change: Callable[[dict[str, object]], object]) -> Path:
    torch.manual_seed(0)
    state = timm.create_model("test_resnet", num_classes=5).state_dict()
    torch.save(change(state), path)
    return path


def digits(vgbench: Callable[..., Answer], asked: str, *more: str) -> Answer:
    return vgbench("run", "--weights", asked, "--tasks", "digits", "-o", "out", "--json", *more)


def test_every_wrapping_gives_the_same_weights(tmp_path: Path) -> None:
    from vgbench_plugins.weights.load import state_dict

    wrappings: dict[str, Callable[[dict[str, object]], object]] = {
        "plain": lambda s: s,
        "ddp": lambda s: {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in s.items()}},
        "ema": lambda s: {"state_dict": {k: v * 0 for k, v in s.items()}, "state_dict_ema": s},  # type: ignore[operator]
        "model_ema": lambda s: {"model": {k: v * 0 for k, v in s.items()}, "model_ema": s},  # type: ignore[operator]
        "nested": lambda s: {"model": {f"module.model.{k}": v for k, v in s.items()}},
    }
    plain = timm.create_model("test_resnet", num_classes=5)
    for name, wrap in wrappings.items():
        found = state_dict(checkpoint(tmp_path / f"{name}.pth", wrap))
        plain.load_state_dict(found)
        expected = state_dict(tmp_path / "plain.pth")
        assert all(torch.equal(found[key], value) for key, value in expected.items()), name


def test_features_equal_the_models_own(vgbench: Callable[..., Answer], tmp_path: Path, home: Path) -> None:
    import numpy as np
    import pyarrow.parquet as pq

    path = checkpoint(tmp_path / "my.pth", lambda s: s)
    digits(vgbench, f"test_resnet@{path}")
    commits = {p.parent: json.loads(p.read_text()) for p in home.glob("store/*/*/*/commit.json")}
    (loaded,) = (folder for folder, c in commits.items() if c["step"][0] == "vgbench.load_weights")
    meta = json.loads((loaded / "meta.json").read_text())
    model = timm.create_model("test_resnet", num_classes=5, checkpoint_path=str(loaded / "weights.safetensors")).eval()
    original = timm.create_model("test_resnet", num_classes=5)
    original.load_state_dict(torch.load(path, weights_only=True))
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), original.state_dict().values(), strict=True)
    )
    folder = next(f for f, c in commits.items() if c["step"][0] == "vgbench.represent" and c["items"] == 359)
    features = np.load(folder / "features.npy")
    assert features.shape == (359, model.num_features)
    assert pq.read_table(folder / "rows.parquet")["label"].to_pylist() == [-1] * 359
    assert meta["arch"] == "test_resnet" and meta["n_classes"] == 5


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "conv1.0.weight"}, "missing conv1.0.weight"),
        (lambda s: {**s, "extra.weight": s["fc.weight"]}, "unknown extra.weight"),
        (lambda s: {**s, "conv1.0.weight": torch.zeros(3, 3)}, "conv1.0.weight is (3, 3), expected"),
        (lambda s: {"hello": 1}, "holds no tensors by name"),
    ],
)
def test_mismatch_is_named_key_by_key(
    vgbench: Callable[..., Answer], tmp_path: Path, change: Callable[[dict[str, object]], object], what: str
) -> None:
    answer = digits(vgbench, f"test_resnet@{checkpoint(tmp_path / 'my.pth', change)}", "--workers", "1")
    assert answer.code == 1 and what in answer.json["cells"][0]["reason"] and "Traceback" not in answer.err


def test_pickled_code_is_not_run(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (eval, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    answer = digits(vgbench, f"test_resnet@{tmp_path / 'evil.pth'}")
    assert answer.code == 1 and "not a checkpoint that can be read safely" in answer.json["cells"][0]["reason"]
    assert not (tmp_path / "ran").exists()


def test_wrong_spelling_is_refused_before_anything_is_made(vgbench: Callable[..., Answer], home: Path) -> None:
    assert "is not ARCH@FILE" in digits(vgbench, "test_resnet").err
    assert "no such file" in digits(vgbench, "test_resnet@nowhere.pth").err
    assert not home.exists()


def test_random_init_scores_in_the_column_of_backbones(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "my.pth", lambda s: s)
    answer = digits(vgbench, f"test_resnet@{path}", "--source", "random-init")
    assert answer.code == 0, answer.err
    board = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert len(board["columns"]) == 1 and len(board["rows"]) == 2
    assert all(row["images"] is None for row in board["rows"])


@pytest.mark.parametrize(
    ("arch", "theirs"),
    [
        ("resnet18", lambda tv: tv.resnet18(num_classes=5)),
        (
            "vit_tiny_patch16_224",
            lambda tv: tv.VisionTransformer(
                image_size=224,
                patch_size=16,
                num_layers=12,
                num_heads=3,
                hidden_dim=192,
                mlp_dim=768,
                num_classes=5,
            ),
        ),
    ],
)
def test_torchvisions_and_timms_checkpoint_give_equal_features(
    tmp_path: Path, arch: str, theirs: Callable[[Any], Any]
) -> None:
    """A checkpoint in torchvision's names and one in timm's are the same backbone, and torchvision's own logits."""
    from torchvision import models

    from vgbench_plugins.weights.load import load as load_checkpoint

    torch.manual_seed(0)
    original = theirs(models).eval()
    for value in original.parameters():  # torchvision starts heads and biases at zero, where a mix-up would not show
        torch.nn.init.normal_(value, std=0.05)
    loaded = {}
    for name in ("torchvision", "timm"):
        state = (loaded["torchvision"] if name == "timm" else original).state_dict()
        path = tmp_path / f"{name}.pth"
        torch.save(state, path)
        out = tmp_path / name
        out.mkdir()
        load_checkpoint(loading_step(out, arch, path))
        loaded[name] = timm.create_model(arch, num_classes=5, checkpoint_path=str(out / "weights.safetensors")).eval()
    shown = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(loaded["timm"].forward_features(shown), loaded["torchvision"].forward_features(shown))
        assert torch.allclose(original(shown), loaded["torchvision"](shown), atol=1e-4, rtol=1e-4)


def loading_step(out: Path, arch: str, checkpoint: Path) -> Step:
    return Step(
        node="0" * 64,
        params={"arch": arch, "checkpoint": Place("sha", str(checkpoint))},
        inputs={},
        seed=None,
        shard=0,
        out=out,
        scratch=out,
        device="cpu",
        progress=lambda done, total: None,
        resident=lambda key, make: make(),
        load=lambda part: lambda: None,
    )


def test_a_head_of_another_size_than_its_class_list_is_refused(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "my.pth", lambda s: s)
    answer = digits(vgbench, f"test_resnet@{path},head=digits")
    reason = answer.json["cells"][0]["reason"]
    assert answer.code == 1 and "head has 5 classes, the class list that was named has 10" in reason
    unknown = digits(vgbench, f"test_resnet@{path},head=digit")
    assert unknown.code == 2 and "did you mean 'digits'?" in unknown.err
