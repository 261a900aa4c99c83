"""Filters of lists that have no end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.utils import parse_date_str

from postprocessing.companies import Company
from postprocessing.models import companies
from postprocessing.models.complaint import is_one_of

LOOKED_AT = 5000  # rows, the newest
MOST = 50  # values to choose from


class CompanyFilter(admin.SimpleListFilter):
    """Of the companies that there are: the rows are not asked."""

    title = _("company")
    parameter_name = "empresa"
    field = "empresa"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(one.name, one.title) for one in companies()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.field: self.value()}) if self.value() else queryset


class RecentValues(admin.SimpleListFilter):
    """The values of a complaint's text among the newest rows: what outsiders wrote is no short
    list, and to look for all of it would be to read the table."""

    field: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterator[tuple[str, str]]:
        newest = model_admin.model.objects.order_by("-id")[:LOOKED_AT]
        found = sorted({value for value in newest.values_list(self.field, flat=True) if value})
        return ((value, value) for value in found[:MOST])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(is_one_of(self.field, [value])) if value else queryset


def recent_values(name: str) -> type[RecentValues]:
    values = {"field": name, "parameter_name": name, "title": name}
    return type(f"Recent_{name}", (RecentValues,), values)


class DayRangeFilter(RangeDateFilter):
    """From the begin of a day to the end of a day, where the company is."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        company: Company = queryset.model.company
        since, until = (self._day(end) for end in ("from", "to"))
        if since:
            begin = datetime.combine(since, time.min, company.zone)
            queryset = queryset.filter(**{f"{self.field_path}__gte": begin})
        if until:
            end = datetime.combine(until + timedelta(days=1), time.min, company.zone)
            queryset = queryset.filter(**{f"{self.field_path}__lt": end})
        return queryset

    def _day(self, end: str) -> Any:
        return parse_date_str(self.used_parameters.get(f"{self.field_path}_{end}", ""))
