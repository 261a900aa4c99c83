"""An S3 server of the tests' own that checks signatures: in a temporary folder, on a free port,
with random keys, gone at the end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

from orchestrator_site.demo import bucket
from tests.postgres import free_port


class Server(bucket.Server):
    """The demo's, for what happens within this process."""

    def storages(self, **options: Any) -> dict[str, Any]:
        """What makes a test use it: settings.STORAGES."""
        from django.conf import settings

        pqr = {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {
                "access_key": self.access_key,
                "secret_key": self.secret_key,
                "bucket_name": self.bucket,
                "region_name": bucket.REGION,
                "endpoint_url": self.endpoint,
                "querystring_expire": 300,
                **options,
            },
        }
        return {**settings.STORAGES, "pqr": pqr}

    @property
    def client(self) -> Any:
        """boto's own, for what is done to the bucket behind the project's back. The folder is no
        way to do it: the server remembers what it has seen there."""
        from django.core.files.storage import storages

        storage: Any = storages.create_storage(self.storages()["pqr"])
        return storage.connection.meta.client


@contextmanager
def running() -> Iterator[Server]:
    """A fresh one with an empty bucket."""
    with bucket.running() as server:
        yield Server(**vars(server))


@dataclass(frozen=True)
class Refusal:
    """An answer in place of the server's. 0: none, the connection is cut."""

    status: int
    code: str = ""

    @property
    def body(self) -> bytes:
        return f"<Error><Code>{self.code}</Code><Message>as planned</Message></Error>".encode()


class Faulty:
    """A way to the server that refuses what it was told to. `asked`: methods and paths."""

    def __init__(self, target: Server, endpoint: str) -> None:
        self.server = replace(target, endpoint=endpoint)
        self.target = target
        self.planned: deque[Refusal] = deque()
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.asked: list[tuple[str, str]] = []

    def plan(self, *refusals: Refusal) -> None:
        """The next requests meet these."""
        self.planned.extend(refusals)


@contextmanager
def faulty(target: Server) -> Iterator[Faulty]:
    port = free_port()
    way = Faulty(target, f"http://127.0.0.1:{port}")
    handler = type("Handler", (_Handler,), {"way": way})
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield way
        finally:
            listener.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Passes on what is signed as it is: for the server's own address."""

    protocol_version = "HTTP/1.1"
    way: ClassVar[Faulty]

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.way.asked.append((self.command, self.path))
        self.way.before(self.command, self.path)
        refusal = self.way.planned.popleft() if self.way.planned else None
        if refusal is None:
            self._answer(body)
        elif not refusal.status:
            self.close_connection = True
        else:
            self._say(refusal.status, {}, refusal.body)

    def _answer(self, body: bytes) -> None:
        end = urlsplit(self.way.target.endpoint)
        with closing(HTTPConnection(end.hostname or "", end.port)) as connection:
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            self._say(answer.status, dict(answer.getheaders()), answer.read())

    def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date"):
                self.send_header(name, value)
        size = headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", size or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on

    def log_message(self, format: str, *args: Any) -> None:
        return
