"""A clip-retrieval service as the corpus: asked as its own client asks, and never silently believed."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import Answer
from tests.retrieval import made
from tests.retrieval.test_retrieve import CLASSES, NAMES, asked, export, hashes

from vgbench_plugins.retrieval.remote import Remote

INDEX = "tools"
ANSWERS = {
    "/html": b"<html>gone</html>",
    "/error": json.dumps({"message": "Internal Server Error"}).encode(),
    "/strange": json.dumps([{"caption": "no id"}]).encode(),
}


class Service(BaseHTTPRequestHandler):
    """What ``clip-retrieval back`` answers on /knn-service, over ``corpus``; ``requests`` are what came."""

    corpus: Sequence[made.Captioned] = ()
    vectors: Any = ()
    requests: list[dict[str, Any]] = []  # noqa: RUF012  # one server a test, and it is emptied

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path in ANSWERS:
            return self._answer(200, ANSWERS[self.path])
        told = json.loads(body)
        type(self).requests.append(told)
        if told["indice_name"] != INDEX:
            return self._answer(500, ANSWERS["/error"])
        values = self.vectors[0 if told["modality"] == "image" else 1]
        near = values @ np.asarray(told["embedding_input"], np.float32)
        rows = np.argsort(-near, kind="stable")[: told["num_result_ids"]]
        found = [self._told(int(row), float(near[row])) for row in rows]
        return self._answer(200, json.dumps(found).encode())

    def _told(self, row: int, similarity: float) -> dict[str, Any]:
        one = self.corpus[row]
        image = base64.b64encode(one.data).decode()
        return {"image_path": f"/there/{one.key}.jpg", "image": image, "caption": one.caption, "id": row} | {
            "similarity": similarity
        }

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    Service.requests.clear()
    Service.corpus = made.entries("train", 4)
    Service.vectors = made.vectors(Service.corpus)
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_service_gives_the_images_that_its_folder_gives(
    service: str, vgbench: Callable[..., Answer], tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    folder = made.clip_retrieval(tmp_path / "idx", Service.corpus, pictures)
    export(vgbench, asked(index=folder, images=pictures, depth=20), 3, tmp_path / "by-folder")
    export(
        vgbench, asked(endpoint=f"{service}/knn-service", endpoint_index=INDEX, depth=20), 3, tmp_path / "by-service"
    )
    found = {name: hashes(tmp_path / name) for name in ("by-folder", "by-service")}
    assert found["by-folder"] == found["by-service"] and all(len(rows) == 3 for rows in found["by-service"].values())
    assert len(Service.requests) == len(NAMES)  # one question a class
    first = Service.requests[0]
    assert (first["num_images"], first["num_result_ids"]) == (20, 20)
    assert not any(first[name] for name in ("deduplicate", "use_safety_model", "use_violence_detector", "use_mclip"))
    assert np.linalg.norm(first["embedding_input"]) == pytest.approx(1)


def test_row_of_a_service_is_unpinned(service: str, vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    source = asked(endpoint=f"{service}/knn-service", endpoint_index=INDEX, depth=20)
    task = "toybox/genbench/tools:readout=cler,encoder=toybox-clip,images_per_class=2"
    pinned = asked(path=made.tars(tmp_path / "tars", Service.corpus))
    answer = vgbench("run", "--source", source, pinned, "--tasks", task, "-o", str(tmp_path / "run"))
    assert answer.code == 0, answer.err
    board = json.loads((tmp_path / "run" / "leaderboard.json").read_text())
    assert {row["options"]["endpoint_index"]: row["unpinned"] for row in board["rows"]} == {INDEX: True, "": False}
    assert "unpinned: retrieval" in answer.out and "another run may get others" in answer.out


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/html", "no answer from the clip-retrieval service"),
        ("/error", "not with neighbours"),
        ("/strange", "not with"),
    ],
)
def test_answer_that_is_none_is_an_error(path: str, message: str, service: str) -> None:
    with pytest.raises(ValueError, match=message) as told:
        Remote(service + path, INDEX, "image").search(np.ones(4, np.float32), 3)
    assert service + path in str(told.value)


def test_service_that_is_not_there_or_lacks_the_index_commits_nothing(
    service: str, vgbench: Callable[..., Answer], home: Path
) -> None:
    for options in (
        {"endpoint": "http://127.0.0.1:9/knn-service", "endpoint_index": INDEX},
        {"endpoint": f"{service}/knn-service", "endpoint_index": "other"},
    ):
        answer = vgbench("preview", "--source", asked(**options), "--classes", f"{CLASSES}/{NAMES[0]}", "-n", "1")
        assert answer.code == 1 and "no answer from the clip-retrieval service http://127.0.0.1" in answer.err
    assert not list(home.glob("store/*/*/*/commit.json"))


def test_offline_and_addresses_that_are_none_are_refused_at_once(service: str, vgbench: Callable[..., Answer]) -> None:
    request = ("--classes", f"{CLASSES}/{NAMES[0]}", "-n", "1")
    there = asked(endpoint=f"{service}/knn-service", endpoint_index=INDEX)
    offline = vgbench("preview", "--source", there, *request, "--offline")
    assert offline.code == 2 and "--offline forbids the network" in offline.err and not Service.requests
    for options, message in (
        ({"endpoint": "knn.example/knn-service", "endpoint_index": INDEX}, "not an http address"),
        ({"endpoint": service}, "which of its indexes?"),
        ({"endpoint": service, "corpus": "toybox"}, "corpus and endpoint given"),
    ):
        answer = vgbench("preview", "--source", asked(**options), *request)
        assert answer.code == 2 and message in answer.err, answer.err
