"""Webhooks over HTTP: an organisation's addresses, what was sent there, every attempt at it.

Names are written as the control plane's guide writes them: `createdAt`, not `created_at`.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator_site import tenancy, verbs
from orchestrator_site.addresses import AddressRefused
from orchestrator_site.api.choices import ChoiceField
from orchestrator_site.api.errors import Conflict
from orchestrator_site.api.pagination import UuidCursorPagination
from orchestrator_site.api.views import (
    ErrorSerializer,
    ModelViewSet,
    OptionalReasonSerializer,
    ReadOnlyViewSet,
    Tenanted,
    with_verbs,
)
from orchestrator_site.models import Organisation
from queues import webhooks
from queues.api.recorded import Recorded
from queues.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from queues.webhook_verbs import DELIVERY_VERBS, SWITCH_VERBS

MOST = 20  # addresses of one organisation
OPERATE = "queues.operate_webhookendpoint"
BY_API = "over the API"


class OwnOrganisation(serializers.PrimaryKeyRelatedField[Organisation]):
    """A member knows of its own alone."""

    def get_queryset(self) -> QuerySet[Organisation]:
        user = self.context["request"].user
        return tenancy.visible(Organisation.objects.all(), user, path="pk")


class WebhookSerializer(serializers.ModelSerializer[WebhookEndpoint]):
    """`orgId`: for staff, when one is made; a member's is its own organisation's."""

    orgId = OwnOrganisation(source="organisation", required=False)
    url = serializers.CharField(max_length=500)
    events = serializers.ListField(child=ChoiceField(WebhookEndpoint.Event.choices), required=False)
    failingSince = serializers.DateTimeField(
        source="failing_since", read_only=True, allow_null=True
    )
    disabledBecause = serializers.CharField(source="disabled_because", read_only=True)
    createdAt = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = WebhookEndpoint
        fields: tuple[str, ...] = (
            "id",
            "orgId",
            "url",
            "events",
            "enabled",
            "failingSince",
            "disabledBecause",
            "createdAt",
        )
        read_only_fields: tuple[str, ...] = ("enabled",)

    def validate_url(self, url: str) -> str:
        try:
            webhooks.resolve(url)
        except AddressRefused as error:
            raise serializers.ValidationError(str(error)) from error
        return url

    def validate_events(self, events: list[str]) -> list[str]:
        return sorted(set(events))

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if self.instance is not None:
            given.pop("organisation", None)  # it stays whose it is
            return given
        organisation = given.setdefault("organisation", self._own())
        if organisation is None:
            raise serializers.ValidationError({"orgId": [_("Which organisation is it for?")]})
        if organisation.webhooks.count() >= MOST:
            told = _("An organisation has at most %(most)d webhooks.")
            raise serializers.ValidationError(told % {"most": MOST})
        return given

    def _own(self) -> Organisation | None:
        own = tenancy.organisation_of(self.context["request"].user)
        return Organisation.objects.get(pk=own) if own else None


class WebhookSecretSerializer(WebhookSerializer):
    """With the secret, which is shown this once."""

    class Meta(WebhookSerializer.Meta):
        fields = (*WebhookSerializer.Meta.fields, "secret")
        read_only_fields = ("enabled", "secret")


class SinceSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField()


class ResentSerializer(serializers.Serializer[Any]):
    resent = serializers.IntegerField()


class AttemptSerializer(serializers.ModelSerializer[WebhookAttempt]):
    statusCode = serializers.IntegerField(source="status_code", allow_null=True)

    class Meta:
        model = WebhookAttempt
        fields = ("number", "at", "seconds", "statusCode", "body", "error")


class DeliverySerializer(serializers.ModelSerializer[WebhookDelivery]):
    """`jobId` is null for a test message (`event`: ping), which tells of none."""

    messageId = serializers.UUIDField(source="message_id")
    webhookId = serializers.UUIDField(source="endpoint_id")
    jobId = serializers.SerializerMethodField()
    error = serializers.CharField(source="error_log")
    createdAt = serializers.DateTimeField(source="created_at")
    nextAttemptAt = serializers.SerializerMethodField()

    class Meta:
        model = WebhookDelivery
        fields: tuple[str, ...] = (
            "id",
            "messageId",
            "webhookId",
            "jobId",
            "event",
            "status",
            "attempts",
            "error",
            "createdAt",
            "nextAttemptAt",
        )

    def get_jobId(self, row: WebhookDelivery) -> UUID | None:
        return None if row.event == webhooks.PING else row.case_id

    def get_nextAttemptAt(self, row: WebhookDelivery) -> str | None:
        is_waiting = row.status == WebhookDelivery.Status.PENDING
        return timezone.localtime(row.available_at).isoformat() if is_waiting else None


class WholeDeliverySerializer(DeliverySerializer):
    """With what was sent, and every attempt; the last one first."""

    calls = AttemptSerializer(many=True, read_only=True)

    class Meta(DeliverySerializer.Meta):
        fields = (*DeliverySerializer.Meta.fields, "payload", "calls")


@with_verbs(*SWITCH_VERBS)
class WebhookViewSet(Tenanted, Recorded, ModelViewSet):
    """Where an organisation is told how its jobs ended. The secret is shown once, when it is made:
    receivers verify the signature of each message with it."""

    queryset = WebhookEndpoint.objects.defer("secret", "old_secret")
    serializer_class = WebhookSerializer
    reason_class = OptionalReasonSerializer
    pagination_class = UuidCursorPagination
    filterset_fields = ("enabled",)

    @extend_schema(responses={201: WebhookSecretSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().create(request, *args, **kwargs)

    def get_serializer_class(self) -> Any:
        return WebhookSecretSerializer if self.action == "create" else WebhookSerializer

    def perform_create(self, serializer: Any) -> None:
        serializer.validated_data["secret"] = webhooks.new_secret()
        super().perform_create(serializer)

    @extend_schema(request=None, responses=WebhookSecretSerializer)
    @action(detail=True, methods=["post"], url_path="rotate-secret", required_permission=OPERATE)
    def rotate_secret(self, request: Request, pk: str) -> Response:
        """Make a new secret. For 24 hours messages are signed with the one before too."""
        row = self.get_object()
        row.secret = webhooks.rotate_secret(row, BY_API)
        context = self.get_serializer_context()
        return Response(WebhookSecretSerializer(row, context=context).data)

    @extend_schema(request=None, responses={202: DeliverySerializer, 409: ErrorSerializer})
    @action(detail=True, methods=["post"], required_permission=OPERATE)
    def ping(self, request: Request, pk: str) -> Response:
        """Send a test message, once."""
        try:
            sent = webhooks.ping(self.get_object())
        except verbs.Refused as error:
            raise Conflict(str(error)) from error
        return Response(DeliverySerializer(sent).data, status=202)

    @extend_schema(request=SinceSerializer, responses={200: ResentSerializer, 409: ErrorSerializer})
    @action(detail=True, methods=["post"], url_path="resend-failed", required_permission=OPERATE)
    def resend_failed(self, request: Request, pk: str) -> Response:
        """Send all messages once more that were written since then and did not arrive."""
        row = self.get_object()
        given = SinceSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            count = webhooks.resend_failed(row, given.validated_data["since"], BY_API)
        except verbs.Refused as error:
            raise Conflict(str(error)) from error
        return Response({"resent": count})


class DeliveryFilter(filters.FilterSet):
    webhookId = filters.UUIDFilter(field_name="endpoint")
    jobId = filters.UUIDFilter(field_name="case_id")
    createdAfter = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")

    class Meta:
        model = WebhookDelivery
        fields = ("status", "event")


@with_verbs(*DELIVERY_VERBS)
class WebhookDeliveryViewSet(Tenanted, ReadOnlyViewSet):
    """What was told, or is to be."""

    queryset = WebhookDelivery.objects.all()
    serializer_class = WholeDeliverySerializer
    reason_class = OptionalReasonSerializer
    filterset_class = DeliveryFilter

    def get_queryset(self) -> QuerySet[WebhookDelivery]:
        rows: QuerySet[WebhookDelivery] = super().get_queryset()
        return rows if self.action == "list" else rows.prefetch_related("calls")

    def get_serializer_class(self) -> Any:
        return DeliverySerializer if self.action == "list" else WholeDeliverySerializer


WEBHOOK_ROUTES: dict[str, type[viewsets.GenericViewSet[Any]]] = {
    "webhooks": WebhookViewSet,
    "webhook-deliveries": WebhookDeliveryViewSet,
}
