"""How a task ends and what comes of the person: the documents' rules, as decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from queues import endings
from queues.endings import Ending, Tries
from queues.errors import ErrorClass
from queues.models.imss import NbcRecord

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MEXICO = ZoneInfo("America/Mexico_City")
FIRST, LAST = Tries(1, 3), Tries(3, 3)
Person = NbcRecord.Status


def reported(condition: int, message: str = "", error_class: str = "", tries: Tries = FIRST):
    return endings.of_result(condition, message, error_class, tries, NOW, MEXICO)


@pytest.mark.parametrize(
    ("condition", "person"),
    [(1, Person.FOUND), (2, Person.SUBDELEGACION), (3, Person.NOT_FOUND)],
)
def test_a_result_is_final(condition: int, person: str) -> None:
    ending = reported(condition, "Semanas encontradas")
    assert ending == Ending(condition, "Semanas encontradas", person)
    assert ending.success


def test_an_error_is_tried_again_while_attempts_are_left() -> None:
    again = reported(4, "Error al consultar")
    assert (again.success, again.person, again.error_class) == (False, Person.PENDING, "site")
    assert (again.counts, again.available_at) == (True, NOW + timedelta(seconds=60))
    assert reported(4, "Error al consultar", tries=LAST).person == Person.FAILED


def test_only_an_error_of_class_device_blames_the_device() -> None:
    assert reported(4, "sin señal", ErrorClass.DEVICE).blames_device
    assert not reported(4, "página caída", ErrorClass.SITE).blames_device


@pytest.mark.parametrize(
    "message",
    [
        "El correo ya fue modificado durante el dia",
        "  EL CORREO YA FUE  MODIFICADO durante el día. ",
        "IMSS: el correo ya fue modificado durante el día",
    ],
)
def test_a_mail_changed_today_waits_for_midnight_in_mexico(message: str) -> None:
    ending = reported(4, message, tries=LAST)
    assert ending.person == Person.AFTER_MIDNIGHT
    assert ending.available_at == datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
    assert not ending.counts


def test_mexico_has_not_had_its_midnight_when_greenwich_has() -> None:
    night = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)  # nine in the evening there
    ending = endings.of_result(4, endings.AFTER_MIDNIGHT, "", FIRST, night, MEXICO)
    assert ending.available_at == datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


def test_a_busy_scraper_costs_the_person_nothing() -> None:
    asked = endings.busy("", 7.0, NOW)
    unasked = endings.busy("full", None, NOW)
    at_once = endings.busy("full", 0.0, NOW)
    assert asked.available_at == NOW + timedelta(seconds=7)
    assert unasked.available_at == NOW + timedelta(seconds=60)
    assert at_once.available_at == NOW
    assert {(one.person, one.counts) for one in (asked, unasked)} == {(Person.PENDING, False)}
    assert (asked.message, unasked.message) == ("the scraper is busy", "full")


def test_the_second_bad_request_is_final() -> None:
    once = endings.bad_request("curp?", Tries(1, 3, bad_requests=0), NOW)
    twice = endings.bad_request("curp?", Tries(2, 3, bad_requests=1), NOW)
    assert (once.person, once.bad_request) == (Person.PENDING, True)
    assert (twice.person, twice.bad_request) == (Person.FAILED, True)


@pytest.mark.parametrize(
    ("ending", "blames"),
    [
        (endings.unknown("HTTP 500", LAST, NOW), False),
        (endings.silent(LAST, NOW), True),
        (endings.stuck("hung", LAST, NOW), True),
        (endings.stale(LAST, NOW), True),
        (endings.given_up("lease lost", LAST, NOW), False),
    ],
)
def test_the_last_attempt_fails_whatever_it_ends_by(ending: Ending, blames: bool) -> None:
    assert (ending.condition, ending.person) == (4, Person.FAILED)
    assert ending.blames_device is blames


@pytest.mark.parametrize(
    "ending",
    [
        endings.unreachable("no route", NOW),
        endings.released("needed elsewhere", NOW),
        endings.uncalled("stuck", NOW),
    ],
)
def test_what_is_not_the_persons_doing_is_no_attempt(ending: Ending) -> None:
    assert (ending.condition, ending.person) == (4, Person.PENDING)
    assert (ending.counts, ending.blames_device) == (False, False)
