"""People whom staff move to a generator: who gets them, what they wait for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from brain import assigning, shares
from brain.distribution import replayed
from brain.models import DistributionBatch
from orchestrator_site.verbs import OFFERS, Result, do
from queues import blockers
from queues.models import Generator, NbcRecord, QueueEntry
from tests.distribution import generators
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture(autouse=True)
def pools() -> None:
    """An endpoint and two devices for each generator."""
    for row in generators():
        EndpointFactory(generator=row)
        DeviceFactory.create_batch(2, fleet=row.fleet, process=row.process)


def move(kind: str, row: Any, generator: str) -> Result:
    verb = OFFERS[kind].called("move")
    assert verb
    return do(verb, row, "its queue is short", generator).result


def test_the_next_round_gives_them_to_the_generator_that_was_chosen() -> None:
    people = NbcRecordFactory.create_batch(4)
    for person in people[:2]:
        assert move("person", person, "G_SISEC") is Result.DONE
    done = assigning.run_round()
    chosen = {one.nbc_id: one.generator_id for one in done.decisions}
    assert [chosen[person.pk] for person in people[:2]] == ["G_SISEC", "G_SISEC"]
    assert "G_SISEC" not in [chosen[person.pk] for person in people[2:]]
    assert not NbcRecord.objects.exclude(wanted="").exists()
    assert all(replayed(one.choice).chosen == one.generator_id for one in done.decisions)
    batch = DistributionBatch.objects.get()
    assert (batch.used["G_SISEC"], batch.counter) == (2, 4)


def test_where_it_cannot_take_them_they_wait_for_it_and_bar_nobody() -> None:
    shares.switch(Generator.objects.get(name="G_SISEC"), False, "broken")
    moved = NbcRecordFactory.create_batch(3, priority=9)
    for person in moved:
        move("person", person, "G_SISEC")
    other = NbcRecordFactory()
    done = assigning.run_round()
    assert [one.nbc_id for one in done.decisions] == [other.pk]
    moved[0].refresh_from_db()
    assert blockers.describe(moved[0].blocker) == "G_SISEC is disabled"


def test_of_a_generator_with_few_devices_the_others_wait_until_one_is_free() -> None:
    for person in NbcRecordFactory.create_batch(3):
        move("person", person, "G_SISEC")
    assert len(assigning.run_round().decisions) == 2
    left = NbcRecord.objects.get(status="pending")
    assert blockers.describe(left.blocker) == "all devices of G_SISEC are busy"


def test_a_generator_that_is_gone_bars_nobody() -> None:
    NbcRecordFactory(wanted="G_GONE")
    assert len(assigning.run_round().decisions) == 1


def test_a_task_whose_scraper_was_not_called_is_moved_and_its_device_free() -> None:
    NbcRecordFactory()
    assigning.run_round()
    entry = QueueEntry.objects.get()
    assert entry.generator_id != "G_SISEC"
    assert move("imss", entry, entry.generator_id) is Result.MOVED_ON
    assert move("imss", entry, "G_SISEC") is Result.DONE
    person = NbcRecord.objects.get()
    assert (person.status, person.wanted, person.attempts) == ("pending", "G_SISEC", 0)
    (again,) = assigning.run_round().decisions
    assert again.generator_id == "G_SISEC"


def test_a_task_that_a_worker_took_meanwhile_stays_where_it_is() -> None:
    NbcRecordFactory()
    assigning.run_round()
    stale = QueueEntry.objects.get()
    QueueEntry.objects.take("w", timedelta(minutes=1))
    assert move("imss", stale, "G_SISEC") is Result.MOVED_ON
    assert NbcRecord.objects.get().wanted == ""


def test_the_choice_is_taken_back_and_a_stranger_is_none() -> None:
    person = NbcRecordFactory()
    assert move("person", person, "G_NOBODY") is Result.REFUSED
    assert move("person", person, "G_SISEC") is Result.DONE
    assert move("person", person, "any") is Result.DONE
    assert NbcRecord.objects.get().wanted == ""
