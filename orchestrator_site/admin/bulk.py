"""Bulk actions: how far they are, what became of each row, stopping and undoing them."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.decorators import display

from orchestrator_site import bulk, sentences
from orchestrator_site.admin.bases import ReadOnlyAdmin, VerbAdmin
from orchestrator_site.cells import badge, brief, moment, pair
from orchestrator_site.exporting import Lines, csv_lines
from orchestrator_site.models import BulkAction
from orchestrator_site.models.bulk import OUTCOMES
from orchestrator_site.tenancy import organisation_of
from orchestrator_site.verbs import OFFERS, Verb, operate_permission

SHOWN = 50  # rows on the page; the report has all
LEFT = ("refused", "unsure", "moved_on")
LABELS = {
    "done": pgettext_lazy("rows", "Done"),
    "moved_on": pgettext_lazy("rows", "Left alone"),
    "refused": pgettext_lazy("rows", "Refused"),
    "unsure": pgettext_lazy("rows", "Not known"),
}
TONES = {"done": "ok", "moved_on": "off", "refused": "bad", "unsure": "warn"}


def named(action: BulkAction) -> Any:
    verb = bulk.verb_of(action)
    return verb.label if verb else action.verb


def model_of(action: BulkAction) -> type[Model] | None:
    return OFFERS[action.kind].model if action.kind in OFFERS else None


def may_act(user: Any, action: BulkAction) -> bool:
    """Who may do the verb may stop it and undo it."""
    model = model_of(action)
    return model is not None and user.has_perm(operate_permission(model))


@admin.register(BulkAction)
class BulkActionAdmin(VerbAdmin, ReadOnlyAdmin):
    verbs = bulk.BULK_VERBS
    made_by = _("Choose rows in a list, and what is to be done to them.")
    list_display = ("what", "state", "rows", "done", "refused", "by", "why", "asked_for")
    list_filter = ("status", "kind")
    search_fields = ("=id", "=case_id", "actor")

    def get_urls(self) -> list[URLPattern]:
        report = self.admin_site.admin_view(self.report_view)
        name = "orchestrator_site_bulkaction_report"
        return [path("<int:pk>/report.csv", report, name=name), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """They are our own staff's: their rows are everybody's."""
        rows = super().get_queryset(request)
        return rows if organisation_of(request.user) is None else rows.none()

    def fitting(self, row: Any) -> list[Verb]:
        return [verb for verb in self.verbs if verb.fits(row)]

    def verb_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is not None and not may_act(request.user, row):
            raise PermissionDenied
        return super().verb_view(request, object_id, name)

    def confirm(self, request: HttpRequest, verb: Verb, rows: QuerySet[Any]) -> HttpResponse | None:
        models = {kind: offer.model for kind, offer in OFFERS.items()}
        mine = [
            kind for kind, of in models.items() if request.user.has_perm(operate_permission(of))
        ]
        return super().confirm(request, verb, rows.filter(kind__in=mine))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """How far it is; it asks for itself every two seconds while it lives."""
        row: Any = self.get_object(request, object_id)
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row) or request.method == "POST":
            raise PermissionDenied
        acts = self.has_operate_permission(request) and may_act(request.user, row)
        context = {
            **self.admin_site.each_context(request),
            **_shown(row),
            "opts": self.opts,
            "verbs": self.fitting(row) if acts else [],
        }
        return TemplateResponse(request, "admin/bulk/page.html", context)

    def report_view(self, request: HttpRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
        """What became of each row, as CSV."""
        row = self.get_object(request, str(pk))
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row) or request.method == "POST":
            raise PermissionDenied
        return report(row)

    @display(description=_("action"), ordering="verb")
    def what(self, row: BulkAction) -> SafeString:
        return pair(named(row), _kind(row))

    @display(description=_("status"), ordering="status")
    def state(self, row: BulkAction) -> SafeString:
        return badge(row.status, row.get_status_display(), row.tone)

    @display(description=_("rows"), ordering="total")
    def rows(self, row: BulkAction) -> int:
        return row.total

    @display(description=_("by"), ordering="actor")
    def by(self, row: BulkAction) -> str:
        return row.actor or row.get_actor_kind_display()

    @display(description=_("reason"))
    def why(self, row: BulkAction) -> SafeString:
        return brief(sentences.told(row.reason))

    @display(description=_("created"), ordering="created_at")
    def asked_for(self, row: BulkAction) -> SafeString:
        return moment(row.created_at)


def report(action: BulkAction) -> StreamingHttpResponse:
    """As a file, read while it is sent."""
    heads = [str(one) for one in (_("row"), _("outcome"), _("why, or the value before"))]
    lines = ((key, LABELS[name], sentences.told(why)) for key, name, why in bulk.lines(action))
    answer = StreamingHttpResponse(
        csv_lines(Lines(heads, lines)), content_type="text/csv; charset=utf-8"
    )
    answer["Content-Disposition"] = f'attachment; filename="bulk-action-{action.pk}.csv"'
    return answer


def _kind(action: BulkAction) -> Any:
    model = model_of(action)
    return model._meta.verbose_name_plural if model else action.kind


def _shown(action: BulkAction) -> dict[str, Any]:
    left = any(action.counts[name] for name in LEFT)
    found = islice(bulk.lines(action, LEFT), SHOWN) if left else ()
    return {
        "title": named(action),
        "action": action,
        "kind": _kind(action),
        "tiles": [(LABELS[one], TONES[one], action.counts[one]) for one in OUTCOMES],
        "waiting": action.total - action.gone_through,
        "lines": [_line(action, *one) for one in found],
        "more": sum(action.counts[one] for one in LEFT) - SHOWN,
        "undone_by": BulkAction.objects.filter(undoes=action).first(),
    }


def _line(action: BulkAction, key: str, name: str, why: str) -> dict[str, Any]:
    model = model_of(action)
    meta = model._meta if model else None
    page = f"admin:{meta.app_label}_{meta.model_name}_change" if meta else ""
    return {
        "key": key,
        "url": reverse(page, args=[key]) if page else "",
        "label": LABELS[name],
        "tone": TONES[name],
        "why": sentences.told(why) if name == "refused" else "",
    }
