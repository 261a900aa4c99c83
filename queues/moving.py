"""Moving people from one generator to another."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from orchestrator_site.clock import db_now
from orchestrator_site.models.event import Note
from orchestrator_site.verbs import Argument, Text
from queues import endings, settling
from queues.models import Generator, NbcRecord, QueueEntry

ANY = "any"


def generators() -> Sequence[tuple[str, Text]]:
    return [(name, name) for name in Generator.objects.values_list("name", flat=True)]


def generators_or_any() -> Sequence[tuple[str, Text]]:
    return [*generators(), (ANY, _("Any of them, in turn"))]


WANTED = Argument(
    "generator", _("Generator"), lambda person: person.wanted or ANY, choices=generators_or_any
)
ANOTHER = Argument(
    "generator", _("Generator"), lambda entry: str(entry.generator_id), choices=generators
)


def choose(person: NbcRecord, reason: str, generator: str) -> bool:
    """Have a waiting person be given to that generator; False where that is so already."""
    wanted = "" if generator == ANY else generator
    if person.wanted == wanted:
        return False
    data = {"generator": generator, "before": person.wanted or ANY}
    note = Note.of(NbcRecord, person.status, person.status, reason, data)
    as_seen = Q(status=person.status, wanted=person.wanted)
    return bool(NbcRecord.change_all([person], as_seen, note, wanted=wanted))


def move_task(entry: QueueEntry, reason: str, generator: str) -> bool:
    """End a task that nobody was called for, and have its person be given to that generator."""
    if entry.generator_id == generator or entry.status != QueueEntry.WAITING:
        return False
    with transaction.atomic():
        ending = endings.released(reason, db_now())
        if not settling.settle(entry, ending, guard={"called_at": None}):
            return False
        person = NbcRecord.objects.get(pk=entry.nbc_id)
        if person.status == NbcRecord.Status.PENDING:  # it was not cancelled meanwhile
            choose(person, reason, generator)
    return True
