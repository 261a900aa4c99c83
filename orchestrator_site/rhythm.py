"""Things that a loop does now and then."""

from __future__ import annotations

import time
from collections.abc import Callable


class Rhythm:
    """Does each thing, known by its name, when its time since the last has passed."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def every(self, seconds: float, name: str, action: Callable[[], object]) -> None:
        now = time.monotonic()
        if now - self._last.get(name, -seconds) >= seconds:
            self._last[name] = now
            action()
