"""The distribution cycle: who is assigned, on which device, and what the others wait for."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from brain import assigning, shares
from brain.distribution import replayed
from brain.models import Decision, DistributionBatch
from devices.leasing import DeviceTaken
from devices.models import Device, PersonWindow
from orchestrator_site.clock import db_now
from orchestrator_site.models import Event, Pause
from orchestrator_site.stopping import Stop
from orchestrator_site.waking import Bell
from queues import endings, results, settling
from queues.models import Endpoint, Generator, NbcRecord, QueueEntry
from queues.results import Report
from tests.distribution import accepted, assigned, configure, generators, pool, posted
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory
from tests.racing import together

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def pools() -> dict[str, list[Device]]:
    """An endpoint and three devices for each generator."""
    found = {}
    for row in generators():
        EndpointFactory(generator=row)
        found[row.name] = DeviceFactory.create_batch(3, fleet=row.fleet, process=row.process)
    return found


def test_everybody_gets_one_free_device_in_rotation(pools: dict[str, list[Device]]) -> None:
    people = NbcRecordFactory.create_batch(5)
    done = assigning.run_round()
    chosen = [one.generator_id for one in done.decisions]
    assert chosen == ["G_IAD", "G_MASTER", "G_IAD2", "G_SISEC", "G_IAD"]
    entries = list(QueueEntry.objects.order_by("pk"))
    assert len({entry.device for entry in entries}) == 5
    for person, entry in zip(people, entries, strict=True):
        person.refresh_from_db()
        device = Device.objects.get(task_id=entry.taskid)
        assert (person.status, person.rw_id, person.attempts) == ("p1", entry.rw_id, 1)
        assert entry.rw_id.startswith(f"IMSS_{person.nbc_id}_")
        assert (device.device, device.current_task, device.available) == (
            entry.device,
            person.curp,
            False,
        )
        assert entry.case_id == person.case_id


@pytest.mark.django_db(transaction=True)
def test_an_assignment_wakes_the_workers_that_wait(pools: dict[str, list[Device]]) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL notifies")
    with Bell(QueueEntry._meta.db_table, Stop()) as bell:
        bell.wait(0)
        assert not assigning.run_round()
        assert not bell.wait(0.1)
        NbcRecordFactory()
        assert assigning.run_round()
        assert bell.wait(5)


def test_a_decision_can_be_replayed_to_the_same_answer(pools: dict[str, list[Device]]) -> None:
    Generator.objects.filter(name="G_MASTER").update(enabled=False)
    NbcRecordFactory.create_batch(8)
    assigning.run_round()
    for decision in Decision.objects.all():
        again = replayed(decision.choice)
        assert again.chosen == decision.generator_id
        assert again.as_dict() == decision.choice
    passed = Decision.objects.get(choice__counter=1)
    assert passed.generator_id == "G_IAD2"
    assert passed.choice["passed"] == [["G_MASTER", "disabled"]]


def test_a_person_waits_and_says_for_what(pools: dict[str, list[Device]]) -> None:
    Device.objects.filter(process="SISEC").update(available=False)
    Device.objects.filter(process="IAD").update(status="draining")
    Generator.objects.filter(name="G_IAD2").update(status="fallando")
    Endpoint.objects.filter(generator__name="G_MASTER").update(enabled=False)
    person = NbcRecordFactory()
    assert not assigning.run_round()
    person.refresh_from_db()
    assert person.status == "pending"
    assert person.blocker == {
        "kind": "nobody",
        "passed": [
            ["G_IAD", "offline", 0],
            ["G_IAD2", "failing", 0],
            ["G_MASTER", "unreachable", 0],
            ["G_SISEC", "busy", 0],
        ],
    }


def test_a_limit_is_told(pools: dict[str, list[Device]]) -> None:
    configure(batch_size=20)
    Device.objects.exclude(process="SISEC").update(available=False)
    people = NbcRecordFactory.create_batch(3)
    assert len(assigning.run_round().decisions) == 1
    people[2].refresh_from_db()
    assert ["G_SISEC", "limit", 1] in people[2].blocker["passed"]


def test_a_curp_is_not_taken_twice_within_its_window(pools: dict[str, list[Device]]) -> None:
    first, twin = NbcRecordFactory.create_batch(2, curp="INVE900101HDFXXX09")
    assert len(assigning.run_round().decisions) == 1
    twin.refresh_from_db()
    assert twin.blocker == {"kind": "twin", "nbc_id": first.nbc_id}
    assert not assigning.run_round()
    twin.refresh_from_db()
    window = PersonWindow.objects.get(curp=first.curp)
    assert twin.blocker == {"kind": "window", "until": window.until.isoformat()}
    assert window.until - timezone.now() > timedelta(minutes=17)


def test_a_stale_task_gives_way_once_the_window_is_over(pools: dict[str, list[Device]]) -> None:
    first, twin = NbcRecordFactory.create_batch(2, curp="INVE900101HDFXXX09")
    assigning.run_round()
    old = QueueEntry.objects.get()
    PersonWindow.objects.update(until=timezone.now())
    assert len(assigning.run_round().decisions) == 1
    old.refresh_from_db()
    first.refresh_from_db()
    twin.refresh_from_db()
    assert (old.status, old.success, old.condition) == ("Complete", False, 4)
    assert (first.status, twin.status) == ("pending", "p1")
    assert Device.objects.filter(available=False).count() == 1


def test_a_round_costs_few_statements(pools: dict[str, list[Device]]) -> None:
    for row in Generator.objects.all():
        DeviceFactory.create_batch(40, fleet=row.fleet, process=row.process)
    NbcRecordFactory.create_batch(80)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        done = assigning.run_round()
    assert len(done.decisions) >= 70
    assert len(queries) <= 0.5 * len(done.decisions), [q["sql"][:80] for q in queries]


def test_a_full_batch_is_spread_by_the_shares(pools: dict[str, list[Device]]) -> None:
    for row in Generator.objects.all():
        DeviceFactory.create_batch(100, fleet=row.fleet, process=row.process)
    same = {"G_IAD": 25, "G_IAD2": 40, "G_MASTER": 25, "G_SISEC": 10}
    shares.put({level: same for level in ("good", "normal", "bad")}, "test")
    NbcRecordFactory.create_batch(100)
    done = assigning.run_round()
    assert Counter(one.generator_id for one in done.decisions) == same


def test_new_shares_begin_a_new_batch(pools: dict[str, list[Device]]) -> None:
    NbcRecordFactory.create_batch(2)
    assigning.run_round()
    all_iad = {"G_IAD": 100, "G_IAD2": 0, "G_MASTER": 0, "G_SISEC": 0}
    shares.put({level: all_iad for level in ("good", "normal", "bad")}, "just IAD")
    NbcRecordFactory()
    (decision,) = assigning.run_round().decisions
    assert decision.generator_id == "G_IAD"
    assert DistributionBatch.objects.count() == 2
    old = DistributionBatch.objects.order_by("pk").first()
    assert old and not old.is_open and "changed" in old.close_reason


def test_each_assignment_is_an_event_of_its_case(pools: dict[str, list[Device]]) -> None:
    person = NbcRecordFactory()
    assigning.run_round()
    told = Event.objects.filter(case_id=person.case_id).values_list("object_type", "new")
    assert set(told) == {("queues.queueentry", "Assigned"), ("queues.nbcrecord", "p1")}


def test_people_who_rest_do_not_stand_in_others_way(pools: dict[str, list[Device]]) -> None:
    configure(batch_size=20)
    assigned(curp="INVE900101HDFXXX09")
    results.take_in(accepted().document_id, Report(1, "found"))
    twins = NbcRecordFactory.create_batch(30, curp="INVE900101HDFXXX09")
    other = NbcRecordFactory()
    (decision,) = assigning.run_round().decisions
    assert decision.nbc_id == other.pk
    twins[0].refresh_from_db()
    assert twins[0].blocker["kind"] == "window"


def test_a_task_in_the_way_that_nobody_ended_yet_breaks_no_round(
    pools: dict[str, list[Device]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assigned(curp="INVE900101HDFXXX09")
    PersonWindow.objects.update(until=timezone.now())
    NbcRecordFactory(curp="INVE900101HDFXXX09")
    other = NbcRecordFactory()
    monkeypatch.setattr(settling, "end_stale", lambda: 0)  # as if the twin came after it
    assert [one.nbc_id for one in assigning.run_round().decisions] == [other.pk]


def test_a_device_made_anew_is_not_taken_while_its_last_task_lives() -> None:
    (device,) = pool()
    entry = assigned()
    device.delete()
    again = pool(device=device.device)
    person = NbcRecordFactory()
    assert not assigning.run_round()
    person.refresh_from_db()
    assert person.blocker["passed"][-1] == ["G_SISEC", "busy", 0]
    assert settling.settle(posted(), endings.busy("full", 3600.0, db_now()))
    assert [one.device for one in assigning.run_round().decisions] == [again[0].device]
    assert entry.device == again[0].device


def test_a_device_is_given_only_where_an_endpoint_serves_its_instance() -> None:
    EndpointFactory(instance="SISEC-OM")
    pool(1, instance="SISEC-ELSEWHERE")
    (served,) = pool(1, instance="SISEC-OM")
    NbcRecordFactory.create_batch(2)
    assert [one.device for one in assigning.run_round().decisions] == [served.device]


def test_an_idle_round_opens_no_batch(pools: dict[str, list[Device]]) -> None:
    assert not assigning.run_round()
    assert not DistributionBatch.objects.exists()


def test_a_round_that_breaks_leaves_nothing_behind(
    pools: dict[str, list[Device]], monkeypatch: pytest.MonkeyPatch
) -> None:
    NbcRecordFactory.create_batch(3)

    def broken(*arguments: Any) -> None:
        raise DeviceTaken("as if a row had changed under its lock")

    monkeypatch.setattr(assigning, "hold", broken)
    with pytest.raises(DeviceTaken):
        assigning.run_round()
    assert not QueueEntry.objects.exists()
    assert not PersonWindow.objects.exists()
    assert not Device.objects.filter(available=False).exists()
    assert set(NbcRecord.objects.values_list("status", flat=True)) == {"pending"}


def test_a_batch_ends_when_it_is_full_or_old(pools: dict[str, list[Device]]) -> None:
    configure(batch_size=4)
    NbcRecordFactory.create_batch(5)
    for row in Generator.objects.all():
        DeviceFactory.create_batch(4, fleet=row.fleet, process=row.process)
    assert sum(len(assigning.run_round().decisions) for _ in range(3)) == 5
    first, second = DistributionBatch.objects.order_by("pk")
    assert (first.assigned, first.close_reason, second.counter) == (4, "full", 5)
    DistributionBatch.objects.update(opened_at=timezone.now() - timedelta(minutes=11))
    NbcRecordFactory()
    assigning.run_round()
    second.refresh_from_db()
    assert (second.is_open, second.close_reason) == (False, "time")


def test_a_paused_distribution_assigns_nobody(pools: dict[str, list[Device]]) -> None:
    NbcRecordFactory()
    pause = Pause.objects.create(name=assigning.DISTRIBUTION, reason="the fleet moves house")
    assert not assigning.step()
    pause.delete()
    assert assigning.step()


@pytest.mark.django_db(transaction=True)
def test_eight_distributors_assign_nobody_and_nothing_twice() -> None:
    for row in generators():
        EndpointFactory(generator=row)
        DeviceFactory.create_batch(60, fleet=row.fleet, process=row.process)
    configure(batch_size=10)
    NbcRecordFactory.create_batch(60)
    NbcRecordFactory.create_batch(20, curp="INVE900101HDFXXX09")
    together(8, lambda _number: [assigning.run_round() for _ in range(8)])
    entries = QueueEntry.objects.all()
    assert entries.count() == 61
    assert len({entry.curp for entry in entries}) == 61
    assert Device.objects.filter(available=False).count() == 61
    assert Decision.objects.count() == 61
    used = sum(batch.assigned for batch in DistributionBatch.objects.all())
    assert used == 61
    decided = Counter(Decision.objects.values_list("batch_id", flat=True))
    assert {row.pk: row.assigned for row in DistributionBatch.objects.all()} == decided
