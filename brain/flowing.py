"""A flow's way to the version that runs: approved by a second person, activated, rolled back."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from brain import sentences
from brain.models import Flow
from orchestrator_site.actors import ActorKind, current_actor
from orchestrator_site.models import Event
from orchestrator_site.verbs import Refused

KEPT = 140  # characters of a key's name that are written down


class ApprovalRefused(Refused):
    """Its author cannot approve a version, nor can a machine."""


def approve(flow: Flow, reason: str) -> bool:
    """By the person that acts. Raises ApprovalRefused; False: it was approved already."""
    person = acting_person()
    if not person:
        raise ApprovalRefused(_("A version is approved by a person."))
    if flow.created_by[:KEPT].casefold() == person[:KEPT].casefold():
        raise ApprovalRefused(_("Somebody else than its author must approve a version."))
    now = timezone.now()
    with transaction.atomic():
        rows = Flow.objects.filter(pk=flow.pk, approved_at=None)
        if not rows.update(approved_at=now, approved_by=person):
            return False
        Event.record([flow], "", sentences.APPROVED, reason, {"by": person})
    flow.approved_at, flow.approved_by = now, person
    return True


def activate(flow: Flow, reason: str) -> bool:
    """Raises ApprovalNeeded; False: it is active already."""
    if flow.active:
        return False
    flow.activate(reason)
    return True


def previous(flow: Flow) -> Flow | None:
    """The version before this one that was active once."""
    older = flow.siblings().filter(pk__lt=flow.pk, activated_at__isnull=False)
    return older.order_by("-pk").first()


def rollback(flow: Flow, reason: str) -> bool:
    """Make the version before the active one active again; raises Refused where there is none.
    False: this one is not active any more."""
    if not flow.siblings().filter(pk=flow.pk, active=True).exists():
        return False
    before = previous(flow)
    if before is None:
        raise Refused(_("No version before this one was active."))
    before.activate(reason)
    flow.active = False
    return True


def acting_person() -> str:
    """The user name of who acts, also by a key or a command of theirs; "" for machines."""
    actor = current_actor()
    if actor.kind == ActorKind.API_KEY:
        return actor.person or actor.name.partition("/")[0]  # there are addresses with a slash
    if actor.kind == ActorKind.COMMAND:
        return actor.name.partition(" ")[0]
    return actor.name if actor.kind == ActorKind.USER else ""
