"""A receiver of webhooks over a real socket, and messages that are sent to it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

import pytest
from django.utils import timezone

from queues import webhooks
from queues.models import Job, WebhookDelivery, WebhookEndpoint
from queues.webhook_sending import WebhookSender
from tests.factories import JobFactory, WebhookEndpointFactory

LOOPBACK = (ip_network("127.0.0.0/8"),)


class Receiver(ThreadingHTTPServer):
    """Answers by the path that it is asked: /ok, /500, /410, /redirect, /hang, /endless, /drip."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        self.go_on = threading.Event()

    def url(self, path: str = "/ok") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def paths(self) -> Counter[str]:
        return Counter(path for path, _headers, _body in self.heard)

    def handle_error(self, *arguments: Any) -> None:
        """The sender hangs up on an endless answer."""


class _Answering(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path, dict(self.headers), body))
        kind = self.path.split("/")[1]
        if kind == "hang":
            self.server.go_on.wait(20)
        status = int(kind) if kind.isdigit() else {"redirect": 302}.get(kind, 200)
        self.send_response(status)
        if kind == "redirect":
            self.send_header("Location", self.server.url("/ok"))
        self.end_headers()
        self._say(kind)

    def do_GET(self) -> None:
        self.server.heard.append((self.path, dict(self.headers), b""))
        kind = self.path.split("/")[1]
        self.send_response(int(kind) if kind.isdigit() else 200)
        self.end_headers()

    def _say(self, kind: str) -> None:
        self.wfile.write("Sí: \0 \xff".encode("latin-1"))
        while kind in ("endless", "drip") and not self.server.go_on.wait(kind == "drip" and 0.05):
            self.wfile.write(b"x" * (1 if kind == "drip" else 65536))

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def near(settings: Any) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK
    settings.TASK_RETRY_FACTOR = 1.0


@pytest.fixture
def sender() -> Iterator[WebhookSender]:
    found = WebhookSender("s1")
    yield found
    found.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            server.go_on.set()
            server.shutdown()


def finished(endpoint: WebhookEndpoint, status: str = Job.Status.DONE, **values: Any) -> Job:
    ended = {"status": status, "processed_at": timezone.now(), **values}
    return JobFactory(member__organisation=endpoint.organisation, **ended)


def queued(url: str, **values: Any) -> WebhookDelivery:
    """A message that waits for an address of its own."""
    endpoint = WebhookEndpointFactory(url=url, **values)
    assert webhooks.announce(finished(endpoint)) == 1
    return endpoint.deliveries.get()


def work_off(sender: WebhookSender) -> None:
    until = time.monotonic() + 20
    while sender.step() and time.monotonic() < until:
        pass


def sent(sender: WebhookSender, url: str, **values: Any) -> WebhookDelivery:
    """A message after its first attempt."""
    delivery = queued(url, **values)
    work_off(sender)
    delivery.refresh_from_db()
    return delivery


def come_due() -> None:
    past = timezone.now() - timedelta(seconds=1)
    WebhookDelivery.objects.filter(status=WebhookDelivery.Status.PENDING).update(available_at=past)
