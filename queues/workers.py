"""The worker that files appeals: takes a task, runs its flow in a browser, keeps the evidence."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage

from devices.models import Worker
from orchestrator_site.models import Event
from orchestrator_site.rhythm import Rhythm
from queues import claims, evidence, sentences
from queues.browser.runs import Outcome, Run, StepEvent
from queues.browser.signing import EnvelopeRefused, verify_script
from queues.browser.thread import BrowserThread
from queues.errors import ErrorClass
from queues.models import EvidenceFile, TramiteTask
from queues.registered import registered

logger = logging.getLogger(__name__)
SWEEP_EVERY = 5.0  # seconds
RENEWALS = 4  # in the length of a lease
BEAT_EVERY = 10.0
# Values that a stored task leaves unexpanded, such as a session's token, by name. Apps register.
SECRETS: dict[str, Callable[[TramiteTask], str]] = {}


SETTLING = timedelta(minutes=2)


class SecretUnavailable(Exception):
    """A session's secret that the task asks for cannot be had now."""


class AttachmentDamaged(Exception):
    """A stored attachment is missing, or is not what was stored."""


class TramiteWorker:
    """One loop over `tramite_queue`; several at once, on any hosts, take different tasks."""

    kind = "tramite"

    def __init__(self, name: str, browser: BrowserThread | None = None) -> None:
        self.name = name
        self.row = Worker(name=name, kind=self.kind, host=socket.gethostname(), pid=os.getpid())
        self.browser = browser or BrowserThread(
            settings.BROWSER_EXECUTABLE, settings.BROWSER_HEADLESS
        )
        self._rhythm = Rhythm()
        self._stopped: Callable[[], bool] = lambda: False

    def step(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Sweep what dead workers left, take one task and carry it out; False: nothing was due."""
        self._rhythm.every(SWEEP_EVERY, "sweep", lambda: TramiteTask.objects.sweep())
        self._rhythm.every(BEAT_EVERY, "beat", lambda: self.row.beat())
        self._stopped = stopped
        if stopped():
            return False
        taken = TramiteTask.objects.take(self.name, settings.TASK_LEASE)
        for task in taken:
            self.carry_out(task)
        return bool(taken)

    def close(self) -> None:
        self.browser.close()
        self.row.leave()

    def carry_out(self, task: TramiteTask) -> None:
        """Run one leased task to an end. Whatever goes wrong, the task is settled or its lease
        runs out."""
        self.row.beat(f"{task}")
        with tempfile.TemporaryDirectory(prefix="run-") as folder:
            run = self._prepared(task, Path(folder))
            if run is not None:
                self.settle(task, self._execute(task, run))
        self.row.beat()

    def _prepared(self, task: TramiteTask, folder: Path) -> Run | None:
        """What the browser is given; None where that failed, and the task is settled."""
        try:
            _verify(task)
            return self._run_of(task, folder)
        except (EnvelopeRefused, AttachmentDamaged) as error:
            claims.fail(task, ErrorClass.PAYLOAD, str(error))
        except SecretUnavailable as error:
            claims.fail(task, ErrorClass.SESSION, str(error))
        except Exception as error:  # the rim: a storage that is down must not end the worker
            logger.exception("task %s could not be prepared", task.pk)
            claims.fail(task, ErrorClass.INFRASTRUCTURE, f"{type(error).__name__}: {error}")
        return None

    def settle(self, task: TramiteTask, outcome: Outcome) -> bool:
        """Keep the evidence, then move the task; False when the lease had passed on."""
        claims.renew(task, SETTLING)  # a slow storage must not cost us the outcome
        kept, outcome = self._keep(task, outcome)
        result = {
            **task.result,
            "confirmed": outcome.confirmed,
            "receipt": outcome.receipt,
            "values": dict(outcome.values),
            "seconds": round(outcome.seconds, 2),
            "evidence": [file.path for file in kept],
        }
        changes: dict[str, Any] = {
            "result": result,
            "screenshot_path": evidence.last_screenshot(kept),
        }
        if outcome.ok:
            done = TramiteTask.Status.COMPLETED
            changes |= {"error_class": "", "error_log": ""}
            moved = claims.finish(task, done, sentences.FILED, **changes)
        else:
            moved = claims.fail(
                task,
                outcome.error_class or ErrorClass.SITE,
                outcome.message,
                confirmed=outcome.confirmed,
                **changes,
            )
        if not moved and outcome.irrevocable_begun:
            Event.record([task], task.status, task.status, sentences.LATE_OUTCOME, result)
        logger.info("task %s of case %s: %s", task.pk, task.case_id, task.status)
        return moved

    def _keep(self, task: TramiteTask, outcome: Outcome) -> tuple[list[EvidenceFile], Outcome]:
        """The stored evidence. Without it a run that went well is told as our failure: what was
        confirmed counts as sent without a receipt, what was not goes to a person."""
        lease = str(task.lease_token)[:8]
        folder = f"evidence/{task.site_id}/{task.case_id}/{task.pk}-{task.attempts}-{lease}"
        try:
            return evidence.keep(task, task.attempts, folder, outcome.artifacts), outcome
        except Exception as error:  # the rim: a storage that is down must not cost us the outcome
            logger.exception("task %s: its evidence could not be kept", task.pk)
            if not outcome.ok:
                return [], outcome
            why = f"{type(error).__name__}: {error}"
            failed = replace(
                outcome,
                ok=False,
                error_class=ErrorClass.INFRASTRUCTURE,
                message=sentences.EVIDENCE_NOT_KEPT % {"error": why},
                receipt=False,
            )
            return [], failed

    def _execute(self, task: TramiteTask, run: Run) -> Outcome:
        renew_every = settings.TASK_LEASE.total_seconds() / RENEWALS
        renewed = time.monotonic()

        def tick() -> bool:
            nonlocal renewed
            self._rhythm.every(SWEEP_EVERY, "sweep", lambda: TramiteTask.objects.sweep())
            if time.monotonic() - renewed < renew_every:
                return True
            renewed = time.monotonic()
            self.row.beat(str(task))
            self._stopped()  # keeps the session's lease; a run that was begun is ended all the same
            return claims.renew(task, settings.TASK_LEASE)

        def note(event: StepEvent) -> None:
            logger.debug("task %s step %s %s ok=%s", task.pk, event.index, event.verb, event.ok)

        return self.browser.execute(
            run,
            deadline=settings.TASK_DEADLINE.total_seconds(),
            permit=lambda: claims.begin_irrevocable(task),
            tick=tick,
            on_event=note,
        )

    def _run_of(self, task: TramiteTask, folder: Path) -> Run:
        return Run(
            script=task.script,
            script_hash=task.script_hash,
            inputs={
                "payload": task.payload,
                "direct_url": task.url_directa,
                "case": {"id": str(task.case_id), "site": task.site_id},
            },
            files=_fetched(task, folder / "attachments"),
            secrets=_secrets(task),
            folder=folder / "evidence",
            page_timeout=settings.PAGE_TIMEOUT.total_seconds(),
        )


def _verify(task: TramiteTask) -> None:
    """By a key of ours that is in force now. Raises EnvelopeRefused."""
    keys = registered.keyring()
    verify_script(task.script, task.script_hash, task.signature, task.key_id, keys)


def _fetched(task: TramiteTask, folder: Path) -> dict[str, Path]:
    """The task's attachments as local files, each proven by its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for attachment in task.attachments:
        path = folder / Path(attachment["name"]).name
        try:
            with default_storage.open(attachment["path"], "rb") as stored:
                content = stored.read()
        except FileNotFoundError as error:  # any other is the storage's, and passes
            raise AttachmentDamaged(sentences.ATTACHMENT_MISSING % attachment) from error
        if hashlib.sha256(content).hexdigest() != attachment["sha256"]:
            raise AttachmentDamaged(sentences.ATTACHMENT_CHANGED % attachment)
        path.write_bytes(content)
        files[attachment["name"]] = path
    return files


def _secrets(task: TramiteTask) -> dict[str, str]:
    """Only those that the task asks for."""
    asked = task.url_directa + task.script
    names = [name for name in SECRETS if f"{{{name}}}" in asked or f"secret.{name}" in asked]
    try:
        return {name: SECRETS[name](task) for name in names}
    except Exception as error:  # the rim: whatever the app that registered it raises
        raise SecretUnavailable(f"{type(error).__name__}: {error}") from error
