"""The demo's pass of distribution: people assigned, called for, reported, and judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from brain import assigning, shares
from devices.models import Device
from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.clock import db_now
from orchestrator_site.demo import seeding
from orchestrator_site.demo.people import PEOPLE, DemoPerson
from orchestrator_site.demo.world import scraper_books
from orchestrator_site.models import Event
from orchestrator_site.sessions import me
from queues import blockers, settling
from queues.models import Endpoint, Generator, NbcRecord, QueueEntry
from queues.posting import ScraperWorker

Tell = Callable[[str, int, int], None]  # what, how many done, of how many
PATIENCE = 90.0  # seconds
NEVER_REPORTED = ("hang", "unanswered")
DAY_SHIFT = [person for person in PEOPLE if not person.at_night]
NIGHT_SHIFT = [person for person in PEOPLE if person.at_night]


@dataclass(frozen=True)
class PersonOutcome:
    """One person as they ended. `wrong` names each expectation that was not met."""

    nbc_id: str
    story: str
    status: str
    generators: tuple[str, ...]
    conditions: tuple[int | None, ...]
    attempts: int
    calls: int
    told: str
    wrong: tuple[str, ...]


def run(tell: Tell) -> list[PersonOutcome]:
    """Distribute until everybody is done or waits for something that will not come."""
    seeding.seed_people(DAY_SHIFT)
    _put_a_dead_endpoint_first()
    name = me("scrapers")
    with acting_as(ActorKind.WORKER, name):
        worker = ScraperWorker(name)
        try:
            _work(worker, tell)
        finally:
            worker.close()
    _close_for_the_night()
    seeding.seed_people(NIGHT_SHIFT)
    assigning.run_round()
    return [_judge(person) for person in PEOPLE]


def faults() -> list[str]:
    """What must not be at the end, whoever it happened to."""
    held = Device.objects.filter(available=False).values_list("device", flat=True)
    found = [f"device {device} is still held" for device in held]
    found += [f"calls {a} and {b} were made at once" for a, b in scraper_books.twice_at_once()]
    if not Endpoint.objects.filter(failures__gt=0).exists():
        found.append("the dead endpoint was never tried")
    refused = Event.objects.filter(reason="late result refused")
    if not refused.filter(object_type=QueueEntry._meta.label_lower).exists():
        found.append("no late result was refused")
    return found


def _work(worker: ScraperWorker, tell: Tell) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and (left := len(_unsettled())):
        tell("looking people up", len(DAY_SHIFT) - left, len(DAY_SHIFT))
        assigning.run_round()
        worker.step()
        _take_devices_back()
        _let_time_pass()


def _unsettled() -> list[NbcRecord]:
    """People who are not done, and do not wait for another day or for their window's end."""
    status = NbcRecord.Status
    rows = NbcRecord.objects.filter(status__in=(status.PENDING, status.P1))
    return [row for row in rows if row.blocker.get("kind") not in ("window", "twin")]


def _take_devices_back() -> None:
    """What staff do: release the device of somebody whom a scraper works on."""
    for entry in _first_tasks(person for person in DAY_SHIFT if person.released_by_staff):
        device = Device.objects.filter(task_id=entry.pk).first()
        if device:
            settling.release(device, "a person needs the device")


def _let_time_pass() -> None:
    """A minute's rest before another try, a quarter of an hour for a result that never comes."""
    NbcRecord.objects.filter(status=NbcRecord.Status.PENDING).update(available_at=db_now())
    silent = {person.nbc_id for person in DAY_SHIFT if person.behaviour in NEVER_REPORTED}
    accepted = QueueEntry.objects.filter(status=QueueEntry.Status.ACCEPTED)
    accepted.filter(nbc__nbc_id__in=silent).update(result_due_at=db_now())
    settling.end_silent()


def _first_tasks(people: Iterable[DemoPerson]) -> list[QueueEntry]:
    """Their tasks that are with a scraper, where it is their first."""
    ids = [person.nbc_id for person in people]
    rows = QueueEntry.objects.filter(nbc__nbc_id__in=ids).order_by("pk")
    firsts = {row.nbc_id: row for row in reversed(rows)}
    return [row for row in firsts.values() if row.status == QueueEntry.Status.ACCEPTED]


def _put_a_dead_endpoint_first() -> None:
    """It serves the devices of its instance before the one that serves any."""
    master = Generator.objects.get(name="G_MASTER")
    Endpoint.objects.get_or_create(
        generator=master, url="http://127.0.0.1:9/gone/", instance=seeding.MASTERS[0]
    )


def _close_for_the_night() -> None:
    """Staff switch generators off and drain the last pool."""
    for generator in Generator.objects.exclude(name="G_SISEC"):
        shares.switch(generator, False, "night")
    for device in Device.objects.filter(process="SISEC"):
        device.drain("night")


def _judge(person: DemoPerson) -> PersonOutcome:
    row = NbcRecord.objects.get(nbc_id=person.nbc_id)
    entries = list(row.entries.order_by("pk"))
    calls = [call for call in scraper_books.calls(person.curp) if call.nbc_id == person.nbc_id]
    told = blockers.describe(row.blocker) if row.blocker else row.message
    found = {
        "status": row.status,
        "calls": len(calls),
        "conditions": tuple(entry.condition for entry in entries),
        "attempts": row.attempts,
    }
    wanted = vars(person.expected)
    wrong = [
        f"{name} is {value!r}, expected {wanted[name]!r}"
        for name, value in found.items()
        if value != wanted[name]
    ]
    if person.expected.told not in told:
        wrong.append(f"{person.expected.told!r} is not in {told!r}")
    return PersonOutcome(
        nbc_id=person.nbc_id,
        story=person.story,
        generators=tuple(entry.generator_id for entry in entries),
        told=told,
        wrong=tuple(wrong),
        **found,  # type: ignore[arg-type]
    )
