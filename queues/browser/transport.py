"""The transport over Redis: jobs from the control plane to workers, their reports back.

The only module that knows the keys (with `operations.lua`, the steps that must be one). It knows no
database. Each organisation has a list, and those that have jobs stand in a ring: whoever takes,
takes one job of the next organisation of the ring. What was taken stands in its worker's list until
the worker ends it; when the worker's heartbeat is over, `reap` reports it lost.

A job can be started once under each lease that the control plane gave: another copy of its
envelope, or one of an earlier attempt, is refused as replayed. A worker that was thought dead and
comes back changes nothing: what it ends is not in its list any more.

Every call may be repeated, and is, for about two seconds, when the connection breaks; but `take`
and `withdraw`, which raise at once. What a broken `take` may have taken, the next one answers with.
The keys are made in the script: one Redis, not a cluster of them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, ResponseError, TimeoutError
from redis.retry import Retry
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from queues.browser import operations
from queues.browser.operations import Operation
from queues.browser.reports import NotReadable, Report, WorkerBeat
from queues.browser.signing import Envelope, EnvelopeRefused

logger = logging.getLogger(__name__)
REPLAYED = "The envelope is replayed: its job was started, withdrawn or given anew since"
ALIVE = 30.0  # seconds that a heartbeat lasts
SESSION_LIFE = 7 * 86400  # seconds
CANCEL_KEPT = 86400
LONGEST_LINE = 1000  # characters
AT_ONCE = 200  # envelopes or reports of one step
FORGOTTEN = 30.0  # seconds after which a report that was read and not acknowledged is read again
TIMEOUT = 10.0  # seconds
LONGEST_BLOCK = 5.0
GROUP = "control"
RESULTS, WORKERS, REVOKED = "sri:results", "sri:workers", "sri:keys:revoked"
UNREACHABLE = (ConnectionError, TimeoutError)

repeated = retry(
    retry=retry_if_exception_type(UNREACHABLE),
    stop=stop_after_attempt(6),
    wait=wait_exponential(multiplier=0.05, max=1),
    reraise=True,
)


def connected(url: str) -> redis.Redis:
    """A client as the transport wants it. Bytes that are no text come back as they were."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        encoding_errors="surrogateescape",
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 0),  # what may be repeated is repeated here
    )


class Transport:
    """One object a process: threads may share it. A worker has one for all of its jobs."""

    def __init__(self, where: str | redis.Redis, alive_for: float = ALIVE) -> None:
        self.client = connected(where) if isinstance(where, str) else where
        self._alive_for = int(alive_for * 1000)
        self._out: dict[str, list[str]] = {}  # by worker: what `take` answered with
        self._is_unsure: set[str] = set()  # workers whose last take broke off
        self._lock = threading.Lock()

    # --- The control plane's side ---------------------------------------------------------------

    def push(self, envelopes: Sequence[Envelope], urgent: bool = False) -> None:
        """Give jobs to the workers, in this order; urgent ones before those that wait. One that
        was given under the same lease, and is still there, is not given again."""
        ordered = list(reversed(envelopes)) if urgent else envelopes
        end = "RPUSH" if urgent else "LPUSH"
        for some in _portions(ordered):
            self._repeat([operations.giving(end, envelope) for envelope in some])

    @repeated
    def waiting(self, org_id: str | int) -> int:
        """How many of the organisation's jobs no worker has taken yet."""
        return int(self.client.llen(f"sri:org:{org_id}:jobs"))

    def knows(self, job_ids: Iterable[str]) -> set[str]:
        """Those that wait in a list, are in a worker's, or whose report waits to be read."""
        found: set[str] = set()
        for some in _portions(list(job_ids)):
            found.update(self._repeat([("knows", some)])[0])
        return found

    def withdraw(self, job_id: str, org_id: str | int) -> bool:
        """Take it back; False: a worker has it, or it never was here. Not to be repeated."""
        return bool(self._call([("withdraw", (job_id, org_id))])[0])

    @repeated
    def ask_cancel(self, job_id: str) -> None:
        """The worker that runs it, or takes it, ends it within a second or two."""
        self.client.set(f"sri:job:{job_id}:cancel", "1", ex=CANCEL_KEPT)

    def reports(
        self, consumer: str, count: int = AT_ONCE, block_ms: int = 0, idle: float = FORGOTTEN
    ) -> list[tuple[str, Report]]:
        """Up to `count` that nobody has read, with their ids, in their order; before them those
        that were read more than `idle` seconds ago and are not acknowledged. Waits up to
        `block_ms` for the first."""
        entries = self._read(consumer, count, idle)
        if not entries and block_ms:
            entries = self._read_next(consumer, count, min(block_ms, int(LONGEST_BLOCK * 1000)))
        return self._readable(entries)

    def acknowledge(self, ids: Iterable[str]) -> None:
        """They are stored: forget them."""
        for some in _portions(list(ids)):
            self._repeat([("acknowledge", (GROUP, *some))])

    def ended(self, reports: Sequence[Report]) -> None:
        """These are the ends of jobs, after the commit: `status` done, error or cancelled. Sets
        what `sri:job:{id}:status` says and tells the organisation's channel, unless the worker's
        own end did. No worker can start or go on with such a job under its lease."""
        for some in _portions(reports):
            self._repeat([operations.ending(report) for report in some])

    def reap(self) -> int:
        """Report lost what workers without a heartbeat had taken; answers how many jobs."""
        return int(self._repeat([("reap", ())])[0])

    @repeated
    def put_session(
        self,
        org: str | int,
        user: str | int,
        provider: str,
        token: str,
        expires_in: float = SESSION_LIFE,
    ) -> None:
        """`token` is encrypted. `expires_in`: seconds."""
        milliseconds = max(1, int(expires_in * 1000))
        self.client.set(_session_key(org, user, provider), token, px=milliseconds)

    @repeated
    def drop_session(self, org: str | int, user: str | int, provider: str) -> None:
        self.client.delete(_session_key(org, user, provider))

    @repeated
    def lines(self, job_id: str, after: int = 0) -> list[str]:
        """The lines of its live log behind the first `after`."""
        return _texts(self.client.lrange(f"sri:job:{job_id}:log", after, -1))

    @repeated
    def revoke_key(self, key_id: str) -> None:
        """Workers refuse what is signed with it, whatever their own keys say."""
        self.client.sadd(REVOKED, key_id)

    @repeated
    def workers(self) -> list[WorkerBeat]:
        """Those that are alive, by name."""
        names = sorted(_texts(self.client.smembers(WORKERS)))
        if not names:
            return []
        said = _texts(self.client.mget([_heartbeat(name) for name in names]))
        beats = (_beat(text) for text in said if text)
        return [beat for beat in beats if beat]

    # --- A worker's side ------------------------------------------------------------------------

    def enter(self, worker: str) -> int:
        """To be called once, before the first `take`: what an earlier process of this name had
        is lost. Answers how many jobs."""
        return int(self._repeat([("enter", (worker,))])[0])

    @repeated
    def beat(self, beat: WorkerBeat) -> None:
        """Say that the worker is alive, for the next 30 seconds."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.set(_heartbeat(beat.worker), beat.to_json(), px=self._alive_for)
            pipe.sadd(WORKERS, beat.worker)
            pipe.execute()

    def leave(self, worker: str) -> None:
        """The worker ends. What it still has is reported lost by the next `reap`."""
        self._repeat([("leave", (worker,))])

    def check(self) -> None:
        """Raises where this Redis does not answer, or refuses what operations do."""
        self.client.ping()
        self.client.eval("return redis.call('TIME')", 0)

    def clock_skew(self) -> float:
        """By how many seconds this machine's clock is before Redis'."""
        seconds, micros = self.client.time()
        return time.time() - seconds - micros / 1e6

    def take(self, worker: str, most: int = 1) -> list[str]:
        """Up to `most` envelopes, moved into the worker's list; not verified, nothing of them
        believed. Raises when the connection breaks; what it took then comes with the next one."""
        if worker in self._is_unsure:
            return self._strayed(worker)
        return self._taken(worker, [self._taking(worker, most)])

    def finish_and_take(
        self, worker: str, ended: Sequence[tuple[str, Report]], most: int = 1
    ) -> list[str]:
        """`finish` of these (raw, report), and the next ones, in one round trip."""
        if worker in self._is_unsure:
            self._finish_all(worker, ended)
            return self._strayed(worker)
        endings = [operations.finishing(worker, raw, report) for raw, report in ended]
        try:
            taken = self._taken(worker, [*endings, self._taking(worker, most)])
        except UNREACHABLE:
            self._finish_all(worker, ended)
            raise
        self._drop(worker, [raw for raw, _report in ended])
        return taken

    def started(self, worker: str, envelope: Envelope) -> None:
        """To be called after the verification and before anything is done: raises EnvelopeRefused
        where the job may not be started under this lease (once more, or any more)."""
        if not self.started_all(worker, [envelope]):
            raise EnvelopeRefused(REPLAYED)

    def started_all(self, worker: str, envelopes: Sequence[Envelope]) -> list[Envelope]:
        """The same for several; answers with those that may be started."""
        answers = self._repeat([operations.starting(worker, one) for one in envelopes])
        return [one for one, answer in zip(envelopes, answers, strict=True) if answer]

    def begun(self, worker: str, envelope: Envelope) -> bool:
        """Store that the irrevocable step comes next. False: it must not be taken, the job is not
        this worker's any more."""
        report = Report.of("started", envelope, worker, begun=True)
        words = (worker, report.job_id, report.lease, report.to_json())
        return bool(self._repeat([("begun", words)])[0])

    def finish(self, worker: str, raw: str, report: Report) -> bool:
        """The attempt's end. False: it was not this worker's any more, and nothing changed."""
        return self._finish_all(worker, [(raw, report)])[0]

    def refused(self, worker: str, raw: str, reason: str) -> None:
        """It does not run, for that documented reason."""
        self._repeat([("refused", (worker, raw, reason, int(reason == REPLAYED)))])
        self._drop(worker, [raw])

    def returned(self, worker: str, raw: str) -> None:
        """The worker stops before its end. One whose irrevocable step is begun is lost instead."""
        self._repeat([("returned", (worker, raw))])
        self._drop(worker, [raw])

    @repeated
    def is_cancelled(self, job_ids: Iterable[str]) -> set[str]:
        """Those whose end is asked for."""
        names = list(job_ids)
        if not names:
            return set()
        found = _texts(self.client.mget([f"sri:job:{name}:cancel" for name in names]))
        return {name for name, asked in zip(names, found, strict=True) if asked}

    def log(self, job_id: str, lines: Sequence[str]) -> None:
        """More of its live log; 2,000 lines are kept, each cut at 1,000 characters, for a day."""
        for some in _portions([line[:LONGEST_LINE] for line in lines]):
            self._repeat([("log", (job_id, *some))])

    @repeated
    def session(self, org: str | int, user: str | int, provider: str) -> str | None:
        """The encrypted token; None: there is none, or its life is over."""
        found: Any = self.client.get(_session_key(org, user, provider))
        return None if found is None else str(found)

    @repeated
    def revoked(self) -> set[str]:
        """The ids of keys that verify nothing any more."""
        return set(_texts(self.client.smembers(REVOKED)))

    # --- The script -----------------------------------------------------------------------------

    def _call(self, wanted: Sequence[Operation]) -> list[Any]:
        return operations.call(self.client, wanted)

    def _repeat(self, wanted: Sequence[Operation]) -> list[Any]:
        try:
            return self._call(wanted)
        except UNREACHABLE:
            return self._again(wanted)

    @repeated
    def _again(self, wanted: Sequence[Operation]) -> list[Any]:
        return self._call(wanted)

    def _finish_all(self, worker: str, ended: Sequence[tuple[str, Report]]) -> list[bool]:
        answers = self._repeat([operations.finishing(worker, raw, report) for raw, report in ended])
        self._drop(worker, [raw for raw, _report in ended])
        return [bool(answer) for answer in answers]

    # --- What a worker has taken ----------------------------------------------------------------

    def _taking(self, worker: str, most: int) -> Operation:
        return "take", (worker, most, self._alive_for)

    def _taken(self, worker: str, wanted: Sequence[Operation]) -> list[str]:
        try:
            taken = _texts(self._call(wanted)[-1])
        except UNREACHABLE:
            self._is_unsure.add(worker)
            raise
        with self._lock:
            self._out.setdefault(worker, []).extend(taken)
        return taken

    def _strayed(self, worker: str) -> list[str]:
        """What a take that broke off moved into the worker's list, and it never heard of."""
        there = _texts(self.client.lrange(_held(worker), 0, -1))
        with self._lock:
            known = self._out.setdefault(worker, [])
            strayed = _without(there, known)
            known.extend(strayed)
        self._is_unsure.discard(worker)
        return strayed

    def _drop(self, worker: str, raws: Iterable[str]) -> None:
        with self._lock:
            self._out[worker] = _without(self._out.get(worker, []), raws)

    # --- The stream of reports ------------------------------------------------------------------

    def _read(self, consumer: str, count: int, idle: float) -> Any:
        def read() -> Any:
            with self.client.pipeline(transaction=False) as pipe:
                pipe.xautoclaim(RESULTS, GROUP, consumer, int(idle * 1000), count=count)
                pipe.xreadgroup(GROUP, consumer, {RESULTS: ">"}, count=count)
                again, new = pipe.execute()
            return [*again[1], *_entries(new)]

        return self._in_group(read)

    def _read_next(self, consumer: str, count: int, block_ms: int) -> Any:
        streams: dict[Any, Any] = {RESULTS: ">"}
        return self._in_group(
            lambda: _entries(self.client.xreadgroup(GROUP, consumer, streams, count, block_ms))
        )

    @repeated
    def _in_group(self, read: Callable[[], Any]) -> Any:
        """What `read` answers; the group is made where Redis is new, or was emptied."""
        try:
            return read()
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
        try:
            self.client.xgroup_create(RESULTS, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):  # another one was first
                raise
        return read()

    def _readable(self, entries: Iterable[tuple[str, Any]]) -> list[tuple[str, Report]]:
        found, wrong = [], []
        for entry_id, content in entries:
            try:
                found.append((entry_id, Report.parsed((content or {}).get("report", ""))))
            except NotReadable as error:
                logger.error("a report that is none: %s %s", entry_id, error)
                wrong.append(entry_id)
        if wrong:
            self.acknowledge(wrong)
        return found


def _heartbeat(worker: str) -> str:
    return f"sri:worker:{worker}:heartbeat"


def _held(worker: str) -> str:
    return f"sri:worker:{worker}:jobs"


def _session_key(org: str | int, user: str | int, provider: str) -> str:
    return f"sri:sessions:{org}:{user}:{provider}"


def _portions(whole: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (whole[first : first + AT_ONCE] for first in range(0, len(whole), AT_ONCE))


def _without(whole: Iterable[str], taken: Iterable[str]) -> list[str]:
    """As often as it stands in the one and not in the other."""
    left = list(whole)
    for one in taken:
        if one in left:
            left.remove(one)
    return left


def _texts(answer: Any) -> list[str]:
    """What Redis answers, for the type checker."""
    return list(answer)


def _beat(text: str) -> WorkerBeat | None:
    try:
        return WorkerBeat.parsed(text)
    except NotReadable:  # one that took before its first beat
        return None


def _entries(answer: Any) -> list[Any]:
    """Of the one stream that was asked for."""
    streams = answer.values() if isinstance(answer, dict) else [one[1] for one in answer or ()]
    return [entry for entries in streams for entry in entries]
