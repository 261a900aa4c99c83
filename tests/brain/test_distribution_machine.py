"""Distribution against a plain model of it: whatever happens in whatever order, nobody is lost.

Hypothesis drives the real code. The model says what must come of each step, the invariants are
looked up in the database after it. Time passes by moving all stored times back, so that both
databases keep their own clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

import pytest
from django.db import models, transaction
from django.db.models import F
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from brain import assigning
from brain.models import Decision, DistributionBatch
from devices.models import Device, PersonWindow
from devices.models.device import FREED
from orchestrator_site.clock import db_now
from orchestrator_site.models import Event
from queues import claims, posting, results, settling
from queues.models import NbcRecord, QueueEntry
from queues.results import MovedOn, Report
from queues.scrapers.client import Answer, AnswerKind
from queues.scrapers.router import Routed
from tests.distribution import configure, generators, pool

pytestmark = [pytest.mark.long, pytest.mark.django_db, pytest.mark.database]
MINUTE = 60.0
LEASE, WINDOW, RESULT, STUCK, PROBE = 30.0, 18 * MINUTE, 15 * MINUTE, 20 * MINUTE, 15 * MINUTE
MOST_ATTEMPTS, MOST_LEASES, MOST_FAILURES = 3, 3, 3
CURPS = [f"INVE90010{number}HDFXXX0{number}" for number in range(3)]
TIMES: dict[type[models.Model], tuple[str, ...]] = {
    PersonWindow: ("until",),
    NbcRecord: ("available_at",),
    QueueEntry: ("available_at", "lease_expires_at", "called_at", "result_due_at"),
    Device: ("task_start_time", "updated_at", "probe_at", "lease_expires_at"),
    DistributionBatch: ("opened_at",),
}
One = TypeVar("One")
Any_ = st.integers(0, 999)


@dataclass(eq=False)
class Person:
    """What the model knows of a person; times are in seconds since the example began."""

    pk: int
    curp: str
    due: float
    status: str = "pending"
    attempts: int = 0
    bad_requests: int = 0
    rw_id: str = ""


@dataclass(eq=False)
class Task:
    pk: int
    person: Person
    device: Unit
    rw_id: str
    since: float
    due: float
    status: str = "Assigned"
    token: UUID | None = None
    lease: float = 0.0
    leases: int = 0
    called: bool = False
    result_due: float = 0.0
    report: Report | None = None

    @property
    def is_live(self) -> bool:
        return self.status != "Complete"


@dataclass(eq=False)
class Unit:
    """A device."""

    pk: int
    name: str
    generator: str
    online: bool = True
    failures: int = 0
    trial: float | None = None  # in quarantine until then
    task: Task | None = None

    @property
    def service(self) -> str:
        return "in_service" if self.trial is None else "quarantined"


@dataclass
class Window:
    holder: str
    until: float


@dataclass
class Model:
    now: float = 0.0
    people: list[Person] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    windows: dict[str, Window] = field(default_factory=dict)

    @property
    def live(self) -> list[Task]:
        return [task for task in self.tasks if task.is_live]

    def is_shut(self, curp: str) -> bool:
        return curp in self.windows and self.windows[curp].until > self.now

    def waiting(self) -> list[Person]:
        return [one for one in self.people if one.status == "pending" and one.due <= self.now]

    def stale(self) -> list[Task]:
        waiting = {person.curp for person in self.waiting()}
        return [
            task
            for task in self.live
            if task.person.curp in waiting and not self.is_shut(task.person.curp)
        ]

    def able(self) -> list[Person]:
        """Who could be assigned, if there were devices enough."""
        live = {task.person.curp for task in self.live}
        return [
            one for one in self.waiting() if one.curp not in live and not self.is_shut(one.curp)
        ]

    def due(self) -> list[Task]:
        return [task for task in self.tasks if task.status == "Assigned" and task.due <= self.now]

    def lost(self) -> list[Task]:
        leased = [task for task in self.tasks if task.status == "Processing"]
        return [task for task in leased if task.lease <= self.now]

    def late(self) -> list[Task]:
        waited_for = [task for task in self.tasks if task.status == "Accepted"]
        return [task for task in waited_for if task.result_due <= self.now]

    def stuck(self) -> list[Unit]:
        return [unit for unit in self.units if unit.task and unit.task.since + STUCK <= self.now]

    def free(self) -> list[Unit]:
        names = {task.device.name for task in self.live}
        return [
            unit
            for unit in self.units
            if unit.online and unit.name not in names and (unit.trial or 0) <= self.now
        ]

    def end(
        self, task: Task, person: str, delay: float = 0.0, *, counts: bool = True, blames: int = 0
    ) -> None:
        """The task is over. `blames`: 1 the device's fault, -1 it did well."""
        task.status, task.token = "Complete", None
        self._let_go(task, blames)
        window = self.windows.get(task.person.curp)
        if person not in ("s", "subdelegacion", "nf") and window and window.holder == task.rw_id:
            window.until = min(window.until, self.now)
        if task.person.status == "p1" and task.person.rw_id == task.rw_id:
            task.person.status, task.person.due = person, self.now + delay
            task.person.attempts -= not counts

    def again(self, task: Task, delay: float = 0.0, blames: int = 0) -> None:
        """An attempt of the person's, who has another or not."""
        used_up = task.person.attempts >= MOST_ATTEMPTS
        self.end(task, "failed" if used_up else "pending", delay, blames=blames)

    def hung(self, task: Task) -> None:
        if task.called:
            self.again(task, blames=1)
        else:
            self.end(task, "pending", counts=False)

    def _let_go(self, task: Task, blames: int) -> None:
        unit, task.device.task = task.device, None
        if unit not in self.units or not blames:
            return
        unit.failures = unit.failures + 1 if blames > 0 else 0
        if blames < 0:
            unit.trial = None
        elif unit.trial is not None or unit.failures >= MOST_FAILURES:
            unit.trial = self.now + PROBE

    def deadlines(self) -> list[float]:
        moments = [window.until for window in self.windows.values()]
        moments += [person.due for person in self.people]
        moments += [unit.trial for unit in self.units if unit.trial]
        for task in self.live:
            moments += [task.lease, task.result_due, task.since + STUCK, task.due]
        return moments


class DistributionMachine(RuleBasedStateMachine):
    """The steps. `copies` are what workers hold: rows as they were when they were taken."""

    def __init__(self) -> None:
        super().__init__()
        self.undo = transaction.atomic()
        self.undo.__enter__()
        generators()
        configure(batch_size=1000, quarantine_failures=MOST_FAILURES)
        self.model = Model()
        self.copies: list[QueueEntry] = []
        self.seen: list[tuple[Device, Task | None]] = []
        self.numbers = count(1)
        for generator in ("G_IAD", "G_SISEC"):
            self._add_units(pool(2, generator), generator)

    @initialize(people=st.integers(1, 3))
    def begin(self, people: int) -> None:
        for _ in range(people):
            self.enqueue("")
        self.assign()
        self.take(1)

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undo.__exit__(None, None, None)

    # --- People -----------------------------------------------------------------------------------

    @rule(curp=st.sampled_from([*CURPS, "", "", ""]))
    def enqueue(self, curp: str) -> None:
        curp = curp or f"INVE{next(self.numbers):06d}HDFXXX09"
        row = NbcRecord.objects.create(curp=curp, available_at=db_now())
        self.model.people.append(Person(row.pk, curp, self.model.now))

    @rule(number=Any_)
    @precondition(lambda self: len(self.model.people) > 2)
    def cancel(self, number: int) -> None:
        person = one_of(self.model.people, number)
        if person.status in ("pending", "p1", "RETRY_AFTER_MIDNIGHT"):
            assert self._row(person).move("cancelled", "a person said so")
            person.status = "cancelled"

    @rule(number=Any_)
    @precondition(lambda self: any(p.status in ("cancelled", "failed") for p in self.model.people))
    def retry(self, number: int) -> None:
        ended = [one for one in self.model.people if one.status in ("cancelled", "failed")]
        person = one_of(ended, number)
        anew: dict[str, Any] = {"attempts": 0, "bad_requests": 0, "available_at": db_now()}
        assert self._row(person).move("pending", "once more", **anew)
        person.status, person.due = "pending", self.model.now
        person.attempts = person.bad_requests = 0

    # --- The distributor --------------------------------------------------------------------------

    @rule()
    @precondition(lambda self: self.model.waiting())
    def assign(self) -> None:
        for task in self.model.stale():
            self.model.hung(task)
        able, free = self.model.able(), self.model.free()
        done = assigning.run_round()
        curps = {person.curp for person in able}
        assert len(done.decisions) == min(len(curps), len(free))
        for decision in done.decisions:
            (person,) = [one for one in able if one.pk == decision.nbc_id]
            (unit,) = [one for one in free if one.name == decision.device]
            self._assigned(person, unit, QueueEntry.objects.get(pk=decision.entry_id))

    def _assigned(self, person: Person, unit: Unit, entry: QueueEntry) -> None:
        now = self.model.now
        assert not self.model.is_shut(person.curp)
        person.status, person.rw_id = "p1", entry.rw_id
        person.attempts += 1
        self.model.windows[person.curp] = Window(entry.rw_id, now + WINDOW)
        unit.task = Task(entry.pk, person, unit, entry.rw_id, now, now)
        self.model.tasks.append(unit.task)

    # --- Workers ----------------------------------------------------------------------------------

    @rule(limit=st.integers(1, 3))
    @precondition(lambda self: self.model.due())
    def take(self, limit: int) -> None:
        due = self.model.due()
        entries = QueueEntry.objects.take(f"w{next(self.numbers)}", timedelta(seconds=LEASE), limit)
        assert len(entries) == min(limit, len(due))
        for entry in entries:
            task = self._task(entry)
            assert task in due
            task.status, task.token = "Processing", entry.lease_token
            task.lease = self.model.now + LEASE
            task.leases += 1
        self.copies += entries

    @rule(number=Any_)
    @precondition(lambda self: len(self.copies) > 1)
    def renew(self, number: int) -> None:
        copy = one_of(self.copies, number)
        task = self._task(copy)
        assert claims.renew(copy, timedelta(seconds=LEASE)) is self._is_holder(copy)
        if self._is_holder(copy):
            task.lease = self.model.now + LEASE

    @rule(number=Any_)
    @precondition(lambda self: any(not copy.called_at for copy in self.copies))
    def call(self, number: int) -> None:
        copy = one_of([copy for copy in self.copies if not copy.called_at], number)
        task = self._task(copy)
        may = self._is_holder(copy) and task.lease > self.model.now
        due = db_now() + timedelta(seconds=RESULT)
        begun = claims.begin_irrevocable_all([copy], called_at=db_now(), result_due_at=due)
        assert bool(begun) is may
        if may:
            task.called, task.result_due = True, self.model.now + RESULT

    @rule(
        number=Any_,
        kind=st.sampled_from([kind for kind in AnswerKind if kind != AnswerKind.ACCEPTED]),
        after=st.sampled_from([None, 0.0, 300.0]),
    )
    @precondition(lambda self: any(copy.called_at for copy in self.copies))
    def answer(self, number: int, kind: AnswerKind, after: float | None) -> None:
        """Anything but "accepted", as late as may be."""
        copy = self._answered_copy(number)
        counts = self._is_holder(copy)
        routed = Routed(Answer(kind, message="as answered", retry_after=after))
        assert posting.settle_answer(copy, routed) is counts
        if counts:
            self._answered(self._task(copy), kind, after)

    @rule(number=Any_)
    @precondition(lambda self: any(copy.called_at for copy in self.copies))
    def accept(self, number: int) -> None:
        copy = self._answered_copy(number)
        counts = self._is_holder(copy)
        posting._accept([copy], "accepted by the scraper")
        if counts:
            self._with_the_scraper(self._task(copy))

    def _answered(self, task: Task, kind: AnswerKind, after: float | None) -> None:
        if kind is AnswerKind.UNANSWERED:
            self._with_the_scraper(task)
        elif kind is AnswerKind.BUSY:
            self.model.end(task, "pending", MINUTE if after is None else after, counts=False)
        elif kind is AnswerKind.BAD_REQUEST:
            final = task.person.bad_requests >= 1
            if task.person.status == "p1" and task.person.rw_id == task.rw_id:
                task.person.bad_requests += 1
            self.model.end(task, "failed" if final else "pending", MINUTE)
        elif kind is AnswerKind.UNKNOWN:
            self.model.again(task, MINUTE)
        else:
            self.model.end(task, "pending", MINUTE, counts=False)

    @rule()
    @precondition(lambda self: any(task.status == "Processing" for task in self.model.tasks))
    def crash(self) -> None:
        """Workers hang until their leases ran out, and longer; they may come back."""
        self.pass_time(45.0)
        self.sweep()
        self.pass_time(45.0)

    @rule()
    @precondition(lambda self: self.model.lost())
    def sweep(self) -> None:
        lost = self.model.lost()
        assert settling.sweep() == len(lost)
        for task in lost:
            if task.called:
                self._with_the_scraper(task)
            elif task.leases >= MOST_LEASES:
                self.model.again(task, MINUTE)
            else:
                task.status, task.token = "Assigned", None
                task.due = self.model.now + 5.0 * 2 ** (task.leases - 1)

    # --- Scrapers ---------------------------------------------------------------------------------

    @rule(
        number=Any_,
        condition=st.integers(1, 4),
        error_class=st.sampled_from(["", "site", "device"]),
        message=st.sampled_from(["as reported", "El correo ya fue modificado durante el dia"]),
    )
    @precondition(lambda self: self.model.tasks)
    def report(self, number: int, condition: int, error_class: str, message: str) -> None:
        """For any task: in time, too early, too late, or of another one."""
        task = one_of(self.model.tasks, number)
        self._report(task, Report(condition, message, {"n": number}, error_class))

    @rule(number=Any_)
    @precondition(lambda self: any(task.report for task in self.model.tasks))
    def repeat(self, number: int) -> None:
        task = one_of([task for task in self.model.tasks if task.report], number)
        assert task.report
        self._report(task, task.report)

    def _report(self, task: Task, report: Report) -> None:
        document = QueueEntry.objects.values_list("document_id", flat=True).get(pk=task.pk)
        try:
            taken = results.take_in(document, report)
        except MovedOn:
            assert not (task.is_live and task.called)
            assert task.report != report
        else:
            assert taken is (task.is_live and task.called)
            assert taken or task.report == report
            if taken:
                self._reported(task, report)

    def _reported(self, task: Task, report: Report) -> None:
        task.report = report
        blames = int(report.error_class == "device")
        if report.condition < 4:
            self.model.end(task, ("s", "subdelegacion", "nf")[report.condition - 1], blames=-1)
        elif report.message.startswith("El correo"):
            self.model.end(task, "RETRY_AFTER_MIDNIGHT", counts=False)
        else:
            self.model.again(task, MINUTE, blames)

    @rule()
    @precondition(lambda self: self.model.late())
    def end_silent(self) -> None:
        late = self.model.late()
        assert settling.end_silent() == len(late)
        for task in late:
            self.model.again(task, blames=1)

    # --- Devices and staff ------------------------------------------------------------------------

    @rule(number=Any_)
    @precondition(lambda self: len(self.seen) < 3)
    def look(self, number: int) -> None:
        """Somebody opens a device's page, and may press a button on it later."""
        unit = one_of(self.model.units, number)
        self.seen.append((Device.objects.get(pk=unit.pk), unit.task))

    @rule(number=Any_)
    @precondition(lambda self: self.seen)
    def release(self, number: int) -> None:
        device, task = one_of(self.seen, number)
        is_held = task is not None and task.is_live
        assert settling.release(device, "a person said so") is is_held
        if task and is_held:
            self.model.end(task, "pending", counts=False)

    @rule()
    @precondition(lambda self: self.model.stuck())
    def release_stuck(self) -> None:
        old = self.model.stuck()
        stuck = Device.objects.stuck(db_now() - timedelta(seconds=STUCK))
        assert {device.pk for device in stuck} == {unit.pk for unit in old}
        for device in stuck:
            assert settling.release_stuck(device, "stuck")
        for unit in old:
            assert unit.task
            self.model.hung(unit.task)

    @rule(number=Any_)
    def beat(self, number: int) -> None:
        unit = one_of(self.model.units, number)
        online = not unit.online
        Device.objects.get(pk=unit.pk).beat(online, db_now())
        unit.online = online

    @rule(number=Any_)
    def replace(self, number: int) -> None:
        """Staff delete a device, held or not, and enter it again."""
        unit = one_of(self.model.units, number)
        Device.objects.get(pk=unit.pk).delete()
        self.model.units.remove(unit)
        self.seen = [(device, task) for device, task in self.seen if device.pk != unit.pk]
        self._add_units(pool(1, unit.generator, device=unit.name), unit.generator)

    # --- Time -------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([45.0, 100.0, 7 * MINUTE, 16 * MINUTE, 22 * MINUTE]))
    def pass_time(self, seconds: float) -> None:
        # Not to the edge of anything: the example itself takes a moment.
        while any(-2 < moment - self.model.now - seconds < 20 for moment in self._edges()):
            seconds += 20
        self.model.now += seconds
        for model, names in TIMES.items():
            earlier = {name: F(name) - timedelta(seconds=seconds) for name in names}
            model._default_manager.update(**earlier)

    def _edges(self) -> list[float]:
        return [moment for moment in self.model.deadlines() if moment > self.model.now]

    # --- What always holds ------------------------------------------------------------------------

    @invariant()
    def tasks_are_as_they_should_be_and_nobody_has_two(self) -> None:
        stored = list(QueueEntry.objects.order_by().values_list("pk", "status", "curp"))
        expected = {(task.pk, task.status, task.person.curp) for task in self.model.tasks}
        assert set(stored) == expected
        at_work = [curp for _pk, status, curp in stored if status != "Complete"]
        assert len(at_work) == len(set(at_work))

    @invariant()
    def nobody_is_lost(self) -> None:
        """Everybody waits, or is at work in a live task, or is done with."""
        columns = ("pk", "status", "attempts", "bad_requests", "rw_id")
        stored = set(NbcRecord.objects.order_by().values_list(*columns))
        assert stored == {
            (p.pk, p.status, p.attempts, p.bad_requests, p.rw_id) for p in self.model.people
        }
        at_work = {row[-1] for row in stored if row[1] == "p1"}
        assert at_work <= {task.rw_id for task in self.model.live}

    @invariant()
    def a_device_is_free_or_held_by_one_live_task(self) -> None:
        columns = ("device", "available", "task_id", "current_task", "failures", "status")
        stored = set(Device.objects.order_by().values_list(*columns))
        assert stored == {
            (u.name, not u.task, *_held_by(u), u.failures, u.service) for u in self.model.units
        }
        held = [task.device.name for task in self.model.live]
        assert len(held) == len(set(held))

    @invariant()
    def nothing_is_finished_twice(self) -> None:
        ends = Event.objects.filter(object_type="queues.queueentry", new="Complete")
        ends = ends.exclude(old="Complete").order_by()
        told = Counter(int(pk) for pk in ends.values_list("object_id", flat=True))
        assert told == Counter(task.pk for task in self.model.tasks if not task.is_live)

    @invariant()
    def the_batches_count_their_decisions(self) -> None:
        decided = Counter(Decision.objects.order_by().values_list("batch_id", "generator_id"))
        batches = list(DistributionBatch.objects.order_by("pk"))
        counted = {(row.pk, name): used for row in batches for name, used in row.used.items()}
        assert counted == dict(decided)
        assert not batches or batches[-1].counter == decided.total()
        assert sum(row.is_open for row in batches) <= 1

    # --- What the steps have in common ------------------------------------------------------------

    def _add_units(self, devices: Iterable[Device], generator: str) -> None:
        self.model.units += [Unit(row.pk, row.device, generator) for row in devices]

    def _row(self, person: Person) -> NbcRecord:
        return NbcRecord.objects.get(pk=person.pk)

    def _task(self, entry: QueueEntry) -> Task:
        (task,) = [task for task in self.model.tasks if task.pk == entry.pk]
        return task

    def _is_holder(self, copy: QueueEntry) -> bool:
        """Whether the lease that came with the copy is still the task's."""
        token = self._task(copy).token
        return token is not None and token == copy.lease_token

    def _answered_copy(self, number: int) -> QueueEntry:
        """Each call is answered once."""
        copy = one_of([copy for copy in self.copies if copy.called_at], number)
        self.copies = [one for one in self.copies if one is not copy]
        return copy

    def _with_the_scraper(self, task: Task) -> None:
        task.status, task.token = "Accepted", None


def _held_by(unit: Unit) -> tuple[int | None, str]:
    return (unit.task.pk, unit.task.person.curp) if unit.task else (None, "")


def one_of(items: Sequence[One], number: int) -> One:
    return items[number % len(items)]


def check(
    examples: int,
    steps: int,
    machine: type[DistributionMachine] = DistributionMachine,
    **options: Any,
) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            **options,
        ),
    )


def test_whatever_happens_in_whatever_order_nobody_is_lost() -> None:
    check(examples=15, steps=40)


# --- A guard that is taken out is missed ----------------------------------------------------------


class OfWorkers(DistributionMachine):
    """Only what workers do, so that two of them soon meet over a task."""

    cancel = retry = beat = replace = look = release = release_stuck = report = repeat = None
    end_silent = accept = answer = None


class OfDevices(DistributionMachine):
    """Only what becomes of devices."""

    cancel = retry = beat = replace = renew = sweep = crash = accept = repeat = None
    answer = end_silent = release_stuck = pass_time = None


@pytest.mark.once
def test_it_misses_the_lease_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def held(group: list[QueueEntry]) -> models.Q:
        return models.Q(status=QueueEntry.Status.PROCESSING)

    monkeypatch.setattr(claims, "_held", held)
    _expect_a_failure(OfWorkers)


@pytest.mark.once
def test_it_misses_who_holds_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def release(device: Device, reason: str) -> bool:
        return bool(Device.objects.filter(pk=device.pk).update(**FREED))

    monkeypatch.setattr(Device, "release", release)
    _expect_a_failure(OfDevices)


def _expect_a_failure(machine: type[DistributionMachine]) -> None:
    with pytest.raises(AssertionError):
        check(200, 40, machine, phases=[Phase.generate], report_multiple_bugs=False)
