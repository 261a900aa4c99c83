"""The worker that hands tasks to scrapers, over real sockets."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

import pytest
from django.utils import timezone

from brain import assigning
from devices.models import Device, Worker
from orchestrator_site.clock import db_now
from queues import claims, posting, results, settling
from queues.models import Endpoint, Generator, QueueEntry, RegistroWork
from queues.posting import ScraperWorker
from queues.results import Report
from tests.distribution import (
    assigned,
    come_due,
    configure,
    expire,
    person_of,
    pool,
    reread,
)
from tests.factories import EndpointFactory, NbcRecordFactory
from tests.postgres import free_port

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Status = QueueEntry.Status
ACCEPTED = {"status": "success", "message": "Task accepted for processing"}


class Scraper(ThreadingHTTPServer):
    """Answers by the path that it is asked: /ok, /busy/7, /400, /hang, /reset."""

    daemon_threads = True
    request_queue_size = 300

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.heard: list[dict[str, Any]] = []
        self.go_on = threading.Event()

    def url(self, path: str = "/ok") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class _Answering(BaseHTTPRequestHandler):
    server: Scraper

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.heard.append(json.loads(self.rfile.read(length)))
        _, kind, *more = self.path.split("/")
        if kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        if kind == "hang":
            self.server.go_on.wait(20)
        if kind == "slow":
            time.sleep(float(more[0]))
        status = {"busy": 429}.get(kind) or (int(kind) if kind.isdigit() else 200)
        self._answer(status, {"Retry-After": more[0]} if kind == "busy" and more else {})

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        body = json.dumps(ACCEPTED if status == 200 else {"message": f"no: {status}"}).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def swift(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SCRAPER_ALLOWED_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.SCRAPER_TIMEOUT = timedelta(seconds=0.5)
    monkeypatch.setattr(posting, "LEAVING", 0.2)


@pytest.fixture
def scraper() -> Iterator[Scraper]:
    with Scraper() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.go_on.set()
        server.shutdown()


@pytest.fixture
def worker() -> Iterator[ScraperWorker]:
    found = ScraperWorker("w1", in_flight=50)
    yield found
    found.close()


def work_off(worker: ScraperWorker) -> None:
    until = time.monotonic() + 20
    while worker.step() and time.monotonic() < until:
        pass


def served(worker: ScraperWorker, url: str) -> QueueEntry:
    """A task that was posted there, as it stands afterwards."""
    pool(url=url)
    entry = assigned()
    work_off(worker)
    return reread(entry)


def nobody() -> str:
    """Where nothing listens."""
    return f"http://127.0.0.1:{free_port()}/ok"


# --- Each answer by its rule ----------------------------------------------------------------------


def test_an_accepted_task_waits_for_its_result(worker: ScraperWorker, scraper: Scraper) -> None:
    entry = served(worker, scraper.url())
    assert scraper.heard == [
        {
            "curp": entry.curp,
            "nbc_id": entry.nbc.nbc_id,
            "device_id": entry.device,
            "taskid": entry.pk,
            "queue_document_id": entry.document_id,
        }
    ]
    assert (entry.status, entry.lease_token, entry.endpoint) == ("Accepted", None, scraper.url())
    assert entry.result_due_at and entry.called_at
    assert entry.result_due_at - entry.called_at == timedelta(minutes=15)
    assert RegistroWork.objects.get().status == "Assigned"
    assert Device.objects.get().task_id == entry.pk
    assert results.take_in(entry.document_id, Report(1))
    assert person_of(entry).status == "s"


@pytest.mark.parametrize(("path", "seconds"), [("/busy/7", 7), ("/busy", 60)])
def test_a_busy_scraper_has_the_person_back_in_a_while(
    worker: ScraperWorker, scraper: Scraper, path: str, seconds: int
) -> None:
    entry = served(worker, scraper.url(path))
    person = person_of(entry)
    assert (entry.status, entry.condition, entry.error_class) == ("Complete", 4, "busy")
    assert entry.message == "no: 429"
    assert (person.status, person.attempts) == ("pending", 0)
    assert timedelta(seconds=seconds - 5) < person.available_at - db_now()
    assert person.available_at - db_now() <= timedelta(seconds=seconds)
    assert RegistroWork.objects.get().condition == 4
    assert Device.objects.get().available


def test_the_second_bad_request_is_final(worker: ScraperWorker, scraper: Scraper) -> None:
    entry = served(worker, scraper.url("/400"))
    assert (person_of(entry).status, person_of(entry).bad_requests) == ("pending", 1)
    come_due()
    assigning.run_round()
    work_off(worker)
    assert (person_of(entry).status, person_of(entry).bad_requests) == ("failed", 2)
    assert len(scraper.heard) == 2
    assert Device.objects.get().available


def test_an_unknown_answer_is_an_attempt(worker: ScraperWorker, scraper: Scraper) -> None:
    entry = served(worker, scraper.url("/500"))
    assert (entry.status, entry.condition, entry.error_class) == ("Complete", 4, "site")
    assert (person_of(entry).status, person_of(entry).attempts) == ("pending", 1)


@pytest.mark.parametrize("path", ["/hang", "/reset"])
def test_a_device_is_held_while_nobody_knows(
    worker: ScraperWorker, scraper: Scraper, path: str
) -> None:
    entry = served(worker, scraper.url(path))
    assert (entry.status, entry.answered_at is None) == ("Accepted", False)
    assert entry.message.startswith("nobody knows")
    assert len(scraper.heard) == 1
    assert not Device.objects.get().available
    QueueEntry.objects.update(result_due_at=timezone.now())
    assert settling.end_silent() == 1
    assert (reread(entry).condition, person_of(entry).attempts) == (4, 1)
    assert Device.objects.get().available


def test_where_no_connection_is_made_another_endpoint_is_asked(
    worker: ScraperWorker, scraper: Scraper
) -> None:
    EndpointFactory(generator=_sisec(), url=nobody())
    EndpointFactory(generator=_sisec(), url=scraper.url())
    entry = served(worker, "")
    first, second = Endpoint.objects.order_by("id")
    assert (entry.status, entry.endpoint) == ("Accepted", scraper.url())
    assert (first.failures, second.failures, bool(first.last_error)) == (1, 0, True)
    assert second.last_answer_at


def test_where_nobody_can_be_reached_the_breaker_opens_and_no_attempt_counts(
    worker: ScraperWorker,
) -> None:
    entry = served(worker, nobody())
    for _ in range(5):
        come_due()
        assigning.run_round()
        work_off(worker)
    endpoint = Endpoint.objects.get()
    assert endpoint.failures == 5
    assert endpoint.open_until and endpoint.open_until > db_now()
    person = person_of(entry)
    assert (person.status, person.attempts) == ("pending", 0)
    assert QueueEntry.objects.count() == 5  # the breaker keeps the sixth from being assigned
    assert person.blocker["passed"][-1] == ["G_SISEC", "unreachable", 0]
    assert Device.objects.get().available


def test_an_endpoint_that_answers_again_closes_its_breaker(
    worker: ScraperWorker, scraper: Scraper
) -> None:
    ago = timezone.now() - timedelta(seconds=1)
    EndpointFactory(generator=_sisec(), url=scraper.url("/500"), failures=7, open_until=ago)
    served(worker, "")
    endpoint = Endpoint.objects.get()
    assert (endpoint.failures, endpoint.open_until) == (0, None)


def test_a_fault_of_ours_in_a_call_leaves_the_task_to_its_deadline(
    worker: ScraperWorker, scraper: Scraper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **named: Any) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(posting.router, "route", broken)
    entry = served(worker, scraper.url())
    assert (entry.status, "KeyError" in entry.message) == ("Accepted", True)


# --- Leases ---------------------------------------------------------------------------------------


def test_a_lease_is_renewed_while_its_call_is_under_way(
    worker: ScraperWorker, scraper: Scraper, settings: Any
) -> None:
    settings.TASK_LEASE = timedelta(seconds=0.4)
    settings.SCRAPER_TIMEOUT = timedelta(seconds=10)
    entry = served(worker, scraper.url("/slow/1.2"))
    assert (entry.status, entry.endpoint) == ("Accepted", scraper.url("/slow/1.2"))


def test_an_answer_that_comes_after_the_lease_was_lost_changes_nothing(
    worker: ScraperWorker, scraper: Scraper
) -> None:
    pool(url=scraper.url("/slow/0.3"))
    entry = assigned()
    worker.step()
    expire(entry)
    assert settling.sweep() == 1
    work_off(worker)
    stored = reread(entry)
    assert (stored.status, stored.endpoint) == ("Accepted", "")
    assert stored.message == ""


def test_a_task_whose_lease_was_lost_before_the_intent_is_not_called(
    worker: ScraperWorker, scraper: Scraper, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = claims.begin_irrevocable_all

    def too_late(tasks: list[QueueEntry], **changes: Any) -> Any:
        expire(tasks[0])
        return whole(tasks, **changes)

    monkeypatch.setattr(claims, "begin_irrevocable_all", too_late)
    entry = served(worker, scraper.url())
    assert scraper.heard == []
    assert (entry.status, entry.called_at) == ("Processing", None)


# --- The loop -------------------------------------------------------------------------------------


def test_calls_do_not_wait_for_each_other(worker: ScraperWorker, scraper: Scraper) -> None:
    pool(30, url=scraper.url("/slow/0.4"))
    NbcRecordFactory.create_batch(30)
    assigning.run_round()
    began = time.monotonic()
    work_off(worker)
    assert set(QueueEntry.objects.values_list("status", flat=True)) == {"Accepted"}
    assert time.monotonic() - began < 6  # 12 one by one


def test_a_worker_of_one_generator_leaves_the_others_alone(scraper: Scraper) -> None:
    pool(url=scraper.url())
    entry = assigned()
    other = ScraperWorker("w2", generator="G_IAD")
    work_off(other)
    other.close()
    assert reread(entry).status == "Assigned"
    mine = ScraperWorker("w3", generator="G_SISEC")
    work_off(mine)
    mine.close()
    assert reread(entry).status == "Accepted"


def test_a_worker_takes_no_more_than_it_may_call(scraper: Scraper) -> None:
    pool(5, url=scraper.url("/hang"))
    NbcRecordFactory.create_batch(5)
    assigning.run_round()
    narrow = ScraperWorker("w2", in_flight=2)
    narrow.step()
    narrow.step()
    assert QueueEntry.objects.filter(status="Processing").count() == 2
    scraper.go_on.set()
    narrow.close()


def test_a_worker_asked_to_end_takes_nothing_more(worker: ScraperWorker, scraper: Scraper) -> None:
    pool(url=scraper.url())
    entry = assigned()
    assert not worker.step(lambda: True)
    assert reread(entry).status == "Assigned"


def test_calls_under_way_are_left_to_their_results_when_a_worker_ends(scraper: Scraper) -> None:
    pool(url=scraper.url("/hang"))
    entry = assigned()
    ending = ScraperWorker("w2")
    ending.step()
    assert Worker.objects.filter(name="w2", kind="scrapers").exists()
    ending.close()
    stored = reread(entry)
    assert (stored.status, stored.lease_token) == ("Accepted", None)
    assert not Worker.objects.exists()
    assert results.take_in(entry.document_id, Report(1))


def test_a_call_that_hangs_keeps_no_process_from_ending(scraper: Scraper) -> None:
    pool(url=scraper.url("/hang"))
    assigned()
    ending = ScraperWorker("w2")
    ending.step()
    ending.close()
    assert all(one.daemon for one in threading.enumerate() if one.name.startswith("call-"))


def test_a_worker_sweeps_reports_and_ends_what_is_overdue(
    worker: ScraperWorker, scraper: Scraper
) -> None:
    entry = served(worker, scraper.url())
    QueueEntry.objects.update(result_due_at=timezone.now())
    fresh = ScraperWorker("w2")
    fresh.step()
    fresh.close()
    assert reread(entry).condition == 4
    assert _sisec().last_update


def test_at_most_as_many_threads_as_calls_at_once(
    worker: ScraperWorker, scraper: Scraper, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    whole: Callable[..., None] = threading.Thread.start

    def counted(thread: threading.Thread) -> None:
        started.append(thread.name)
        whole(thread)

    monkeypatch.setattr(threading.Thread, "start", counted)
    configure(person_window_minutes=0)
    pool(url=scraper.url())
    for _ in range(3):
        entry = assigned()
        work_off(worker)
        results.take_in(entry.document_id, Report(1))
    assert [name for name in started if name.startswith("call-")] == ["call-1"]


def _sisec() -> Generator:
    return Generator.objects.get(name="G_SISEC")
