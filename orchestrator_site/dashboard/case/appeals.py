"""The case of an appeal: its claims, its tasks, what was sent, and the receipt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from brain.admin.claims import COLOURS
from brain.models import Claim
from orchestrator_site.dashboard.case import waiting
from orchestrator_site.dashboard.case.facts import Section, State, Table, row_link
from orchestrator_site.dashboard.case.hops import Hop, judged
from orchestrator_site.dashboard.case.told import Asked, StoredFile, Told
from orchestrator_site.sentences import told
from queues.models import TramiteTask

SEE_TASKS, SEE_CLAIMS = "queues.view_tramitetask", "brain.view_claim"
MOST = 50  # runs and claims of one case
Task, Outcome = TramiteTask.Status, Claim.Status


def tell(asked: Asked) -> Told:
    tasks, claims = _tasks(asked), _claims(asked)
    now = timezone.now()
    task = tasks[-1] if tasks else None
    claim = claims[-1] if claims else None
    return Told(
        kind="appeal",
        kind_title=_("Appeal"),
        title=_title(task, claim),
        state=_state(task, claim),
        waits=waiting.of_appeal(task, claim, now),
        hops=_hops(task, claim),
        sections=[*_of_claims(claims), *_of_tasks(tasks), *_of_sending(task)],
        rows=[row_link(row) for row in (*tasks[-1:], *claims[-1:])],
        files=_attachments(task),
    )


def _tasks(asked: Asked) -> list[TramiteTask]:
    """Its runs, the first one first."""
    if "queues.tramitetask" not in asked.keys or not asked.may(SEE_TASKS):
        return []
    rows = TramiteTask.objects.filter(case_id=asked.case_id).defer("script", "signature")
    return list(rows.order_by("-run", "-id")[:MOST])[::-1]


def _claims(asked: Asked) -> list[Claim]:
    if "brain.claim" not in asked.keys or not asked.may(SEE_CLAIMS):
        return []
    rows = Claim.objects.filter(case_id=asked.case_id).select_related("organismo")
    return list(rows.order_by("-id")[:MOST])[::-1]


def _title(task: TramiteTask | None, claim: Claim | None) -> str:
    number = (task and task.expediente) or (claim and claim.expediente)
    resource = task.resource_id if task else claim.resource_id if claim else ""
    site = task.site_id if task else claim.organismo.site_id if claim else ""
    return " · ".join(filter(None, (site, number or str(resource))))


def _state(task: TramiteTask | None, claim: Claim | None) -> State | None:
    if task:
        return State.of(task)
    return State.of(claim, COLOURS[Outcome(claim.status)]) if claim else None


# --- The way --------------------------------------------------------------------------------------


def _hops(task: TramiteTask | None, claim: Claim | None) -> list[Hop]:
    hops = [*_claimed(claim, task is not None), *_filed(task)]
    is_live = task.status in TramiteTask.LIVE if task else bool(claim) and _is_open(claim)
    is_doubtful = bool(task) and task.status == Task.IN_DOUBT  # type: ignore[union-attr]
    return judged(hops, is_over=not is_live or is_doubtful, is_dropped=_is_dropped(task, claim))


def _is_open(claim: Claim | None) -> bool:
    return claim is not None and claim.status == Outcome.STARTED


def _is_dropped(task: TramiteTask | None, claim: Claim | None) -> bool:
    given_up = (Outcome.RELEASED, Outcome.TAKEN_OVER, Outcome.LOST, Outcome.FAILED)
    if task:
        return task.status == Task.CANCELLED
    return claim is not None and claim.status in given_up


def _claimed(claim: Claim | None, has_task: bool) -> list[Hop]:
    """Without a claim the case came otherwise, or its claim is gone: a task must have one."""
    if claim is None:
        return [
            Hop("found", _("Found")),
            Hop("claimed", _("Claimed")),
            Hop("proven", _("Proven")),
            Hop("queued", _("Queued"), is_done=has_task),
        ]
    ours = claim.status in (*Claim.OURS, Outcome.RELEASED, Outcome.TAKEN_OVER)
    cycle = _("cycle %(id)d") % {"id": claim.cycle_id} if claim.cycle_id else ""
    note = told(claim.message) or claim.answer
    return [
        Hop("found", _("Found"), True, claim.started_at, cycle),
        Hop("claimed", _("Claimed"), True, claim.started_at, claim.account),
        Hop("proven", _("Proven"), ours, claim.settled_at if ours else None, note),
        Hop("queued", _("Queued"), bool(claim.queued_at) or has_task, claim.queued_at),
    ]


def _filed(task: TramiteTask | None) -> list[Hop]:
    if task is None:
        names = (("taken", _("Taken")), ("sent", _("Sent")), ("confirmed", _("Confirmed")))
        return [Hop(name, title) for name, title in (*names, ("receipt", _("Receipt kept")))]
    sent = task.status in TramiteTask.SENT
    confirmed = sent or bool(task.result.get("confirmed"))
    receipt = bool(task.result.get("receipt"))
    return [
        Hop("taken", _("Taken"), bool(task.started_at), task.started_at, task.worker),
        Hop("sent", _("Sent"), bool(task.intent_at) or sent, task.intent_at),
        Hop("confirmed", _("Confirmed"), confirmed, task.processed_at if confirmed else None),
        Hop("receipt", _("Receipt kept"), receipt, task.processed_at if receipt else None),
    ]


# --- The parts ------------------------------------------------------------------------------------


def _of_claims(claims: Sequence[Claim]) -> list[Section]:
    if not claims:
        return []
    heads = {
        "id": _("claim"),
        "outcome": _("outcome"),
        "method": _("method"),
        "account": _("account"),
        "started": _("started"),
        "settled": _("settled"),
        "queued": _("queued"),
        "answer": _("answer"),
        "message": _("message"),
    }
    seen = {
        "claim": _("claim"),
        "at": _("at"),
        "TExp": "TExp",
        "Estado": "Estado",
        "UsuarioAsignado": "UsuarioAsignado",
        "gone": _("gone"),
    }
    tables = {
        "claims": Table(heads, [_claim_row(one) for one in claims]),
        "readbacks": Table(seen, [row for one in claims for row in _readbacks(one)]),
    }
    last = claims[-1]
    facts = {
        "resource_id": ("idRecurso", last.resource_id),
        "expediente": (_("case number"), last.expediente),
        "repaired_from": (_("case number before"), last.repaired_from),
        "before": (_("row before"), last.before),
    }
    return [Section("claims", _("Claim and proof"), facts, tables)]


def _claim_row(claim: Claim) -> dict[str, Any]:
    return {
        "id": row_link(claim, f"#{claim.pk}"),
        "outcome": State.of(claim, COLOURS[Outcome(claim.status)]),
        "method": claim.get_method_display().partition(":")[0],
        "account": claim.account,
        "started": claim.started_at,
        "settled": claim.settled_at,
        "queued": claim.queued_at,
        "answer": claim.answer,
        "message": told(claim.message),
    }


def _readbacks(claim: Claim) -> list[dict[str, Any]]:
    return [
        {**one, "claim": f"#{claim.pk}", "at": _time(one.get("at"))}
        for one in claim.readbacks
        if isinstance(one, dict)
    ]


def _time(text: Any) -> Any:
    """As a time, where it is one."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return text


def _of_tasks(tasks: Sequence[TramiteTask]) -> list[Section]:
    if not tasks:
        return []
    heads = {
        "run": _("run"),
        "status": _("status"),
        "site": _("site"),
        "attempts": _("attempts"),
        "worker": _("worker"),
        "created": _("queued"),
        "started": _("started"),
        "intent": _("irrevocable step begun"),
        "processed": _("processed"),
        "flow": _("flow"),
        "message": _("message"),
    }
    table = Table(heads, [_task_row(one) for one in tasks])
    return [Section("tasks", _("In the queue"), {}, {"tasks": table})]


def _task_row(task: TramiteTask) -> dict[str, Any]:
    error = f"{task.get_error_class_display()}: {told(task.error_log)}" if task.error_log else ""
    return {
        "run": row_link(task, f"#{task.pk} · {task.run}"),
        "status": State.of(task),
        "site": task.site_id,
        "attempts": f"{task.attempts}/{task.max_attempts}",
        "worker": task.worker,
        "created": task.created_at,
        "started": task.started_at,
        "intent": task.intent_at,
        "processed": task.processed_at,
        "flow": f"{task.flow_name} {task.flow_version}",
        "message": told(task.hold_reason) or error,
    }


def _of_sending(task: TramiteTask | None) -> list[Section]:
    if task is None:
        return []
    facts = {
        "url": (_("direct link"), task.url_directa),
        "payload": (_("payload"), task.payload),
        "result": (_("result"), task.result),
        "script_hash": (_("script's SHA-256"), task.script_hash),
        "key_id": (_("signing key"), task.key_id),
    }
    heads = {"name": _("file"), "size": _("bytes"), "sha256": "SHA-256"}
    files = [file for file in task.attachments if isinstance(file, dict)]
    return [Section("sent", _("What is sent"), facts, {"attachments": Table(heads, files)})]


def _attachments(task: TramiteTask | None) -> list[StoredFile]:
    found = [file for file in task.attachments if isinstance(file, dict)] if task else []
    return [
        StoredFile(
            name=f"attachments/{number}-{file['name']}",
            path=file["path"],
            sha256=str(file.get("sha256", "")),
            size=file.get("size"),
            kind="attachment",
            url=reverse("media", args=[file["path"]]),
        )
        for number, file in enumerate(found, start=1)
        if file.get("path") and file.get("name")
    ]
