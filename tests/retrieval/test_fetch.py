"""Images of the web are fetched from public addresses alone; what else a row may name is refused, and counted."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vgbench_plugins.retrieval.fetch import MAX_BYTES, NotFetched, fetch, public_address

PICTURE = b"\x89PNG and so on"


class Pages(BaseHTTPRequestHandler):
    """A server with a picture, redirects, and answers that are no use; ``asked`` is what came."""

    asked: list[str] = []  # noqa: RUF012  # one server a test, and it is emptied

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        if self.path == "/picture":
            self._answer(200, PICTURE)
        elif self.path == "/moved":
            self._answer(302, b"", Location="/picture")
        elif self.path.startswith("/to?"):
            self._answer(301, b"", Location=self.path[4:])
        elif self.path == "/loop":
            self._answer(307, b"", Location="/loop")
        elif self.path == "/huge":
            self._answer(200, b"", length=MAX_BYTES + 1)
        elif self.path == "/drip":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            try:
                for _ in range(100):
                    self.wfile.write(b"x")
                    time.sleep(0.2)
            except OSError:
                return
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(MAX_BYTES // 65_536 + 2):
                    self.wfile.write(bytes(65_536))
            except OSError:
                return
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes, *, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Pages.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def resolve(host: str, port: int) -> str:
    """Stand in for a name server that has one public host; every other name is looked up as always."""
    return "127.0.0.1" if host == "pictures.example" else public_address(host, port)


def get(server: ThreadingHTTPServer, path: str, *, scheme: str = "http", host: str = "pictures.example") -> bytes:
    return fetch(f"{scheme}://{host}:{server.server_port}{path}", resolve=resolve)


def test_a_picture_comes_also_by_a_redirect(server: ThreadingHTTPServer) -> None:
    assert get(server, "/picture") == get(server, "/moved") == PICTURE


def test_addresses_are_asked_for_as_people_write_them(server: ThreadingHTTPServer) -> None:
    with pytest.raises(NotFetched, match="HTTP 404"):
        get(server, "/été d'hiver.jpg?größe=1&x=%20")
    assert Pages.asked == ["/%C3%A9t%C3%A9%20d'hiver.jpg?gr%C3%B6%C3%9Fe=1&x=%20"]


def test_who_sends_a_byte_at_a_time_is_left(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vgbench_plugins.retrieval.fetch.MOST_SECONDS", 1.0)
    began = time.monotonic()
    with pytest.raises(NotFetched):
        get(server, "/drip")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "localhost",
            "0.0.0.0",
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
        ),
        *("2130706433", "0x7f000001", "127.1", "0", "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[::ffff:127.0.0.1]"),
        *("[64:ff9b:1::a00:1]", "[fec0::1]", "[::127.0.0.1]", "[::10.0.0.1]", "[::ffff:0:10.0.0.1]", "[3fff::1]"),
        *("192.88.99.1", "[5f00::1]"),
        *("[2002:7f00:0001::]", "[64:ff9b::7f00:1]", "224.0.0.1", "255.255.255.255", "user@127.0.0.1"),
    ],
)
def test_private_addresses_are_refused_however_they_are_written(host: str, server: ThreadingHTTPServer) -> None:
    with pytest.raises(NotFetched, match=r"not a public address|no such host"):
        fetch(f"http://{host}:{server.server_port}/picture")
    with pytest.raises(NotFetched, match=r"not a public address|no such host"):  # nor where a redirect leads to one
        get(server, f"/to?http://{host}:{server.server_port}/secret")
    assert [path for path in Pages.asked if not path.startswith("/to?")] == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://pictures.example/x", "gopher://x", "//x", "", "http://:1"]
)
def test_other_schemes_are_refused_also_by_a_redirect(url: str, server: ThreadingHTTPServer) -> None:
    with pytest.raises(NotFetched):
        fetch(url, resolve=resolve)
    if url.startswith(("file", "ftp", "gopher")):
        with pytest.raises(NotFetched, match="not an http address"):
            get(server, f"/to?{url}")


@pytest.mark.parametrize(
    "url", [5, 1.5, True, None, b"http://pictures.example/x", [], ["x"], {}, {"a": 1}, "http://x/\ud800"]
)
def test_what_is_no_text_is_no_address(url: object) -> None:
    with pytest.raises(NotFetched, match=r"not an (http )?address"):
        fetch(url, resolve=resolve)  # type: ignore[arg-type]  # what metadata of others may hold


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/loop", "too many redirects"),
        ("/huge", "too large"),
        ("/endless", "too large"),
        ("/none", "HTTP 404"),
        ("/to?http://[", "not an address"),
    ],
)
def test_useless_answers_have_a_reason(path: str, reason: str, server: ThreadingHTTPServer) -> None:
    with pytest.raises(NotFetched, match=reason):
        get(server, path)


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several addresses all are checked: which one is taken is not the name server's choice."""

    def found(host: str, port: int, **more: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", (address, port)) for address in ("93.184.216.34", host)]

    monkeypatch.setattr("socket.getaddrinfo", found)
    assert public_address("93.184.216.35", 80) == "93.184.216.34"
    with pytest.raises(NotFetched, match="not a public address"):
        public_address("10.0.0.7", 80)


def test_a_certificate_of_nobody_is_no_answer(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ("-subj", "/CN=pictures.example", "-addext", "subjectAltName=DNS:pictures.example")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with pytest.raises(NotFetched, match="no answer"):
        get(server, "/picture", scheme="https")
    trusting = partial(ssl.create_default_context, cafile=str(certificate))
    url = f"https://pictures.example:{server.server_port}/picture"
    assert fetch(url, resolve=resolve, tls=trusting) == PICTURE  # whom one trusts, by the name that was asked for
    with pytest.raises(NotFetched, match="no answer"):
        other = f"https://other.example:{server.server_port}/picture"
        fetch(other, resolve=lambda host, port: "127.0.0.1", tls=trusting)
