"""The pages of the post-processing: how its companies stand, and what can be asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.db.models import Sum
from django.db.models.functions import TruncDate
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from django.views.decorators.http import require_POST

from postprocessing import asking, reporting
from postprocessing.admin.verifications import differences_url, label, percent
from postprocessing.companies import Company
from postprocessing.models import (
    Difference,
    PostProcessingRun,
    S3File,
    UnknownCompany,
    companies,
    company_called,
    model_of,
)
from postprocessing.reporting import COUNTS, CompanyReport

LOOK, OPERATE = "postprocessing.view_postprocessingrun", "postprocessing.operate_postprocessingrun"
DAYS = 30
FAULTS = 5  # of the last run on the company's page
DATABASE = {
    "db_inserted": (gettext_lazy("inserted"), "#2563eb"),
    "db_updated": (pgettext_lazy("records", "updated"), "#7c3aed"),
    "db_duplicates": (gettext_lazy("duplicates"), "#94a3b8"),
    "db_errors": (pgettext_lazy("records", "refused"), "#dc2626"),
}
BUCKET = {
    "s3_uploaded": (pgettext_lazy("files", "uploaded"), "#2563eb"),
    "s3_simulated": (gettext_lazy("simulated"), "#94a3b8"),
    "s3_errors": (gettext_lazy("not uploaded"), "#dc2626"),
}
AXIS = {"stacked": True, "grid": {"display": True}, "ticks": {"color": "#9ca3af", "precision": 0}}
OPTIONS = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "plugins": {
        "legend": {
            "position": "bottom",
            "labels": {"boxHeight": 8, "boxWidth": 8, "color": "#9ca3af"},
        }
    },
    "scales": {"x": {**AXIS, "grid": {"display": False}}, "y": {**AXIS, "beginAtZero": True}},
}


@dataclass(frozen=True)
class Found:
    """Differences of a kind in the last verification, and the list of them."""

    label: str
    tone: str
    count: int
    url: str


@dataclass(frozen=True)
class Card:
    """How a company stands."""

    report: CompanyReport
    in_table: Any
    in_bucket: Any
    found: list[Found]

    @property
    def company(self) -> Company:
        return self.report.company

    @property
    def differing(self) -> int:
        """Differences that the last verification found."""
        return sum(one.count for one in self.found)

    @property
    def differing_url(self) -> str:
        last = self.report.last_verification
        return differences_url(last) if last else ""

    @property
    def is_new(self) -> bool:
        """Nothing was ever done with it."""
        return self.report.last_run is None and not self.report.rows

    @property
    def registered(self) -> list[Found]:
        """Files by their upload status, where there are any."""
        url = reverse("admin:postprocessing_s3file_changelist")
        return [
            Found(
                str(one.label),
                S3File.TONES[one],
                count,
                f"{url}?empresa={self.company.name}&status__exact={one}",
            )
            for one in S3File.Status
            if (count := self.report.registry[one])
        ]


def overview(request: HttpRequest) -> HttpResponse:
    """A card a company."""
    _check(request)
    context = {
        **admin.site.each_context(request),
        "title": _("Post-processing"),
        "cards": [card_of(one) for one in companies()],
        "is_simulated": reporting.is_simulated(),
        "undeclared": reporting.undeclared(),
        "folder": settings.DOWNLOADS_DIR,
    }
    return TemplateResponse(request, "admin/postprocessing/overview.html", context)


def company(request: HttpRequest, name: str) -> HttpResponse:
    """One of them: with its last month, and what went wrong."""
    _check(request)
    known = _company(name)
    card = card_of(known)
    last = card.report.last_run
    days = by_day(known, timezone.localtime())
    context = {
        **admin.site.each_context(request),
        "title": known.title,
        "card": card,
        "is_simulated": card.report.is_simulated,
        "faults": last.faults[:FAULTS] if last else [],
        "lists": _lists(known),
        "database": chart(days, DATABASE),
        "bucket": chart(days, BUCKET),
        "options": json.dumps(OPTIONS),
        "totals": _totals(days),
        "days": DAYS,
    }
    return TemplateResponse(request, "admin/postprocessing/company.html", context)


@require_POST
@permission_required(OPERATE, login_url="admin:login", raise_exception=True)
def ask(request: HttpRequest) -> HttpResponse:
    """Run now, Extract now and Verify now."""
    known = _company(request.POST.get("company", ""))
    asked = request.POST.get("do")
    database_only, full = (name in request.POST for name in ("database_only", "full"))
    if asked == "run":
        asking.process(known.name, database_only, full)
        text = _("A run of %(company)s was asked for: it begins within seconds.")
        messages.success(request, text % {"company": known.title})
    elif asked == "extract":
        asking.extract(known.name, database_only)
        text = _("An extraction of %(company)s was asked for: it begins within seconds.")
        messages.success(request, text % {"company": known.title})
    elif asked == "verify":
        asking.verify(known.name)
        text = _("A verification of %(company)s was asked for: it begins within seconds.")
        messages.success(request, text % {"company": known.title})
    return redirect("pqr-company", name=known.name)


def _check(request: HttpRequest) -> None:
    if not request.user.has_perm(LOOK):
        raise PermissionDenied


def _company(name: str) -> Company:
    try:
        return company_called(name)
    except UnknownCompany as error:
        raise Http404(str(error)) from error


# --- What is shown --------------------------------------------------------------------------------


def card_of(known: Company) -> Card:
    report = reporting.report_of(known)
    last = report.last_verification
    return Card(
        report=report,
        in_table=percent(last.coverage_database) if last else None,
        in_bucket=percent(last.coverage_s3) if last else None,
        found=[
            Found(label(kind), _tone(kind), count, differences_url(last, kind))
            for kind, count in last.found.items()
            if count
        ]
        if last
        else [],
    )


def _tone(kind: str) -> str:
    return "bad" if kind in Difference.REPAIRS else "warn"


def _lists(known: Company) -> list[tuple[str, str, str]]:
    """Its lists: icon, name, address."""
    meta = model_of(known)._meta
    of = f"?empresa={known.name}"
    return [
        ("description", capfirst(meta.verbose_name_plural), _changelist(meta.model_name)),
        ("history", _("Post-processing runs"), _changelist("postprocessingrun") + of),
        ("cloud", _("S3 files"), _changelist("s3file") + of),
        ("data_object", _("PQR files"), _changelist("sourcefile") + of),
        ("fact_check", _("Verifications"), _changelist("verification") + of),
        ("difference", _("Differences"), _changelist("difference") + of),
    ]


def _changelist(name: str) -> str:
    return reverse(f"admin:postprocessing_{name}_changelist")


def by_day(known: Company, now: datetime) -> list[dict[str, Any]]:
    """What the runs of each of the last days counted, the oldest day first; 0 where none ran.
    Days are the reader's."""
    days = [now.date() - timedelta(days=back) for back in reversed(range(DAYS))]
    begin = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1)
    runs = PostProcessingRun.objects.filter(empresa=known.name, started_at__gte=begin).order_by()
    summed = runs.annotate(day=TruncDate("started_at")).values("day")
    sums: Any = {row["day"]: row for row in summed.annotate(**{n: Sum(n) for n in COUNTS})}
    nothing = dict.fromkeys(COUNTS, 0)
    return [{**nothing, **sums.get(day, {}), "day": day} for day in days]


def chart(days: list[dict[str, Any]], shown: dict[str, tuple[Any, str]]) -> str:
    """As Chart.js wants it."""
    datasets = [
        {"label": str(name), "data": [one[key] for one in days], "backgroundColor": colour}
        for key, (name, colour) in shown.items()
    ]
    labels = [f"{one['day']:%d.%m.}" for one in days]
    return json.dumps({"labels": labels, "datasets": datasets})


def _totals(days: list[dict[str, Any]]) -> list[tuple[Any, int]]:
    shown = {**DATABASE, **BUCKET}
    return [(name, sum(one[key] for one in days)) for key, (name, _colour) in shown.items()]
