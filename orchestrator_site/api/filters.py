"""Filters of lists: one that nobody knows is refused, so that no script takes all for some."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

OTHERS = ("cursor", "page_size", "format")


class KnownFilterBackend(DjangoFilterBackend):
    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> Any:
        if not request.query_params:
            return queryset
        filterset = self.get_filterset(request, queryset, view)
        known = sorted(filterset.filters) if filterset else []
        if unknown := sorted(set(request.query_params) - set(known) - set(OTHERS)):
            told = _("There is no such filter. There are: %(names)s.")
            message = told % {"names": ", ".join(known) or _("none")}
            raise ValidationError({name: [message] for name in unknown})
        return super().filter_queryset(request, queryset, view)
