"""A run of an organisation's flow is asked for: all that is checked before a job is queued."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from brain import rules, sentences
from brain.models import ConnectedProvider, Flow, Provider
from orchestrator_site import verbs
from orchestrator_site.models import Event, Member, Organisation
from queues import jobs
from queues.browser import signing
from queues.jobs import JobOrder
from queues.models import Job

logger = logging.getLogger(__name__)
PRIORITIES = range(-1000, 1001)
LONGEST_KEY = 200


class Refused(verbs.Refused):
    """No job was queued. `code` is for programs; `fields`: what is wrong, by the input's name.

    Codes, in the order of the checks: not_a_member, organisation_inactive, provider_inactive,
    not_connected ("Session not found"), no_active_flow, integrity, signature, invalid_hosts,
    invalid_inputs; before them all: idempotency_key_reused.
    """

    def __init__(self, code: str, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.fields = dict(fields or {})


def run(
    user: Any,
    provider: Provider,
    *,
    inputs: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    idempotency_key: str = "",
    priority: int = 0,
    deadline: datetime | None = None,
    flow: Flow | None = None,
) -> tuple[Job, bool]:
    """Queue a run of the provider's active flow, or of `flow`, a version that was active once.

    Returns the job, and whether it is new: with the idempotency key of an earlier one it is that
    one. What it does must be the same; priority, deadline and metadata may differ. Raises Refused.
    """
    organisation = _organisation_of(user)
    given = {} if inputs is None else inputs
    if earlier := _earlier(organisation, idempotency_key):
        _expect_same(earlier, provider, flow, given)
        return earlier, False
    asked = flow
    is_held = _needs_to_wait(organisation, user, provider)
    flow = _flow(organisation, provider, flow)
    _verify(flow)
    hosts = _hosts(flow)
    _check_order(idempotency_key, priority, deadline)
    values, about = _values(flow, given, metadata or {})
    order = JobOrder(
        organisation_id=organisation.pk,
        user_id=user.pk,
        provider_id=str(provider.pk),
        provider_name=provider.name,
        flow_id=str(flow.pk),
        flow_name=flow.name,
        flow_version=flow.label or str(flow.version),
        script=flow.script,
        script_hash=flow.script_hash,
        signature=flow.signature,
        key_id=flow.key_id,
        hosts=hosts,
        needs_session=provider.needs_session,
        is_held=is_held,
        inputs=values,
        metadata=about,
        idempotency_key=idempotency_key,
        priority=priority,
        deadline_at=deadline,
    )
    try:
        job, is_new = jobs.enqueue(order)
    except jobs.JobRefused as error:
        raise Refused("invalid_inputs", str(error)) from error
    if not is_new:  # its twin was faster
        _expect_same(job, provider, asked, given)
    return job, is_new


def _organisation_of(user: Any) -> Organisation:
    rows = Member.objects.select_related("organisation").filter(user=user)
    member = rows.first() if user.is_active else None
    if member is None:
        raise Refused("not_a_member", _("You belong to no organisation."))
    if not member.organisation.active:
        raise Refused("organisation_inactive", _("The organisation is not active."))
    return member.organisation


def _earlier(organisation: Organisation, key: str) -> Job | None:
    rows = Job.objects.filter(organisation=organisation, idempotency_key=key)
    return rows.first() if key else None


def _expect_same(job: Job, provider: Provider, flow: Flow | None, given: Any) -> None:
    """Raises Refused where another run was asked for with this key."""
    is_same = job.provider_id == str(provider.pk) and (not flow or job.flow_id == str(flow.pk))
    if not (is_same and _is_given(job, given)):
        text = _("This Idempotency-Key was used for the job %(id)s, which is another run.")
        raise Refused("idempotency_key_reused", text % {"id": job.case_id})


def _is_given(job: Job, given: Any) -> bool:
    """Whether the job's inputs are these, with the defaults of the version that it runs."""
    version = Flow.objects.filter(pk=job.flow_id).only("inputs").first()
    try:
        return version is not None and rules.filled(version.inputs, given) == job.inputs
    except rules.InvalidInputs:
        return False


def _needs_to_wait(organisation: Organisation, user: Any, provider: Provider) -> bool:
    """Whether the session is to be renewed before the job can run. Raises Refused where there
    never was one, or its user took it back."""
    if not provider.active:
        text = _("The provider %(name)s is not active.") % {"name": provider}
        raise Refused("provider_inactive", text)
    if not provider.needs_session:
        return False
    rows = ConnectedProvider.objects.filter(organisation=organisation, user=user, provider=provider)
    connection = rows.exclude(status=ConnectedProvider.Status.DISCONNECTED).first()
    if connection is None:
        raise Refused("not_connected", signing.NO_SESSION)
    return not connection.is_alive(timezone.now())


def _flow(organisation: Organisation, provider: Provider, asked: Flow | None) -> Flow:
    rows = Flow.objects.filter(organisation=organisation, provider=provider)
    rows = rows.filter(pk=asked.pk, activated_at__isnull=False) if asked else rows
    flow = rows.first() if asked else rows.filter(active=True).first()
    if flow is None:
        text = _("There is no active flow for %(name)s: activate a version.") % {"name": provider}
        raise Refused("no_active_flow", text)
    flow.organisation, flow.provider = organisation, provider
    return flow


def _verify(flow: Flow) -> None:
    """The hash, then the signature. What was changed in the database is told to staff."""
    try:
        flow.verify()
    except signing.EnvelopeRefused as error:
        logger.error("flow %s (%s) refused: %s", flow.pk, flow, error)
        Event.record([flow], "", sentences.REFUSED, str(error))
        code = "integrity" if str(error) == signing.INTEGRITY else "signature"
        raise Refused(code, str(error)) from error


def _hosts(flow: Flow) -> list[str]:
    """Looked at again: a provider's hosts are edited without a new version."""
    if found := rules.host_problems(flow.all_hosts, settings.EGRESS_ALLOWED_NETWORKS):
        raise Refused("invalid_hosts", "; ".join(found))
    return flow.all_hosts


def _check_order(key: str, priority: int, deadline: datetime | None) -> None:
    wrong = {}
    if len(key) > LONGEST_KEY or not key.isprintable():
        wrong["idempotencyKey"] = _("at most %(most)d plain characters") % {"most": LONGEST_KEY}
    if priority not in PRIORITIES:
        wrong["priority"] = _("from %(least)d to %(most)d") % {
            "least": PRIORITIES[0],
            "most": PRIORITIES[-1],
        }
    if deadline is not None and deadline <= timezone.now():
        wrong["deadline"] = _("is over already")
    if wrong:
        raise _invalid(wrong)


def _values(flow: Flow, inputs: Any, metadata: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs with their defaults, and the metadata, as they can be stored."""
    if not isinstance(metadata, Mapping):
        raise _invalid({"metadata": _("must be an object")})
    try:
        rules.check_size(inputs=inputs, metadata=metadata)
        return rules.filled(flow.inputs, inputs), dict(metadata)
    except rules.InvalidInputs as error:
        raise _invalid(error.fields) from error


def _invalid(fields: Mapping[str, str]) -> Refused:
    told = "; ".join(f"{name}: {text}" for name, text in fields.items())
    return Refused("invalid_inputs", told, fields)
