"""Stopping a loop between two pieces of work: signals, and a note from the supervisor."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from django.conf import settings

STOP_NOTE = "CLUSTER_STOP_NOTE"  # in the environment of a supervised cluster's processes


class Stop:
    """Asked between pieces of work; `wait` sleeps, but no longer than until a stop."""

    def __init__(self, note: Path | None = None) -> None:
        self._event = threading.Event()
        self._note = note

    def request(self) -> None:
        self._event.set()

    def __call__(self) -> bool:
        return self._event.is_set() or (self._note is not None and self._note.exists())

    def wait(self, seconds: float) -> bool:
        """Sleep; True when a stop was asked for."""
        return self._event.wait(seconds) or self()


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """SIGTERM and Ctrl-C ask for a stop; a second Ctrl-C interrupts at once."""
    stop = Stop()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.request()

    old = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def run_folder() -> Path:
    """What the supervisors of this host write down."""
    folder = Path(settings.DATA_DIR) / "run"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def note_for(cluster: str) -> Path:
    """The file whose presence asks the sessions of a cluster on this host to end. A supervised
    start of the cluster has one of its own, so that it can end beside the next."""
    return Path(settings.ENVIRON.get(STOP_NOTE) or run_folder() / f"{cluster}.stop")
