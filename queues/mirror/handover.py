"""Who works a generator, ours or old workers from Mongo, and the change from one to the other.

A task that is under way stays with whoever has it, and its result counts wherever it comes from:
the switch is about tasks that nobody has taken. From ours to Mongo they are there to be taken at
once, since each has its document. From Mongo to ours they rest for a while, so that what an old
worker took last is seen before one of ours takes it too: stop the old workers first.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from queues.claims import DatabaseNow
from queues.models import Generator, QueueEntry

REST = timedelta(seconds=30)


def changed(generator: Generator) -> None:
    """To be called in the transaction that changed who works it."""
    if not generator.is_worked_from_mongo:
        waiting = QueueEntry.objects.filter(generator=generator, status=QueueEntry.WAITING)
        waiting.update(available_at=DatabaseNow(max(REST, 3 * settings.MIRROR_POLL)))
