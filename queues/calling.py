"""Threads for calls that mostly wait: started when first needed, and kept warm."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")


class Calls(Generic[Key]):
    """Calls under way, each with a thread of its own and a key that it is known by.

    One thread asks and collects. The others are daemons: a call that is still waiting for its
    answer keeps no process from ending, as an executor's would.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._answered: SimpleQueue[Future[Any]] = SimpleQueue()
        self._under_way: dict[Future[Any], Key] = {}
        self._threads = 0

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def keys(self) -> list[Key]:
        return list(self._under_way.values())

    def ask(self, key: Key, call: Callable[[], Any]) -> None:
        future: Future[Any] = Future()
        self._under_way[future] = key
        if len(self) > self._threads:
            self._threads += 1
            threading.Thread(target=self._serve, name=f"call-{self._threads}", daemon=True).start()
        self._asked.put((future, call))

    def answers(self, patience: float, gather: float) -> list[tuple[Key, Future[Any]]]:
        """What was answered: the first within `patience` seconds, with those that come up to
        `gather` seconds after it."""
        if not self._under_way:
            return []
        found = self._next(patience)
        until = time.monotonic() + gather
        while found and self._under_way and (more := self._next(until - time.monotonic())):
            found += more
        return found

    def close(self) -> None:
        """Calls under way go on; nobody hears their answers."""
        for _ in range(self._threads):
            self._asked.put(None)

    def _next(self, seconds: float) -> list[tuple[Key, Future[Any]]]:
        try:
            future = self._answered.get(timeout=max(seconds, 0))
        except Empty:
            return []
        return [(self._under_way.pop(future), future)]

    def _serve(self) -> None:
        while (asked := self._asked.get()) is not None:
            future, call = asked
            try:
                future.set_result(call())
            except Exception as error:  # the rim: it is the answer
                future.set_exception(error)
            self._answered.put(future)
