"""One POST over one connection, to an address that was checked.

On the standard library's client: the addresses that were looked up and allowed are the ones
connected to, a redirect is an answer like any other, and one deadline holds for all of it.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Mapping
from functools import cache
from http.client import HTTPConnection, HTTPResponse
from typing import Any, cast
from urllib.parse import urlsplit

CONNECT_SECONDS = 10.0
PORTS = {"http": 80, "https": 443}


def connected(url: str, found: list[str], until: float) -> socket.socket:
    """A connection to one of the addresses `found` for the URL's host. `until` is a moment of the
    monotonic clock. Raises OSError."""
    parts = urlsplit(url)
    connect_until = min(until, time.monotonic() + CONNECT_SECONDS)
    connection = _first_answering(found, parts.port or PORTS[parts.scheme], connect_until)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if parts.scheme == "http":
        return connection
    connection.settimeout(_left(connect_until))
    name = (parts.hostname or "").rstrip(".")  # not the address: certificates are for names
    return _tls().wrap_socket(connection, server_hostname=name)


def posted(
    connection: socket.socket, url: str, body: bytes, headers: Mapping[str, str], until: float
) -> HTTPResponse:
    """The answer's status and headers; its body is still to be read, by the same deadline.

    Raises OSError, HTTPException.
    """
    connection.settimeout(_left(until))
    parts = urlsplit(url)
    sender = HTTPConnection(parts.netloc)
    sender.sock = connection
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sender.request("POST", target, body, {**headers, "Connection": "close"})
    response = HTTPResponse(cast(socket.socket, _Timed(connection, until)), method="POST")
    response.begin()
    return response


def _first_answering(found: list[str], port: int, until: float) -> socket.socket:
    """Each address has its share of the time: a silent one leaves some for the next."""
    for tried, address in enumerate(found):
        try:
            return socket.create_connection((address, port), _left(until) / (len(found) - tried))
        except OSError as error:
            last = error
    raise last


@cache
def _tls() -> ssl.SSLContext:
    """One for all: to read the authorities' certificates anew would cost more than the call."""
    return ssl.create_default_context()


class _Timed(io.RawIOBase):
    """The bytes of a connection up to a moment, however slowly they drip."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection = connection
        self._until = until

    def makefile(self, mode: str) -> io.BufferedReader:
        """The one thing that HTTPResponse wants of a socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(_left(self._until))
        return self._connection.recv_into(buffer)


def _left(until: float) -> float:
    """Seconds. Raises TimeoutError where none are left."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
