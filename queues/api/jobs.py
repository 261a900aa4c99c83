"""Jobs of organisations. Names as the control plane's guide has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import django_filters
from django.core.files.storage import default_storage
from django.db.models import Q, QuerySet
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator_site.api.files import link
from orchestrator_site.api.serializing import Prepared
from orchestrator_site.api.views import (
    OptionalReasonSerializer,
    ReadOnlyViewSet,
    Tenanted,
    with_verbs,
)
from queues import live
from queues.models import EvidenceFile, Job
from queues.verbs import JOB_VERBS

Status = Job.Status
PARSED = "parsed-data.json"
INLINE = 64 * 1024  # bytes of parsed data, told in the answer itself
# The documented states. One in doubt is not over: whoever asked for it must not ask again.
OUTSIDE: Mapping[str, str] = {
    Status.QUEUED: "queued",
    Status.HELD: "queued",
    Status.RUNNING: "running",
    Status.IN_DOUBT: "running",
    Status.DONE: "done",
    Status.ERROR: "error",
    Status.CANCELLED: "cancelled",
}
STATES = [(state, state) for state in dict.fromkeys(OUTSIDE.values())]
UNKNOWN_STATE = format_lazy(
    "{}: {}", _("“%(value)s” is not a state; known are"), ", ".join(dict(STATES))
)


class JobSerializer(Prepared):
    """`status`: of the documented states; `detail`: the exact one, such as `held` for a job that
    waits for its session, and `in_doubt` for one that a person decides."""

    jobId = serializers.UUIDField(source="case_id")
    orgId = serializers.UUIDField(source="organisation_id")
    userId = serializers.CharField(source="user_id")
    providerId = serializers.CharField(source="provider_id")
    providerName = serializers.CharField(source="provider_name")
    flowId = serializers.CharField(source="flow_id")
    flowName = serializers.CharField(source="flow_name")
    flowVersion = serializers.CharField(source="flow_version")
    status = serializers.SerializerMethodField()
    detail = serializers.CharField(source="status")
    maxAttempts = serializers.IntegerField(source="max_attempts")
    errorClass = serializers.CharField(source="error_class")
    message = serializers.CharField(source="error_log")
    deadline = serializers.DateTimeField(source="deadline_at", allow_null=True)
    cancelAskedAt = serializers.DateTimeField(source="cancel_asked_at", allow_null=True)
    createdAt = serializers.DateTimeField(source="created_at")
    startedAt = serializers.DateTimeField(source="started_at", allow_null=True)
    finishedAt = serializers.DateTimeField(source="processed_at", allow_null=True)

    class Meta:
        model = Job
        fields: Sequence[str] = (
            "jobId",
            "orgId",
            "userId",
            "providerId",
            "providerName",
            "flowId",
            "flowName",
            "flowVersion",
            "status",
            "detail",
            "priority",
            "attempts",
            "maxAttempts",
            "errorClass",
            "message",
            "deadline",
            "cancelAskedAt",
            "createdAt",
            "startedAt",
            "finishedAt",
            "metadata",
        )
        read_only_fields = fields

    @extend_schema(responses=serializers.ChoiceField(STATES))
    def get_status(self, job: Job) -> str:
        return OUTSIDE[job.status]


class JobStatusSerializer(JobSerializer):
    """`position`: how many of the organisation's waiting jobs go before it; null where it does
    not wait for its turn."""

    position = serializers.SerializerMethodField()

    class Meta(JobSerializer.Meta):
        fields = (*JobSerializer.Meta.fields, "position")
        read_only_fields = fields

    def get_position(self, job: Job) -> int | None:
        return _ahead(job).count() if job.status == Status.QUEUED else None


class ResultSerializer(serializers.ModelSerializer[EvidenceFile]):
    """`url` needs no key and lasts for minutes: ask again for another."""

    name = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = EvidenceFile
        fields = ("name", "kind", "attempt", "size", "sha256", "url")

    def get_name(self, file: EvidenceFile) -> str:
        return file.path.rpartition("/")[2]

    def get_url(self, file: EvidenceFile) -> str:
        return link(self.context["request"], file.path)


class JobResultsSerializer(serializers.Serializer[Any]):
    """`values`: what the flow read; `parsed`: its parsed data where that is small."""

    jobId = serializers.UUIDField()
    status = serializers.ChoiceField(STATES)
    results = ResultSerializer(many=True)
    values = serializers.DictField()
    parsed = serializers.JSONField(allow_null=True)


class AfterSerializer(serializers.Serializer[Any]):
    after = serializers.IntegerField(min_value=0, max_value=10**9, default=0)


class JobLogSerializer(serializers.Serializer[Any]):
    """`next`: what to ask for `after` the next time."""

    lines = serializers.ListField(child=serializers.CharField())
    next = serializers.IntegerField()
    status = serializers.ChoiceField(STATES)


class JobFilter(django_filters.FilterSet):
    status = django_filters.ChoiceFilter(
        choices=STATES, method="of_state", error_messages={"invalid_choice": UNKNOWN_STATE}
    )
    orgId = django_filters.UUIDFilter("organisation")
    providerId = django_filters.CharFilter("provider_id")
    flowId = django_filters.CharFilter("flow_id")
    createdAfter = django_filters.IsoDateTimeFilter("created_at", "gte")
    createdBefore = django_filters.IsoDateTimeFilter("created_at", "lt")

    def of_state(self, rows: QuerySet[Job], name: str, value: str) -> QuerySet[Job]:
        return rows.filter(status__in=[one for one, state in OUTSIDE.items() if state == value])


@with_verbs(*JOB_VERBS)
class JobViewSet(Tenanted, ReadOnlyViewSet):
    """Known by the ids that `run` answers with."""

    queryset = Job.objects.all()
    serializer_class = JobSerializer
    reason_class = OptionalReasonSerializer
    filterset_class = JobFilter
    lookup_field = "case_id"
    lookup_url_kwarg = "pk"
    lookup_value_regex = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

    @extend_schema(responses=JobStatusSerializer)
    @action(detail=True, serializer_class=JobStatusSerializer)
    def status(self, request: Request, pk: str) -> Response:
        """How far it is."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(responses=JobResultsSerializer)
    @action(detail=True, serializer_class=JobResultsSerializer)
    def results(self, request: Request, pk: str) -> Response:
        """What it brought: log, pictures, downloads, parsed data."""
        job = self.get_object()
        files = list(_files(job))
        found = {
            "jobId": job.case_id,
            "status": OUTSIDE[job.status],
            "results": files,
            "values": job.result.get("values", {}),
            "parsed": _parsed(files),
        }
        return Response(self.get_serializer(found).data)

    @extend_schema(parameters=[AfterSerializer], responses=JobLogSerializer)
    @action(detail=True, serializer_class=JobLogSerializer, filter_backends=())
    def log(self, request: Request, pk: str) -> Response:
        """The lines that it has written, as they come."""
        job = self.get_object()
        asked = AfterSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        after = asked.validated_data["after"]
        lines = live.lines(job, after)
        return Response({"lines": lines, "next": after + len(lines), "status": OUTSIDE[job.status]})


def _ahead(job: Job) -> QuerySet[Job]:
    first = Q(priority__gt=job.priority)
    before = Q(available_at__lt=job.available_at)
    before |= Q(available_at=job.available_at, pk__lt=job.pk)
    waiting = Job.objects.filter(organisation=job.organisation_id, status=Status.QUEUED)
    return waiting.filter(first | Q(priority=job.priority) & before)


def _files(job: Job) -> QuerySet[EvidenceFile]:
    return EvidenceFile.objects.filter(object_type=Job._meta.label_lower, object_id=str(job.pk))


def _parsed(files: Sequence[EvidenceFile]) -> Any:
    """The last attempt's parsed data; None where there is none, or it is large."""
    of_data = [file for file in files if file.path.endswith(f"/{PARSED}") and file.size <= INLINE]
    if not of_data:
        return None
    try:
        with default_storage.open(of_data[-1].path, "rb") as stored:
            content = stored.read(INLINE + 1)
        return json.loads(content, parse_constant=_no_number) if len(content) <= INLINE else None
    except (OSError, ValueError, RecursionError):
        return None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


JOB_ROUTES: dict[str, type[viewsets.GenericViewSet[Any]]] = {"jobs": JobViewSet}
