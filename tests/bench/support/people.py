"""Waiting people and free devices, many at once, for the benchmarks of distribution."""

from __future__ import annotations

from brain.models import Decision, DistributionBatch
from devices.models import Device, PersonWindow
from orchestrator_site.models import Event
from queues.models import Generator, NbcRecord, QueueEntry, RegistroWork
from tests.bench.support import tasks
from tests.factories import DeviceFactory, NbcRecordFactory

# In an order that foreign keys allow.
MODELS = (Decision, DistributionBatch, QueueEntry, RegistroWork, NbcRecord, Device)


def nobody() -> None:
    """As if nothing had ever been distributed."""
    tasks.empty(*(model._meta.db_table for model in (*MODELS, PersonWindow, Event)))


def add(count: int) -> None:
    NbcRecord.objects.bulk_create(NbcRecordFactory.build_batch(count))


def add_devices(generator: Generator, count: int) -> None:
    kept = {"fleet": generator.fleet, "process": generator.process}
    Device.objects.bulk_create(DeviceFactory.build_batch(count, **kept))
