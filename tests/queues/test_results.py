"""What scrapers report: once it counts, again it is harmless, too late it is refused."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from devices.models import Device
from orchestrator_site.clock import db_now
from orchestrator_site.models import Event
from queues import claims, results, settling
from queues.models import QueueEntry, RegistroWork
from queues.results import InvalidReport, MovedOn, Report
from tests.distribution import (
    accepted,
    assigned,
    overdue,
    person_of,
    pool,
    posted,
    reread,
    taken,
)
from tests.racing import together

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Status = QueueEntry.Status
FOUND = Report(1, "Semanas encontradas", {"semanas": 1204})


def events(entry: QueueEntry, reason: str) -> list[Event]:
    of_entry = Event.objects.filter(object_type="queues.queueentry", object_id=str(entry.pk))
    return list(of_entry.filter(reason=reason))


@pytest.mark.parametrize(
    ("condition", "person", "success"),
    [(1, "s", True), (2, "subdelegacion", True), (3, "nf", True), (4, "pending", False)],
)
def test_each_condition_has_its_end(condition: int, person: str, success: bool) -> None:
    pool()
    assigned()
    entry = accepted()
    assert results.take_in(entry.document_id, Report(condition, "as reported", {"a": 1}))
    stored = reread(entry)
    assert (stored.status, stored.success, stored.condition) == ("Complete", success, condition)
    assert stored.result["data"] == {"a": 1}
    assert person_of(entry).status == person
    work = RegistroWork.objects.get(rw_id=entry.rw_id)
    assert (work.status, work.condition, work.message) == ("Complete", condition, "as reported")
    assert not Device.objects.filter(available=False).exists()


def test_the_same_report_again_is_harmless() -> None:
    pool()
    assigned()
    entry = accepted()
    assert results.take_in(entry.document_id, FOUND)
    before = Event.objects.count()
    assert not results.take_in(entry.document_id, FOUND)
    assert Event.objects.count() == before


def test_another_report_for_a_task_that_ended_is_refused_and_recorded() -> None:
    pool()
    assigned()
    entry = accepted()
    results.take_in(entry.document_id, FOUND)
    with pytest.raises(MovedOn, match="Semanas encontradas"):
        results.take_in(entry.document_id, Report(3, "nothing"))
    (told,) = events(entry, "late result refused")
    assert (told.data["condition"], told.data["message"]) == (3, "nothing")
    assert person_of(entry).status == "s"


def test_a_result_after_the_deadline_is_refused_though_the_person_waits() -> None:
    pool()
    assigned()
    entry = accepted()
    overdue(entry)
    settling.end_silent()
    with pytest.raises(MovedOn, match="no result by its deadline"):
        results.take_in(entry.document_id, FOUND)
    assert person_of(entry).status == "pending"


def test_a_scraper_may_be_faster_than_its_own_answer() -> None:
    pool()
    assigned()
    entry = posted()
    assert results.take_in(entry.document_id, FOUND)
    late = {"lease_token": entry.lease_token}
    assert not entry.move(Status.ACCEPTED, "accepted by the scraper", guard=late)
    assert (reread(entry).status, person_of(entry).status) == ("Complete", "s")


def test_a_result_is_taken_though_the_call_is_answered_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool()
    assigned()
    under_way = [posted()]
    (entry,) = under_way
    whole = settling.tries

    def meanwhile(*arguments: Any) -> Any:
        while under_way:
            under_way.pop().move(Status.ACCEPTED, "accepted by the scraper", **claims.NO_LEASE)
        return whole(*arguments)

    monkeypatch.setattr(settling, "tries", meanwhile)
    assert results.take_in(entry.document_id, FOUND)
    assert person_of(entry).status == "s"


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_result_for_a_task_that_nobody_posted_is_refused(is_taken: bool) -> None:
    pool()
    entry = assigned()
    status = taken().status if is_taken else entry.status
    with pytest.raises(MovedOn):
        results.take_in(entry.document_id, FOUND)
    assert (reread(entry).status, person_of(entry).status) == (status, "p1")


def test_a_result_of_no_task_is_told() -> None:
    with pytest.raises(QueueEntry.DoesNotExist):
        results.take_in("0" * 24, FOUND)


def test_a_mail_changed_today_waits_for_midnight_in_mexico() -> None:
    pool()
    assigned()
    entry = accepted()
    mail = Report(4, "El correo ya fue modificado durante el día.")
    assert results.take_in(entry.document_id, mail)
    person = person_of(entry)
    assert (person.status, person.attempts) == ("RETRY_AFTER_MIDNIGHT", 0)
    there = person.available_at.astimezone(ZoneInfo("America/Mexico_City"))
    assert (there.hour, there.minute) == (0, 0)
    assert timedelta(0) < person.available_at - db_now() <= timedelta(hours=24)


@pytest.mark.parametrize(
    "report",
    [
        {"condition": 0},
        {"condition": 5},
        {"condition": 4, "error_class": "moonlight"},
        {"condition": 1, "data": {"weeks": float("nan")}},
        {"condition": 1, "data": {"weeks": [float("inf")]}},
        {"condition": 1, "message": "nul \x00 byte"},
        {"condition": 1, "data": {"deep": [{"er": "\x00"}]}},
        {"condition": 1, "data": {"half \ud800": 1}},
    ],
)
def test_what_cannot_be_or_be_stored_is_no_report(report: dict[str, Any]) -> None:
    with pytest.raises(InvalidReport):
        Report(**report)


def test_what_looks_like_an_escape_is_stored_as_it_is() -> None:
    pool()
    assigned()
    entry = accepted()
    odd = {"path": "C:\\u0000", "quote": "\\\\u0000", "ñ": "día 😀"}
    assert results.take_in(entry.document_id, Report(1, "\\u0000", odd))
    assert reread(entry).result["data"] == odd


@pytest.mark.django_db(transaction=True)
def test_ten_times_the_same_report_at_once_counts_once() -> None:
    pool()
    assigned()
    entry = accepted()
    told = together(10, lambda _number: results.take_in(entry.document_id, FOUND))
    assert Counter(told) == {True: 1, False: 9}
    assert [one.new for one in events(entry, FOUND.message)] == ["Complete"]


@pytest.mark.django_db(transaction=True)
def test_a_result_and_the_calls_answer_at_once_end_the_task() -> None:
    pool()
    for _ in range(5):
        assigned()
        entry = posted()

        def race(number: int, entry: QueueEntry = entry) -> bool:
            if number:
                return results.take_in(entry.document_id, FOUND)
            ours = {"lease_token": entry.lease_token}
            return entry.move(Status.ACCEPTED, "accepted", guard=ours, **claims.NO_LEASE)

        assert together(2, race)[1]
        assert (reread(entry).status, person_of(entry).status) == ("Complete", "s")
