"""A way to a Mongo server that goes wrong when it is told to: it loses, cuts, stalls, refuses."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

HEADER = struct.Struct("<iiii")  # a message's length, its number, which it answers, its kind
MESSAGE = 2013
NAME_AT = HEADER.size + 4 + 1 + 4 + 1  # flags, section, length and type stand before the name
LONGEST = 5.0  # seconds for a connection to the server


class Fault(StrEnum):
    LOST = "lost"  # the server hears half of what it was asked
    CUT = "cut"  # the server did it, half of its reply arrives
    STALLED = "stalled"  # the server did it, no reply comes


@dataclass
class _Planned:
    command: str
    fault: Fault | None = None
    action: Callable[[], None] | None = None


class Proxy:
    """Listens on a port of its own. What goes wrong is planned by the name of a command, such as
    `insert`: the next one of that name meets it."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.met: list[str] = []  # what went wrong, as "insert cut"
        self._planned: deque[_Planned] = deque()
        self._links: set[_Link] = set()
        self._guard = threading.Lock()
        self._listener = _listening(0)
        self.port = int(self._listener.getsockname()[1])
        self._serve(self._listener)

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/"

    def fail(self, fault: Fault, command: str, times: int = 1) -> None:
        self._planned.extend(_Planned(command, fault) for _ in range(times))

    def when(self, command: str, action: Callable[[], None]) -> None:
        """Do `action` once the server was sent the next such command."""
        self._planned.append(_Planned(command, action=action))

    def refuse(self) -> None:
        """Break all connections and take no new one, as a server that is down."""
        # Closing alone would not wake the thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._guard:
            links = list(self._links)
        for link in links:
            link.close()

    def serve_again(self) -> None:
        self._listener = _listening(self.port)
        self._serve(self._listener)

    def planned_for(self, command: str) -> _Planned | None:
        with self._guard:
            found = next((one for one in self._planned if one.command == command), None)
            if found:
                self._planned.remove(found)
                self.met.append(f"{command} {found.fault or 'met'}")
            return found

    def _serve(self, listener: socket.socket) -> None:
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:  # closed
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), LONGEST)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            link = _Link(self, client, server)
            with self._guard:
                self._links.add(link)
            link.start()

    def forget(self, link: _Link) -> None:
        with self._guard:
            self._links.discard(link)


class _Link:
    """One connection of a client's, and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.faults: dict[int, Fault] = {}  # by the number of the request

    def start(self) -> None:
        for pump in (self._ask, self._answer):
            threading.Thread(target=self._run, args=(pump,), daemon=True).start()

    def close(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.proxy.forget(self)

    def _run(self, pump: Callable[[], None]) -> None:
        with contextlib.suppress(OSError):
            pump()
        self.close()

    def _ask(self) -> None:
        while message := _message(self.client):
            planned = self.proxy.planned_for(_command(message))
            fault = planned.fault if planned else None
            if fault is Fault.LOST:
                self.server.sendall(message[: len(message) // 2])
                return
            if fault:
                self.faults[HEADER.unpack_from(message)[1]] = fault
            self.server.sendall(message)
            if planned and planned.action:
                planned.action()

    def _answer(self) -> None:
        while message := _message(self.server):
            fault = self.faults.pop(HEADER.unpack_from(message)[2], None)
            if fault is Fault.CUT:
                self.client.sendall(message[: len(message) // 2])
                return
            if fault is not Fault.STALLED:
                self.client.sendall(message)


@contextmanager
def between(target: int) -> Iterator[Proxy]:
    """A proxy to the server at this port of this machine."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.refuse()


def _listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=100)


def _message(source: socket.socket) -> bytes:
    """A whole message; empty at the end."""
    start = _exactly(source, HEADER.size)
    return start and start + _exactly(source, HEADER.unpack(start)[0] - HEADER.size)


def _exactly(source: socket.socket, size: int) -> bytes:
    """So many bytes; empty where the end comes before."""
    parts: list[bytes] = []
    while size and (part := source.recv(min(size, 1 << 20))):
        parts.append(part)
        size -= len(part)
    return b"" if size else b"".join(parts)


def _command(message: bytes) -> str:
    """Its name; empty for messages of other kinds."""
    if HEADER.unpack_from(message)[3] != MESSAGE:
        return ""
    return message[NAME_AT : message.index(0, NAME_AT)].decode(errors="replace")
