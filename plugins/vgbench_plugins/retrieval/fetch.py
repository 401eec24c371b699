"""Get images from the web whose addresses a corpus holds: only public ones, small ones, and only over HTTP.

A row of metadata can name any address, also one of the user's own network; so every host is resolved once, refused
unless all its addresses are public, and connected to by the address that was checked. Redirects start again.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import quote, urljoin, urlsplit

MAX_BYTES = 20_000_000  # of one image (ours: the largest photographs)
MAX_REDIRECTS = 5
SECONDS = 10.0  # between two bytes
MOST_SECONDS = 60.0  # of one answer: who sends a byte at a time does not hold a class for ever
AGENT = "vgbench (dataset research)"
_GLOBAL = ipaddress.IPv6Network("2000::/3")  # RFC 4291: all that is handed out
_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")  # RFC 9637
_RELAYS = ipaddress.IPv4Network("192.88.99.0/24")  # RFC 7526
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_AS_IS = "/%:@!$&'()*+,;=~?[]"  # of an address: what stays as it is; other letters are escaped, as browsers do
_REDIRECTS = (301, 302, 303, 307, 308)

Resolve: TypeAlias = Callable[[str, int], str]
Tls: TypeAlias = Callable[[], ssl.SSLContext]


class NotFetched(Exception):
    """An image that could not be had; the text is one of few reasons, which are counted."""


def public_address(host: str, port: int) -> str:
    """Resolve a host; ``NotFetched`` unless every address it has is public."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotFetched("no such host") from None
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(_is_public(address) for address in addresses):
        raise NotFetched("not a public address")
    return addresses[0]


def fetch(url: str, *, resolve: Resolve = public_address, tls: Tls = ssl.create_default_context) -> bytes:
    """Return the bytes at an address; raises ``NotFetched`` with the reason.

    ``resolve`` checks a host and returns the address to connect to; ``tls`` makes the context of a connection.
    """
    for _ in range(MAX_REDIRECTS + 1):
        found = _get(url, resolve, tls)
        if isinstance(found, bytes):
            return found
        try:
            url = urljoin(url, found)
        except ValueError:
            raise NotFetched("not an address") from None
    raise NotFetched("too many redirects")


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):  # an IPv4 address in its clothes
        inner = ip.ipv4_mapped or ip.sixtofour or (ipaddress.IPv4Address(ip.packed[12:]) if ip in _NAT64 else None)
        if inner is not None:
            return _is_public(str(inner))
        return ip in _GLOBAL and ip not in _DOCUMENTATION and ip.is_global
    return ip.is_global and not ip.is_multicast and ip not in _RELAYS


def _get(url: str, resolve: Resolve, tls: Tls) -> bytes | str:
    """Ask once: the body, or where a redirect leads."""
    try:
        parts = urlsplit(url)
        port = parts.port
        target = quote(parts.path or "/", safe=_AS_IS) + (f"?{quote(parts.query, safe=_AS_IS)}" if parts.query else "")
    except (ValueError, TypeError, AttributeError):  # of what is no text too: metadata of others holds anything
        raise NotFetched("not an address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotFetched("not an http address")
    is_tls = parts.scheme == "https"
    port = port or (443 if is_tls else 80)
    address = resolve(parts.hostname, port)
    connection = _Checked(parts.hostname, port, address, tls=tls if is_tls else None)
    timer = threading.Timer(MOST_SECONDS, connection.shut)
    timer.daemon = True
    timer.start()
    try:
        connection.request("GET", target, headers={"User-Agent": AGENT, "Accept": "image/*"})
        answer = connection.getresponse()
        if answer.status in _REDIRECTS and answer.getheader("Location"):
            return str(answer.getheader("Location"))
        if answer.status != 200:
            raise NotFetched(f"HTTP {answer.status}")
        declared = answer.getheader("Content-Length", "")
        if declared.isdigit() and int(declared) > MAX_BYTES:
            raise NotFetched("too large")
        body = answer.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise NotFetched("too large")
        if declared.isdigit() and len(body) < int(declared):
            raise NotFetched("cut short")
        return body
    except (OSError, http.client.HTTPException, ValueError):
        raise NotFetched("no answer") from None
    finally:
        timer.cancel()
        connection.close()


class _Checked(http.client.HTTPConnection):
    """A connection to the address that was checked, whatever the name resolves to by now."""

    def __init__(self, host: str, port: int, address: str, *, tls: Tls | None) -> None:
        super().__init__(host, port, timeout=SECONDS)
        self._address = address
        self._tls = tls
        self._opened: Any = None

    def shut(self) -> None:
        """End the connection from another thread."""
        with contextlib.suppress(OSError, AttributeError):
            self._opened.shutdown(socket.SHUT_RDWR)  # http.client forgets `sock` while an answer is still read

    def connect(self) -> None:
        sock: Any = socket.create_connection((self._address, self.port), timeout=self.timeout)
        if self._tls is not None:
            sock = self._tls().wrap_socket(sock, server_hostname=self.host)
        self.sock = self._opened = sock
