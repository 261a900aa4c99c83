"""Queues over HTTP: how they stand."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator_site.api.views import ErrorSerializer
from orchestrator_site.clock import db_now
from orchestrator_site.dashboard.queues.catalogue import KINDS
from orchestrator_site.dashboard.queues.page import check
from orchestrator_site.dashboard.queues.summary import as_data, summary


class StateSerializer(serializers.Serializer[Any]):
    """`is_more`: at least so many."""

    state = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    count = serializers.IntegerField()
    is_more = serializers.BooleanField()


class OldestSerializer(serializers.Serializer[Any]):
    state = serializers.CharField()
    created_at = serializers.DateTimeField()


class RunningSerializer(serializers.Serializer[Any]):
    """What is under way. `due_at`: when it is too late; `lease_until`: null where no worker of ours
    has it; `url` and `case_url`: pages of the admin."""

    key = serializers.IntegerField()
    name = serializers.CharField()
    url = serializers.CharField()
    case_url = serializers.CharField()
    party = serializers.CharField(allow_blank=True)
    worker = serializers.CharField(allow_blank=True)
    device = serializers.CharField(allow_blank=True)
    step = serializers.CharField(allow_blank=True)
    since = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True)
    lease_until = serializers.DateTimeField(allow_null=True)
    is_late = serializers.BooleanField()


class HourSerializer(serializers.Serializer[Any]):
    """`median` and `p95`: seconds of waiting. Where `is_counted` is false, the hour's turn to be
    counted comes with the next request."""

    at = serializers.DateTimeField()
    good = serializers.IntegerField()
    bad = serializers.IntegerField()
    median = serializers.FloatField(allow_null=True)
    p95 = serializers.FloatField(allow_null=True)
    is_counted = serializers.BooleanField()


class QueueSerializer(serializers.Serializer[Any]):
    """`oldest`: the first that came in of those that wait."""

    kind = serializers.ChoiceField(list(KINDS))
    at = serializers.DateTimeField()
    states = StateSerializer(many=True)
    oldest = OldestSerializer(allow_null=True)
    running = RunningSerializer(many=True)
    more_running = serializers.BooleanField()
    hours = HourSerializer(many=True)


class QueueView(APIView):
    """How a queue stands: its states, what is under way, and the last 24 hours."""

    @extend_schema(
        responses={200: QueueSerializer, 403: ErrorSerializer, 404: ErrorSerializer},
        parameters=[OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=list(KINDS))],
    )
    def get(self, request: Request, kind: str) -> Response:
        known = KINDS.get(kind)
        if known is None:
            raise Http404
        check(request.user, known)
        return Response(QueueSerializer(as_data(summary(known, db_now()))).data)
