"""``vgbench bench embed``: JPEG → features, against the slower of its two halves alone.

One thread decodes ahead of the network, whose own thread decodes too while it waits for a batch, as in the step on two
cores. Each half alone gets one thread, so the ratio says what putting them together costs: (decoding + network) /
slower, at most 2, if nothing is hidden; 1 if the faster half is wholly hidden behind the slower network; less, down to
half of that sum, if decoding is the slower. It needs two free cores: with fewer the halves share one, and ``cores``
says so: what two threads got that only compute.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import timm
import torch
from torch import Tensor, nn

from vgbench.batches import Batch, batches
from vgbench.bench.photos import jpegs
from vgbench.bench.speed import Measured, interleaved, load, versions
from vgbench.decoding import Preprocessing
from vgbench.steps.encode import embedded

BATCH = 64  # the step's
GOAL = 1.15  # the issue's
ROUNDS = 15  # here a network's seconds differ by a tenth from round to round, and by half in one of twenty
N_PHOTOS = 64  # shown over and over: what an image holds does not matter
# Name: timm's architecture, its input, images a round. The tiny one takes about as long as decoding, and needs so many
# batches that waiting for the first does not show; the larger takes some five times as long.
NETWORKS = {"tiny": ("test_resnet", 64, 1024), "larger": ("resnet18", 96, 256)}


class Network:
    """A timm network with random weights: what it computes does not matter, how long it takes does."""

    def __init__(self, arch: str, input_px: int) -> None:
        self.preprocessing = Preprocessing(input_px, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        self.model: nn.Module = timm.create_model(arch, pretrained=False, num_classes=0).eval()

    def images(self, pixels: Tensor) -> Tensor:
        """Turn (B, 3, P, P) uint8 into (B, D)."""
        features: Tensor = self.model(self.preprocessing.normalised(pixels))
        return features


def measure() -> list[Measured]:
    """Time decoding alone, the network alone, and the step's own pipeline, for each network."""
    torch.set_num_threads(1)
    photos = jpegs(N_PHOTOS)
    return [compared(name, Network(arch, px), photos, n) for name, (arch, px, n) in NETWORKS.items()]


@torch.inference_mode()
def compared(name: str, network: Network, photos: list[bytes], n: int) -> Measured:
    """Time decoding n images alone, showing them to the network alone, and the step's own loop over both."""
    encoded = [(str(i), photos[i % len(photos)]) for i in range(n)]

    def ready(*, ahead: int) -> Iterator[Batch]:
        return batches(encoded, network.preprocessing, batch=BATCH, threads=ahead)

    def embed(given: Iterable[Batch]) -> None:
        embedded(network, given, n=n, device="cpu", progress=lambda done, total: None)

    decoded, began, cores = list(ready(ahead=0)), load(), free_cores()
    medians = interleaved(
        {
            "decoding": lambda: sum(batch.n for batch in ready(ahead=0)),
            "network": lambda: embed(decoded),
            "both": lambda: embed(ready(ahead=1)),
        },
        rounds=ROUNDS,
    )
    return Measured(
        f"embed/{name}",
        medians["both"] / max(medians["decoding"], medians["network"]),
        GOAL,
        is_limit=True,
        n=ROUNDS,
        medians=medians,
        threads={"decoding": 1, "network": 1, "both": 2},
        load=began,
        facts={"cores": min(cores, free_cores())},
        versions=versions("torch", "timm", "simplejpeg"),
    )


def free_cores() -> float:
    """Return how many cores two threads get that do nothing but compute: SHA-256, which needs no interpreter."""
    data = bytes(1 << 26)
    began, began_cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: [hashlib.sha256(data) for _ in range(4)], range(2)))
    return round((time.process_time() - began_cpu) / (time.perf_counter() - began), 2)
