"""What long lists and the pages of their rows have in common."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from orchestrator_site import sentences, telling
from orchestrator_site.admin.lists import CappedPaginator as CappedPaginator
from orchestrator_site.admin.lists import LongListAdmin as LongListAdmin
from orchestrator_site.cells import moment, plain_table
from orchestrator_site.models import Event

EVENTS = 200
WHOLE_CASE = _("The whole case, across all systems")


def page_of(row: Any) -> str:
    """The address of the row's page."""
    meta = row._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])


def link(row: Any, text: Any = None) -> SafeString:
    return format_html('<a href="{}">{}</a>', page_of(row), row if text is None else text)


def thread(case_id: UUID) -> SafeString:
    """All that happened to a case, or the latest of it."""
    events = list(Event.objects.filter(case_id=case_id).order_by("-id")[: EVENTS + 1])
    lines = [
        (
            moment(event.at),
            telling.kind(event.object_type),
            telling.change(event),
            sentences.told(event.reason),
            f"{event.get_actor_kind_display()} {event.actor}",
        )
        for event in reversed(events[:EVENTS])
    ]
    shown = plain_table((_("at"), _("what"), _("change"), _("reason"), _("by")), lines)
    whole = format_html('<p><a href="{}">{}</a></p>', reverse("case", args=[case_id]), WHOLE_CASE)
    if len(events) <= EVENTS:
        return whole + shown
    url = reverse("admin:orchestrator_site_event_changelist")
    older = format_html('<p><a href="{}?q={}">{}</a></p>', url, case_id, _("There are older ones."))
    return whole + older + shown


def happened(row: Any, most: int = 50) -> SafeString:
    """The latest events of the row itself, the newest first."""
    kind = row._meta.concrete_model._meta.label_lower
    events = Event.objects.filter(object_type=kind, object_id=str(row.pk))[:most]
    lines = (
        (
            moment(event.at),
            telling.change(event),
            sentences.told(event.reason),
            f"{event.get_actor_kind_display()} {event.actor}",
        )
        for event in events
    )
    return plain_table((_("at"), _("change"), _("reason"), _("by")), lines)
