"""The search and the cases over the API, for our own staff."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator_site.api.errors import TooLarge
from orchestrator_site.api.views import ErrorSerializer
from orchestrator_site.dashboard.case import archive, finding
from orchestrator_site.dashboard.case.hops import Stand
from orchestrator_site.dashboard.case.page import zipped
from orchestrator_site.dashboard.case.story import NoSuchCase, Story, read
from orchestrator_site.tenancy import organisation_of

EVENTS = 200


class OurStaff(BasePermission):
    """What each of them may see is asked row by row. Members of organisations have their own
    lists."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        return bool(user and user.is_staff) and organisation_of(user) is None


class HopSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    stand = serializers.ChoiceField([(str(one), str(one)) for one in Stand])
    at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField(allow_blank=True)


class SectionSerializer(serializers.Serializer[Any]):
    """`facts` by name; `tables` by name, each a list of rows."""

    name = serializers.CharField()
    title = serializers.CharField()
    facts = serializers.DictField()
    tables = serializers.DictField(child=serializers.ListField(child=serializers.DictField()))


class CaseFileSerializer(serializers.Serializer[Any]):
    """`name`: in the archive."""

    name = serializers.CharField()
    kind = serializers.CharField()
    attempt = serializers.IntegerField()
    size = serializers.IntegerField(allow_null=True)
    sha256 = serializers.CharField(allow_blank=True)


class CaseEventSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor_kind = serializers.CharField()
    actor = serializers.CharField(allow_blank=True)
    object_type = serializers.CharField()
    object_id = serializers.CharField()
    old = serializers.CharField(allow_blank=True)
    new = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_blank=True)
    data = serializers.JSONField()  # type: ignore[assignment]


class CaseSerializer(serializers.Serializer[Any]):
    """`waits`: why it is where it is, in one sentence. `events`: the latest, the newest first;
    where there are more, `events/?case_id=` has them all."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    kind_title = serializers.CharField()
    title = serializers.CharField()
    state = serializers.CharField(allow_blank=True)
    state_title = serializers.CharField(allow_blank=True)
    waits = serializers.CharField(allow_blank=True)
    hops = HopSerializer(many=True)
    sections = SectionSerializer(many=True)
    files = CaseFileSerializer(many=True)
    events = CaseEventSerializer(many=True)
    has_more_events = serializers.BooleanField()


class AskedSerializer(serializers.Serializer[Any]):
    q = serializers.CharField(max_length=finding.LONGEST)


class FoundSerializer(serializers.Serializer[Any]):
    """`case_id`: null where the row has no case of its own."""

    kind = serializers.CharField()
    kind_title = serializers.CharField()
    title = serializers.CharField()
    state = serializers.CharField(allow_blank=True)
    case_id = serializers.UUIDField(allow_null=True)
    url = serializers.CharField()


class SearchResultSerializer(serializers.Serializer[Any]):
    results = FoundSerializer(many=True)


class CaseView(APIView):
    permission_classes = (OurStaff,)

    @extend_schema(operation_id="cases_retrieve", responses=CaseSerializer)
    def get(self, request: Request, case_id: UUID) -> Response:
        """One case across all systems: its way, its parts, its files, its latest events. Texts
        are in the language that is asked for."""
        return Response(_story(request, case_id).as_dict())


class ArchiveView(APIView):
    permission_classes = (OurStaff,)

    @extend_schema(
        operation_id="cases_archive",
        responses={(200, "application/zip"): OpenApiTypes.BINARY, 413: ErrorSerializer},
    )
    def get(self, request: Request, case_id: UUID) -> HttpResponseBase:
        """All of it as one zip with a manifest of hashes."""
        story = _story(request, case_id)
        try:
            archive.check(story)
        except archive.TooLarge as error:
            raise TooLarge(str(error)) from error
        return zipped(story)


class SearchView(APIView):
    permission_classes = (OurStaff,)

    @extend_schema(parameters=[AskedSerializer], responses=SearchResultSerializer)
    def get(self, request: Request) -> Response:
        """The rows that a text names: a case, a number, a CURP, a radicado, a device, a file."""
        asked = AskedSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        found = finding.find(asked.validated_data["q"], request.user.has_perm)
        return Response({"results": [as_dict(one) for one in found]})


def as_dict(found: finding.Found) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "kind_title": found.kind_title,
        "title": found.title,
        "state": found.state.value if found.state else "",
        "case_id": str(found.case_id) if found.case_id else None,
        "url": found.url,
    }


def _story(request: Request, case_id: UUID) -> Story:
    try:
        return read(case_id, request.user.has_perm, most=EVENTS)
    except NoSuchCase as error:
        raise NotFound(_("There is no such case.")) from error
