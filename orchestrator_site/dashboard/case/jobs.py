"""The case of a job: what was asked, its run, its results, and who was told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator_site.dashboard.case import waiting
from orchestrator_site.dashboard.case.facts import Section, State, Table, row_link
from orchestrator_site.dashboard.case.hops import Hop, judged
from orchestrator_site.dashboard.case.told import Asked, Told
from orchestrator_site.logs import redact
from orchestrator_site.sentences import told
from queues.browser import scripts
from queues.models import EvidenceFile, Job, WebhookAttempt, WebhookDelivery

SEE_MESSAGES, SEE_CALLS = "queues.view_webhookdelivery", "queues.view_webhookattempt"
SEE_EVIDENCE = "queues.view_evidencefile"
HIDDEN = "•••"
MOST = 50  # webhook messages, and calls, of one job
Status, Sent = Job.Status, WebhookDelivery.Status


def tell(asked: Asked) -> Told:
    job = Job.objects.select_related("organisation", "user").get(pk=asked.keys["queues.job"][0])
    messages = _messages(asked)
    calls = _calls(messages) if asked.may(SEE_CALLS) else []
    secret = _secret_names(job)
    return Told(
        kind="job",
        kind_title=_("Job"),
        title=f"{job.provider_name} · {job.flow_name} {job.flow_version}",
        state=State.of(job),
        waits=waiting.of_job(job, timezone.now()),
        hops=_hops(job, messages, asked),
        sections=[
            _of_job(job, secret),
            _of_result(job),
            *(_of_webhooks(messages, calls) if asked.may(SEE_MESSAGES) else ()),
        ],
        rows=[row_link(job)],
        secrets=list(_texts(job.inputs.get(name) for name in secret)),
    )


def _messages(asked: Asked) -> list[WebhookDelivery]:
    found = asked.keys.get("queues.webhookdelivery", [])
    if not found or not asked.may(SEE_MESSAGES):
        return []
    rows = WebhookDelivery.objects.filter(pk__in=found[:MOST]).select_related("endpoint")
    return list(rows.defer("endpoint__secret", "endpoint__old_secret").order_by("id"))


def _calls(messages: Sequence[WebhookDelivery]) -> list[WebhookAttempt]:
    if not messages:
        return []
    rows = WebhookAttempt.objects.filter(delivery__in=[one.pk for one in messages])
    return list(rows.order_by("-id")[:MOST])[::-1]


def _secret_names(job: Job) -> set[str]:
    """The inputs that its script takes for secrets; all of them, where it does not say."""
    try:
        steps = json.loads(job.script)
        scripts.validate(steps)
    except (ValueError, RecursionError, scripts.InvalidSteps):
        return set(job.inputs)
    parts = (name.partition(".") for name in scripts.placeholders(steps))
    return {rest for root, _dot, rest in parts if root == "secret"}


def _texts(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        if isinstance(value, dict):
            yield from _texts(value.values())
        elif isinstance(value, list):
            yield from _texts(value)
        elif value is not None:
            yield str(value)


# --- The way --------------------------------------------------------------------------------------


def _hops(job: Job, messages: Sequence[WebhookDelivery], asked: Asked) -> list[Hop]:
    is_over = job.status in (*Job.FINAL, Status.IN_DOUBT)
    started = job.started_at if job.attempts else None
    ended = job.status in Job.FINAL
    signed = scripts.sha256(job.script) == job.script_hash and bool(job.signature)
    given = job.published_at or started
    hops = [
        Hop("asked", _("Asked"), True, job.created_at, job.user.get_username()),
        Hop("signed", _("Signed"), signed, job.created_at, job.key_id, is_broken=not signed),
        Hop("queued", _("Queued"), job.status != Status.HELD or bool(given), given),
        Hop("taken", _("Taken"), bool(started), started, job.worker),
        Hop("ended", _("Ended"), ended, job.processed_at if ended else None),
        *(_stored(job, asked.evidence) if asked.may(SEE_EVIDENCE) else ()),
        *(_webhook(job, messages) if asked.may(SEE_MESSAGES) else ()),
    ]
    return judged(hops, is_over=is_over, is_dropped=job.status == Status.CANCELLED)


def _stored(job: Job, evidence: Sequence[EvidenceFile]) -> list[Hop]:
    """Results that its worker told of, and whether their rows are there."""
    results = job.result.get("results") or []
    names = {_last(one.get("path") or one.get("name")) for one in results if isinstance(one, dict)}
    kept = {_last(file.path) for file in evidence if file.attempt == job.attempts} & names
    note = _("%(kept)d of %(all)d files") % {"kept": len(kept), "all": len(names)} if names else ""
    ended, is_all = job.status in Job.FINAL, len(kept) == len(names)
    return [
        Hop(
            "stored",
            _("Results stored"),
            is_done=ended and bool(names) and is_all,
            at=job.processed_at if ended and is_all else None,
            note=note,
            is_needed=bool(names) or not ended,
            is_broken=ended and not is_all,
        )
    ]


def _last(name: Any) -> str:
    return str(name).rpartition("/")[2]


def _webhook(job: Job, messages: Sequence[WebhookDelivery]) -> list[Hop]:
    title = _("Webhook told")
    if not messages:
        note = _("no webhook listened") if job.status in Job.FINAL else ""
        is_needed = job.status not in Job.FINAL
        return [Hop("webhook", title, is_needed=is_needed, note=note)]
    arrived = [one for one in messages if one.status == Sent.DELIVERED]
    failed = [one for one in messages if one.status == Sent.FAILED]
    note = _("%(n)d of %(all)d messages") % {"n": len(arrived), "all": len(messages)}
    at = max((one.processed_at for one in arrived if one.processed_at), default=None)
    is_done = len(arrived) == len(messages)
    return [Hop("webhook", title, is_done, at, note, is_broken=bool(failed))]


# --- The parts ------------------------------------------------------------------------------------


def _of_job(job: Job, secret: set[str]) -> Section:
    error = f"{job.get_error_class_display()}: {told(job.error_log)}" if job.error_log else ""
    facts: dict[str, tuple[str, Any]] = {
        "organisation": (_("organisation"), row_link(job.organisation, job.organisation.name)),
        "user": (_("user"), job.user.get_username()),
        "provider": (_("provider"), job.provider_name),
        "flow": (_("flow"), f"{job.flow_name} {job.flow_version}"),
        "attempts": (_("attempts"), f"{job.attempts}/{job.max_attempts}"),
        "priority": (_("priority"), job.priority or None),
        "worker": (_("worker"), job.worker),
        "created_at": (_("created"), job.created_at),
        "deadline_at": (_("deadline"), job.deadline_at),
        "published_at": (_("given to the transport"), job.published_at),
        "started_at": (_("started"), job.started_at),
        "intent_at": (_("irrevocable step begun"), job.intent_at),
        "cancel_asked_at": (_("cancel asked"), job.cancel_asked_at),
        "processed_at": (_("processed"), job.processed_at),
        "message": (_("message"), error),
        "inputs": (_("inputs"), {n: HIDDEN if n in secret else v for n, v in job.inputs.items()}),
        "metadata": (_("metadata"), job.metadata),
        "script_hash": (_("script's SHA-256"), job.script_hash),
        "key_id": (_("signing key"), job.key_id),
        "hosts": (_("hosts"), ", ".join(map(str, job.hosts))),
    }
    return Section("job", _("Job"), facts)


def _of_result(job: Job) -> Section:
    facts = {"values": (_("values"), job.result.get("values")), "all": (_("result"), job.result)}
    return Section("result", _("Result"), facts if job.result else {})


def _of_webhooks(
    messages: Sequence[WebhookDelivery], calls: Sequence[WebhookAttempt]
) -> list[Section]:
    heads = {
        "message": _("message"),
        "address": _("address"),
        "status": _("status"),
        "attempts": _("attempts"),
        "created": _("created"),
        "processed": _("processed"),
        "error": _("error"),
    }
    rows = [
        {
            "message": row_link(one, f"{one.event} {one.message_id}"),
            "address": redact(one.endpoint.url),
            "status": State.of(one, one.TONES[Sent(one.status)]),
            "attempts": f"{one.attempts}/{one.max_attempts}",
            "created": one.created_at,
            "processed": one.processed_at,
            "error": told(one.error_log),
        }
        for one in messages
    ]
    called = {
        "number": _("attempt"),
        "at": _("at"),
        "seconds": _("seconds"),
        "status": _("status"),
        "answer": _("answer"),
    }
    answers = [
        {
            "number": one.number,
            "at": one.at,
            "seconds": round(one.seconds, 2),
            "status": one.status_code,
            "answer": told(one.error) or one.body,
        }
        for one in calls
    ]
    tables = {"messages": Table(heads, rows), "calls": Table(called, answers)}
    return [Section("webhooks", _("Webhooks"), {}, tables)]
