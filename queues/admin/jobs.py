"""Jobs of organisations: what waits and why, what runs, what came of it."""

from __future__ import annotations

import json
import logging
import re
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError
from unfold.decorators import display

from orchestrator_site import sentences, tenancy
from orchestrator_site.admin import VerbAdmin, badge, moment
from orchestrator_site.admin.bases import sentence
from orchestrator_site.admin.lists import PeriodFilter, recent_values
from orchestrator_site.cells import NOTHING, brief, key, pair, plain_table
from queues import live
from queues.admin.evidence import evidence_of
from queues.admin.lists import LongListAdmin, thread
from queues.admin.steps import steps_table, told
from queues.browser import scripts
from queues.browser.runs import REPEATED
from queues.models import Job
from queues.verbs import JOB_VERBS

logger = logging.getLogger(__name__)
Status = Job.Status
HIDDEN = "•••"
NEXT_ATTEMPT = re.compile(re.escape(REPEATED).replace(r"\{number\}", r"(\d+)"))


@admin.register(Job)
class JobAdmin(VerbAdmin, LongListAdmin):
    verbs = JOB_VERBS
    made_by = _("Jobs are asked for over the API: POST /api/v1/run.")
    list_display = (
        "job",
        "state",
        "whose",
        "why",
        "tries",
        "since",
        "on",
    )
    list_filter = (
        "status",
        "organisation",
        recent_values("provider_name", _("provider")),
        "error_class",
        ("created_at", PeriodFilter),
    )
    list_filter_submit = True
    list_select_related = ("organisation", "user")
    search_fields = ("flow_name__exact", "user__email__exact", "worker__exact")
    search_help_text = _("A job's id, a flow, a user's e-mail, a worker.")
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("state", "why", "organisation", "user", "provider_name", "flow")}),
        (_("What it writes"), {"fields": ("lines",)}),
        (_("Results"), {"fields": ("evidence", "values")}),
        (_("What happened"), {"fields": ("events",)}),
        (_("What it was given"), {"fields": ("given", "metadata")}),
        (_("Script"), {"fields": ("steps", "script_hash", "key_id", "places", "needs_session")}),
        (
            _("In the queue"),
            {
                "fields": (
                    "case_id",
                    "priority",
                    "attempts",
                    "max_attempts",
                    "worker",
                    "available_at",
                    "deadline_at",
                    "created_at",
                    "published_at",
                    "started_at",
                    "intent_at",
                    "cancel_asked_at",
                    "processed_at",
                    "error_class",
                    "message",
                )
            },
        ),
    )
    readonly_fields = (
        *("state", "why", "flow", "lines", "evidence", "values", "events", "given", "steps"),
        *("places", "message"),
    )
    message = sentence("error_log", _("message"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without what may be long: a row's page reads it when it shows it."""
        rows = super().get_queryset(request).defer("script", "inputs", "metadata", "result")
        return tenancy.visible(rows, request.user)

    def get_urls(self) -> list[URLPattern]:
        lines = self.admin_site.admin_view(self.lines_view)
        return [
            path("<path:object_id>/lines/", lines, name="queues_job_lines"),
            *super().get_urls(),
        ]

    def lines_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The lines behind those that the page has, as a piece of it. Where the status is another
        by now, the page is to be loaded anew."""
        job = self.get_object(request, object_id)
        if job is None:
            raise Http404
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        text = request.GET.get("after", "")
        after = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
        answer = render(request, "admin/jobs/lines.html", _written(job, after))
        if request.GET.get("status") not in (None, job.status):
            answer["HX-Refresh"] = "true"
        return answer

    # --- The list ---------------------------------------------------------------------------------

    @display(description=_("job"), ordering="id")
    def job(self, row: Job) -> SafeString:
        """What it does, and the end of its id: the beginnings are alike for jobs of a moment."""
        short = format_html('<span title="{}">…{}</span>', row.case_id, str(row.case_id)[-12:])
        does = f"{row.provider_name} · {row.flow_name} {row.flow_version}"
        return pair(key(does), short)

    @display(description=_("status"), ordering="status")
    def state(self, row: Job) -> SafeString:
        shown = badge(row.status, row.get_status_display(), row.tone)
        if row.cancel_asked_at is None or row.status not in Job.LIVE:
            return shown
        return shown + mark_safe(" ") + badge("cancel", _("Cancel asked"), "warn")

    @display(description=_("organisation"), ordering="organisation__name")
    def whose(self, row: Job) -> SafeString:
        return pair(brief(row.organisation.name), key(row.user.get_username()))

    @display(description=_("why"))
    def why(self, row: Job) -> SafeString:
        if not row.error_log:
            return NOTHING
        text = sentences.told(row.error_log)
        return brief(f"{row.get_error_class_display()}: {text}" if row.error_class else text)

    @display(description=_("attempts"), ordering="attempts")
    def tries(self, row: Job) -> SafeString:
        """With its priority, where it has one."""
        is_shown = row.attempts or row.priority
        tried = f"{row.attempts}/{row.max_attempts}" if is_shown else NOTHING
        return pair(tried, _("priority %(n)d") % {"n": row.priority} if row.priority else "")

    @display(description=_("since"), ordering="created_at")
    def since(self, row: Job) -> SafeString:
        """Since when it is in its state, as far as that is known."""
        if row.status == Status.RUNNING:
            return moment(row.started_at)
        return moment(row.processed_at or row.created_at)

    @display(description=_("worker"), ordering="worker")
    def on(self, row: Job) -> SafeString:
        return key(row.worker)

    # --- A job's page -----------------------------------------------------------------------------

    @display(description=_("flow"))
    def flow(self, row: Job) -> str | SafeString:
        name = f"{row.flow_name} {row.flow_version}"
        try:
            url = reverse("admin:brain_flow_change", args=[row.flow_id])
        except NoReverseMatch:
            return name
        return format_html('<a href="{}">{}</a>', url, name)

    @display(description=_("lines"))
    def lines(self, row: Job) -> SafeString:
        shown = render_to_string("admin/jobs/lines.html", _written(row, 0))
        box = '<div class="log" role="log" tabindex="0" aria-label="{}"><div>{}</div></div>'
        return format_html(box, _("What it writes"), mark_safe(shown))

    @display(description=_("evidence"))
    def evidence(self, row: Job) -> SafeString:
        return evidence_of(row)

    @display(description=_("values"))
    def values(self, row: Job) -> SafeString:
        return _pairs(row.result.get("values") or {})

    @display(description=_("thread"))
    def events(self, row: Job) -> SafeString:
        return thread(row.case_id)

    @display(description=_("inputs"))
    def given(self, row: Job) -> SafeString:
        """Only what its script takes for no secret: what no step uses may be one."""
        plain = plain_names(row)
        return _pairs({name: v if name in plain else HIDDEN for name, v in row.inputs.items()})

    @display(description=_("steps"))
    def steps(self, row: Job) -> SafeString:
        """As they stand in the script, whether or not it has its hash still."""
        steps = _steps(row)
        return steps_table(steps) if steps else format_html("<pre>{}</pre>", row.script)

    @display(description=_("hosts"))
    def places(self, row: Job) -> str:
        return ", ".join(row.hosts) or "-"


def _written(job: Job, after: int) -> dict[str, Any]:
    """For the piece of the page that shows lines, and asks for more of them."""
    try:
        found, is_lost = live.lines(job, after), False
    except RedisError:
        logger.exception("the lines of job %s cannot be read", job.case_id)
        found, is_lost = [], True
    asked = urlencode({"after": after + len(found), "status": job.status})
    return {
        "lines": list(map(_line, found)),
        "is_first": after == 0,
        "is_lost": is_lost,
        "is_live": job.status in Job.LIVE,
        "next": f"{reverse('admin:queues_job_lines', args=[job.pk])}?{asked}",
    }


def _line(line: str) -> str | SafeString:
    """The one before those of a repeated attempt stands out."""
    found = NEXT_ATTEMPT.fullmatch(line)
    if not found:
        return line
    return format_html("<strong>{}</strong>", _("attempt %(n)d") % {"n": int(found[1])})


def _steps(job: Job) -> list[dict[str, Any]]:
    """Empty where the script is none any more."""
    try:
        steps = json.loads(job.script)
        scripts.validate(steps)
    except (ValueError, RecursionError, scripts.InvalidSteps):
        return []
    return steps


def plain_names(job: Job) -> set[str]:
    """The inputs that the script uses, and never as a secret."""
    parts = [name.split(".")[:2] for name in scripts.placeholders(_steps(job))]
    secret = {name for root, *names in parts if root == "secret" for name in names}
    return {name for root, *names in parts if root == "payload" for name in names} - secret


def _pairs(values: dict[str, Any]) -> SafeString:
    lines = (
        (format_html("<code>{}</code>", name), _value(value)) for name, value in values.items()
    )
    return plain_table((_("name"), _("value")), lines)


def _value(value: Any) -> str | SafeString:
    """A list of rows is told a line each."""
    if isinstance(value, list) and value:
        return format_html_join(mark_safe("<br>"), "{}", ((told(one),) for one in value))
    return told(value)
