"""On a GPU the Toybox CLIP sees what it sees on a CPU, to rounding."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
import torch

from vgbench.toybox import web
from vgbench_tasks.encoders.open_clip import build


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_features_of_a_gpu_are_those_of_a_cpu() -> None:
    folder = str(files("vgbench.toybox") / "clip")
    pixels = torch.from_numpy(web.pages(64).pixels()).permute(0, 3, 1, 2).contiguous()
    found = []
    for device in ("cpu", "cuda"):
        network = build({"weights": "toybox-clip"}, folder, device)
        with torch.inference_mode():
            images = network.images(pixels.to(device)).float().cpu().numpy()
            texts = network.texts(["a photo of a herring", "a thing at night"]).float().cpu().numpy()
        found.append(np.concatenate((images, texts)))
    cpu, gpu = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in found)
    assert ((cpu * gpu).sum(axis=1) > 0.9999).all()
