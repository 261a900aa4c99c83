"""Waking a loop that waits: a hint by NOTIFY where the database is PostgreSQL, a sleep elsewhere.

A hint can be lost, with the connection or before the loop listened: the loop's own slow look is
the truth.
"""

from __future__ import annotations

import logging
import time
from types import TracebackType

from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestrator_site.stopping import Stop

logger = logging.getLogger(__name__)
LOOK = 0.25  # seconds between two looks whether to stop


def notify(channel: str) -> None:
    """Wake who waits for `channel`, once the transaction that is open commits."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [channel])


class Bell:
    """Rings where somebody notified `channel`. It belongs to the thread that waits on it."""

    def __init__(self, channel: str, stop: Stop) -> None:
        self.channel, self.stop = channel, stop
        self._line: BaseDatabaseWrapper | None = None

    def __enter__(self) -> Bell:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def wait(self, seconds: float) -> bool:
        """Sleep until it rings, or a stop is asked for; True where there may be work."""
        if not self.channel or connection.vendor != "postgresql":
            self.stop.wait(seconds)
            return False
        try:
            return self._connect() or self._rings(seconds)
        except DatabaseError as error:
            logger.warning("%s: nothing wakes this loop for now: %s", self.channel, error)
            self.close()
            self.stop.wait(seconds)
            return False

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _connect(self) -> bool:
        """True where it listens from now on only: what rang before was not heard."""
        if self._line is not None:
            return False
        self._line = connection.copy()
        with self._line.cursor() as cursor:
            cursor.execute(f"LISTEN {self._line.ops.quote_name(self.channel)}")
        return True

    def _rings(self, seconds: float) -> bool:
        assert self._line is not None
        until = time.monotonic() + seconds
        with self._line.wrap_database_errors:
            while not self.stop() and (left := until - time.monotonic()) > 0:
                if list(self._line.connection.notifies(timeout=min(left, LOOK), stop_after=1)):
                    return True
        return False
