"""Verifications and the differences that they found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.formats import get_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from orchestrator_site import sentences
from orchestrator_site.admin import VerbAdmin
from orchestrator_site.cells import NOTHING, badge, brief, moment, pair, plain_table
from orchestrator_site.verbs import operate_permission
from postprocessing.admin.filters import CompanyFilter
from postprocessing.admin.searching import IndexedSearchAdmin
from postprocessing.models import Difference, Verification, companies
from postprocessing.verbs import DIFFERENCE_VERBS, VERIFICATION_VERBS
from queues.admin.lists import LongListAdmin, link

OF_ONE = "verification__id__exact"  # in the address of a list of differences
LISTED = 200  # differences on the page of their verification
TONES = {
    Difference.Repair.NONE: "warn",
    Difference.Repair.LOAD: "bad",
    Difference.Repair.UPLOAD: "bad",
    Difference.Repair.REGISTER: "bad",
}


def percent(coverage: float | None) -> str | SafeString:
    if coverage is None:
        return NOTHING
    point = get_format("DECIMAL_SEPARATOR")
    return f"{int(coverage * 100) / 100:g} %".replace(".", point)


def _told(row: Difference) -> str:
    """Each line is a sentence: of a file, or of one of its records."""
    return "; ".join(sentences.told(line) for line in row.detail.splitlines())


def differences_url(row: Verification, kind: str = "") -> str:
    """The list of what it found, or of one kind of it."""
    url = reverse("admin:postprocessing_difference_changelist")
    return f"{url}?{OF_ONE}={row.pk}" + (f"&kind__exact={kind}" if kind else "")


@admin.register(Verification)
class VerificationAdmin(VerbAdmin, LongListAdmin):
    verbs = VERIFICATION_VERBS
    made_by = _("Nobody enters these by hand: ask for one by “Verify now”.")
    list_display = ("compared", "empresa", "in_table", "in_bucket", "differ", "problem")
    list_filter = (CompanyFilter,)
    date_hierarchy = "at"
    actions_list = ("verify_now",)
    fieldsets = (
        (None, {"fields": ("empresa", "at", "seconds", "in_table", "in_bucket", "error")}),
        (
            _("Counted"),
            {
                "fields": (
                    "files",
                    "json_files",
                    "files_loaded",
                    "rows",
                    "objects_there",
                    "objects_listed",
                )
            },
        ),
        (_("Differences"), {"fields": ("kinds", "lists")}),
    )
    readonly_fields = ("in_table", "in_bucket", "kinds", "lists")

    def has_operate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(operate_permission(Difference))

    @action(description=_("Verify now"), permissions=["operate"], icon="fact_check")
    def verify_now(self, request: HttpRequest) -> HttpResponse:
        """Of which company is asked there."""
        return redirect("pqr")

    @display(description=_("at"), ordering="id")
    def compared(self, row: Verification) -> SafeString:
        return moment(row.at)

    @display(description=_("in the table"))
    def in_table(self, row: Verification) -> str | SafeString:
        return percent(row.coverage_database)

    @display(description=_("in the bucket"))
    def in_bucket(self, row: Verification) -> str | SafeString:
        if row.is_simulated:
            return badge("simulated", _("Simulated"), "off")
        return percent(row.coverage_s3)

    @display(description=_("differences"))
    def differ(self, row: Verification) -> SafeString:
        if not any(row.found.values()):
            return badge("none", _("none"), "ok" if not row.error else "off")
        return brief(", ".join(f"{label(kind)}: {n}" for kind, n in row.found.items() if n))

    @display(description=_("error"))
    def problem(self, row: Verification) -> SafeString:
        return brief(sentences.told(row.error))

    @display(description=_("by kind"))
    def kinds(self, row: Verification) -> SafeString:
        lines = [
            (format_html('<a href="{}">{}</a>', differences_url(row, kind), label(kind)), n)
            for kind, n in row.found.items()
            if n
        ]
        return plain_table((_("difference"), _("how many")), lines)

    @display(description=_("the first of them"))
    def lists(self, row: Verification) -> SafeString:
        heads = (_("difference"), _("file"), _("detail"), _("repair"), _("repaired"))
        lines = [
            (
                link(one, one.get_kind_display()),
                one.filename or one.s3_key,
                brief(sentences.told(one.detail)),
                Difference.Repair(one.repair).label,
                moment(one.repaired_at),
            )
            for one in row.differences.all()[:LISTED]
        ]
        return plain_table(heads, lines)


class RepairedFilter(admin.SimpleListFilter):
    title = _("repaired")
    parameter_name = "repaired"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("no", _("Not repaired")), ("yes", _("Repaired"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() in ("yes", "no"):
            return queryset.filter(repaired_at__isnull=self.value() == "no")
        return queryset


class CompanyOfVerification(CompanyFilter):
    field = "verification__empresa"


class WhichFilter(admin.SimpleListFilter):
    """Those of each company's last verification, unless all are asked for, or those of one."""

    title = _("verification")
    parameter_name = "which"

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        self.is_of_one = OF_ONE in request.GET
        super().__init__(request, *args)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("all", _("All verifications"))]

    def choices(self, changelist: Any) -> Iterator[Any]:
        last, every = super().choices(changelist)
        last["display"] = _("Last verification")
        last["selected"] = self.value() is None and not self.is_of_one
        yield from (last, every)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all" or self.is_of_one:
            return queryset
        rows = (Verification.objects.filter(empresa=one.name).first() for one in companies())
        return queryset.filter(verification__in=[row for row in rows if row])


@admin.register(Difference)
class DifferenceAdmin(VerbAdmin, IndexedSearchAdmin):
    verbs = DIFFERENCE_VERBS
    made_by = _("Nobody enters these by hand: verifications find them.")
    list_display = ("file", "what_and_repair", "told", "found", "mended")
    list_filter = (WhichFilter, "kind", RepairedFilter, CompanyOfVerification)
    list_select_related = ("verification",)
    ordering = ("-verification_id", "kind", "id")
    search_fields = ("filename__startswith", "s3_key__startswith")
    search_help_text = _("How the name of a file begins, or a key.")
    fields = ("verification", "what", "filename", "s3_key", "detail_told", "mends", "mended")
    readonly_fields = ("what", "detail_told", "mends", "mended")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """A verification's page leads to its own."""
        return lookup == OF_ONE or super().lookup_allowed(lookup, value, request)

    @display(description=_("file"), ordering="filename")
    def file(self, row: Difference) -> SafeString:
        name = format_html('<span class="key">{}</span>', row.filename or row.s3_key)
        return pair(name, row.verification.empresa)

    @display(description=_("difference"), ordering="kind")
    def what(self, row: Difference) -> SafeString:
        tone = "ok" if row.repaired_at else TONES[Difference.Repair(row.repair)]
        return badge(row.kind, row.get_kind_display(), tone)

    @display(description=_("difference"), ordering="kind")
    def what_and_repair(self, row: Difference) -> SafeString:
        return pair(self.what(row), self.mends(row))

    @display(description=_("detail"))
    def told(self, row: Difference) -> SafeString:
        return brief(_told(row))

    @display(description=_("detail"))
    def detail_told(self, row: Difference) -> str:
        return _told(row) or "-"

    @display(description=_("repair"))
    def mends(self, row: Difference) -> str:
        return str(Difference.Repair(row.repair).label)

    @display(description=_("found"), ordering="verification_id")
    def found(self, row: Difference) -> SafeString:
        return moment(row.verification.at)

    @display(description=_("repaired"), ordering="repaired_at")
    def mended(self, row: Difference) -> SafeString:
        return moment(row.repaired_at)


def label(kind: str) -> str:
    """A kind in words; one that is no more as it is."""
    return str(Difference.Kind(kind).label) if kind in Difference.Kind.values else kind
