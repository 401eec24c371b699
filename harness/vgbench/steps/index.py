"""Index features, so that the nearest of many are found without comparing all."""

from __future__ import annotations

import faiss
import numpy as np

from vgbench.neighbours import build
from vgbench.steps.embed import FEATURES_FILE
from vgbench.types import Made, Step


def index(step: Step) -> Made:
    """Write an index (see `vgbench.neighbours`) of the input ``features``, in their order. Params: ``kind`` or auto."""
    faiss.omp_set_num_threads(1)
    features = np.load(step.inputs["features"].path / FEATURES_FILE, mmap_mode="r")
    build(step.out, features, step.params["kind"])
    return Made(len(features))
