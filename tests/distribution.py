"""People on devices, for the tests of what comes of them."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any, TypeVar

from django.apps import apps
from django.db.models import Model
from django.utils import timezone

from brain import assigning
from devices.models import Device
from orchestrator_site.clock import db_now
from queues import claims
from queues.models import DistributionConfig, Endpoint, Generator, NbcRecord, QueueEntry
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory

TTL = timedelta(seconds=30)
Row = TypeVar("Row", bound=Model)


def generators() -> list[Generator]:
    """The four that a migration puts there, and a test with real transactions flushes."""
    import_module("queues.migrations.0004_generators").add(apps, None)
    return list(Generator.objects.all())


def pool(count: int = 1, generator: str = "G_SISEC", url: str = "", **values: Any) -> list[Device]:
    """Devices of a generator, and where its scraper listens."""
    (row,) = [one for one in generators() if one.name == generator]
    if not Endpoint.objects.filter(generator=row).exists():
        EndpointFactory(generator=row, **({"url": url} if url else {}))
    return DeviceFactory.create_batch(count, fleet=row.fleet, process=row.process, **values)


def configure(**values: int) -> None:
    config = DistributionConfig.current()
    DistributionConfig.objects.filter(pk=config.pk).update(**values)


def assigned(**person: Any) -> QueueEntry:
    """A person on a device, by a round. A pool with room is there."""
    row = NbcRecordFactory(**person)
    (decision,) = assigning.run_round().decisions
    assert decision.nbc_id == row.pk
    return QueueEntry.objects.get(pk=decision.entry_id)


def taken(worker: str = "w1") -> QueueEntry:
    (entry,) = QueueEntry.objects.take(worker, TTL)
    return entry


def posted(worker: str = "w1") -> QueueEntry:
    """A task whose call is under way."""
    now = db_now()
    due = now + timedelta(minutes=15)
    begun = claims.begin_irrevocable_all([taken(worker)], called_at=now, result_due_at=due)
    (entry,) = begun
    assert isinstance(entry, QueueEntry)
    return entry


def accepted() -> QueueEntry:
    """A task whose scraper has it, and whose result is waited for."""
    entry = posted()
    assert entry.move(QueueEntry.Status.ACCEPTED, "accepted by the scraper", **claims.NO_LEASE)
    return entry


def reread(row: Row) -> Row:
    return type(row)._default_manager.get(pk=row.pk)


def person_of(entry: QueueEntry) -> NbcRecord:
    return NbcRecord.objects.get(pk=entry.nbc_id)


def overdue(entry: QueueEntry) -> None:
    """Its result's deadline has passed."""
    past = timezone.now() - timedelta(seconds=1)
    QueueEntry.objects.filter(pk=entry.pk).update(result_due_at=past)


def expire(entry: QueueEntry) -> None:
    """Its worker fell silent."""
    past = timezone.now() - timedelta(seconds=1)
    QueueEntry.objects.filter(pk=entry.pk).update(lease_expires_at=past)


def come_due() -> None:
    """Time passes for all who wait."""
    NbcRecord.objects.update(available_at=timezone.now())
    QueueEntry.objects.update(available_at=timezone.now())
