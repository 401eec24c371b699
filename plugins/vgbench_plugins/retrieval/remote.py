"""A corpus behind a service of clip-retrieval (``clip-retrieval back``): searched there, its images by address.

What the service holds may change, so a class that was asked of one is known by the hashes of its images alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench_plugins.retrieval.captioned import CAPTIONS, page_of, score, words
from vgbench_plugins.retrieval.corpus import Near, Page
from vgbench_plugins.retrieval.fetch import AGENT

SECONDS = 120.0  # for an answer: an index on disks is slow to wake (ours)
MAX_BYTES = 1_000_000_000  # of an answer, which may hold images


class Remote:
    """An index of a clip-retrieval service. Asked for all neighbours as they are: what is left out is left out here."""

    def __init__(self, url: str, name: str, by: str) -> None:
        self._url, self._name, self._by = url, name, by
        self._found: list[dict[str, Any]] = []

    def search(self, query: NDArray[np.float32], k: int) -> Near:
        """Return the similarities of the k nearest to a query (D,) and their places in the answer.

        Raises ``ValueError``, with the address, where there is no answer or one that is no list of neighbours.
        """
        asked = {
            "embedding_input": [float(value) for value in query / np.linalg.norm(query)],
            "text": None,
            "image": None,
            "image_url": None,
            "modality": self._by,
            "num_images": k,
            "num_result_ids": k,
            "indice_name": self._name,
            "use_mclip": False,
            "deduplicate": False,
            "use_safety_model": False,
            "use_violence_detector": False,
            "aesthetic_score": "",
            "aesthetic_weight": 0.5,
        }
        found = self._neighbours(json.dumps(asked).encode())
        self._found = sorted(found, key=lambda one: -float(one["similarity"]))[:k]  # whatever it was asked for
        return Near([float(one["similarity"]) for one in self._found], range(len(self._found)))

    def pages(self, rows: Sequence[int]) -> list[Page]:
        """Return what the service told of some places."""
        told = [self._found[row] for row in rows]
        return [page_of(one, str(one["id"]), words(one, CAPTIONS) or "") for one in told]

    def read(self, page: Page, row: int) -> bytes | None:
        """Return an image that came with the answer, as those of the service's own disk do."""
        encoded = self._found[row].get("image")
        try:
            return None if encoded is None else base64.b64decode(encoded, validate=True)
        except (binascii.Error, TypeError, ValueError):
            return b""  # not what was promised: it does not decode

    def _neighbours(self, body: bytes) -> list[dict[str, Any]]:
        headers = {"Content-Type": "application/json", "User-Agent": AGENT}
        try:
            with urllib.request.urlopen(  # the user's own address; its scheme was looked at
                urllib.request.Request(self._url, body, headers), timeout=SECONDS
            ) as answer:
                read = answer.read(MAX_BYTES + 1)
            if len(read) > MAX_BYTES:
                raise ValueError("too large")
            found = json.loads(read, parse_constant=_no_number)
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f"no answer from the clip-retrieval service {self._url}: {error}") from None
        if not isinstance(found, list) or not all(
            isinstance(one, dict) and "id" in one and score(one.get("similarity")) is not None for one in found
        ):
            raise ValueError(f"{self._url} answers, but not with neighbours (of the index {self._name!r}?)")
        return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no similarity")
