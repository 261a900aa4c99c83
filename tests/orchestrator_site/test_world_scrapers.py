"""The demo world's scrapers, called as the application calls them; their reports received."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import requests

from orchestrator_site.demo.world import reporting, scraper_books, scrapers, store
from orchestrator_site.demo.world.reporting import Recipient
from orchestrator_site.demo.world.scraper_books import Person
from queues.scrapers.client import AnswerKind, Call, post
from queues.scrapers.router import Endpoint, route
from tests.world import world_files, world_url

__all__ = ["world_files", "world_url"]

KEY = "12345678.clave-de-prueba"
CALL = Call("ROLM850214MDFDPR07", "66a1", "SISEC-7", 41, "12")
QUICK = 0.05


@dataclass(frozen=True)
class Received:
    """A report as the application got it."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def is_signed(self) -> bool:
        wanted = hmac.new(KEY.encode(), self.body, hashlib.sha256).hexdigest()
        return self.headers["X-Signature"] == f"sha256={wanted}"


@dataclass
class Application:
    """Takes reports in; refuses a wrong signature, else answers the next of `statuses`, or 200."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def judge(self, report: Received) -> int:
        self.received.append(report)
        if not report.is_signed:
            return 401
        return self.statuses.pop(0) if self.statuses else 200

    def wait(self, count: int) -> list[Received]:
        """So many reports and no more, each noted in the scrapers' books."""
        wait_for(lambda: len(scraper_books.reports()) >= count)
        time.sleep(4 * QUICK)
        assert len(scraper_books.reports()) == count
        return self.received


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.02)


@pytest.fixture
def application(world_files: Path) -> Iterator[Application]:
    here = Application()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = here.judge(Received(self.path, dict(self.headers), body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield here
    server.shutdown()
    server.server_close()


@pytest.fixture
def sisec(world_url: str, world_files: Path, settings: Any) -> str:
    settings.SCRAPER_ALLOWED_NETWORKS = (ip_network("127.0.0.0/8"),)
    return f"{world_url}/scrapers/sisec/om/"


@pytest.fixture
def reported(application: Application) -> Application:
    """The application, known to the scrapers."""
    reporting.report_to(Recipient(application.url, KEY))
    return application


def behaving(behaviour: str, delay: float | None = QUICK) -> None:
    scrapers.declare([Person(CALL.curp, behaviour, delay)])


def test_a_person_is_accepted_at_once_and_reported_later(sisec: str, reported: Application) -> None:
    answer = post(sisec, CALL)
    assert answer.kind is AnswerKind.ACCEPTED
    assert answer.message == "Task accepted for processing"
    (report,) = reported.wait(1)
    assert report.path == "/api/v1/queue-entries/12/result"
    assert report.headers["Authorization"] == f"Api-Key {KEY}"
    assert report.is_signed
    assert report.said["condition"] == 1 and report.said["data"]["nss"]

    (call,) = scraper_books.calls(CALL.curp)
    assert (call.service, call.instance, call.turn) == ("sisec", "om", 0)
    assert (call.nbc_id, call.device_id, call.taskid) == ("66a1", "SISEC-7", 41)
    assert call.done_at is not None
    assert 0.3 <= call.done_at - call.at < 2.5  # nobody declared how long it takes
    assert scraper_books.reports("SOMEBODY ELSE") == []


EXPECTED = {
    "found": (["accepted", "accepted"], [1, 1]),
    "refer": (["accepted", "accepted"], [2, 2]),
    "other": (["accepted", "accepted"], [3, 3]),
    "error_then_found": (["accepted", "accepted", "accepted"], [4, 1, 1]),
    "mail_changed_today": (["accepted", "accepted"], [4, 4]),
    "busy_once": (["busy", "accepted", "accepted"], [1, 1]),
    "bad_request": (["bad_request", "bad_request"], []),
    "error500_once": (["unknown", "accepted", "accepted"], [1, 1]),
    "hang": (["accepted", "accepted"], []),
    "late": (["accepted", "accepted"], [1, 1]),
    "unanswered": (["unanswered", "unanswered"], []),
    "unanswered_but_found": (["unanswered", "accepted"], [1, 1]),
    "double_report": (["accepted"], [1, 1]),
    "forged_then_found": (["accepted"], [1, 1]),
}


@pytest.mark.parametrize("behaviour", scrapers.BEHAVIOURS)
def test_each_behaviour_does_what_it_says(
    sisec: str, reported: Application, behaviour: str
) -> None:
    kinds, conditions = EXPECTED[behaviour]
    behaving(behaviour)
    answers = [post(sisec, replace(CALL, taskid=n)) for n in range(len(kinds))]
    assert [answer.kind.value for answer in answers] == kinds
    reports = reported.wait(len(conditions))
    assert sorted(report.said["condition"] for report in reports) == sorted(conditions)
    assert [call.turn for call in scraper_books.calls()] == list(range(len(kinds)))


def test_the_error_of_the_day_is_told_in_its_words(sisec: str, reported: Application) -> None:
    behaving("mail_changed_today")
    post(sisec, CALL)
    (report,) = reported.wait(1)
    assert report.said["message"] == "El correo ya fue modificado durante el dia"


def test_a_busy_scraper_says_when_to_come_again(sisec: str, world_files: Path) -> None:
    behaving("busy_once")
    assert post(sisec, CALL).retry_after == 1


def test_a_forged_report_comes_first_and_the_right_one_ends_the_call(
    sisec: str, reported: Application
) -> None:
    behaving("forged_then_found")
    post(sisec, CALL)
    forged, right = reported.wait(2)
    assert (forged.is_signed, right.is_signed) == (False, True)
    assert [report.status for report in scraper_books.reports()] == [401, 200]
    (call,) = scraper_books.calls()
    assert call.done_at == scraper_books.reports()[1].at


def test_a_double_report_is_the_same_twice(sisec: str, reported: Application) -> None:
    behaving("double_report")
    post(sisec, CALL)
    first, second = reported.wait(2)
    assert (first.body, first.path) == (second.body, second.path)
    assert second.is_signed


def test_a_late_person_is_reported_as_late_as_declared(sisec: str, reported: Application) -> None:
    behaving("late", 0.8)
    post(sisec, CALL)
    reported.wait(1)
    (call,) = scraper_books.calls()
    assert call.done_at is not None and 0.8 <= call.done_at - call.at < 2
    assert scrapers._delay(Person(CALL.curp, "late")) > scrapers.LONGEST


def test_how_long_a_person_takes_follows_from_the_curp() -> None:
    people = [Person(f"CURP{n}", "found") for n in range(300)]
    delays = [scrapers._delay(person) for person in people]
    assert delays == [scrapers._delay(person) for person in people]
    assert 0.3 <= min(delays) < 0.4 and 1.4 < max(delays) <= 1.5


# --- Reporting --------------------------------------------------------------------------------


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "PAUSES", (0.0, *[0.2] * 5))


@pytest.mark.parametrize("refusals", [[500], [503, 429], [500] * 5])
def test_a_report_is_repeated_until_the_application_takes_it(
    sisec: str, reported: Application, patient: None, refusals: list[int]
) -> None:
    behaving("found")
    reported.statuses = list(refusals)
    post(sisec, CALL)
    assert len({report.body for report in reported.wait(len(refusals) + 1)}) == 1
    assert [report.status for report in scraper_books.reports()] == [*refusals, 200]


@pytest.mark.parametrize(
    ("statuses", "tries"), [([409], 1), ([404], 1), ([302], 1), ([500] * 9, 6)]
)
def test_a_report_is_given_up(
    sisec: str, reported: Application, patient: None, statuses: list[int], tries: int
) -> None:
    behaving("found")
    reported.statuses = statuses
    post(sisec, CALL)
    reported.wait(tries)
    (call,) = scraper_books.calls()
    assert call.done_at is None


def test_an_application_that_comes_later_still_gets_its_report(
    sisec: str, application: Application, patient: None
) -> None:
    behaving("found")
    post(sisec, CALL)
    wait_for(lambda: bool(scraper_books.reports()))
    assert scraper_books.reports()[0].status == 0
    reporting.report_to(Recipient("http://127.0.0.1:1", KEY))  # nobody listens there
    before = len(scraper_books.reports())
    wait_for(lambda: len(scraper_books.reports()) > before)
    reporting.report_to(Recipient(f"{application.url}/", KEY))
    wait_for(lambda: scraper_books.reports()[-1].status == 200)
    assert application.received[0].path == "/api/v1/queue-entries/12/result"


def test_the_key_is_for_the_owner_alone_and_never_shown(world_files: Path) -> None:
    assert reporting.recipient() is None
    reporting.report_to(Recipient("http://127.0.0.1:8000", "old"))
    reporting.report_to(Recipient("http://127.0.0.1:8000", KEY))
    found = reporting.recipient()
    assert found == Recipient("http://127.0.0.1:8000", KEY) and KEY not in repr(found)
    assert stat.S_IMODE((world_files / "demo" / "scrapers.json").stat().st_mode) == 0o600


# --- The services and their books -------------------------------------------------------------


def test_all_instances_of_all_services_answer(world_url: str, sisec: str) -> None:
    behaving("hang")
    places = [(name, one) for name, many in scrapers.INSTANCES.items() for one in many]
    assert {"iad", "iad2", "master", "sisec"} == {name for name, _one in places}
    for name, one in places:
        assert post(f"{world_url}/scrapers/{name}/{one}/", CALL).kind is AnswerKind.ACCEPTED
    assert [(call.service, call.instance) for call in scraper_books.calls()] == places


@pytest.mark.parametrize("place", ["sisec/nowhere", "nobody/om"])
def test_another_place_is_a_404(world_url: str, sisec: str, place: str) -> None:
    answer = post(f"{world_url}/scrapers/{place}/", CALL)
    assert (answer.kind, answer.http_status) == (AnswerKind.NOT_THERE, 404)
    assert scraper_books.calls() == []


WHOLE = {"curp": "X", "nbc_id": "1", "device_id": "d", "taskid": 1, "queue_document_id": "2"}


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        json.dumps({}).encode(),
        json.dumps(WHOLE | {"taskid": "1"}).encode(),
        json.dumps(WHOLE | {"taskid": True}).encode(),
        json.dumps(WHOLE | {"nbc_id": 1}).encode(),
        json.dumps(WHOLE | {"more": 1}).encode(),
    ],
)
def test_a_call_of_another_form_is_a_bad_request(sisec: str, told: bytes) -> None:
    assert requests.post(sisec, data=told, timeout=5).status_code == 400
    assert scraper_books.calls() == []
    assert requests.get(sisec, timeout=5).status_code == 405


def test_the_books_tell_who_was_posted_twice_at_once(sisec: str, reported: Application) -> None:
    behaving("found", 0.4)
    post(sisec, CALL)
    reported.wait(1)
    post(sisec, CALL)
    post(sisec, replace(CALL, curp="SOMEBODY ELSE"))
    assert scraper_books.twice_at_once() == []
    post(sisec, CALL)  # before the second is done
    wait_for(lambda: all(call.done_at for call in scraper_books.calls()))
    assert scraper_books.twice_at_once() == [(2, 4)]


def test_who_hangs_may_be_posted_again(sisec: str, reported: Application) -> None:
    behaving("hang")
    assert [post(sisec, CALL).kind for _ in range(2)] == [AnswerKind.ACCEPTED] * 2
    assert scraper_books.twice_at_once() == []


def test_an_unknown_behaviour_is_not_declared(world_files: Path) -> None:
    with pytest.raises(ValueError, match=r"no behaviour fond: found, refer"):
        scrapers.declare([Person("A", "found"), Person("B", "fond")])
    assert scraper_books.person("A") is None


def test_the_books_are_cleared(sisec: str, reported: Application) -> None:
    behaving("found")
    post(sisec, CALL)
    reported.wait(1)
    scraper_books.clear()
    assert (scraper_books.calls(), scraper_books.reports()) == ([], [])
    assert scraper_books.person(CALL.curp) is None


def test_the_file_of_an_earlier_demo_gets_the_books(world_files: Path) -> None:
    with store.opened() as database:
        tables = database.execute("SELECT name FROM sqlite_master").fetchall()
    assert not any(name.startswith("scraper") for (name,) in tables)
    behaving("late")
    assert scraper_books.person(CALL.curp) == Person(CALL.curp, "late", QUICK)
    with closing(sqlite3.connect(store.path())) as database:
        assert database.execute("SELECT count(*) FROM scraper_people").fetchone() == (1,)


def test_the_router_passes_a_dead_instance_and_is_reported_to(
    world_url: str, sisec: str, reported: Application
) -> None:
    behaving("found")
    endpoints = [Endpoint(1, "http://127.0.0.1:1/", "SISEC-OM"), Endpoint(2, sisec, "SISEC-OM")]
    found = route(endpoints, "SISEC-OM", CALL, now=datetime.now(UTC))
    assert (found.outcome, found.endpoint) == ("assigned", endpoints[1])
    (report,) = reported.wait(1)
    assert report.said["condition"] == 1 and len(scraper_books.calls()) == 1
