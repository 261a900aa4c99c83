"""Taking, renewing, finishing and giving back, with everybody racing."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orchestrator_site.models import Event
from orchestrator_site.status import IllegalMove
from orchestrator_site.stopping import Stop
from orchestrator_site.waking import Bell
from queues import claims
from queues.errors import ErrorClass
from queues.models import TramiteTask
from tests.factories import TramiteTaskFactory
from tests.racing import together

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Status = TramiteTask.Status
TTL = timedelta(seconds=30)


def take(worker: str = "w1", limit: int = 1) -> list[TramiteTask]:
    return TramiteTask.objects.take(worker, TTL, limit)


def expire(task: TramiteTask) -> None:
    past = timezone.now() - timedelta(seconds=1)
    TramiteTask.objects.filter(pk=task.pk).update(lease_expires_at=past)


def test_taking_counts_the_attempt_before_the_work() -> None:
    TramiteTaskFactory()
    (task,) = take()
    stored = TramiteTask.objects.get()
    assert (stored.status, stored.attempts, stored.worker) == (Status.PROCESSING, 1, "w1")
    assert stored.lease_token == task.lease_token
    assert task.attempts == 1
    assert take("w2") == []


def test_the_higher_priority_and_then_the_older_goes_first() -> None:
    now = timezone.now()
    late = TramiteTaskFactory(available_at=now - timedelta(seconds=1))
    early = TramiteTaskFactory(available_at=now - timedelta(seconds=9))
    urgent = TramiteTaskFactory(priority=5)
    TramiteTaskFactory(available_at=now + timedelta(hours=1), priority=9)
    assert [task.pk for task in take(limit=10)] == [urgent.pk, early.pk, late.pk]


def test_what_is_taken_is_as_it_is_stored() -> None:
    TramiteTaskFactory.create_batch(3)
    for task in take(limit=2):
        stored = TramiteTask.objects.get(pk=task.pk)
        for field in TramiteTask._meta.concrete_fields:
            assert getattr(task, field.attname) == getattr(stored, field.attname), field.name
        assert task.lease_expires_at - task.started_at == TTL
        assert abs(task.started_at - timezone.now()) < timedelta(seconds=10)
        assert claims.finish(task, Status.COMPLETED)
        stored.refresh_from_db()
        assert (task.processed_at, task.lease_token) == (stored.processed_at, None)
    assert Event.objects.filter(old=Status.PENDING, new=Status.PROCESSING).count() == 2


def test_a_take_keeps_to_the_filters_of_its_queryset() -> None:
    here = TramiteTaskFactory(site_id="here")
    there = TramiteTaskFactory(site_id="there", priority=9)
    queue = TramiteTask.objects
    assert queue.none().take("w", TTL) == []
    assert queue.filter(pk__in=[]).take("w", TTL) == []
    assert queue.filter(site_id="elsewhere").take("w", TTL) == []
    assert queue.filter(site_id="here").take("w", TTL, 5) == [here]
    assert queue.exclude(site_id="here").take("w", TTL, 5) == [there]
    assert take(limit=5) == []


@pytest.mark.django_db(transaction=True)
def test_a_take_is_one_statement_on_postgresql_and_one_transaction_elsewhere() -> None:
    TramiteTaskFactory.create_batch(5)
    with CaptureQueriesContext(connection) as queries:
        assert len(take(limit=4)) == 4
        assert len(take(limit=4)) == 1
        assert take(limit=4) == []
    sent = [query["sql"].split()[0] for query in queries]
    if connection.vendor == "postgresql":
        assert sent == ["WITH"] * 3
    else:
        assert sent == ["BEGIN", "WITH", "INSERT", "COMMIT"] * 2 + ["BEGIN", "WITH", "COMMIT"]


@pytest.mark.django_db(transaction=True)
def test_a_take_passes_over_what_another_is_taking() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    locked, free = TramiteTaskFactory.create_batch(2)
    with transaction.atomic():
        TramiteTask.objects.select_for_update().get(pk=locked.pk)
        (taken,) = together(1, lambda number: take(limit=2))
    assert taken == [free]


# --- Several at once ---------------------------------------------------------------------------


def swept() -> tuple[TramiteTask, list[TramiteTask]]:
    """One task whose lease was lost, and those taken with it that are still held."""
    TramiteTaskFactory.create_batch(3)
    lost, *held = take(limit=3)
    expire(lost)
    assert len(TramiteTask.objects.sweep()) == 1
    return lost, held


def test_of_several_those_of_the_current_lease_are_finished() -> None:
    lost, held = swept()
    TramiteTaskFactory()
    other = next(task for task in take("w2", limit=2) if task.pk != lost.pk)
    finished = claims.finish_all([other, lost, *held], Status.COMPLETED, "done", error_log="-")
    assert {task.pk for task in finished} == {other.pk, *(task.pk for task in held)}
    assert {task.status for task in finished} == {Status.COMPLETED}
    assert lost.status == Status.PROCESSING, "it knows nothing of its end"
    stored = TramiteTask.objects.filter(status=Status.COMPLETED)
    assert set(stored.values_list("pk", "error_log")) == {(task.pk, "-") for task in finished}
    assert Event.objects.filter(new=Status.COMPLETED, reason="done").count() == 3
    assert claims.finish_all([], Status.COMPLETED) == []


def test_of_several_those_still_held_are_renewed() -> None:
    lost, held = swept()
    assert claims.renew_all([lost, *held], timedelta(hours=1)) == {task.pk for task in held}
    in_half_an_hour = timezone.now() + timedelta(minutes=30)
    renewed = TramiteTask.objects.filter(lease_expires_at__gt=in_half_an_hour)
    assert {task.pk for task in renewed} == {task.pk for task in held}
    assert claims.renew_all([], TTL) == set()


def test_of_several_those_whose_lease_runs_may_take_the_step() -> None:
    lost, (running, late) = swept()
    expire(late)
    permitted = claims.begin_irrevocable_all([lost, running, late], error_log="begun")
    assert permitted == [running]
    stored = TramiteTask.objects.exclude(intent_at=None).get()
    assert (stored.pk, stored.intent_at, stored.error_log) == (
        running.pk,
        running.intent_at,
        "begun",
    )
    event = Event.objects.get(reason="irrevocable step begun")
    assert (event.old, event.new, event.object_id) == ("processing", "processing", str(running.pk))


@pytest.mark.django_db(transaction=True)
def test_several_of_one_take_are_one_statement() -> None:
    TramiteTaskFactory.create_batch(4)
    tasks = take(limit=4)
    own = {"postgresql": 1, "sqlite": 4}[connection.vendor]  # with BEGIN, INSERT and COMMIT
    with CaptureQueriesContext(connection) as queries:
        assert len(claims.begin_irrevocable_all(tasks)) == 4
        assert len(claims.finish_all(tasks, Status.COMPLETED)) == 4
    assert len(queries) == 2 * own


@pytest.mark.django_db(transaction=True)
def test_what_is_given_back_at_once_wakes_who_waits() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL notifies")
    TramiteTaskFactory.create_batch(2)
    soon, later = take(limit=2)
    with Bell("tramite_queue", Stop()) as bell:
        bell.wait(0)
        assert claims.give_back(later, "busy", timedelta(minutes=1))
        assert not bell.wait(0.1)
        assert claims.give_back(soon, "not mine", timedelta(0))
        assert bell.wait(5)


def test_a_worker_without_the_current_lease_changes_nothing() -> None:
    TramiteTaskFactory()
    (late,) = take("late")
    expire(late)
    assert len(TramiteTask.objects.sweep()) == 1
    TramiteTask.objects.update(available_at=timezone.now())
    (current,) = take("current")
    assert not claims.renew(late, TTL)
    assert not claims.begin_irrevocable(late)
    assert not claims.finish(late, Status.COMPLETED)
    assert not claims.fail(late, ErrorClass.SITE, "too late")
    assert not claims.give_back(late, "too late", timedelta(0))
    assert TramiteTask.objects.get().worker == "current"
    assert claims.finish(current, Status.COMPLETED, "filed")
    assert TramiteTask.objects.get().status == Status.COMPLETED


def test_a_lost_lease_gives_the_task_back() -> None:
    TramiteTaskFactory()
    (task,) = take()
    assert TramiteTask.objects.sweep() == []
    expire(task)
    (swept,) = TramiteTask.objects.sweep()
    assert (swept.status, swept.attempts, swept.lease_token) == (Status.PENDING, 1, None)
    assert "lease lost" in Event.objects.first().reason


def test_a_renewal_between_look_and_sweep_keeps_the_task() -> None:
    TramiteTaskFactory()
    (task,) = take()
    expire(task)
    (seen,) = TramiteTask.objects.orphaned()
    assert claims.renew(task, TTL)
    assert not claims.lose_lease(seen)
    assert TramiteTask.objects.get().status == Status.PROCESSING


def test_what_may_have_been_sent_goes_to_a_person_and_not_back() -> None:
    TramiteTaskFactory()
    (task,) = take()
    assert claims.begin_irrevocable(task)
    assert TramiteTask.objects.get().intent_at is not None
    expire(task)
    (swept,) = TramiteTask.objects.sweep()
    assert swept.status == Status.IN_DOUBT
    assert take("w2") == []


def test_the_irrevocable_step_needs_a_lease_that_still_runs() -> None:
    TramiteTaskFactory()
    (task,) = take()
    expire(task)
    assert not claims.begin_irrevocable(task)
    assert TramiteTask.objects.get().intent_at is None


def test_a_poison_task_ends_after_its_attempts() -> None:
    TramiteTaskFactory(max_attempts=3)
    for attempt in (1, 2, 3):
        TramiteTask.objects.update(available_at=timezone.now())
        (task,) = take(f"w{attempt}")
        expire(task)
        TramiteTask.objects.sweep()
    assert TramiteTask.objects.get().status == Status.FAILED
    assert TramiteTask.objects.get().attempts == 3


@pytest.mark.parametrize(
    ("error_class", "confirmed", "begun", "status"),
    [
        (ErrorClass.SITE, False, False, Status.PENDING),
        (ErrorClass.SESSION, False, False, Status.PENDING),
        (ErrorClass.BUSINESS, False, False, Status.FAILED),
        (ErrorClass.PAYLOAD, False, False, Status.FAILED),
        (ErrorClass.SITE, False, True, Status.IN_DOUBT),
        (ErrorClass.BUSINESS, False, True, Status.IN_DOUBT),
        (ErrorClass.SITE, True, True, Status.COMPLETED_WITH_ERRORS),
    ],
)
def test_what_follows_from_a_failure(
    error_class: str, confirmed: bool, begun: bool, status: str
) -> None:
    TramiteTaskFactory()
    (task,) = take()
    if begun:
        claims.begin_irrevocable(task)
    assert claims.fail(task, error_class, "it went wrong", confirmed=confirmed)
    stored = TramiteTask.objects.get()
    assert (stored.status, stored.error_class) == (status, error_class)
    assert stored.error_log == "it went wrong"


def test_an_illegal_move_is_a_bug_and_a_lost_race_is_normal() -> None:
    task = TramiteTaskFactory()
    with pytest.raises(IllegalMove):
        task.move(Status.COMPLETED)
    stale = TramiteTask.objects.get()
    assert task.cancel("not needed")
    assert not stale.cancel("not needed")
    assert Event.objects.count() == 1


def test_one_live_task_a_case() -> None:
    TramiteTaskFactory(resource_id=7)
    with pytest.raises(IntegrityError), transaction.atomic():
        TramiteTaskFactory(resource_id=7, run=2)
    TramiteTask.objects.update(status=Status.FAILED)
    TramiteTaskFactory(resource_id=7, run=2)


def test_the_brain_s_run_is_one_a_case_whatever_the_site() -> None:
    TramiteTaskFactory(resource_id=7, status=Status.COMPLETED)
    with pytest.raises(IntegrityError), transaction.atomic():
        TramiteTaskFactory(resource_id=7, site_id="madrid")


def test_the_database_refuses_an_unknown_status_and_a_running_task_without_a_lease() -> None:
    task = TramiteTaskFactory()
    for values in ({"status": "nonsense"}, {"status": Status.PROCESSING}):
        with pytest.raises(IntegrityError), transaction.atomic():
            TramiteTask.objects.filter(pk=task.pk).update(**values)


def test_the_database_refuses_to_change_an_event() -> None:
    TramiteTaskFactory()
    take()
    with pytest.raises(Exception, match="events never change"), transaction.atomic():
        Event.objects.update(reason="rewritten")


@pytest.mark.django_db(transaction=True)
def test_twenty_claimers_of_one_task_have_one_winner() -> None:
    TramiteTaskFactory()
    results = together(20, lambda number: take(f"w{number}"))
    assert [r for r in results if isinstance(r, Exception)] == []
    assert sum(len(result) for result in results) == 1
    assert TramiteTask.objects.get().attempts == 1
    assert Event.objects.filter(new=Status.PROCESSING).count() == 1


@pytest.mark.django_db(transaction=True)
def test_without_the_guard_there_would_be_several_winners() -> None:
    """What the guard is for: the same race with an unguarded move is won by many."""
    task = TramiteTaskFactory()
    barrier = threading.Barrier(4)

    def unguarded(number: int) -> int:
        row = TramiteTask.objects.get(pk=task.pk)
        barrier.wait()  # all have read the row before any writes it
        if row.status != Status.PENDING:
            return 0
        rows = TramiteTask.objects.filter(pk=row.pk)
        return rows.update(status=Status.PROCESSING, lease_token=uuid.uuid4())

    def guarded(number: int) -> int:
        row = TramiteTask.objects.get(pk=task.pk)
        barrier.wait()
        return int(row.move(Status.PROCESSING, lease_token=uuid.uuid4()))

    assert sum(together(4, unguarded)) == 4
    TramiteTask.objects.update(status=Status.PENDING, lease_token=None)
    assert sum(together(4, guarded)) == 1


@pytest.mark.django_db(transaction=True)
def test_many_takers_share_many_tasks_without_a_double() -> None:
    for _number in range(60):
        TramiteTaskFactory()

    def drain(number: int) -> list[int]:
        mine: list[int] = []
        while taken := take(f"w{number}", limit=4):
            mine += [task.pk for task in taken]
        return mine

    taken = [pk for pks in together(5, drain) for pk in pks]
    assert len(taken) == len(set(taken)) == 60


@pytest.mark.django_db(transaction=True)
def test_of_a_sweep_and_a_finish_at_once_one_wins() -> None:
    for _round in range(5):
        TramiteTaskFactory()
        (task,) = take()
        expire(task)
        finished, swept = together(
            2,
            lambda number, task=task: (
                claims.finish(task, Status.COMPLETED)
                if number == 0
                else TramiteTask.objects.sweep()
            ),
        )
        assert bool(finished) != bool(swept)
        TramiteTask.objects.all().delete()
