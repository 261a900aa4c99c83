"""Distribution over HTTP: shares, what they would change, decisions, batches, the switch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brain import main_config, shares, simulating, standing
from brain.assigning import DISTRIBUTION
from brain.distribution import is_the_same_anew
from brain.models import Decision, DistributionBatch
from brain.shares import InvalidShares, SharesMoved
from orchestrator_site.api.errors import Conflict
from orchestrator_site.api.views import ErrorSerializer, ReadOnlyViewSet, ReasonSerializer
from orchestrator_site.clock import db_now
from orchestrator_site.models import Pause
from queues.models import DistributionConfig, ShareChange

MOST_PEOPLE = 1_000_000


class ProposedSerializer(serializers.Serializer[Any]):
    """Per cent by level (good, normal, bad), then by generator's name."""

    shares = serializers.DictField(child=serializers.DictField(child=serializers.IntegerField()))


class SimulateSerializer(ProposedSerializer):
    """Without `people`, those of the last 24 hours."""

    people = serializers.IntegerField(
        min_value=1, max_value=MOST_PEOPLE, required=False, allow_null=True, default=None
    )


class PutSharesSerializer(ProposedSerializer, ReasonSerializer):
    """`last_change` is what GET told: where others set shares since, nothing is written."""

    last_change = serializers.IntegerField(min_value=0)


class SharesSerializer(ProposedSerializer):
    """`main_config` has the same as positional arrays, in the order of `order`."""

    last_change = serializers.IntegerField()
    order = serializers.ListField(child=serializers.CharField())
    main_config = serializers.DictField()


class LineSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    happened = serializers.IntegerField()
    today = serializers.IntegerField()
    proposed = serializers.IntegerField()
    difference = serializers.IntegerField()


class SimulationSerializer(serializers.Serializer[Any]):
    """`waiting`: whom no generator would take under the proposed shares."""

    people = serializers.IntegerField()
    is_invented = serializers.BooleanField()
    waiting = serializers.IntegerField()
    lines = LineSerializer(many=True)


class ShareChangeSerializer(serializers.ModelSerializer[ShareChange]):
    class Meta:
        model = ShareChange
        fields = ("id", "at", "by", "reason", "shares")


class RevertSerializer(ReasonSerializer):
    last_change = serializers.IntegerField(min_value=0)


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    """`replays`: made anew from what is kept, the choice is the same."""

    nbc_id = serializers.CharField(source="nbc.nbc_id", read_only=True)
    document_id = serializers.CharField(source="entry.document_id", read_only=True)
    replays = serializers.SerializerMethodField()

    class Meta:
        model = Decision
        fields = (
            "id",
            "batch",
            "nbc_id",
            "document_id",
            "generator",
            "device",
            "choice",
            "replays",
            "created_at",
        )

    def get_replays(self, row: Decision) -> bool:
        return is_the_same_anew(row.choice, row.generator_id)


class DistributionBatchSerializer(serializers.ModelSerializer[DistributionBatch]):
    class Meta:
        model = DistributionBatch
        fields = (
            "id",
            "size",
            "slots",
            "used",
            "inputs",
            "counter",
            "is_open",
            "opened_at",
            "closed_at",
            "close_reason",
        )


class SharesView(APIView):
    """The shares of all generators."""

    @property
    def required_permission(self) -> str:
        return (
            "queues.operate_generator" if self.request.method == "PUT" else "queues.view_generator"
        )

    @extend_schema(responses=SharesSerializer)
    def get(self, request: Request) -> Response:
        return Response(_shares())

    @extend_schema(
        request=PutSharesSerializer, responses={200: SharesSerializer, 409: ErrorSerializer}
    )
    def put(self, request: Request) -> Response:
        """Set all at once. Each level sums to 100, or nothing is written."""
        given = _valid(PutSharesSerializer, request)
        with _refusals():
            shares.put(given["shares"], given["reason"], given["last_change"])
        return Response(_shares())


class SimulateView(APIView):
    required_permission = "queues.operate_generator"

    @extend_schema(request=SimulateSerializer, responses=SimulationSerializer)
    def post(self, request: Request) -> Response:
        """How people would be distributed under these shares, beside today's. Writes nothing."""
        given = _valid(SimulateSerializer, request)
        with _refusals():
            found = simulating.simulate(given["shares"], given["people"], db_now())
        return Response(SimulationSerializer(found).data)


class ShareChangeViewSet(ReadOnlyViewSet):
    """The shares as they were set, each time that they were."""

    queryset = ShareChange.objects.all()
    serializer_class = ShareChangeSerializer
    filterset_fields = ("by",)

    @extend_schema(
        request=RevertSerializer, responses={200: SharesSerializer, 409: ErrorSerializer}
    )
    @action(detail=True, methods=["post"], required_permission="queues.operate_generator")
    def revert(self, request: Request, pk: str | None = None) -> Response:
        """Set the shares as they were after this change."""
        given = _valid(RevertSerializer, request)
        with _refusals():
            shares.revert(self.get_object(), given["reason"], given["last_change"])
        return Response(_shares())


class DecisionViewSet(ReadOnlyViewSet):
    queryset = Decision.objects.select_related("nbc", "entry")
    serializer_class = DecisionSerializer
    filterset_fields = ("batch", "generator", "device", "nbc__nbc_id", "entry__document_id")


class DistributionBatchViewSet(ReadOnlyViewSet):
    queryset = DistributionBatch.objects.all()
    serializer_class = DistributionBatchSerializer
    filterset_fields = ("is_open",)


class DistributionView(APIView):
    """Whether people are distributed, and how each generator stands."""

    required_permission = "queues.view_generator"

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        return Response(_status())


class DistributionPauseView(APIView):
    required_permission = "queues.operate_generator"

    @extend_schema(request=ReasonSerializer, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request) -> Response:
        """Pause: nobody is assigned any more. Tasks under way go on."""
        if not Pause.begin(DISTRIBUTION, _valid(ReasonSerializer, request)["reason"]):
            raise Conflict(_("Distribution is paused already."))
        return Response(_status())


class DistributionResumeView(APIView):
    required_permission = "queues.operate_generator"

    @extend_schema(request=ReasonSerializer, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request) -> Response:
        """Let people be assigned again."""
        reason = _valid(ReasonSerializer, request)["reason"]
        if Pause.of(DISTRIBUTION) is None:
            raise Conflict(_("Distribution is not paused."))
        Pause.end(DISTRIBUTION, reason)
        return Response(_status())


def _valid(kind: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    given = kind(data=request.data)
    given.is_valid(raise_exception=True)
    return given.validated_data


@contextmanager
def _refusals() -> Iterator[None]:
    """What the shares' rules refuse, as the API's errors."""
    try:
        yield
    except InvalidShares as error:
        raise ValidationError({"shares": error.messages}) from error
    except SharesMoved as error:
        raise Conflict(str(error)) from error


def _shares() -> dict[str, Any]:
    return {
        "last_change": shares.last_id(),
        "shares": shares.current(),
        "order": main_config.order(),
        "main_config": main_config.export(),
    }


def _status() -> dict[str, Any]:
    pause = Pause.of(DISTRIBUTION)
    batch = DistributionBatch.objects.filter(is_open=True).first()
    stand = standing.of_all(DistributionConfig.current(), db_now())
    return {
        "paused": pause is not None,
        "pause_reason": pause.reason if pause else "",
        "batch": DistributionBatchSerializer(batch).data if batch else None,
        "generators": [
            {
                "name": one.generator.name,
                "enabled": one.generator.enabled,
                "status": one.generator.status,
                "is_reachable": one.is_reachable,
                "rate": one.rate,
                "level": str(one.level),
                "devices": asdict(one.pool),
            }
            for one in stand
        ],
    }
