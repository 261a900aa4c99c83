"""The one way a row changes its status: the guard, the event, and how few statements it takes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.models import Event, Pause
from orchestrator_site.models.event import Note
from orchestrator_site.status import IllegalMove
from queues.models import NbcRecord, TramiteTask
from tests.factories import DeviceFactory, NbcRecordFactory, TramiteTaskFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Status = TramiteTask.Status
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
LEASED = {"lease_token": uuid.UUID(int=7)}


def statements(queries: CaptureQueriesContext) -> list[str]:
    """What was sent, by the first word."""
    return [query["sql"].split()[0] for query in queries]


def test_an_event_of_each_moved_row_says_all_about_it() -> None:
    tasks = TramiteTaskFactory.create_batch(3)
    with acting_as(ActorKind.WORKER, "w1"):
        TramiteTask.move_all(tasks, Status.HELD, "papers {are} missing", data={"paper": "Ñ%s"})
    events = Event.objects.order_by("id")
    assert {event.case_id for event in events} == {task.case_id for task in tasks}
    assert {event.object_id for event in events} == {str(task.pk) for task in tasks}
    for event in events:
        assert (event.object_type, event.old, event.new) == (
            "queues.tramitetask",
            Status.PENDING,
            Status.HELD,
        )
        assert (event.actor_kind, event.actor) == (ActorKind.WORKER, "w1")
        assert (event.reason, event.data) == ("papers {are} missing", {"paper": "Ñ%s"})
        assert event.at.tzinfo is not None


def test_only_those_that_were_moved_are_answered_in_the_order_given() -> None:
    first, lost, last = TramiteTaskFactory.create_batch(3)
    assert TramiteTask.objects.get(pk=lost.pk).cancel("somebody was faster")
    moved = TramiteTask.move_all([last, lost, first], Status.HELD)
    assert [task.pk for task in moved] == [last.pk, first.pk]
    assert [task.status for task in (last, lost, first)] == [
        Status.HELD,
        Status.PENDING,
        Status.HELD,
    ]
    assert Event.objects.filter(new=Status.HELD).count() == 2


def test_what_the_database_computed_is_read_back() -> None:
    task = TramiteTaskFactory(attempts=4)
    TramiteTask.objects.update(attempts=6)
    assert task.move(Status.PROCESSING, attempts=F("attempts") + 1, worker="w", **LEASED)
    assert (task.attempts, task.worker) == (7, "w")
    assert TramiteTask.objects.get().attempts == 7


def test_a_move_keeps_its_moment_where_the_model_keeps_one() -> None:
    people = NbcRecordFactory.create_batch(2)
    NbcRecord.objects.update(updated_at=LONG_AGO)
    moved = NbcRecord.move_all(people[:1], "cancelled", "not wanted")
    stored, left = NbcRecord.objects.order_by("pk")
    assert timezone.now() - timedelta(minutes=1) < stored.updated_at <= timezone.now()
    assert moved[0].updated_at == stored.updated_at
    assert left.updated_at == LONG_AGO
    NbcRecord.change_all(people, Q(), updated_at=LONG_AGO)
    assert set(NbcRecord.objects.values_list("updated_at", flat=True)) == {LONG_AGO}


def test_a_moment_that_means_something_else_is_left_alone() -> None:
    """A device's is when it was taken or freed: the longest idle goes first."""
    device = DeviceFactory(updated_at=LONG_AGO)
    assert device.drain("the cable is loose") and device.switch(False, "the cable is out")
    device.refresh_from_db()
    assert device.updated_at == LONG_AGO


def test_a_guard_that_does_not_hold_writes_nothing() -> None:
    task = TramiteTaskFactory(worker="w1")
    assert not task.move(Status.HELD, guard={"worker": "w2"}, hold_reason="x")
    assert (task.status, task.hold_reason) == (Status.PENDING, "")
    assert not Event.objects.exists()


def test_rows_of_several_statuses_are_a_bug() -> None:
    held = TramiteTaskFactory(status=Status.HELD)
    with pytest.raises(IllegalMove):
        TramiteTask.move_all([held, TramiteTaskFactory()], Status.CANCELLED)
    assert TramiteTask.move_all([], Status.CANCELLED) == []


def test_a_refused_move_leaves_the_transaction_around_it_usable() -> None:
    task = TramiteTaskFactory()
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            task.move(Status.PROCESSING)  # without a lease
        TramiteTaskFactory()
    assert task.status == Status.PENDING
    assert not Event.objects.exists()
    assert TramiteTask.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_refused_move_leaves_nothing_behind() -> None:
    task = TramiteTaskFactory()
    with pytest.raises(IntegrityError):
        task.move(Status.PROCESSING)
    assert TramiteTask.objects.get().status == Status.PENDING
    assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("factory", "to"), [(TramiteTaskFactory, Status.HELD), (NbcRecordFactory, "cancelled")]
)
def test_a_move_of_many_is_one_statement_on_postgresql_and_one_transaction_elsewhere(
    factory: Any, to: str
) -> None:
    rows = factory.create_batch(20)
    with CaptureQueriesContext(connection) as queries:
        assert len(type(rows[0]).move_all(rows, to)) == 20
    if connection.vendor == "postgresql":
        assert statements(queries) == ["WITH"]
    else:
        assert statements(queries) == ["BEGIN", "UPDATE", "INSERT", "COMMIT"]


def test_a_change_without_a_note_leaves_no_event() -> None:
    tasks = TramiteTaskFactory.create_batch(2)
    first = Q(pk=tasks[0].pk)
    assert TramiteTask.change_all(tasks, first, worker="w") == tasks[:1]
    assert [task.worker for task in tasks] == ["w", ""]
    assert not Event.objects.exists()
    note = Note.of(TramiteTask, "online", "offline", "silent")
    TramiteTask.change_all(tasks, Q(), note, worker="x")
    assert set(Event.objects.values_list("old", "new")) == {("online", "offline")}


def test_many_events_are_few_statements() -> None:
    tasks = TramiteTaskFactory.build_batch(1200)
    for number, task in enumerate(tasks, start=1):
        task.pk = number
    with CaptureQueriesContext(connection) as queries:
        Event.record(tasks, "", Status.PENDING, "queued", {"by": "tests"})
    # SQLite takes 999 parameters a statement.
    assert len(queries) == (1 if connection.vendor == "postgresql" else 3)
    assert Event.objects.count() == 1200
    assert set(Event.objects.values_list("object_id", "case_id")) == {
        (str(task.pk), task.case_id) for task in tasks
    }


def test_an_event_may_be_of_no_case() -> None:
    Event.record([Pause(pk=3)], "running", "paused")
    Event.record([], "running", "paused")
    event = Event.objects.get()
    assert (event.case_id, event.object_id, event.data) == (None, "3", {})
