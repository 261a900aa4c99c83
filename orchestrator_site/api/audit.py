"""The audit in the API: for administrators."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request

from orchestrator_site import exporting
from orchestrator_site.api.errors import Conflict
from orchestrator_site.api.pagination import IdCursorPagination
from orchestrator_site.api.views import ErrorSerializer, ReadOnlyViewSet
from orchestrator_site.audit_exporting import COLUMNS, lines
from orchestrator_site.models import AuditEntry

KIND = OpenApiParameter(
    "kind", location=OpenApiParameter.PATH, enum=list(exporting.FORMATS), type=str
)


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    before = serializers.DictField(read_only=True)
    after = serializers.DictField(read_only=True)

    class Meta:
        model = AuditEntry
        fields = COLUMNS


class AuditFilter(filters.FilterSet):
    at_from = filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    at_until = filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")

    class Meta:
        model = AuditEntry
        fields = ("actor", "actor_kind", "action", "object_type", "object_id", "case_id")


class NumberCursorPagination(IdCursorPagination):
    ordering = "-number"


class AuditViewSet(ReadOnlyViewSet):
    """Who did and changed what, sealed in a chain of hashes; what happened in the last minute may
    not be there yet."""

    queryset = AuditEntry.objects.all()
    serializer_class = AuditEntrySerializer
    pagination_class = NumberCursorPagination
    filterset_class = AuditFilter
    lookup_value_regex = r"\d{1,18}"

    @extend_schema(
        parameters=[KIND],
        responses={
            **{
                (200, one.content_type.partition(";")[0]): OpenApiTypes.BINARY
                for one in exporting.FORMATS.values()
            },
            409: ErrorSerializer,
        },
    )
    @action(
        detail=False,
        url_path=f"export/(?P<kind>{'|'.join(exporting.FORMATS)})",
        pagination_class=None,
    )
    def export(self, request: Request, kind: str, **kwargs: Any) -> FileResponse:
        """All that the filters let through as a file, oldest entry first."""
        entries = self.filter_queryset(self.get_queryset())
        try:
            return exporting.download(lines(entries, kind), "audit", kind)
        except ValueError as error:
            raise Conflict(str(error)) from error
