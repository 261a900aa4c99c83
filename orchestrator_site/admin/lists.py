"""Lists that have no end: how far they are counted, what they are found and sorted by.

Beside a million rows only what an index answers is cheap. So a search is for one text, which a
field equals or begins with; a filter's values are known without reading the rows; and a long list
is sorted only by what stands in order already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, time, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.paginator import Page, Paginator
from django.db import connection
from django.db.models import DateTimeField, Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.utils import parse_date_str
from unfold.views import ChangeList

from orchestrator_site.admin.bases import ReadOnlyAdmin

COUNTED = 10_000  # rows; so far anybody turns pages
SKIPPED = 1000  # rows that are read for nothing
FOUND = 1000  # rows of another table whose own rows a search looks for
LOOKED_AT = 5000  # rows, the newest
MOST = 50  # values to choose from
LOOKUPS = ("exact", "startswith", "istartswith")


class CappedPaginator(Paginator):
    """Counts no further than anybody turns pages: to count a million rows takes seconds."""

    @cached_property
    def count(self) -> int:
        return min(self._counted, COUNTED)

    def page(self, number: int | str) -> Page:
        """Further on the keys come first: to skip rows would join and read each of them."""
        number = self.validate_number(number)
        begin = (number - 1) * self.per_page
        if begin < SKIPPED:
            return super().page(number)
        rows: Any = self.object_list
        keys = rows.values_list("pk", flat=True)[begin : min(begin + self.per_page, self.count)]
        return Page(rows.filter(pk__in=list(keys)), number, self)

    @property
    def is_capped(self) -> bool:
        """There are more rows than it counts."""
        return self._counted > COUNTED

    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list
        return rows.order_by()[: COUNTED + 1].count()


class LongChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        """How many rows there are besides those that fit is not known, and not told."""
        super().get_results(request)
        self.full_result_count = self.result_count

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Without what a long list cannot be sorted by, whatever the address says."""
        asked = super().get_ordering(request, queryset)
        fit = ordered_by(self.model)
        kept = [one for one in asked if str(one).lstrip("-") in fit]
        if kept == asked or not is_long(self.model):
            return asked
        return kept if kept != ["-pk"] else [*self._get_default_ordering(), "-pk"]


class LongListAdmin(ReadOnlyAdmin):
    """A table of a machine's with no end.

    `search_fields`: `field__exact` (in capitals or small letters too), `field__startswith` (as
    typed or in capitals), `field__istartswith`; a case is found by its id anyway. Of another
    table: `relation__field__exact`. With any other lookup they are Django's own, for a list that
    is long seldom.
    """

    paginator = CappedPaginator
    list_filter_submit = False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LongChangeList

    def get_sortable_by(self, request: HttpRequest) -> Any:
        offered = super().get_sortable_by(request)
        if not is_long(self.model):
            return offered
        return [name for name in offered if self._order_of(name) in ordered_by(self.model)]

    def _order_of(self, name: str) -> str:
        shown = getattr(self, name, None)
        return str(getattr(shown, "admin_order_field", name)).lstrip("-")

    def get_ordering(self, request: HttpRequest) -> Any:
        """By the time that a period is asked of: its index has the rows and their order."""
        for field in self._periods():
            if request.GET.get(f"{field}_from") or request.GET.get(f"{field}_to"):
                return (f"-{field}", "-pk")
        return super().get_ordering(request)

    def _periods(self) -> list[str]:
        pairs: Iterable[Any] = self.list_filter
        return [one[0] for one in pairs if isinstance(one, tuple) and one[1] is PeriodFilter]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not all(name.rpartition("__")[2] in LOOKUPS for name in self.search_fields):
            return super().get_search_results(request, queryset, search_term)
        term = search_term.replace("\0", "").strip().strip("\"'")
        return (queryset.filter(self.meant_by(term)) if term else queryset), False

    def meant_by(self, term: str) -> Q:
        """The rows that a person means by it."""
        meant = Q(pk__in=[])
        for name in self.search_fields:
            meant |= matching(self.model, name, term)
        with suppress(ValueError):
            meant |= self.of_case(UUID(term))
        return meant

    def of_case(self, case_id: UUID) -> Q:
        """The rows of a case, where rows have one."""
        return Q(case_id=case_id) if hasattr(self.model, "case_id") else Q(pk__in=[])


def matching(model: type[Model], name: str, term: str) -> Q:
    """The rows whose `field__lookup` the term is; none where it is no value of the field."""
    path, _separator, lookup = name.rpartition("__")
    first, _separator, rest = path.partition("__")
    if rest and (field := model._meta.get_field(first)).is_relation:
        # By keys: a join inside of an OR would use no index.
        return Q(**{f"{first}__in": _keys(field, f"{rest}__{lookup}", term)})
    if lookup == "startswith":
        return Q(**{name: term}) | Q(**{name: term.upper()})
    if lookup != "exact":
        return Q(**{name: term})
    values = _values(model._meta.get_field(path), term)
    return Q(**{f"{path}__in": values}) if values else Q(pk__in=[])


def _keys(field: Any, name: str, term: str) -> list[Any]:
    rows = field.related_model._default_manager.filter(matching(field.related_model, name, term))
    return list(rows.order_by().values_list(field.target_field.attname, flat=True)[:FOUND])


def _values(field: Any, term: str) -> list[Any]:
    """What the term may mean as a value of the field."""
    if field.get_internal_type() in ("CharField", "TextField"):
        return sorted({term, term.upper(), term.lower()})
    try:
        value = field.clean(field.to_python(term), None)
    except (ValidationError, ValueError):
        return []
    return [value]


# --- What stands in order -------------------------------------------------------------------------


def is_long(model: type[Model]) -> bool:
    """Whether there are more rows than are counted."""
    return model._base_manager.order_by("pk")[COUNTED : COUNTED + 1].exists()


@cache
def ordered_by(model: type[Model]) -> frozenset[str]:
    """What a long table can be sorted by: its key, and what has an index and hardly twice the same
    value. By a status, the first page would sort all rows of the first one."""
    meta = model._meta
    known = {field.name for field in meta.concrete_fields if _is_in_order(field)}
    for index in meta.indexes:
        field = meta.get_field(index.fields_orders[0][0]) if index.fields else None
        if isinstance(field, DateTimeField) and index.condition is None:
            known.add(field.name)
    return frozenset({"pk", *known})


def _is_in_order(field: Any) -> bool:
    return not field.is_relation and (field.unique or field.db_index)


# --- Filters --------------------------------------------------------------------------------------


class PeriodFilter(RangeDateFilter):
    """From the begin of a day to the end of a day, where the reader is. The field has an index;
    its admin says `list_filter_submit`."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        since, until = (self._day(end) for end in ("from", "to"))
        zone = timezone.get_current_timezone()
        if since:
            begin = datetime.combine(since, time.min, zone)
            queryset = queryset.filter(**{f"{self.field_path}__gte": begin})
        if until:
            end = datetime.combine(until + timedelta(days=1), time.min, zone)
            queryset = queryset.filter(**{f"{self.field_path}__lt": end})
        return queryset

    def _day(self, end: str) -> Any:
        try:
            return parse_date_str(self.used_parameters.get(f"{self.field_path}_{end}", ""))
        except ValueError:
            return None


class _OneValue(admin.SimpleListFilter):
    field: str

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.field: self.value()}) if self.value() else queryset


class _Indexed(_OneValue):
    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        found = distinct_values(model_admin.model, self.field)
        return [(str(value), self.named(value)) for value in found]

    def named(self, value: Any) -> Any:
        """What people call it."""
        return value


class _Recent(_OneValue):
    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        newest = model_admin.model._default_manager.order_by("-pk")[:LOOKED_AT]
        found = {value for value in newest.values_list(self.field, flat=True) if value}
        return [(str(value), value) for value in sorted(found)[:MOST]]


def indexed_values(name: str, title: Any, named: Any = None) -> type[_Indexed]:
    """A filter by all values of a field that an index begins with. `named`: how one is told."""
    values: dict[str, Any] = {"field": name, "parameter_name": name, "title": title}
    if named is not None:
        values["named"] = staticmethod(named)
    return type(f"Indexed_{name}", (_Indexed,), values)


def recent_values(name: str, title: Any) -> type[_Recent]:
    """A filter by the values among the newest rows: to look for all would be to read the table."""
    values = {"field": name, "parameter_name": name, "title": title}
    return type(f"Recent_{name}", (_Recent,), values)


def distinct_values(model: type[Model], name: str) -> list[Any]:
    """The first different values of a field, by its index: from each to the next one. DISTINCT
    would read every row."""
    quote = connection.ops.quote_name
    field: Any = model._meta.get_field(name)
    table, column = quote(model._meta.db_table), quote(field.column)
    statement = (
        f"WITH RECURSIVE found(value) AS (SELECT MIN({column}) FROM {table} UNION ALL"
        f" SELECT (SELECT MIN({column}) FROM {table} WHERE {column} > found.value)"
        f" FROM found WHERE found.value IS NOT NULL)"
        f" SELECT value FROM found WHERE value IS NOT NULL LIMIT {MOST}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [value for (value,) in cursor.fetchall()]
