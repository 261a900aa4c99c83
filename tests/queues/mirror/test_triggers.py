"""The database writes down each change of a mirrored row, once, and of nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from devices.models import Device, Fleet
from queues import claims
from queues.mirror import triggers
from queues.mirror.publishing import mark, open_changes
from queues.models import Generator, MirrorChange, MirrorState, NbcRecord, QueueEntry
from tests.distribution import TTL, assigned, pool, taken
from tests.factories import DeviceFactory, NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def on(db: None) -> None:
    MirrorState.switch(True)


def told() -> list[str]:
    """What the outbox says, the oldest first, and is emptied of."""
    found = [str(one) for one in open_changes()]
    MirrorChange.objects.all().delete()
    return found


def drop(trigger: str) -> None:
    table = f' ON "{Device._meta.db_table}"' if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {trigger}{table}")


def test_nothing_is_written_down_while_the_mirror_is_off() -> None:
    pool(2)
    entry = assigned()
    Device.objects.all().delete()
    assert QueueEntry.objects.filter(pk=entry.pk).update(message="news")
    assert not MirrorChange.objects.exists()


def test_an_assignment_is_four_changes(on: None) -> None:
    (device,) = pool()
    told()
    entry = assigned()
    # The person came, and was assigned.
    person = f"nbc {entry.nbc.nbc_id}"
    assert sorted(told()) == sorted(
        [
            *(person, person, f"queue {entry.document_id}", f"work {entry.rw_id}"),
            f"device {device.fleet}/{device.device}",
        ]
    )


def test_many_rows_in_one_statement_are_each_written_down_once(on: None) -> None:
    people = NbcRecordFactory.create_batch(3)
    told()
    NbcRecord.objects.update(message="news")
    assert sorted(told()) == sorted(f"nbc {one.nbc_id}" for one in people)


def test_only_the_rows_that_changed_are_written_down(on: None) -> None:
    old, new = NbcRecordFactory(message="news"), NbcRecordFactory()
    told()
    NbcRecord.objects.filter(pk__in=[old.pk, new.pk]).update(message="news")
    assert told() == [f"nbc {new.nbc_id}"]


def test_what_mongo_is_not_told_of_is_not_written_down(on: None) -> None:
    pool()
    assigned()
    entry = taken()
    told()
    assert claims.renew(entry, TTL)
    NbcRecord.objects.update(blocker={"kind": "twin"}, priority=3, updated_at=timezone.now())
    Device.objects.update(heartbeat_at=timezone.now(), online=False, mirror_online=False)
    Generator.objects.update(enabled=False, last_failure="any")
    assert [one for one in told() if not one.startswith("config ")] == []


def test_a_transaction_that_is_rolled_back_leaves_nothing(on: None) -> None:
    with transaction.atomic():
        NbcRecordFactory()
        assert MirrorChange.objects.exists()
        transaction.set_rollback(True)
    assert not MirrorChange.objects.exists()


def test_a_renamed_device_is_one_that_is_gone_and_one_that_is_there(on: None) -> None:
    device = DeviceFactory(device="old")
    told()
    Device.objects.filter(pk=device.pk).update(device="new")
    assert sorted(told()) == ["device dev_devices/new", "device dev_devices/old"]
    Device.objects.filter(pk=device.pk).update(fleet=Fleet.DEVICES)
    assert sorted(told()) == ["device dev_devices/new", "device devices/new"]


@pytest.mark.parametrize("name", ["O'Brien", 'a "b" c', "a/b", "ñandú %s {x}", "\\'; --"])
def test_any_name_is_a_key(on: None, name: str) -> None:
    DeviceFactory(device=name)
    assert told() == [f"device dev_devices/{name}"]


def test_a_row_that_is_deleted_is_told_where_its_document_goes_with_it(on: None) -> None:
    DeviceFactory(device="D-1")
    NbcRecordFactory()
    told()
    Device.objects.all().delete()
    NbcRecord.objects.all().delete()  # its document is history
    assert told() == ["device dev_devices/D-1"]


def test_all_triggers_are_there_after_the_migrations() -> None:
    assert triggers.missing("default") == []


def test_a_trigger_that_was_dropped_is_missed_and_installed_again(on: None) -> None:
    drop("mirror_of_device_devices_update")
    assert triggers.missing("default") == ["mirror_of_device_devices_update"]
    triggers.install("default")
    triggers.install("default")
    assert triggers.missing("default") == []
    device = DeviceFactory()
    told()
    Device.objects.update(available=False)
    assert told() == [f"device dev_devices/{device.device}"]


@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_a_trigger_that_does_not_fire_is_missed() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE devices DISABLE TRIGGER mirror_of_device_devices_insert")
    assert triggers.missing("default") == ["mirror_of_device_devices_insert"]
    triggers.install("default")
    assert triggers.missing("default") == []


def test_a_database_without_the_outbox_gets_no_triggers() -> None:
    triggers.install("recursos")
    with_triggers: Any = triggers.missing("recursos")
    assert "mirror_of_device_devices_insert" in with_triggers


def test_marking_nothing_writes_nothing() -> None:
    mark("nbc", [])
    assert not MirrorChange.objects.exists()
    mark("nbc", ["one", "two"])
    assert told() == ["nbc one", "nbc two"]
