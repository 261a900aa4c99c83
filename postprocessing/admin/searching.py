"""Search in lists that have no end: only in ways that an index answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from queues.admin.lists import LongListAdmin


class IndexedSearchAdmin(LongListAdmin):
    """What is looked for is one text, not words: a field is it (`exact`, in capitals or small
    letters too), or begins with it (`startswith`, `istartswith`)."""

    search_fields: Sequence[str] = ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.replace("\0", "").strip().strip("\"'")
        return (queryset.filter(self.meant_by(term)) if term else queryset), False

    def meant_by(self, term: str) -> Q:
        meant = Q(pk__in=[])
        for name in self.search_fields:
            field, _separator, lookup = name.partition("__")
            if lookup == "exact":
                meant |= Q(**{f"{field}__in": sorted({term, term.upper(), term.lower()})})
            else:
                meant |= Q(**{name: term})
        with suppress(ValueError):
            meant |= self.of_case(UUID(term))
        return meant

    def of_case(self, case_id: UUID) -> Q:
        """The rows of a case, where rows have one."""
        return Q(case_id=case_id) if hasattr(self.model, "case_id") else Q(pk__in=[])
