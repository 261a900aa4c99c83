"""Providers, sessions at them, and runs. Names as the control plane's guide has them."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brain import running, sessions
from brain.models import ConnectedProvider, Flow, Provider
from brain.verbs import CONNECTION_VERBS
from orchestrator_site import tenancy, verbs
from orchestrator_site.api.access import RolePermission
from orchestrator_site.api.errors import Conflict, Declined
from orchestrator_site.api.pagination import UuidCursorPagination
from orchestrator_site.api.views import (
    ErrorSerializer,
    OptionalReasonSerializer,
    ReadOnlyViewSet,
    Tenanted,
    with_verbs,
)
from queues.api.fields import ObjectField
from queues.api.jobs import JobSerializer

OPERATE = verbs.operate_permission(ConnectedProvider)


# --- Providers and sessions ----------------------------------------------------------------------


class ProviderSerializer(serializers.ModelSerializer[Provider]):
    id = serializers.CharField(source="pk")
    needsSession = serializers.BooleanField(source="needs_session")

    class Meta:
        model = Provider
        fields = ("id", "name", "title", "url", "needsSession")
        read_only_fields = fields


class ConnectionSerializer(serializers.ModelSerializer[ConnectedProvider]):
    """When a session ends; never what it is made of."""

    providerId = serializers.CharField(source="provider_id")
    provider = serializers.CharField(source="provider.name")
    userId = serializers.CharField(source="user_id")
    user = serializers.CharField(source="user.email")
    status = serializers.SerializerMethodField()
    connectedAt = serializers.DateTimeField(source="connected_at", allow_null=True)
    expiresAt = serializers.DateTimeField(source="expires_at", allow_null=True)
    probedAt = serializers.DateTimeField(source="probed_at", allow_null=True)
    probeError = serializers.CharField(source="probe_error")

    class Meta:
        model = ConnectedProvider
        fields = (
            "id",
            "providerId",
            "provider",
            "userId",
            "user",
            "status",
            "connectedAt",
            "expiresAt",
            "probedAt",
            "probeError",
        )
        read_only_fields = fields

    @extend_schema(responses=serializers.ChoiceField(ConnectedProvider.Status.choices))
    def get_status(self, row: ConnectedProvider) -> str:
        is_over = row.status == row.Status.ACTIVE and not row.is_alive(timezone.now())
        return row.Status.EXPIRED if is_over else row.status


class CookiesSerializer(serializers.Serializer[Any]):
    """A browser's cookies: `[{"name", "value", "domain", "path", "expires", ...}]`."""

    cookies = serializers.ListField(child=serializers.DictField())


class ProviderViewSet(ReadOnlyViewSet):
    """Known by id or name; everybody may know which there are."""

    queryset = Provider.objects.filter(active=True)
    serializer_class = ProviderSerializer
    lookup_value_regex = "[-0-9A-Za-z_]+"
    filterset_fields = ("name",)

    def get_permissions(self) -> Any:
        return [AllowAny()] if self.action in ("list", "retrieve") else super().get_permissions()

    def get_object(self) -> Provider:
        return get_object_or_404(called(self.get_queryset(), self.kwargs["pk"]))

    @extend_schema(
        request=CookiesSerializer,
        responses={200: ConnectionSerializer, 400: ErrorSerializer},
        methods=["POST"],
    )
    @extend_schema(request=None, responses=ConnectionSerializer, methods=["GET"])
    @extend_schema(request=None, responses={204: None}, methods=["DELETE"])
    @action(
        detail=True,
        methods=["get", "post", "delete"],
        required_permission=OPERATE,
        serializer_class=ConnectionSerializer,
    )
    def connect(self, request: Request, pk: str) -> Response:
        """One's session at the provider: lend it, see when it ends, take it back."""
        provider = self.get_object()
        if request.method == "POST":
            return Response(self.get_serializer(_connected(request, provider)).data)
        rows = tenancy.visible(ConnectedProvider.objects.all(), request.user)
        connection = get_object_or_404(rows, provider=provider, user=request.user.pk)
        if request.method == "DELETE":
            sessions.disconnect(connection, "")
            return Response(status=204)
        return Response(self.get_serializer(connection).data)


@with_verbs(*CONNECTION_VERBS)
class ConnectionViewSet(Tenanted, ReadOnlyViewSet):
    queryset = ConnectedProvider.objects.select_related("provider", "user")
    serializer_class = ConnectionSerializer
    reason_class = OptionalReasonSerializer
    pagination_class = UuidCursorPagination
    filterset_fields = ("status",)
    lookup_value_regex = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def _connected(request: Request, provider: Provider) -> ConnectedProvider:
    if not isinstance(request.data, dict) or "cookies" not in request.data:
        raise ValidationError({"cookies": [_("This field is required.")]})
    try:
        return sessions.connect(request.user, provider, request.data["cookies"])
    except sessions.CookiesRefused as error:
        raise ValidationError({"cookies": [str(error)]}) from error
    except verbs.Refused as error:
        raise Conflict(str(error)) from error


def called(rows: QuerySet[Provider], known_as: str) -> QuerySet[Provider]:
    """By its id or its name; digits alone are an id."""
    is_id = known_as.isascii() and known_as.isdecimal()
    return rows.filter(pk=known_as) if is_id else rows.filter(name=known_as)


# --- Runs ----------------------------------------------------------------------------------------


class JobOrderSerializer(serializers.Serializer[Any]):
    """`payload` is another name of `inputs`. With the key of an earlier run (here, or in the header
    Idempotency-Key) that one's job is answered; another run is refused. `flowId`: a version that
    was active once."""

    providerId = serializers.CharField(max_length=64)
    inputs = ObjectField(required=False)
    payload = ObjectField(required=False)
    metadata = ObjectField(required=False)
    priority = serializers.IntegerField(default=0, min_value=-1000, max_value=1000)
    deadline = serializers.DateTimeField(default=None, allow_null=True)
    idempotencyKey = serializers.CharField(default="", max_length=200)
    flowId = serializers.CharField(required=False, max_length=20)

    def validate_providerId(self, known_as: str) -> Provider:
        provider = called(Provider.objects.all(), known_as).first()
        if provider is None:
            raise serializers.ValidationError(_("There is no such provider."))
        return provider

    def validate_flowId(self, pk: str) -> Flow:
        rows = tenancy.visible(Flow.objects.all(), self.context["request"].user)
        flow = rows.filter(pk=pk).first() if pk.isascii() and pk.isdecimal() else None
        if flow is None:
            raise serializers.ValidationError(_("There is no such flow."))
        return flow

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "inputs" in attrs and "payload" in attrs:
            raise serializers.ValidationError({"payload": _("Give inputs or payload, not both.")})
        return attrs


class RunView(APIView):
    # A key that may operate may run, though it configures nothing.
    required_permission = "queues.operate_job"
    permission_classes = (RolePermission,)

    @extend_schema(
        request=JobOrderSerializer,
        responses={
            200: JobSerializer,
            202: JobSerializer,
            400: ErrorSerializer,
            403: ErrorSerializer,
            409: ErrorSerializer,
            422: ErrorSerializer,
        },
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
    )
    def post(self, request: Request) -> Response:
        """Queue a run of the provider's active flow. 200: the job was asked for before."""
        given = JobOrderSerializer(data=_with_key(request), context={"request": request})
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        try:
            job, is_new = running.run(
                request.user,
                asked["providerId"],
                inputs=asked.get("inputs", asked.get("payload")),
                metadata=asked.get("metadata"),
                idempotency_key=asked["idempotencyKey"],
                priority=asked["priority"],
                deadline=asked["deadline"],
                flow=asked.get("flowId"),
            )
        except running.Refused as error:
            _decline(error)
        return Response(JobSerializer(job).data, status=202 if is_new else 200)


def _with_key(request: Request) -> Any:
    """The body, with the key of the header where it names none itself."""
    key = request.headers.get("Idempotency-Key", "")
    if not key or not isinstance(request.data, dict):
        return request.data
    return {"idempotencyKey": key, **request.data}


def _decline(error: running.Refused) -> NoReturn:
    if error.code == "not_a_member":
        raise PermissionDenied(str(error)) from error
    status = {"invalid_inputs": 400, "idempotency_key_reused": 422}.get(error.code, 409)
    fields = {name: [text] for name, text in error.fields.items()}
    raise Declined(error.code, str(error), status, fields) from error


CONTROL_ROUTES: dict[str, type[viewsets.GenericViewSet[Any]]] = {
    "providers": ProviderViewSet,
    "connections": ConnectionViewSet,
}
