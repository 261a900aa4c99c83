"""Generators and where their scrapers listen. Here, because their shares are the brain's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Count, Q, QuerySet, URLField
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.decorators import display

from brain.verbs import GENERATOR_VERBS
from orchestrator_site import recording
from orchestrator_site.admin import VerbAdmin, badge, moment
from orchestrator_site.cells import plain_table
from orchestrator_site.models import Event
from queues.mirror import asking, beside, handover
from queues.models import Endpoint, Generator

FIELDS, MOST = 100, 300  # of its document: fields, and characters of each


class EndpointInline(TabularInline):
    model = Endpoint
    extra = 0
    fields = ("url", "instance", "enabled", "breaker", "last_error", "answered")
    readonly_fields = ("breaker", "last_error", "answered")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if isinstance(db_field, URLField):
            kwargs["assume_scheme"] = "https"
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:  # the column's head is no label to a reader of screens
            field.widget.attrs["aria-label"] = str(db_field.verbose_name)
        return field

    @display(description=_("breaker"))
    def breaker(self, row: Endpoint) -> str | SafeString:
        if row.open_until:
            return format_html(
                "{} {}", badge(str(row.failures), _("Left alone"), "bad"), moment(row.open_until)
            )
        return badge(str(row.failures), _("Closed"), "ok") if row.pk else "-"

    @display(description=_("last answer"))
    def answered(self, row: Endpoint) -> SafeString:
        return moment(row.last_answer_at)


@admin.register(Generator)
class GeneratorAdmin(VerbAdmin):
    verbs = GENERATOR_VERBS
    inlines = (EndpointInline,)
    list_display = (
        "name",
        "state",
        "runs",
        "worked_by",
        "pool",
        "devices",
        "current_active_tasks",
        "shares_by_level",
        "endpoint_count",
        "reported",
    )
    list_filter = ("enabled", "status", "worked_by", "fleet")
    search_fields = ("name", "short_name", "process")
    fieldsets = (
        (None, {"fields": ("name", "short_name", "handler", "instance", "enabled")}),
        (_("Pool and queue"), {"fields": ("fleet", "process", "queue_collection", "worked_by")}),
        (
            _("In the distribution"),
            {
                "fields": (
                    "rotation_order",
                    "array_position",
                    "takes_remainder",
                    "shares_by_level",
                )
            },
        ),
        (
            _("Last report"),
            {
                "fields": (
                    "runs",
                    "devices",
                    "available_capacity",
                    "current_active_tasks",
                    "reported",
                    "last_failure",
                    "failed",
                )
            },
        ),
        (_("In Mongo"), {"fields": ("in_mongo",)}),
    )
    readonly_fields = (
        "enabled",
        "runs",
        "devices",
        "available_capacity",
        "current_active_tasks",
        "reported",
        "last_failure",
        "failed",
        "shares_by_level",
        "in_mongo",
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """One that is being entered is not in Mongo yet."""
        *others, in_mongo = super().get_fieldsets(request, obj)
        return (*others, in_mongo) if obj else others

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        usable = Count("endpoints", filter=Q(endpoints__enabled=True))
        return super().get_queryset(request).annotate(endpoint_total=usable)

    def save_model(self, request: HttpRequest, obj: Generator, form: Any, change: bool) -> None:
        before = recording.stored(obj)
        with transaction.atomic():
            if change:  # workers report into the same row meanwhile
                obj.save(update_fields=form.changed_data)
            else:
                super().save_model(request, obj, form, change)
            recording.note(obj, before)
            if "worked_by" in form.changed_data:
                handover.changed(obj)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        before = _endpoints(form.instance)
        super().save_formset(request, form, formset, change)
        after = _endpoints(form.instance)
        if before != after:
            told = {"before": before, "after": after}
            Event.record([form.instance], "", "endpoints changed", data=told)

    @display(description=_("takes part"), ordering="enabled")
    def state(self, row: Generator) -> SafeString:
        if row.enabled:
            return badge("enabled", _("Enabled"), "ok")
        return badge("disabled", _("Disabled"), "off")

    @display(description=_("status"), ordering="status")
    def runs(self, row: Generator) -> SafeString:
        is_failing = row.status == Generator.Status.FAILING
        said = row.last_failure if is_failing else row.status
        return badge(said, row.get_status_display(), "bad" if is_failing else "ok")

    @display(description=_("pool"), ordering="process")
    def pool(self, row: Generator) -> str:
        return f"{row.fleet} {row.process}"

    @display(description=_("devices: free of online"))
    def devices(self, row: Generator) -> str:
        return f"{row.available_devices} / {row.total_devices}"

    @display(description=_("endpoints"), ordering="endpoint_total")
    def endpoint_count(self, row: Any) -> int:
        return row.endpoint_total

    @display(description=_("last report"), ordering="last_update")
    def reported(self, row: Generator) -> SafeString:
        return moment(row.last_update)

    @display(description=_("last failure"))
    def failed(self, row: Generator) -> SafeString:
        return moment(row.last_failure_date)

    @display(description=_("shares: good, normal, bad"))
    def shares_by_level(self, row: Generator) -> SafeString:
        """They sum up over all generators, and are set together on a page of their own."""
        told = " / ".join(f"{share} %" for share in row.shares.values())
        return format_html('<a href="{}">{}</a>', reverse("admin:brain_shares"), told)

    @display(description=_("its document"))
    def in_mongo(self, row: Generator) -> str | SafeString:
        """Asked of Mongo as the page is made, and not for long."""
        try:
            fields = beside.of_generator(row)
        except asking.Away as away:
            return str(away)
        if fields is None:
            return str(_("Mongo has no document of it yet."))
        heads = (_("field"), _("here"), _("in Mongo"), "")
        return plain_table(heads, (_line(one) for one in fields[:FIELDS]))


def _line(field: beside.Field) -> tuple[Any, ...]:
    marked = badge(field.name, _("differs"), "warn") if field.differs else ""
    return (field.name, _told(field.here), _told(field.there), marked)


def _told(value: Any) -> Any:
    """As Mongo's shell would write it, but times."""
    if isinstance(value, datetime):
        return moment(value)
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)[:MOST]


def _endpoints(generator: Generator) -> list[dict[str, Any]]:
    rows = Endpoint.objects.filter(generator=generator.pk).order_by("pk")
    return [{"url": row.url, "instance": row.instance, "enabled": row.enabled} for row in rows]
