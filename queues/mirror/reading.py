"""Looking at all that the outside may have written, time and again.

What belongs to Django and was changed there is marked, to be written back. What cannot be taken in
is set aside with its reason, and delays nothing else. A server that tells of changes could only
make the next look come sooner: looking is what finds them all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.clock import db_now
from queues.mirror import door
from queues.mirror.incoming import devices, generators, people, tasks
from queues.models import MirrorState

logger = logging.getLogger(__name__)
Part = Callable[[], int]
PARTS: list[Part] = [
    *(tasks.results_of_living, tasks.late_results),  # first: who is done is no more under way
    *(people.returned, people.new),
    *(devices.both_fleets, generators.reports),
]


def step() -> int:
    """Look at everything once; returns how much was taken in. A part that breaks stops no other.
    Raises PyMongoError: Mongo is away."""
    taken, broken = 0, []
    with acting_as(ActorKind.SYSTEM, "mongo"):
        for part in PARTS:
            try:
                taken += part()
            except door.PyMongoError:
                raise
            except Exception as error:
                logger.exception("mirror: reading %s failed", part.__name__)
                broken.append(f"{part.__name__}: {type(error).__name__}: {error}")
    if broken:
        MirrorState.failed("; ".join(broken))
    else:
        MirrorState.went_well(read_at=db_now())
    return taken


def register(*parts: Part) -> None:
    """An app says what else is read of Mongo; each answers how much it took in."""
    PARTS.extend(part for part in parts if part not in PARTS)
