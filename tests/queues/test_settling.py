"""The end of a task frees all that it held, once, whoever comes first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from brain import assigning
from devices.models import Device, PersonWindow
from orchestrator_site.clock import db_now
from orchestrator_site.models import Event
from queues import claims, endings, results, settling
from queues.endings import Ending
from queues.models import NbcRecord, QueueEntry, RegistroWork
from queues.results import MovedOn, Report
from tests.distribution import (
    TTL,
    accepted,
    assigned,
    come_due,
    configure,
    expire,
    overdue,
    person_of,
    pool,
    posted,
    reread,
    taken,
)
from tests.factories import NbcRecordFactory
from tests.racing import together

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Status = QueueEntry.Status
CURP = "INVE900101HDFXXX09"


def found(condition: int = 1) -> Ending:
    return Ending(condition, "Semanas encontradas", NbcRecord.Status.FOUND)


def held(entry: QueueEntry) -> bool:
    return Device.objects.filter(task_id=entry.pk, available=False).exists()


def completions(entry: QueueEntry) -> int:
    told = Event.objects.filter(object_type="queues.queueentry", object_id=str(entry.pk))
    return told.filter(new=Status.COMPLETE).exclude(old=Status.COMPLETE).count()


# --- What an ending does --------------------------------------------------------------------------


def test_a_good_end_frees_the_device_and_keeps_the_window() -> None:
    (device,) = pool()
    assigned()
    entry = accepted()
    assert settling.settle(entry, found(), result={"condition": 1})
    stored, person = reread(entry), person_of(entry)
    assert (stored.status, stored.success, stored.condition) == (Status.COMPLETE, True, 1)
    assert (person.status, person.result, person.attempts) == ("s", {"condition": 1}, 1)
    work = RegistroWork.objects.get(rw_id=entry.rw_id)
    assert (work.status, work.condition, work.f_date is None) == ("Complete", 1, False)
    device = reread(device)
    assert (device.available, device.task_id, device.current_task) == (True, None, "")
    assert device.task_start_time is None
    assert CURP not in PersonWindow.shut([entry.curp], db_now())
    assert entry.curp in PersonWindow.shut([entry.curp], db_now())


@pytest.mark.parametrize("condition", [1, 2, 3])
def test_the_window_stays_shut_after_a_success(condition: int) -> None:
    pool(2)
    first = assigned(curp=CURP)
    assert settling.settle(accepted(), found(condition))
    twin = NbcRecordFactory(curp=CURP)
    assert not assigning.run_round()
    assert reread(twin).blocker["kind"] == "window"
    assert reread(first).status == Status.COMPLETE


def test_condition_4_opens_the_window_so_that_the_retry_can_run() -> None:
    pool()
    entry = assigned()
    settling.settle(posted(), endings.busy("full", 0.0, db_now()))
    assert not PersonWindow.shut([entry.curp], db_now())
    (again,) = assigning.run_round().decisions
    assert again.nbc_id == entry.nbc_id


def test_only_the_holder_of_a_window_opens_it() -> None:
    pool()
    entry = assigned()
    PersonWindow.objects.update(holder="IMSS_somebody_else")
    settling.settle(posted(), endings.busy("full", 0.0, db_now()))
    assert entry.curp in PersonWindow.shut([entry.curp], db_now())


def test_nothing_is_freed_or_counted_twice() -> None:
    pool()
    assigned()
    entry = accepted()
    stale = reread(entry)
    assert settling.settle(entry, endings.busy("full", None, db_now()))
    come_due()
    assert assigning.run_round()  # the same device holds its next task
    assert not settling.settle(stale, found())
    assert not settling.settle(entry, found())
    assert completions(entry) == 1
    assert Device.objects.filter(available=False).count() == 1
    assert person_of(entry).status == "p1"


def test_a_cancelled_person_is_left_alone() -> None:
    (device,) = pool()
    assigned()
    entry = accepted()
    person_of(entry).move(NbcRecord.Status.CANCELLED, "a person said so")
    assert settling.settle(entry, found(), result={"condition": 1})
    assert (person_of(entry).status, person_of(entry).result) == ("cancelled", {})
    assert reread(device).available


def test_a_person_who_is_assigned_anew_is_left_alone() -> None:
    pool(2)
    entry = assigned()
    NbcRecord.objects.update(rw_id="IMSS_of_a_later_task")
    assert settling.settle(posted(), endings.busy("full", None, db_now()))
    assert person_of(entry).status == "p1"


def test_a_device_whose_row_was_deleted_keeps_no_task_from_ending() -> None:
    (device,) = pool()
    assigned()
    entry = accepted()
    device.delete()
    assert settling.settle(entry, found())
    assert person_of(entry).status == "s"


# --- Deadlines ------------------------------------------------------------------------------------


def test_a_task_without_a_result_is_given_back_at_its_deadline() -> None:
    (device,) = pool()
    assigned()
    entry = accepted()
    assert settling.end_silent() == 0
    assert held(entry)
    overdue(entry)
    assert settling.end_silent() == 1
    assert (reread(entry).condition, reread(entry).error_class) == (4, "timeout")
    assert (person_of(entry).status, person_of(entry).attempts) == ("pending", 1)
    assert (reread(device).available, reread(device).failures) == (True, 1)


def test_a_person_whose_attempts_are_used_up_fails() -> None:
    configure(max_attempts=2)
    pool()
    entry = assigned()
    for _ in range(2):
        overdue(accepted())
        settling.end_silent()
        come_due()
        assigning.run_round()
    assert (person_of(entry).status, person_of(entry).attempts) == ("failed", 2)
    assert not Device.objects.filter(available=False).exists()
    assert QueueEntry.objects.count() == 2


# --- Workers that die -----------------------------------------------------------------------------


def test_a_worker_killed_before_the_intent_gives_its_task_back_with_its_device() -> None:
    pool()
    assigned()
    entry = taken("dead")
    assert settling.sweep() == 0
    expire(entry)
    assert settling.sweep() == 1
    stored = reread(entry)
    assert (stored.status, stored.lease_token, stored.worker) == (Status.ASSIGNED, None, "")
    assert held(entry)
    come_due()
    assert taken("alive").pk == entry.pk


def test_a_worker_killed_after_the_intent_leaves_its_task_to_the_scraper() -> None:
    pool()
    assigned()
    entry = posted("dead")
    expire(entry)
    assert settling.sweep() == 1
    assert (reread(entry).status, held(entry)) == (Status.ACCEPTED, True)
    assert results.take_in(entry.document_id, Report(1, "found"))
    assert person_of(entry).status == "s"


def test_a_task_that_kills_its_workers_ends_and_so_does_its_person() -> None:
    configure(max_attempts=2)
    pool()
    entry = assigned()
    for number in range(6):
        expire(taken(f"w{number}"))
        settling.sweep()
        come_due()
        assigning.run_round()
    assert (person_of(entry).status, person_of(entry).attempts) == ("failed", 2)
    assert set(QueueEntry.objects.values_list("attempts", flat=True)) == {3}
    assert not Device.objects.filter(available=False).exists()


def test_a_worker_that_renewed_after_we_looked_keeps_its_task() -> None:
    pool()
    assigned()
    entry = taken()
    expire(entry)
    as_seen = reread(entry)
    assert claims.renew(entry, TTL)
    assert not settling.lose_lease(as_seen)
    assert reread(entry).status == Status.PROCESSING


def test_a_late_answer_of_a_swept_worker_changes_nothing() -> None:
    pool()
    assigned()
    late = posted("late")
    expire(late)
    settling.sweep()
    ours = {"lease_token": late.lease_token}
    assert not settling.settle(late, endings.busy("full", None, db_now()), guard=ours)
    assert (reread(late).status, held(late)) == (Status.ACCEPTED, True)


# --- Devices taken back ---------------------------------------------------------------------------


def test_a_released_device_costs_the_person_no_attempt() -> None:
    (device,) = pool()
    assigned()
    entry = accepted()
    assert settling.release(reread(device), "needed elsewhere")
    assert (person_of(entry).status, person_of(entry).attempts) == ("pending", 0)
    assert (reread(device).available, reread(device).failures) == (True, 0)
    with pytest.raises(MovedOn):
        results.take_in(entry.document_id, Report(1))


def test_a_device_that_has_passed_on_is_not_released() -> None:
    (device,) = pool()
    assigned()
    as_seen = reread(device)
    settling.settle(posted(), endings.busy("full", 0.0, db_now()))
    (again,) = assigning.run_round().decisions
    assert not settling.release(as_seen, "looked a while ago")
    assert held(again.entry)


def test_a_device_without_a_task_of_ours_is_freed() -> None:
    (device,) = pool(available=False, current_task=CURP)
    assert settling.release(device, "held by nobody")
    assert (reread(device).available, reread(device).current_task) == (True, "")
    assert not settling.release(reread(device), "again")


def test_a_device_is_released_though_its_worker_moves_the_task_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (device,) = pool()
    assigned()
    under_way = [posted()]
    whole = endings.released

    def meanwhile(*arguments: Any) -> Ending:
        while under_way:
            under_way.pop().move(Status.ACCEPTED, "accepted by the scraper", **claims.NO_LEASE)
        return whole(*arguments)

    monkeypatch.setattr(endings, "released", meanwhile)
    assert settling.release(reread(device), "needed elsewhere")
    assert reread(device).available


def test_a_stuck_device_is_blamed_and_the_attempt_counts() -> None:
    (device,) = pool()
    assigned()
    entry = accepted()
    assert settling.release_stuck(reread(device), "stuck for 20 minutes")
    assert (person_of(entry).status, person_of(entry).attempts) == ("pending", 1)
    assert reread(device).failures == 1


def test_nobody_is_blamed_where_no_worker_ever_called() -> None:
    (device,) = pool()
    entry = assigned()
    assert settling.release_stuck(reread(device), "stuck for 20 minutes")
    assert (person_of(entry).status, person_of(entry).attempts) == ("pending", 0)
    assert reread(device).failures == 0


def test_a_device_that_fails_again_and_again_is_quarantined_and_tried() -> None:
    configure(quarantine_failures=2, max_attempts=9, probe_minutes=15)
    (device,) = pool()
    entry = assigned()
    for _ in range(2):
        overdue(accepted())
        settling.end_silent()
        come_due()
        assigning.run_round()
    device = reread(device)
    assert (device.status, device.failures, device.available) == ("quarantined", 2, True)
    assert "2 failures in a row" in device.status_reason
    assert person_of(entry).blocker["passed"][-1] == ["G_SISEC", "offline", 0]
    Device.objects.update(probe_at=timezone.now())
    assert assigning.run_round()
    overdue(accepted())
    settling.end_silent()
    assert (reread(device).status, not assigning.run_round()) == ("quarantined", True)
    Device.objects.update(probe_at=timezone.now())
    come_due()
    assert assigning.run_round()
    assert results.take_in(accepted().document_id, Report(2))
    assert (reread(device).status, reread(device).failures) == ("in_service", 0)


# --- Stale tasks ----------------------------------------------------------------------------------


def test_a_stale_task_is_ended_only_where_the_person_waits_again() -> None:
    (device, _spare) = pool(2)
    assigned(curp=CURP)
    entry = accepted()
    PersonWindow.objects.update(until=timezone.now())
    assert settling.end_stale() == 0
    NbcRecordFactory(curp=CURP)
    assert settling.end_stale() == 1
    assert reread(entry).message.startswith("stale")
    assert Device.objects.filter(failures=1).count() == 1
    assert reread(device).task_id is None


def test_a_task_within_its_window_is_not_stale() -> None:
    pool()
    assigned(curp=CURP)
    NbcRecordFactory(curp=CURP)
    assert settling.end_stale() == 0


# --- Races ----------------------------------------------------------------------------------------


def won(*moves: Callable[[], bool]) -> list[bool]:
    """What each of them says, all begun at once."""
    return together(len(moves), lambda number: moves[number]())


def reported(entry: QueueEntry) -> bool:
    try:
        return results.take_in(entry.document_id, Report(1, "found"))
    except MovedOn:
        return False


@pytest.mark.django_db(transaction=True)
def test_of_result_deadline_and_release_one_wins() -> None:
    (device,) = pool()
    for _ in range(5):
        assigned()
        entry = accepted()
        overdue(entry)
        found = won(
            lambda entry=entry: reported(entry),
            lambda: settling.end_silent() == 1,
            lambda: settling.release(reread(device), "needed elsewhere"),
            lambda entry=entry: reported(entry),
        )
        assert found.count(True) == 1
        assert completions(entry) == 1
        assert not held(entry)
        assert person_of(entry).status == ("s" if found[0] or found[3] else "pending")
        NbcRecord.objects.filter(status="pending").update(status="cancelled")


@pytest.mark.django_db(transaction=True)
def test_rounds_and_endings_at_once_neither_block_nor_break_each_other() -> None:
    configure(batch_size=20, person_window_minutes=0)
    pool(8)
    NbcRecordFactory.create_batch(12)
    NbcRecordFactory.create_batch(4, curp=CURP)
    finished = threading.Event()

    def distribute(_number: int) -> None:
        for _ in range(12):
            assigning.run_round()

    def end(_number: int) -> None:
        while not finished.is_set():
            for entry in QueueEntry.objects.filter(status=Status.ASSIGNED).order_by("?"):
                settling.settle(entry, endings.busy("full", 0.0, db_now()))

    def work(number: int) -> None:
        if number:
            end(number)
            return
        try:
            together(3, distribute)
        finally:
            finished.set()

    together(3, work)
    live = QueueEntry.objects.filter(status__in=QueueEntry.LIVE)
    assert Device.objects.filter(available=False).count() == live.count()
    assert NbcRecord.objects.filter(status="p1").count() == live.count()
    ended = QueueEntry.objects.filter(status=Status.COMPLETE).count()
    assert ended > 8
    assert Event.objects.filter(object_type="queues.queueentry", new="Complete").count() == ended
