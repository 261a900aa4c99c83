"""The isolated worker: `python -m queues.browser.worker`. No database, no Django, no API keys.

Takes signed envelopes from Redis, verifies them, runs each in a browser of its own, stores the
results and reports. SIGTERM: what runs may end within a minute, and is then given back; what has
begun its irrevocable step is reported as in doubt. A second one: at once. `--check` only looks
whether it could work.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError, ResponseError

from queues.browser import execution, launch, signing, worker_settings
from queues.browser.execution import Execution, Session
from queues.browser.launch import BrowserMissing
from queues.browser.reports import Report, WorkerBeat
from queues.browser.signing import Envelope, EnvelopeRefused
from queues.browser.thread import BrowserThread
from queues.browser.transport import Transport
from queues.browser.worker_settings import SettingsRefused, WorkerSettings

logger = logging.getLogger("queues.browser.worker")
VERSION = "1"
BEAT_EVERY = 10.0  # seconds
LOOK_EVERY = 1.0  # for jobs whose end is asked for
CLOCK_EVERY = 10.0
MOST_SKEW = 30.0  # envelopes are refused from a minute on
IDLE = 0.2  # between two looks for jobs where there were none
GRACE = 60.0  # that running jobs have after SIGTERM
PATIENCE = 1.0  # before Redis is asked again
CHECKING = 30.0
UNUSED = 120.0  # after which a browser that nobody used is closed


class GivenBack(Exception):
    """The worker stops before the end of a run that has begun nothing irrevocable."""


class Stopping:
    """What signals ask of the worker; `is_over`: its running jobs have no time left."""

    def __init__(self, grace: float = GRACE) -> None:
        self.grace = grace
        self.is_asked = False
        self._over_at = float("inf")

    def ask(self, *_: object) -> None:
        """Once: take no more. Twice: give back what runs, too."""
        self._over_at = time.monotonic() + (0 if self.is_asked else self.grace)
        self.is_asked = True

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._over_at


@dataclass
class Slot:
    """A browser and the job that it has."""

    number: int
    browser: BrowserThread
    is_free: bool = True
    raw: str = field(default="", repr=False)
    job_id: str = ""  # once the envelope is verified
    used_at: float = 0.0


class Worker:
    """Takes jobs while slots are free. Each job has a thread, and a browser that no other job has
    at the time: one that dies takes one job with it."""

    def __init__(self, settings: WorkerSettings, transport: Transport, stopping: Stopping) -> None:
        self.settings = settings
        self.transport = transport
        self.stopping = stopping
        self.name = settings.worker_id
        self.slots = [
            Slot(number, execution.new_browser(settings.executable))
            for number in range(settings.capacity)
        ]
        self.cancelled: set[str] = set()
        self._looked_at = 0.0
        self._compared_at = -CLOCK_EVERY
        self._clock_is_right = True
        self._has_ended = threading.Event()
        self._rang = threading.Event()  # a slot has become free

    def run(self) -> None:
        """Until it is stopped."""
        self._told(lambda: self.transport.enter(self.name))
        beating = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)
        beating.start()
        logger.info("worker started", extra={"capacity": len(self.slots)})
        try:
            while not self.stopping.is_asked or not all(slot.is_free for slot in self.slots):
                self._rang.wait(0 if self.step() else IDLE)
                self._rang.clear()
        finally:
            self._leave(beating)

    def step(self) -> bool:
        """Look after what runs, take what there is room for; False: nothing was taken."""
        try:
            self._look()
            return self._take()
        except RedisError as error:
            logger.warning(_told_of(error))
            self._has_ended.wait(PATIENCE)
            return False

    def _look(self) -> None:
        """Which of the jobs that run are to end."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY:
            return
        self._looked_at = now
        self.cancelled = self.transport.is_cancelled(slot.job_id for slot in self._with_jobs())
        if now - self._compared_at >= CLOCK_EVERY:
            self._compared_at = now
            self._compare_clocks()

    def _compare_clocks(self) -> None:
        """With a wrong clock every envelope looks too old, or of the future, and its job would be
        refused for good: better taken by somebody else."""
        skew = self.transport.clock_skew()
        self._clock_is_right = abs(skew) < MOST_SKEW
        if not self._clock_is_right:
            logger.error("nothing is taken: this clock differs from Redis' by %.0f s", skew)

    def _take(self) -> bool:
        free = [slot for slot in self.slots if slot.is_free]
        if self.stopping.is_asked or not free or not self._clock_is_right:
            return False
        taken = self.transport.take(self.name, len(free))
        for slot, raw in zip(free, taken, strict=False):
            slot.raw = raw
            self._occupied(slot, self._serve)
        for slot in free:
            if slot.used_at and slot.is_free and time.monotonic() - slot.used_at > UNUSED:
                self._occupied(slot, self._rest)
        return bool(taken)

    def _occupied(self, slot: Slot, work: Callable[[Slot], None]) -> None:
        slot.is_free = False
        threading.Thread(
            target=self._freed_after, args=(slot, work), name=f"slot-{slot.number}", daemon=True
        ).start()

    def _freed_after(self, slot: Slot, work: Callable[[Slot], None]) -> None:
        try:
            work(slot)
        except Exception:  # the rim: one job must not end the worker
            logger.exception("a job broke", extra={"job": slot.job_id})
        finally:
            slot.raw = slot.job_id = ""
            slot.is_free = True
            self._rang.set()

    def _rest(self, slot: Slot) -> None:
        """Chromium's memory is for those who use it."""
        slot.used_at = 0.0
        slot.browser.close()

    def _serve(self, slot: Slot) -> None:
        """One envelope to its end, whatever that is. What cannot be told now, the control plane
        learns when the heartbeat is over."""
        slot.used_at = time.monotonic()
        try:
            report = self._carried_out(slot)
        except EnvelopeRefused as refusal:
            reason = str(refusal)
            logger.error("job refused: %s", reason, extra={"job": slot.job_id})
            self._told(lambda: self.transport.refused(self.name, slot.raw, reason))
        except GivenBack:
            logger.warning("job given back", extra={"job": slot.job_id})
            self._told(lambda: self.transport.returned(self.name, slot.raw))
        except Exception:  # the rim: whatever it is, the job is not ours any more
            logger.exception("a job broke and is given back", extra={"job": slot.job_id})
            self._told(lambda: self.transport.returned(self.name, slot.raw))
        else:
            is_ours = self._told(lambda: self.transport.finish(self.name, slot.raw, report))
            ending = {"status": report.status, "error_class": report.error_class, "ours": is_ours}
            logger.info("job ended", extra={"job": slot.job_id, **ending})
        slot.used_at = time.monotonic()

    def _carried_out(self, slot: Slot) -> Report:
        """The documented order of checks, and the run. Raises EnvelopeRefused, GivenBack."""
        envelope = self._opened(slot.raw)
        slot.job_id = envelope.job_id
        session = self._session(envelope)
        self._asked(lambda: self.transport.started(self.name, envelope))
        logger.info("job started", extra={"job": envelope.job_id, "org": envelope.org_id})
        if self._asked(lambda: self.transport.is_cancelled([envelope.job_id])):
            return self._report(envelope, Execution(execution.CANCELLED))
        return self._report(envelope, self._executed(slot.browser, envelope, session))

    def _opened(self, raw: str) -> Envelope:
        """Fields, hash, signatures, age. Raises EnvelopeRefused."""
        revoked = self._asked(self.transport.revoked)
        keys = self.settings.keys().without(revoked)
        return signing.opened(raw.encode("utf-8", "surrogateescape"), keys, self.settings.most_age)

    def _session(self, envelope: Envelope) -> Session | None:
        if not envelope.needs_session:
            return None
        place = (envelope.org_id, envelope.user_id, envelope.provider_name)
        token = self._asked(lambda: self.transport.session(*place))
        return Session.opened(token, self.settings.session_keys)

    def _executed(
        self, browser: BrowserThread, envelope: Envelope, session: Session | None
    ) -> Execution:
        watch = Watch(self, envelope)
        with tempfile.TemporaryDirectory(prefix="job-") as folder:
            return execution.run_envelope(
                envelope,
                session=session,
                browser=browser,
                store=self.settings.store,
                folder=Path(folder),
                permit=watch.permit,
                tick=watch.tick,
                on_line=watch.line,
                limits=self.settings.limits,
            )

    def _report(self, envelope: Envelope, done: Execution) -> Report:
        told = {**vars(done), "results": [asdict(one) for one in done.results]}
        return Report.of("finished", envelope, self.name, **told)

    def _told(self, tell: Callable[[], Any]) -> Any:
        """What `tell` answers, once Redis is there to hear it. None: it was not, to the end."""
        while True:
            try:
                return tell()
            except RedisError as error:
                logger.warning(_told_of(error))
                if self.stopping.is_over:
                    return None
                time.sleep(PATIENCE)

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """The answer, once Redis gives one. Raises GivenBack where the worker stops before."""
        while True:
            try:
                return ask()
            except RedisError as error:
                logger.warning(_told_of(error))
                if self.stopping.is_asked:
                    raise GivenBack from error
                time.sleep(PATIENCE)

    def _with_jobs(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.job_id]

    def _beat_on(self) -> None:
        while True:
            try:
                self.transport.beat(self._beat())
            except Exception as error:  # the rim: a heart that misses a beat beats on
                logger.warning("no heartbeat: %s", type(error).__name__)
            if self._has_ended.wait(BEAT_EVERY):
                return

    def _beat(self) -> WorkerBeat:
        now = time.time()
        keys = [key.id for key in self.settings.keys().keys.values() if key.is_valid(now)]
        return WorkerBeat(
            worker=self.name,
            jobs=[slot.job_id for slot in self._with_jobs()],
            key_ids=keys,
            version=VERSION,
            capacity=len(self.slots),
        )

    def _leave(self, beating: threading.Thread) -> None:
        self._has_ended.set()
        beating.join(BEAT_EVERY)
        for slot in self.slots:
            slot.browser.close()
        with suppress(RedisError):
            self.transport.leave(self.name)
        logger.info("worker ended")


class Watch:
    """What a run asks of its worker. All in the thread of the run's slot."""

    def __init__(self, worker: Worker, envelope: Envelope) -> None:
        self.worker = worker
        self.envelope = envelope
        self.is_begun = False

    def permit(self) -> bool:
        """Whether Redis knows now that the irrevocable step comes next. An error of Redis ends
        the run: it may know it, and the step is not taken."""
        self.is_begun = self.tick() and self.worker.transport.begun(self.worker.name, self.envelope)
        return self.is_begun

    def tick(self) -> bool:
        """False: the run's end was asked for. What was begun is not cancelled any more, its
        confirmation is worth more. Raises GivenBack."""
        if self.worker.stopping.is_over:
            if not self.is_begun:
                raise GivenBack
            return False
        return self.is_begun or self.envelope.job_id not in self.worker.cancelled

    def line(self, line: str) -> None:
        with suppress(RedisError):  # who watches may miss a line
            self.worker.transport.log(self.envelope.job_id, [line])


class JsonLines(logging.Formatter):
    """One object a line: time, level, message, and what the call added."""

    KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        more = {name: value for name, value in vars(record).items() if name not in self.KNOWN}
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **more,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def check(settings: WorkerSettings, transport: Transport) -> bool:
    """Whether Redis, the storage and the browser are there. Each is logged."""
    parts = {
        "Redis": transport.check,
        "storage": lambda: _check_storage(settings),
        "browser": lambda: _check_browser(settings),
    }
    return all([_is_there(name, look) for name, look in parts.items()])


def _is_there(name: str, look: Callable[[], object]) -> bool:
    try:
        look()
    except Exception as error:  # the rim: whatever a part raises, it cannot be used
        logger.error("%s: %s: %s", name, type(error).__name__, error)
        return False
    logger.info("%s: ok", name)
    return True


def _told_of(error: RedisError) -> str:
    """A command that is refused wants other rights, or another Redis."""
    if isinstance(error, ResponseError):
        return f"Redis refuses: {error}"
    return f"Redis does not answer: {type(error).__name__}"


def _check_storage(settings: WorkerSettings) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "check.txt"
        path.write_text("written by --check\n")
        settings.store.put(f"checks/{settings.worker_id}.txt", path, "text/plain")


def _check_browser(settings: WorkerSettings) -> None:
    browser = execution.new_browser(settings.executable)
    try:
        browser.open(CHECKING)
    finally:
        browser.close()


def main(arguments: list[str]) -> int:
    """0: it was stopped, or all is well. 1: `--check` found something. 2: it must not start."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    try:
        settings = worker_settings.read()
        launch.find_browser(settings.executable)
    except (SettingsRefused, BrowserMissing) as error:
        print(f"The worker does not start. {error}", file=sys.stderr)
        return 2
    transport = Transport(settings.redis_url)
    if "--check" in arguments:
        return 0 if check(settings, transport) else 1
    stopping = Stopping()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stopping.ask)
    Worker(settings, transport, stopping).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
