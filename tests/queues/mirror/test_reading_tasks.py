"""Results, and all else that the outside writes into the documents of tasks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bson import Int64, ObjectId

from devices.models import Device
from orchestrator_site.models import Event
from queues import settling
from queues.claims import DatabaseNow
from queues.mirror import door, reading
from queues.mirror.kinds import NBC, WORKS
from queues.mirror.publishing import Publisher
from queues.models import NbcRecord, QueueEntry, SetAside
from tests.distribution import accepted, assigned, overdue, pool, posted, reread, taken
from tests.queues.mirror.outside import (
    DEV_DEVICES,
    SISEC,
    change,
    change_task,
    device_of,
    mirror,
    person_of,
    publish,
    task_of,
    work_from_mongo,
    work_of,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Status = QueueEntry.Status
DONE = {"Status": "Complete", "success": True, "Message": "found", "Condition": 1}


@pytest.fixture
def task(publisher: Publisher) -> QueueEntry:
    """Assigned, and told of."""
    pool()
    entry = assigned()
    publish(publisher)
    return entry


@pytest.fixture
def waited_for(task: QueueEntry, publisher: Publisher) -> QueueEntry:
    """With its scraper, after our call."""
    entry = accepted()
    publish(publisher)
    assert task_of(entry)["Status"] == "Processing"
    return entry


# --- Results --------------------------------------------------------------------------------------


def test_a_result_ends_its_task(waited_for: QueueEntry, publisher: Publisher) -> None:
    change_task(waited_for, **DONE)
    assert mirror(publisher) == 1
    entry = reread(waited_for)
    assert (entry.status, entry.success, entry.condition) == (Status.COMPLETE, True, 1)
    assert entry.message == "found"
    assert NbcRecord.objects.get().status == "s"
    assert mirror(publisher) == 0


@pytest.mark.parametrize("condition", [2, 2.0, Int64(2)])
def test_a_condition_is_a_number_of_any_kind(
    waited_for: QueueEntry, publisher: Publisher, condition: Any
) -> None:
    change_task(waited_for, **{**DONE, "Condition": condition})
    assert mirror(publisher) == 1
    assert reread(waited_for).condition == 2


@pytest.mark.parametrize(("success", "condition"), [(True, 1), (False, 4)])
def test_without_a_condition_the_success_counts(
    waited_for: QueueEntry, publisher: Publisher, success: bool, condition: int
) -> None:
    change_task(waited_for, Status="Complete", success=success, Message="as it was")
    assert mirror(publisher) == 1
    entry = reread(waited_for)
    assert (entry.condition, entry.success) == (condition, success)
    assert task_of(entry)["Condition"] == condition


def test_a_result_may_come_through_the_work_record(
    waited_for: QueueEntry, publisher: Publisher
) -> None:
    values = {"Status": "Complete", "Condition": 3, "Message": "no such person"}
    change(WORKS, work_of(waited_for)["_id"], **values)
    assert mirror(publisher) == 1
    entry = reread(waited_for)
    assert (entry.condition, entry.message) == (3, "no such person")
    assert task_of(entry)["Status"] == "Complete"


def test_what_the_document_leaves_out_is_in_the_work_record(
    waited_for: QueueEntry, publisher: Publisher
) -> None:
    change_task(waited_for, Status="Complete", success=True)
    change(WORKS, work_of(waited_for)["_id"], Condition=2, Message="inconsistent")
    assert mirror(publisher) == 1
    entry = reread(waited_for)
    assert (entry.condition, entry.message) == (2, "inconsistent")


def test_a_result_that_is_there_before_our_call_waits_for_it(
    task: QueueEntry, publisher: Publisher
) -> None:
    entry = taken()
    change_task(entry, **DONE)
    assert reading.step() == 0
    assert reread(entry).status == Status.PROCESSING


def test_a_result_may_be_faster_than_the_answer_to_the_call(
    task: QueueEntry, publisher: Publisher
) -> None:
    change_task(posted(), **DONE)
    assert mirror(publisher) == 1
    assert reread(task).status == Status.COMPLETE


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown Status": ({"Status": "Terminado"}, "unknown status: 'Terminado'"),
    "a Status of another type": ({"Status": 3}, "unknown status: 3"),
    "an unknown condition": ({"Condition": 7}, "unknown condition: 7"),
    "a condition in words": ({"Condition": "1"}, "the Condition is no whole number: '1'"),
    "half a condition": ({"Condition": 1.5}, "the Condition is no whole number: 1.5"),
    "a true condition": ({"Condition": True}, "the Condition is no whole number: True"),
    "a message that is none": ({"Message": ["a"]}, "the Message is no text: ['a']"),
    "no condition, no success": (
        {"Condition": None, "success": "yes"},
        "success is neither true nor false: 'yes'",
    ),
    "neither of them": (
        {"Condition": None, "success": None},
        "Complete, with neither a Condition nor a success",
    ),
    "a NUL in the message": ({"Message": "a\0b"}, "cannot be stored"),
    "a message without end": ({"Message": "x" * 2**20}, "bytes, and may have 1048576"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_result_is_set_aside_once_and_delays_no_other(
    publisher: Publisher, name: str
) -> None:
    wrong, reason = WRONG[name]
    pool(2)
    assigned()
    first = accepted()
    assigned()
    second = accepted()
    publish(publisher)
    change_task(first, **{**DONE, **wrong})
    change_task(second, **DONE)
    assert reading.step() == 1
    assert reread(second).status == Status.COMPLETE
    aside = SetAside.objects.get()
    assert reason in aside.reason
    assert aside.document == f'{{"_id": {{"$oid": "{first.document_id}"}}}}'
    assert reading.step() == 0
    assert SetAside.objects.get().last_seen_at == aside.last_seen_at
    change_task(first, **DONE)
    assert reading.step() == 1
    assert not SetAside.objects.exists()


def test_a_late_result_is_refused_once_and_overwritten(
    waited_for: QueueEntry, publisher: Publisher
) -> None:
    overdue(waited_for)
    assert settling.end_silent() == 1
    publish(publisher)
    change_task(waited_for, **DONE)
    for _look in range(3):
        assert mirror(publisher) == 0
    entry = reread(waited_for)
    assert entry.success is False
    told = task_of(entry)
    assert (told["success"], told["Condition"], told["Message"]) == (False, 4, entry.message)
    assert Event.objects.filter(reason="late result refused").count() == 1


# --- Old workers ----------------------------------------------------------------------------------


def test_a_task_that_an_old_worker_begins_is_waited_for(
    task: QueueEntry, publisher: Publisher
) -> None:
    work_from_mongo()
    change_task(task, Status="Processing")
    assert mirror(publisher) == 1
    entry = reread(task)
    assert entry.status == Status.ACCEPTED
    assert entry.result_due_at is not None
    assert task_of(entry)["Status"] == "Processing"
    assert mirror(publisher) == 0


def test_an_old_worker_may_end_a_task_between_two_looks(
    task: QueueEntry, publisher: Publisher
) -> None:
    work_from_mongo()
    change_task(task, **DONE)
    assert mirror(publisher) == 1
    assert reread(task).success is True


def test_nobody_else_begins_a_task_of_ours(task: QueueEntry, publisher: Publisher) -> None:
    change_task(task, Status="Processing")
    assert mirror(publisher) == 0
    assert reread(task).status == Status.ASSIGNED
    assert task_of(task)["Status"] == "Assigned"


def test_what_an_old_worker_took_last_stays_with_it(task: QueueEntry, publisher: Publisher) -> None:
    """Its generator has just become ours: the task rests for a while."""
    rest = timedelta(seconds=30)
    QueueEntry.objects.filter(pk=task.pk).update(available_at=DatabaseNow(rest))
    change_task(task, Status="Processing")
    assert mirror(publisher) == 1
    assert reread(task).status == Status.ACCEPTED


# --- Assignments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("device", "another"),
        ("device_name", None),
        ("curp", "somebody else"),
        ("rw_id", 7),
        ("nbc_id", "text"),
        ("taskid", "7"),
        ("created_at", "yesterday"),
    ],
)
def test_an_assignment_that_was_changed_there_is_written_back(
    task: QueueEntry, publisher: Publisher, field: str, value: Any
) -> None:
    before = task_of(task)
    change_task(task, **{field: value})
    assert mirror(publisher) == 0
    assert {**task_of(task), "_mirror": 0} == {**before, "_mirror": 0}
    assert not SetAside.objects.exists()


def test_what_was_deleted_there_is_written_again(task: QueueEntry, publisher: Publisher) -> None:
    for place, _id in (
        (SISEC, ObjectId(task.document_id)),
        (WORKS, work_of(task)["_id"]),
        (NBC, ObjectId(task.nbc.nbc_id)),
        (DEV_DEVICES, device_of(task)["_id"]),
    ):
        door.collection(place).delete_one({"_id": _id})
    assert mirror(publisher) == 0
    assert task_of(task)["curp"] == work_and_person(task) == task.curp


def work_and_person(entry: QueueEntry) -> str:
    assert work_of(entry)["Status"] == "Assigned"
    assert device_of(entry)["available"] is False
    return str(person_of(entry)["curp"])


def test_a_person_who_is_assigned_stays_so(task: QueueEntry, publisher: Publisher) -> None:
    change(NBC, ObjectId(task.nbc.nbc_id), **{"imss.status": "s", "imss.rw_id": "other"})
    assert mirror(publisher) == 0
    assert person_of(task)["imss"] == {"status": "p1", "rw_id": task.rw_id}


def test_an_old_workers_own_ending_leaves_nothing_half_done(
    task: QueueEntry, publisher: Publisher
) -> None:
    """It frees the device and puts the person back by itself."""
    work_from_mongo()
    why = {"Status": "Complete", "Condition": 4, "Message": "the scraper is busy"}
    change_task(task, Status="Complete", success=False, Message="the scraper is busy")
    change(WORKS, work_of(task)["_id"], **why)
    change(NBC, ObjectId(task.nbc.nbc_id), **{"imss.status": "pending"})
    change(DEV_DEVICES, device_of(task)["_id"], unset="task_id", available=True)
    assert mirror(publisher) == 1
    assert reread(task).condition == 4
    assert Device.objects.get().available
    assert NbcRecord.objects.get().status == "pending"
    assert person_of(task)["imss"]["status"] == "pending"
    assert "current_task" not in device_of(task)
    assert mirror(publisher) == 0
