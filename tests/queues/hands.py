"""A worker by hand, and a dispatcher, on a real Redis: fixtures for the tests of jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from queues import live
from queues.browser import signing
from queues.browser.reports import Report
from queues.browser.signing import Envelope
from queues.browser.transport import Transport
from queues.dispatching import Dispatcher
from queues.models import Job
from queues.registered import registered

Status = Job.Status
SENDING = [
    {"do": "navigate", "url": "http://127.0.0.1:8001/sede/"},
    {"do": "click", "selector": "#send", "irrevocable": True},
    {"do": "wait", "text": "ok", "confirms": True},
]
AT_ONCE = timedelta(seconds=-1)


@pytest.fixture(autouse=True)
def redis_setting(redis_url: str, settings: Any) -> None:
    settings.REDIS_URL = redis_url


@pytest.fixture
def way() -> Transport:
    found = live.transport()
    assert found
    return found


@pytest.fixture
def dispatcher(way: Transport) -> Dispatcher:
    return Dispatcher("d", way)


class Hand:
    """A worker by hand."""

    def __init__(self, way: Transport, name: str = "w1") -> None:
        self.way = way
        self.name = name
        way.enter(name)
        self.raw = ""

    def take(self) -> Envelope | None:
        taken = self.way.take(self.name, 1)
        if not taken:
            return None
        self.raw = taken[0]
        return signing.parsed(self.raw)

    def start(self) -> Envelope:
        taken = self.take()
        assert taken
        signing.opened(self.raw, registered.keyring(), 60)
        self.way.started(self.name, taken)
        return taken

    def finish(self, envelope: Envelope, status: str = "done", **more: Any) -> bool:
        report = Report.of("finished", envelope, self.name, status=status, **more)
        return self.way.finish(self.name, self.raw, report)

    def die(self) -> None:
        self.way.client.delete(f"sri:worker:{self.name}:heartbeat")
        self.way.reap()


@pytest.fixture
def worker(way: Transport) -> Hand:
    return Hand(way)


def as_stored(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)
