"""Where a run may go: a SOCKS5 proxy on loopback, one a run, that knows its hosts.

All of a context's connections come here with their host's name, also those of redirects, frames
and web sockets. The name is looked up once, here; the browser itself can look none up.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from urllib.parse import urlsplit

from orchestrator_site.internet import is_public, unmapped

logger = logging.getLogger(__name__)
Network = IPv4Network | IPv6Network
REFUSED = "egress refused: {host}"
MOST_TOLD = 100  # refused hosts of a run that are written down
# Where Chromium goes of its own accord, whatever the page: refused like all else, and not told.
CHROMIUMS = frozenset(
    f"{name}.googleapis.com"
    for name in ("content-autofill", "optimizationguide-pa", "safebrowsing", "update")
)
GREETING = 10.0  # seconds
CONNECTING = 10.0
CHUNK = 65536
# Answers of SOCKS5.
GRANTED, FORBIDDEN, UNREACHABLE, NOT_SUPPORTED = 0, 2, 4, 7


class Forbidden(Exception):
    """The run may not go there."""


class Full(OSError):
    """The run has taken in as much as it may."""


class Egress:
    """Belongs to the event loop on which it is opened.

    `hosts`: `example.com`, `*.example.com`, with a port or for any. `networks`: where these may
    be besides the public internet. `on_refused` is told each other host once; `on_full`, once,
    that more than `most_bytes` came (0: any number may).
    """

    def __init__(
        self,
        hosts: Iterable[str],
        networks: Sequence[Network] = (),
        on_refused: Callable[[str], None] = lambda host: None,
        most_bytes: int = 0,
        on_full: Callable[[], None] = lambda: None,
    ) -> None:
        self.hosts = [host.lower() for host in hosts]
        self.networks = tuple(networks)
        self.on_refused = on_refused
        self.most_bytes = most_bytes
        self.on_full = on_full
        self.received = 0  # bytes
        self.faults: dict[str, str] = {}  # of hosts, without their ports
        self._refused: set[str] = set()
        self._found: dict[str, asyncio.Future[list[str]]] = {}
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """What a browser context's proxy is."""
        assert self._server
        return f"socks5://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)

    def close(self) -> None:
        """End it with all its connections."""
        if self._server:
            self._server.close()
        works: list[asyncio.Future[Any]] = [*self._open, *self._found.values()]
        for work in works:
            work.cancel()

    def refusal(self, url: str) -> str:
        """What is said of an address that was refused; "" of another."""
        host = host_of(url)
        return REFUSED.format(host=host) if host in self._refused else ""

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(GREETING):
                host, port = await _asked(reader, writer)
            upstream = await self._connected(host, port, writer)
            if upstream:
                await _joined((reader, writer), upstream, self._count)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            logger.debug("a connection of a run ended: %s", error)
        finally:
            writer.close()

    async def _connected(
        self, host: str, port: int, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to an allowed address of the host; None: the browser was told why not."""
        try:
            upstream = await self._first_answering(await self._addresses(host, port), port)
        except Forbidden:
            self._note_refused(host)
            writer.write(_answer(FORBIDDEN))
        except (OSError, UnicodeError, TimeoutError) as error:
            self.faults[host] = f"{type(error).__name__}: {error}"
            writer.write(_answer(UNREACHABLE))
        else:
            writer.write(_answer(GRANTED))
            return upstream
        await writer.drain()
        return None

    async def _addresses(self, host: str, port: int) -> list[str]:
        """Where the host is: looked up once in the run, since a second answer could differ.
        Raises Forbidden, OSError."""
        if not any(_covers(declared, host, port) for declared in self.hosts):
            raise Forbidden
        if host not in self._found:
            self._found[host] = asyncio.ensure_future(_looked_up(host))
        try:
            found = await asyncio.shield(self._found[host])
        except (OSError, UnicodeError):
            self._found.pop(host, None)
            raise
        if not all(map(self._is_allowed, found)):
            raise Forbidden
        return found

    def _is_allowed(self, address: str) -> bool:
        ip = unmapped(address)
        return is_public(ip) or any(ip in network for network in self.networks)

    async def _first_answering(
        self, found: list[str], port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        fault: Exception = OSError("it has no address")
        for address in found:
            try:
                async with asyncio.timeout(CONNECTING / len(found)):
                    return await asyncio.open_connection(address, port, limit=CHUNK)
            except (OSError, TimeoutError) as error:
                fault = error
        raise fault

    @property
    def is_full(self) -> bool:
        return 0 < self.most_bytes < self.received

    def _count(self, size: int) -> None:
        """Of bytes on their way to the browser. Raises Full."""
        was_full = self.is_full
        self.received += size
        if self.is_full and not was_full:
            self.on_full()
        if self.is_full:
            raise Full(f"more than {self.most_bytes} bytes")

    def _note_refused(self, host: str) -> None:
        if host in self._refused or host in CHROMIUMS:
            return
        self._refused.add(host)
        if len(self._refused) <= MOST_TOLD:
            self.on_refused(host)


def host_of(url: str) -> str:
    """The host of a browser's address, as the proxy is told it. "": it has none."""
    with suppress(ValueError):
        return (urlsplit(url).hostname or "").rstrip(".")
    return ""


def _covers(declared: str, host: str, port: int) -> bool:
    name, colon, wanted = declared.rpartition(":")
    if (
        not colon
        or not wanted.isdecimal()
        or name.endswith(":")
        or (":" in name and "]" not in name)
    ):
        name, wanted = declared, ""
    if wanted and int(wanted) != port:
        return False
    name = name.strip("[]")
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
    """The host and port that the browser wants, after SOCKS5's greeting. Raises ValueError."""
    if await reader.readexactly(1) != b"\x05":
        raise ValueError("not SOCKS5")
    await reader.readexactly((await reader.readexactly(1))[0])  # the ways to sign in: none
    writer.write(b"\x05\x00")
    _, command, _, kind = await reader.readexactly(4)
    if command != 1 or kind not in (1, 3, 4):
        writer.write(_answer(NOT_SUPPORTED))
        raise ValueError("not a wish to connect")
    length = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
    content = await reader.readexactly(length)
    (port,) = struct.unpack("!H", await reader.readexactly(2))
    host = content.decode("ascii") if kind == 3 else str(ipaddress.ip_address(content))
    return host.lower().strip("[]").rstrip("."), port


def _answer(code: int) -> bytes:
    return bytes((5, code, 0, 1, 0, 0, 0, 0, 0, 0))


async def _looked_up(host: str) -> list[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_rest, sockaddr in found))


async def _joined(
    browser: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    count: Callable[[int], None],
) -> None:
    """Pass on what both sides say, until both have ended or one has broken. `count` is told what
    the browser is sent, and may raise OSError."""
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_passed_on(browser[0], upstream[1], lambda size: None))
            both.create_task(_passed_on(upstream[0], browser[1], count))
    except* OSError as errors:
        logger.debug("a connection of a run broke: %s", errors.exceptions[0])
    finally:
        upstream[1].close()


async def _passed_on(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, count: Callable[[int], None]
) -> None:
    while content := await source.read(CHUNK):
        count(len(content))
        target.write(content)
        await target.drain()
    with suppress(OSError):
        target.write_eof()
