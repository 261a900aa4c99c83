"""What becomes of a record, by what is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from postprocessing.deciding import Decision, Outcome, Stored, decided, planned
from postprocessing.records import Record

DAY = datetime(2025, 10, 10, tzinfo=UTC)


def record(content: str, day: int = 0, radicado: str | None = "RE1", file: str = "b") -> Record:
    at = DAY + timedelta(days=day)
    return Record(1, file, radicado, None, at, (), {}, "its hash", content)


def stored(content: str, day: int = 0, file: str = "b") -> Stored:
    return Stored(7, "RE1", content, (DAY + timedelta(days=day), file))


@pytest.mark.parametrize(
    ("found", "there", "becomes"),
    [
        (record("A"), None, Decision.INSERT),
        (record("A"), stored("A"), Decision.DUPLICATE),
        (record("A", 1), stored("A"), Decision.SEEN_AGAIN),
        (record("A"), stored("A", 1), Decision.DUPLICATE),
        (record("B", 1), stored("A"), Decision.UPDATE),
        (record("B"), stored("A", 1), Decision.DUPLICATE),
        (record("B"), stored("A"), Decision.UPDATE),
        (record("B", file="c"), stored("A"), Decision.UPDATE),
        (record("B", file="a"), stored("A"), Decision.DUPLICATE),
    ],
)
def test_what_becomes_of_a_record(found: Record, there: Stored | None, becomes: Decision) -> None:
    assert decided(found, there) is becomes


def test_a_complaint_that_is_new_is_inserted_once() -> None:
    there: dict[str, Stored] = {}
    plan = planned([record("A"), record("A", 1), record("A", 1)], there)
    assert (list(plan.inserts), plan.duplicates, plan.changes) == (["RE1"], 2, {})
    assert plan.inserts["RE1"].extracted_at == DAY + timedelta(days=1)
    assert there["RE1"].age == plan.inserts["RE1"].age


def test_a_change_of_what_is_written_here_waits_with_all_that_follows_it() -> None:
    found = [record("A"), record("B", 1), record("B", 2), record("C", 3)]
    there: dict[str, Stored] = {}
    plan = planned(found, there)
    assert (len(plan.inserts), plan.updated, plan.later) == (1, 0, found[1:])
    second = planned(plan.later, {"RE1": stored("A")})
    assert (second.updated, second.later) == (1, found[3:])
    assert second.changes["RE1"].record == found[2]
    assert (second.duplicates, second.changes["RE1"].id) == (1, 7)


def test_what_is_seen_again_is_written_and_not_told() -> None:
    plan = planned([record("A", 1)], {"RE1": stored("A")})
    assert (plan.duplicates, plan.updated) == (1, 0)
    assert not plan.changes["RE1"].is_told


def test_without_a_radicado_it_is_known_by_its_hash() -> None:
    plan = planned([record("A", radicado=None)], {"RE1": stored("A")})
    assert list(plan.inserts) == [" its hash"]


def test_outcomes_of_halves_are_that_of_the_whole() -> None:
    one, other = Outcome(1, 2, 3, [(record("A"), "x")]), Outcome(10, 20, 30)
    one.join(other)
    assert (one.inserted, one.updated, one.duplicates, len(one.refused)) == (11, 22, 33, 1)
