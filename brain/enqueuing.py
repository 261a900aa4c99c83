"""From a case of ours to a task in the queue: the one way in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from brain import sentences
from brain.models import Claim, Flow, Organismo
from brain.surveying import Found
from orchestrator_site import waking
from orchestrator_site.models import Event
from orchestrator_site.verbs import Refused
from queues.browser.signing import EnvelopeRefused
from queues.models import TramiteTask


class NotQueued(Refused):
    """The task was refused: one exists already, or the organismo's flow is missing."""


@dataclass(frozen=True)
class Entry:
    """What a task is made of, besides its organismo."""

    claim: Claim
    payload: Mapping[str, Any]
    link: str
    attachments: Sequence[Mapping[str, Any]] = ()
    hold_reason: str = ""

    @classmethod
    def of(cls, claim: Claim, found: Found) -> Entry:
        judged, gathered = found.judgement, found.gathered
        return cls(claim, judged.payload, judged.link, gathered.files, gathered.hold_reason)


def enqueue(organismo: Organismo, entries: Sequence[Entry]) -> list[TramiteTask]:
    """Queue the cases, run 1 of each, in the caller's transaction.

    Raises NotQueued when the database already has a task for one of them (none is queued then).
    """
    flow = check_flow(organismo)
    now = timezone.now()
    tasks = [_task(organismo, flow, entry, now) for entry in entries]
    try:
        with transaction.atomic():
            TramiteTask.objects.bulk_create(tasks)
    except IntegrityError as error:
        raise NotQueued(_("A task exists for this case already.")) from error
    by_status: dict[tuple[str, str], list[TramiteTask]] = {}
    for task in tasks:
        by_status.setdefault((task.status, task.hold_reason), []).append(task)
    for (status, hold_reason), rows in by_status.items():
        Event.record(rows, "", status, hold_reason or sentences.QUEUED)
    waking.notify(TramiteTask._meta.db_table)
    return tasks


def rerun(task: TramiteTask, reason: str) -> TramiteTask:
    """File an appeal once more, because a person says so. Raises NotQueued with the reason why not.

    The new task carries the organismo's flow as it is now.
    """
    organismo = Organismo.objects.filter(site_id=task.site_id).first()
    if organismo is None:
        raise NotQueued(_("There is no organismo %(site)s.") % {"site": task.site_id})
    flow = check_flow(organismo)
    try:
        with transaction.atomic():
            _check_rerun(task)
            again = TramiteTask.objects.create(
                case_id=task.case_id,
                site_id=task.site_id,
                protocol=task.protocol,
                resource_id=task.resource_id,
                run=task.run + 1,
                payload=task.payload,
                url_directa=task.url_directa,
                attachments=task.attachments,
                priority=task.priority,
                **_script(flow),
            )
            Event.record([again], "", again.status, reason, {"rerun_of": task.pk})
            waking.notify(TramiteTask._meta.db_table)
    except IntegrityError as error:
        raise NotQueued(_("A task for this case is in the queue already.")) from error
    return again


def _check_rerun(task: TramiteTask) -> None:
    """Only the last run of a case that is still ours. Locks the claim against a give-back."""
    if task.status not in task.FINAL:
        raise NotQueued(_("Only a finished task can be run again."))
    if TramiteTask.objects.filter(resource_id=task.resource_id, run__gt=task.run).exists():
        raise NotQueued(_("A later run of this case exists: look at that one."))
    claims = Claim.objects.select_for_update().filter(resource_id=task.resource_id)
    claim = claims.order_by("-id").first()
    if claim and claim.status in (Claim.Status.RELEASED, Claim.Status.TAKEN_OVER):
        raise NotQueued(_("The case is not ours any more: claim it first."))


def _task(organismo: Organismo, flow: Flow, entry: Entry, now: datetime) -> TramiteTask:
    status = TramiteTask.Status.HELD if entry.hold_reason else TramiteTask.Status.PENDING
    return TramiteTask(
        case_id=entry.claim.case_id,
        site_id=organismo.site_id,
        resource_id=entry.claim.resource_id,
        payload={**entry.payload, "claimed_at": now.isoformat()},
        url_directa=entry.link,
        attachments=list(entry.attachments),
        hold_reason=entry.hold_reason,
        priority=organismo.priority,
        status=status,
        created_at=now,
        available_at=now,
        **_script(flow),
    )


def check_flow(organismo: Organismo) -> Flow:
    """The flow that new tasks carry. Raises NotQueued: to be asked before anything is claimed."""
    names = {"flow": organismo.flow_name, "site": organismo.site_id}
    flow = Flow.active_version(organismo.flow_name)
    if flow is None:
        raise NotQueued(_("The flow “%(flow)s” of %(site)s has no active version.") % names)
    if not all(any(step.get(mark) for step in flow.steps) for mark in ("irrevocable", "confirms")):
        text = _(
            "The flow “%(flow)s” of %(site)s must mark the step that sends (irrevocable) "
            "and the one that shows it was received (confirms)."
        )
        raise NotQueued(text % names)
    try:
        flow.verify()
    except EnvelopeRefused as error:
        text = _("The flow “%(flow)s” of %(site)s is not as it was signed: %(error)s.")
        raise NotQueued(text % {**names, "error": error}) from error
    return flow


def _script(flow: Flow) -> dict[str, Any]:
    return {
        "flow_name": flow.name,
        "flow_version": flow.version,
        "script": flow.script,
        "script_hash": flow.script_hash,
        "signature": flow.signature,
        "key_id": flow.key_id,
    }
