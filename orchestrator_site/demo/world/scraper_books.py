"""The scrapers' books: the people they know, what they were asked, what they reported.

A test proves "once at a time" by these.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from orchestrator_site.demo.world import store

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS scraper_people"
    " (curp TEXT PRIMARY KEY, behaviour TEXT NOT NULL, delay REAL)",
    "CREATE TABLE IF NOT EXISTS scraper_calls (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " service TEXT NOT NULL, instance TEXT NOT NULL, curp TEXT NOT NULL, nbc_id TEXT NOT NULL,"
    " device_id TEXT NOT NULL, taskid INTEGER NOT NULL, queue_document_id TEXT NOT NULL,"
    " turn INTEGER NOT NULL, at REAL NOT NULL, done_at REAL)",
    "CREATE INDEX IF NOT EXISTS scraper_calls_curp ON scraper_calls (curp, at)",
    "CREATE TABLE IF NOT EXISTS scraper_reports (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " call_id INTEGER NOT NULL, condition INTEGER NOT NULL, at REAL NOT NULL,"
    " status INTEGER NOT NULL)",
)


@dataclass(frozen=True)
class Person:
    """Somebody whom the scrapers know: a name of BEHAVIOURS, and seconds until each report, None
    for some that follow from the CURP."""

    curp: str
    behaviour: str
    delay: float | None = None


@dataclass(frozen=True)
class ScraperCall:
    """One POST that a scraper took in. `turn` counts the calls for this person from 0; times are
    seconds of the epoch. `done_at` is when the report that was accepted left."""

    id: int
    service: str
    instance: str
    curp: str
    nbc_id: str
    device_id: str
    taskid: int
    queue_document_id: str
    turn: int
    at: float
    done_at: float | None = None


@dataclass(frozen=True)
class SentReport:
    """One report on its way; status is the application's answer, 0 where there was none."""

    id: int
    call_id: int
    condition: int
    at: float
    status: int


def remember(people: Iterable[Person]) -> None:
    """Write people down, in place of what was known of them."""
    with _opened() as database:
        database.executemany(
            "INSERT OR REPLACE INTO scraper_people (curp, behaviour, delay)"
            " VALUES (:curp, :behaviour, :delay)",
            [vars(person) for person in people],
        )


def person(curp: str) -> Person | None:
    with _opened() as database:
        found = database.execute("SELECT * FROM scraper_people WHERE curp = ?", (curp,)).fetchone()
        return Person(**found) if found else None


def enter(service: str, instance: str, told: Mapping[str, Any]) -> ScraperCall:
    """Note a call; its turn is counted in the same statement, so no two have the same."""
    with _opened() as database:
        row = database.execute(
            "INSERT INTO scraper_calls (service, instance, curp, nbc_id, device_id, taskid,"
            " queue_document_id, turn, at) VALUES (:service, :instance, :curp, :nbc_id,"
            " :device_id, :taskid, :queue_document_id,"
            " (SELECT count(*) FROM scraper_calls WHERE curp = :curp), :at) RETURNING *",
            {**told, "service": service, "instance": instance, "at": time.time()},
        ).fetchone()
        return ScraperCall(**row)


def note_report(call: ScraperCall, condition: int, at: float, status: int) -> None:
    """Note a report that was sent; the first that the application took ends the call."""
    with _opened() as database:
        database.execute(
            "INSERT INTO scraper_reports (call_id, condition, at, status) VALUES (?, ?, ?, ?)",
            (call.id, condition, at, status),
        )
        if 200 <= status < 300:
            database.execute(
                "UPDATE scraper_calls SET done_at = ? WHERE id = ? AND done_at IS NULL",
                (at, call.id),
            )


def calls(curp: str | None = None) -> list[ScraperCall]:
    """What was asked, in the order of asking."""
    with _opened() as database:
        rows = database.execute(
            "SELECT * FROM scraper_calls WHERE curp = coalesce(?, curp) ORDER BY id", (curp,)
        )
        return [ScraperCall(**row) for row in rows]


def reports(curp: str | None = None) -> list[SentReport]:
    """What was reported, in the order in which it ended."""
    with _opened() as database:
        rows = database.execute(
            "SELECT scraper_reports.* FROM scraper_reports"
            " JOIN scraper_calls ON scraper_calls.id = call_id"
            " WHERE curp = coalesce(?, curp) ORDER BY scraper_reports.id",
            (curp,),
        )
        return [SentReport(**row) for row in rows]


def twice_at_once() -> list[tuple[int, int]]:
    """Pairs of calls for one person, the second of them made before the first was done.

    A call that never gets a report counts as done: how long it is waited for is not our matter.
    """
    with _opened() as database:
        rows = database.execute(
            "SELECT a.id, b.id FROM scraper_calls a JOIN scraper_calls b"
            " ON a.curp = b.curp AND a.id < b.id AND b.at < a.done_at ORDER BY a.id, b.id"
        )
        return [(first, second) for first, second in rows]


def clear() -> None:
    """Forget everybody and everything."""
    with _opened() as database:
        for table in ("people", "calls", "reports"):
            database.execute(f"DELETE FROM scraper_{table}")


@contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    """The world's file, with these tables: one of an earlier demo has none."""
    with store.opened() as database:
        for statement in SCHEMA:
            database.execute(statement)
        yield database
