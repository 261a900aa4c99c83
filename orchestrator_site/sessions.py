"""A loop as a leased, bounded session: one holder at a time, handed over after a while."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import close_old_connections

from orchestrator_site.models import Lease
from orchestrator_site.stopping import Stop
from orchestrator_site.waking import Bell

logger = logging.getLogger(__name__)
LEASE = timedelta(seconds=60)
IDLE = 1.0  # seconds
RENEW_EVERY = 10.0
GRACE = 60.0


def me(kind: str) -> str:
    """This process as a holder of leases and a worker: unique on all hosts."""
    return f"{kind}@{settings.WORKER_ID or socket.gethostname()}:{os.getpid()}"


def run_leased(
    name: str,
    step: Callable[[Watch], bool],
    stop: Stop,
    *,
    duration: timedelta | None = None,
    channel: str = "",
) -> bool:
    """Call `step` in turns while the lease `name` is ours; False when another has it.

    `step` answers whether there was work: where there was none the loop rests a second, or less
    where `channel` is notified. It is given a watch to ask between two pieces of work, at least
    every half minute, whether to stop; asking renews the lease.
    """
    lease = Lease.acquire(name, me(name), LEASE)
    if lease is None:
        return False
    watch = Watch(lease, stop, duration or settings.LOOP_SESSION)
    try:
        with Bell(channel, stop) as bell:
            while not watch.is_over() and not watch():
                close_old_connections()
                if not step(watch):
                    bell.wait(IDLE)
    finally:
        lease.release()
    return True


class Watch:
    """Whether to stop: asked to, the lease lost, or the session's grace used up."""

    def __init__(self, lease: Lease, stop: Stop, duration: timedelta) -> None:
        self.lease, self.stop = lease, stop
        self.until = time.monotonic() + duration.total_seconds()
        self.renewed = time.monotonic()
        self.is_lost = False  # for good: what took it over works already

    @property
    def epoch(self) -> int:
        """Of this holding of the lease: greater than that of every one before."""
        return self.lease.epoch

    def is_over(self) -> bool:
        """No new piece of work begins after this."""
        return time.monotonic() >= self.until

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self.is_lost and now - self.renewed >= RENEW_EVERY:
            self.renewed = now
            self.is_lost = not self.lease.renew(LEASE)
        return self.is_lost or self.stop() or now >= self.until + GRACE
