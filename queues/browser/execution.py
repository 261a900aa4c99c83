"""Carries out one verified envelope: session, run, upload. The same for every kind of worker.

Checks are in the documented order: fields, hash, signature (`signing.opened`, by the caller),
then here the session and the steps, then the run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mimetypes
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from cryptography.fernet import InvalidToken

from orchestrator_site.sealing import fernet
from queues.browser import launch, scripts, signing
from queues.browser.egress import Network
from queues.browser.runs import REPEATED, Artifact, Outcome, Run, StepEvent
from queues.browser.scripts import ScriptRejected
from queues.browser.signing import Envelope, EnvelopeRefused
from queues.browser.thread import BrowserThread

logger = logging.getLogger(__name__)
CANCELLED = "cancelled"
CUT_OFF = "ended from outside after the irrevocable step was begun"
NOT_STORED = "the results could not be stored: {error}"
LARGEST_SESSION = 2**20  # characters of a token
SAME_SITE = {"strict": "Strict", "lax": "Lax", "none": "None", "no_restriction": "None"}
LAST = 253402300799.0  # seconds since 1970: the end of the year 9999
HIDDEN_LENGTH = 6  # letters of a cookie's value that is a secret


class Store(Protocol):
    """Where results go. Storing again replaces; raises whatever it meets."""

    def put(self, name: str, path: Path, content_type: str) -> None:
        """Store the file under `name`: `results/{org}/{user}/{job}/execution.log`."""


@dataclass(frozen=True)
class Limits:
    """`deadline`, `page_timeout`: seconds. `networks`: where hosts may be besides the public
    internet (EGRESS_ALLOWED_NETWORKS). `most_bytes`: that a run may download."""

    deadline: float = 600.0
    page_timeout: float = 30.0
    networks: Sequence[Network] = ()
    most_bytes: int = 200 * 10**6


@dataclass(frozen=True)
class Session:
    """A user's session at a provider, as Playwright takes it. All of it is secret."""

    cookies: list[dict[str, Any]] = field(repr=False)

    @classmethod
    def opened(cls, token: str | None, keys: Iterable[str]) -> Session:
        """From the token that stands in Redis and in the connection's row; `keys`: SESSION_KEYS.
        Raises EnvelopeRefused ("Session not found") for none, a foreign or a malformed one."""
        if not token or len(token) > LARGEST_SESSION:
            raise EnvelopeRefused(signing.NO_SESSION)
        try:
            kept = json.loads(fernet(keys).decrypt(token.encode()))
            return cls([_cookie(one) for one in kept["cookies"]])
        except (InvalidToken, ValueError, TypeError, KeyError, RecursionError) as error:
            logger.warning("a session cannot be read: %s", type(error).__name__)
            raise EnvelopeRefused(signing.NO_SESSION) from error

    @property
    def secrets(self) -> list[str]:
        """What no log and no picture's name may show."""
        return [c["value"] for c in self.cookies if len(c["value"]) >= HIDDEN_LENGTH]


@dataclass(frozen=True)
class Stored:
    """One result as it was stored. `path` is its name in the storage."""

    name: str
    kind: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Execution:
    """How a run ended. `status`: "done", "error", "cancelled" (a callback said so, and nothing
    had begun), "" where the irrevocable step was begun and nobody knows."""

    status: str
    error_class: str = ""
    message: str = ""
    begun: bool = False
    confirmed: bool = False
    results: tuple[Stored, ...] = ()
    values: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def new_browser(executable: str = "", headless: bool = True) -> BrowserThread:
    """One that can go nowhere but where a run's hosts are."""
    return BrowserThread(executable, headless, launch.CONFINED)


def folder_of(envelope: Envelope) -> str:
    """Where its results are stored; queues.models.Job.folder says the same."""
    place = f"results/{envelope.org_id}/{envelope.user_id}/{envelope.job_id}"
    return place if envelope.attempt <= 1 else f"{place}/attempt-{envelope.attempt}"


def line_of(event: StepEvent) -> str:
    """What those who watch are told of a step."""
    if event.verb == "egress":
        return event.message
    ending = "ok" if event.ok else f"failed: {event.message}"
    return f"{event.index:02d} {event.verb} {event.target} {event.seconds * 1000:.0f} ms {ending}"


def run_envelope(
    envelope: Envelope,
    *,
    session: Session | None,
    browser: BrowserThread,
    store: Store,
    folder: Path,
    permit: Callable[[], bool] = lambda: True,
    tick: Callable[[], bool] = lambda: True,
    on_line: Callable[[str], None] = lambda line: None,
    limits: Limits = Limits(),
) -> Execution:
    """Run a verified envelope (`signing.opened`) and store what it leaves.

    `browser`: of `new_browser`, for this caller alone. `folder`: a local one of the caller's, for
    the evidence; it may be deleted afterwards. `permit` is asked before the irrevocable step,
    `tick` about each second: False from either ends the run as cancelled. `on_line` gets one
    redacted line a step, for those who watch, and one before those of a repeated attempt. All
    three run in this thread; what they raise ends the run, stores nothing, and is raised.
    Raises EnvelopeRefused where nothing may be executed: no session, or steps that are not valid.
    """
    run = _run_of(envelope, session, folder, limits)
    asked = _Asked(permit, tick)
    if envelope.attempt > 1:
        on_line(REPEATED.format(number=envelope.attempt))
    outcome = browser.execute(
        run,
        deadline=_seconds_left(envelope, limits),
        permit=asked.permit,
        tick=asked.tick,
        on_event=lambda event: on_line(line_of(event)),
    )
    return _stored(_judged(outcome, asked.is_stopped), envelope, outcome.artifacts, store)


@dataclass
class _Asked:
    """The caller's callbacks, and whether one of them ended the run."""

    may_begin: Callable[[], bool]
    may_go_on: Callable[[], bool]
    is_stopped: bool = False

    def permit(self) -> bool:
        return self._noted(self.may_begin())

    def tick(self) -> bool:
        return self._noted(self.may_go_on())

    def _noted(self, answer: bool) -> bool:
        self.is_stopped = self.is_stopped or not answer
        return answer


def _run_of(envelope: Envelope, session: Session | None, folder: Path, limits: Limits) -> Run:
    if envelope.needs_session and session is None:
        raise EnvelopeRefused(signing.NO_SESSION)
    try:
        steps = scripts.verify(envelope.script_content, envelope.script_hash)
    except ScriptRejected as error:
        raise EnvelopeRefused(str(error)) from error
    placeholders = (name.partition(".") for name in scripts.placeholders(steps))
    secret = {name for root, _dot, name in placeholders if root == "secret"}
    return Run(
        script=envelope.script_content,
        script_hash=envelope.script_hash,
        inputs={
            "payload": {n: one for n, one in envelope.inputs.items() if n not in secret},
            "case": {"id": envelope.job_id, "site": envelope.provider_name},
        },
        folder=folder,
        secrets={name: str(envelope.inputs[name]) for name in secret & envelope.inputs.keys()},
        page_timeout=limits.page_timeout,
        storage_state={"cookies": session.cookies, "origins": []} if session else None,
        trace=False,  # it would show whatever the session may see
        hosts=tuple(envelope.hosts),
        networks=limits.networks,
        most_bytes=limits.most_bytes,
        hidden=tuple(session.secrets) if session else (),
        numbered=True,
        when_stopped=CANCELLED,
    )


def _seconds_left(envelope: Envelope, limits: Limits) -> float:
    """The run's own limit, or the job's deadline where that is sooner."""
    if not envelope.deadline:
        return limits.deadline
    return max(min(limits.deadline, envelope.deadline / 1000 - time.time()), 0.1)


def _judged(outcome: Outcome, is_stopped: bool) -> Execution:
    execution = Execution(
        "done" if outcome.ok else "error",
        outcome.error_class,
        outcome.message,
        outcome.irrevocable_begun,
        outcome.confirmed,
        values=dict(outcome.values),
        seconds=outcome.seconds,
    )
    if outcome.ok or not is_stopped:
        return execution
    if execution.begun:
        return replace(execution, status="", message=CUT_OFF)
    return replace(execution, status=CANCELLED, error_class="", message=CANCELLED)


def _stored(
    execution: Execution, envelope: Envelope, artifacts: Iterable[Artifact], store: Store
) -> Execution:
    """With its results. Without them a run that went well is told as our failure."""
    folder = folder_of(envelope)
    try:
        results = tuple(_put_all(artifacts, folder, store))
    except Exception as error:  # the rim: a storage that is down must not cost us the outcome
        logger.exception("job %s: its results could not be stored", envelope.job_id)
        if execution.status != "done":
            return execution
        message = NOT_STORED.format(error=type(error).__name__)
        return replace(execution, status="error", error_class="infrastructure", message=message)
    return replace(execution, results=results)


def _put_all(artifacts: Iterable[Artifact], folder: str, store: Store) -> Iterator[Stored]:
    for artifact in artifacts:
        path = artifact.path
        if not path.exists():  # a download that was cut off, a log on a full disk
            continue
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        kind = "text/plain; charset=utf-8" if artifact.kind == "log" else kind
        name = f"{folder}/{path.name}"
        store.put(name, path, kind)
        yield Stored(path.name, artifact.kind, name, path.stat().st_size, digest)


def _cookie(raw: dict[str, Any]) -> dict[str, Any]:
    """A cookie as Playwright wants it. Raises ValueError, TypeError, KeyError."""
    texts = [raw["name"], raw["value"], raw["domain"], raw.get("path") or "/"]
    if not all(isinstance(text, str) for text in texts) or not (raw["name"] and raw["domain"]):
        raise TypeError("a cookie's name, value, domain and path are text")
    expires = raw.get("expires")
    cookie = {
        **dict(zip(("name", "value", "domain", "path"), texts, strict=True)),
        "expires": min(float(expires), LAST) if expires and float(expires) > 0 else -1,
        "httpOnly": bool(raw.get("httpOnly")),
        "secure": bool(raw.get("secure")),
    }
    same_site = SAME_SITE.get(str(raw.get("sameSite", "")).lower())
    return {**cookie, "sameSite": same_site} if same_site else cookie
