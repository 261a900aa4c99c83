"""Log lines of a task, for those who look for them in Mongo by CURP.

Lines that were written within `about(task)` are sent by a thread of their own, many at once. They
wait for nobody: where Mongo is away, or too many come, they are dropped and counted.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from multiprocessing.util import Finalize
from queue import Empty, Full, Queue
from typing import Any, TypeVar

from django.conf import settings

from orchestrator_site.logs import Redact, redact

logger = logging.getLogger(__name__)
ROOM = 10_000  # lines that wait to be sent
AT_ONCE = 1000
GATHER = 0.2  # seconds in which lines are gathered, to be sent together
PATIENCE = 2.0  # seconds at the end of a process for the lines that still wait
TELL_AGAIN = 10.0  # seconds until it is tried again to say how many were dropped
LONGEST = 20_000  # characters of a message
Line = dict[str, Any]
Result = TypeVar("Result")

_task: ContextVar[Any] = ContextVar("task", default=None)


class about:
    """`with about(task):` - what is logged within is about this task."""

    __slots__ = ("_task", "_token")

    def __init__(self, task: Any) -> None:
        self._task = task

    def __enter__(self) -> None:
        self._token = _task.set(self._task)

    def __exit__(self, *fault: object) -> None:
        _task.reset(self._token)


def within(task: Any, call: Callable[[], Result]) -> Result:
    """The same for a call, in whichever thread it is made."""
    with about(task):
        return call()


class ToMongo(logging.Handler):
    """Sends the lines that are about a task to `MONGODB_LOG_COLLECTION`, secrets taken out."""

    def __init__(self, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self.addFilter(Redact())
        self._post: _Post | None = None

    def filter(self, record: logging.LogRecord) -> Any:
        """What is about no task is not looked into."""
        return _task.get() is not None and super().filter(record)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = {**_what(record, self.format(record)), **_whose(_task.get())}
            self._own().put(line)
        except Exception:  # the rim: no line is worth the work that it tells of
            self.handleError(record)

    def flush(self) -> None:
        """Wait a moment for the lines that are on their way."""
        post = self._post
        if post and post.pid == os.getpid():
            post.flush()

    def _own(self) -> _Post:
        """This process's own: neither a thread nor a connection survives a fork."""
        if self._post is None or self._post.pid != os.getpid():
            self._post = _Post()
        return self._post


class _Post:
    """Lines on their way, and the thread that carries them."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lines: Queue[Line] = Queue(ROOM)
        self._hurry = threading.Event()
        self._dropped = 0
        self._counting = threading.Lock()
        self._is_well = True
        self._in_vain = False  # it was waited for the end, and did not come
        threading.Thread(target=self._run, name="log lines", daemon=True).start()
        # Children of multiprocessing end without what `atexit` knows of.
        Finalize(None, self.flush, exitpriority=0)

    def put(self, line: Line) -> None:
        try:
            self._lines.put_nowait(line)
        except Full:
            self._drop(1)

    def flush(self) -> bool:
        """False: after a while some were still on their way."""
        if not self._lines.unfinished_tasks:
            return True
        patience = 0.0 if self._in_vain else PATIENCE
        self._hurry.set()
        with self._lines.all_tasks_done:
            is_done = self._lines.all_tasks_done.wait_for(
                lambda: not self._lines.unfinished_tasks, patience
            )
        self._hurry.clear()
        self._in_vain = self._in_vain or not is_done
        return is_done

    def _run(self) -> None:
        while True:
            lines = self._gathered()
            dropped = self._dropped
            sent = [*lines, _told(dropped)] if dropped else lines
            if sent and self._send(sent):
                self._drop(-dropped)
            else:
                self._drop(len(lines))
            for _line in lines:
                self._lines.task_done()

    def _gathered(self) -> list[Line]:
        """The next lines; none where it is time to say again what was dropped."""
        try:
            lines = [self._lines.get(timeout=TELL_AGAIN if self._dropped else None)]
        except Empty:
            return []
        if self._lines.qsize() < AT_ONCE:
            self._hurry.wait(GATHER)
        while len(lines) < AT_ONCE:
            try:
                lines.append(self._lines.get_nowait())
            except Empty:
                break
        return lines

    def _send(self, lines: Sequence[Line]) -> bool:
        # Where logging is configured, models cannot be imported yet.
        from queues.mirror import door
        from queues.mirror.kinds import MINI

        try:
            target = door.collection((MINI, settings.MONGODB_LOG_COLLECTION))
            target.insert_many(lines, ordered=False)
        except Exception as error:  # the rim of the thread: it goes on with the next ones
            if self._is_well:
                logger.warning("log lines do not reach Mongo: %s", redact(str(error)))
            self._is_well = False
            return False
        self._is_well, self._in_vain = True, False
        return True

    def _drop(self, count: int) -> None:
        with self._counting:
            self._dropped += count


def _what(record: logging.LogRecord, message: str) -> Line:
    return {
        "at": datetime.fromtimestamp(record.created, UTC),
        "level": record.levelname,
        "logger": record.name,
        "message": message[:LONGEST].encode(errors="backslashreplace").decode(),
        "host": _HOST,
    }


def _whose(task: Any) -> Line:
    """What the row holds in memory: no line asks the database."""
    known = vars(task)
    named = {
        "curp": known.get("curp"),
        "taskid": known.get("id"),
        "device": known.get("device"),
        "generator": known.get("generator_id"),
        "case_id": str(known.get("case_id") or ""),
    }
    return {name: value for name, value in named.items() if value not in ("", None)}


def _told(dropped: int) -> Line:
    text = "%d log lines were dropped: Mongo was away, or too many came"
    values = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING"}
    record = logging.makeLogRecord({**values, "msg": text, "args": (dropped,)})
    return _what(record, record.getMessage())


_HOST = socket.gethostname()
