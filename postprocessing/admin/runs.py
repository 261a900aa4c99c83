"""Runs of the post-processing, with what they counted and refused."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from orchestrator_site import sentences
from orchestrator_site.actors import ActorKind
from orchestrator_site.cells import NOTHING, badge, brief, moment, pair, plain_table
from orchestrator_site.verbs import operate_permission
from postprocessing.admin.filters import CompanyFilter
from postprocessing.models import PostProcessingRun
from postprocessing.reporting import COUNTS
from queues.admin.lists import LongListAdmin, thread

SHOWN = 500  # faults of one run on its page
# In the list: what is not zero of it.
TOLD = ("db_inserted", "db_updated", "s3_uploaded", "s3_simulated", "db_errors", "s3_errors")

TABLES = ("counts", "refused", "warned", "events")


@admin.register(PostProcessingRun)
class PostProcessingRunAdmin(LongListAdmin):
    made_by = _("Nobody enters these by hand: a run writes its own. Ask for one by “Run now”.")
    list_display = ("began", "company", "state", "took", "read", "counted", "problem", "by")
    list_filter = (CompanyFilter, "status", "database_only")
    search_fields = ("error", "runner", "=case_id")
    date_hierarchy = "started_at"
    actions_list = ("run_now",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "empresa",
                    "state",
                    "problem_told",
                    "extract",
                    "database_only",
                    "full",
                    "by",
                    "started_at",
                    "finished_at",
                    "took",
                )
            },
        ),
        (_("Counted"), {"fields": ("counts",)}),
        (_("Faults"), {"fields": ("refused",)}),
        (_("Warnings"), {"fields": ("warned",)}),
        (_("What happened"), {"fields": ("events",)}),
    )
    readonly_fields = ("state", "problem_told", "took", "by", *TABLES)

    def has_operate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(operate_permission(PostProcessingRun))

    @action(description=_("Run now"), permissions=["operate"], icon="play_arrow")
    def run_now(self, request: HttpRequest) -> HttpResponse:
        """Of which company, and how, is asked there."""
        return redirect("pqr")

    @display(description=_("started"), ordering="id")
    def began(self, row: PostProcessingRun) -> SafeString:
        return moment(row.started_at)

    @display(description=_("company"), ordering="empresa")
    def company(self, row: PostProcessingRun) -> SafeString:
        how = [
            (row.extract, _("extract")),
            (row.database_only, _("database only")),
            (row.full, _("full")),
        ]
        return pair(row.empresa, ", ".join(str(name) for is_so, name in how if is_so))

    @display(description=_("status"), ordering="status")
    def state(self, row: PostProcessingRun) -> SafeString:
        return badge(row.status, row.get_status_display(), row.tone)

    @display(description=_("seconds"))
    def took(self, row: PostProcessingRun) -> str | SafeString:
        return NOTHING if row.status in row.NOT_BEGUN else f"{row.seconds:.1f}"

    @display(description=_("files read"), ordering="files_read")
    def read(self, row: PostProcessingRun) -> SafeString:
        """Of how many."""
        return format_html('<span class="nowrap">{} / {}</span>', row.files_read, row.files)

    @display(description=_("counted"))
    def counted(self, row: PostProcessingRun) -> SafeString:
        if row.status in row.NOT_BEGUN:
            return NOTHING
        found = [(_label(name), getattr(row, name)) for name in TOLD if getattr(row, name)]
        return brief(", ".join(f"{name} {count}" for name, count in found) or str(_("no change")))

    @display(description=_("error"))
    def problem(self, row: PostProcessingRun) -> SafeString:
        return brief(sentences.told(row.error))

    @display(description=_("error"))
    def problem_told(self, row: PostProcessingRun) -> str:
        return sentences.told(row.error) or "-"

    @display(description=_("run by"), ordering="runner")
    def by(self, row: PostProcessingRun) -> str:
        """As events tell who acted."""
        kind, _colon, name = row.runner.partition(":")
        known = ActorKind(kind).label if kind in ActorKind.values else kind
        return f"{known} {name}".strip() or "-"

    @display(description=_("counts"))
    def counts(self, row: PostProcessingRun) -> SafeString:
        lines = [(_label(name), getattr(row, name)) for name in COUNTS]
        return plain_table((_("what"), _("how many")), lines)

    @display(description=_("faults"))
    def refused(self, row: PostProcessingRun) -> SafeString:
        return _table(row.faults, row.db_errors + row.s3_errors)

    @display(description=_("warnings"))
    def warned(self, row: PostProcessingRun) -> SafeString:
        return _table(row.warnings, len(row.warnings))

    @display(description=_("thread"))
    def events(self, row: PostProcessingRun) -> SafeString:
        return thread(row.case_id)


def _label(name: str) -> Any:
    field: Any = PostProcessingRun._meta.get_field(name)
    return field.verbose_name


def _table(faults: list[dict[str, Any]], count: int) -> SafeString:
    """The first of them; `count` is how many there were."""
    lines = [
        (one.get("file", ""), one.get("record") or "-", sentences.told(str(one.get("reason", ""))))
        for one in faults[:SHOWN]
    ]
    table = plain_table((_("file"), _("record"), _("why")), lines)
    more = count - len(lines)
    if more <= 0:
        return table
    return format_html("{}<p>{}</p>", table, _("and %(n)d more") % {"n": more})
