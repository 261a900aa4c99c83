"""The mirror's loop: publishing what changed here, and reading what changed there.

One holder of the lease at a time. Mongo may go and come: what changes meanwhile waits in the
outbox.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection

from orchestrator_site.clock import db_now
from orchestrator_site.models import Lease
from orchestrator_site.sessions import Watch, run_leased
from orchestrator_site.stopping import Stop
from orchestrator_site.waking import LOOK
from queues.mirror import door, reading
from queues.mirror.kinds import KINDS, Kind
from queues.mirror.publishing import AT_ONCE, LEASE, Publisher, Superseded, mark
from queues.mirror.triggers import OUTBOX
from queues.models import MirrorChange, MirrorState

logger = logging.getLogger(__name__)
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0  # seconds, while Mongo is away
LONGEST_WAIT = 20.0  # seconds for transactions that are older than the switch
# Documents that the outside keeps too: those that are there already, and that the mirror never
# wrote, are left to it until there is news of them here.
SHARED = ("generator", "config")
Thing = TypeVar("Thing")
Asked = Callable[[], bool]  # whether to stop; asking renews the lease


def run(stop: Stop) -> bool:
    """Mirror for some minutes; False where another process does so."""
    return run_leased(LEASE, Session(stop).step, stop, channel=OUTBOX)


class Session:
    """Publishes and reads in turns, under one holding of the lease."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.published = self.taken = 0
        self._publisher: Publisher | None = None
        self._is_ready = False
        self._look_at = self._pause = 0.0

    def step(self, watch: Watch) -> bool:
        """What fails is written down, and tried again after a pause: it ends no session."""
        worked = False
        failure: Exception | None = None
        for piece in (self.publish, self._look_if_due):
            try:
                worked = bool(piece(watch)) or worked
            except Superseded as error:
                logger.warning("mirror: %s", error)
                watch.is_lost = True
                return False
            except door.PyMongoError as error:
                failure = error
                break
            except Exception as error:
                failure = error
        if failure is None:
            self._recover()
            return worked
        self._fail(failure)
        self._rest(watch)
        return True

    def publish(self, watch: Watch) -> int:
        """The oldest changes; returns how many documents that were. Raises PyMongoError."""
        if not self._begun(watch):
            return 0
        if self._publisher is None:
            self._publisher = Publisher(watch.epoch)
        done = self._publisher.step()
        self.published += done
        return done

    def look(self, watch: Watch) -> int:
        """At all that the outside may have written; returns how much was taken in. Raises
        PyMongoError."""
        if not self._begun(watch):
            return 0
        return self._read()

    def _read(self) -> int:
        taken = reading.step()
        self.taken += taken
        return taken

    def _look_if_due(self, watch: Watch) -> int:
        if time.monotonic() < self._look_at:
            return 0
        taken = self.look(watch)
        self._look_at = time.monotonic() + settings.MIRROR_POLL.total_seconds()
        return taken

    def _begun(self, watch: Watch) -> bool:
        self._is_ready = self._is_ready or begin(watch, self._read)
        return self._is_ready

    def _recover(self) -> None:
        if self._pause:
            logger.warning("mirror: all is well again")
        self._pause = 0.0

    def _fail(self, error: Exception) -> None:
        told = explain(error)
        if not self._pause:  # told once, until all is well again
            is_away = isinstance(error, door.PyMongoError)
            logger.error("mirror: %s", told, exc_info=None if is_away else error)
        MirrorState.failed(told)

    def _rest(self, watch: Watch) -> None:
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
        until = time.monotonic() + self._pause
        while time.monotonic() < until and not watch():
            self.stop.wait(LOOK)


def explain(error: Exception) -> str:
    """For staff and logs: with no secret of the address."""
    return f"{type(error).__name__}: {door.told(error)}"


# --- On and off -----------------------------------------------------------------------------------


def begin(watch: Asked, read: Callable[[], int] = reading.step) -> bool:
    """Have changes written down from now on; False: asked to stop before that was done.

    What changed while it was off nobody wrote down. So, once, everything is marked to be written
    as it stands here; but first all is read, so that what the outside wrote meanwhile (results,
    people put back, the configuration) counts and is not overwritten. Documents of generators and
    of the configuration that are there and that the mirror never wrote stay the outside's until
    there is news of them here: a first contact changes none of them. Raises PyMongoError.
    """
    switch_on()
    if MirrorState.current().published_at is not None:
        return True
    _await_older_transactions(watch)
    while not watch() and read():
        pass
    return mark_all(watch, is_first=True)


def switch_on() -> None:
    """`published_at` is None until everything was marked, however often that is begun anew."""
    MirrorState.current()
    MirrorState.objects.filter(is_on=False).update(is_on=True, published_at=None)


def switch_off() -> bool:
    """Write nothing down any more, and forget what is written down; False where it was off, or
    where a session holds the lease all the same: it is configured somewhere else."""
    if Lease.objects.filter(name=LEASE, expires_at__gt=db_now()).exists():
        return False
    if not MirrorState.switch(False):
        return False
    MirrorChange.objects.all().delete()
    logger.warning("mirror: MONGODB_URI is not set, changes are not written down any more")
    return True


def mark_all(watch: Asked, is_first: bool = False) -> bool:
    """Mark every row, in portions; False: asked to stop before all were."""
    for kind in list(KINDS.values()):
        for keys in portions(kind.all_keys(), AT_ONCE):
            if watch():
                return False
            outside = _outside(kind, keys) if is_first and kind.name in SHARED else set()
            mark(kind.name, [key for key in keys if key not in outside])
    MirrorState.objects.update(published_at=db_now())
    return True


def portions(things: Iterable[Thing], size: int) -> Iterator[list[Thing]]:
    rest = iter(things)
    while portion := list(islice(rest, size)):
        yield portion


def _outside(kind: Kind, keys: list[str]) -> set[str]:
    """Those whose document is there, and was never written by the mirror."""
    found: set[str] = set()
    for key, document in kind.documents(set(keys)).items():
        name, value = document.match
        query: dict[str, Any] = {name: value, "_mirror.v": None}
        if door.collection(document.place).find_one(query, {"_id": 1}):
            found.add(key)
    return found


def _await_older_transactions(watch: Asked) -> None:
    """One that is older than the switch leaves no change behind, and is not seen by who marks
    rows before its end. SQLite has one writer at a time."""
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        return
    newest = _transactions("xmax")
    until = time.monotonic() + LONGEST_WAIT
    while _transactions("xmin") < newest and not watch():
        if time.monotonic() > until:
            logger.warning("mirror: a transaction is open since before the mirror was switched on")
            return
        time.sleep(LOOK)


def _transactions(bound: str) -> int:
    """All before `xmin` have ended; none from `xmax` on has begun."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_snapshot_{bound}(pg_current_snapshot())::text::bigint")
        return int(cursor.fetchone()[0])
