"""One short view a list or verb. The devices stand here, because releasing one ends its task."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from devices.models import Device
from orchestrator_site import waking
from orchestrator_site.api.errors import Conflict
from orchestrator_site.api.views import ErrorSerializer, ReadOnlyViewSet, with_verbs
from orchestrator_site.clock import db_now
from orchestrator_site.models import Event
from queues import sentences
from queues.api import serializers as shown
from queues.api.access import MayBeat
from queues.api.mirror import MIRROR_ROUTES
from queues.api.recorded import Recorded
from queues.models import NbcRecord, QueueEntry, RegistroWork
from queues.verbs import DEVICE_VERBS, ENTRY_VERBS, PERSON_VERBS

TOLD = [field.name for field in QueueEntry._meta.concrete_fields]


@with_verbs(*DEVICE_VERBS)
class DeviceViewSet(Recorded, ReadOnlyViewSet):
    """Both fleets: `?fleet=dev_devices`."""

    queryset = Device.objects.all()
    serializer_class = shown.DeviceSerializer
    lookup_value_regex = "[^/]+"  # there may be dots in a name
    filterset_fields = (
        "fleet",
        "process",
        "instance",
        "device",
        "status",
        "online",
        "available",
        "task_id",
    )

    @extend_schema(
        request=shown.HeartbeatSerializer,
        responses={200: shown.DeviceSerializer, 409: ErrorSerializer},
    )
    @action(detail=True, methods=["post"], permission_classes=[MayBeat])
    def heartbeat(self, request: Request, pk: str) -> Response:
        """A device says whether it is online. It is known by its id, or by its name."""
        given = shown.HeartbeatSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        device = _only(Device.objects.called(pk.replace("\0", "")))
        device.beat(given.validated_data["online"], db_now())
        return Response(self.get_serializer(device).data)


def _only(devices: QuerySet[Device]) -> Device:
    found = list(devices[:2])
    if not found:
        raise NotFound
    if len(found) > 1:
        raise Conflict(_("Several devices have this name: use the id of one."))
    return found[0]


@with_verbs(*PERSON_VERBS)
class NbcRecordViewSet(mixins.CreateModelMixin, ReadOnlyViewSet):
    queryset = NbcRecord.objects.all()
    serializer_class = shown.NbcRecordSerializer
    filterset_fields = ("status", "nbc_id", "curp", "rw_id", "case_id")

    @extend_schema(responses={201: shown.NbcRecordSerializer, 409: ErrorSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().create(request, *args, **kwargs)

    def perform_create(self, serializer: serializers.BaseSerializer[Any]) -> None:
        try:
            with transaction.atomic():
                person = serializer.save()
                Event.record([person], "", person.status, sentences.CREATED_BY_API)
        except IntegrityError as error:
            raise Conflict(_("A person with this NBC id is there already.")) from error
        waking.notify(NbcRecord._meta.db_table)


@with_verbs(*ENTRY_VERBS)
class QueueEntryViewSet(ReadOnlyViewSet):
    """Known by their documents' ids."""

    queryset = QueueEntry.objects.select_related("nbc", "generator")
    serializer_class = shown.QueueEntrySerializer
    lookup_field = "document_id"
    lookup_url_kwarg = "pk"
    lookup_value_regex = "[0-9A-Za-z]+"
    filterset_fields = (
        "status",
        "success",
        "condition",
        "generator__name",
        "device",
        "curp",
        "rw_id",
        "nbc__nbc_id",
        "case_id",
        "error_class",
        "worker",
    )

    def get_queryset(self) -> QuerySet[QueueEntry]:
        """A list tells little of each task's person and generator."""
        rows = super().get_queryset()
        is_list = self.action == "list"
        return rows.only(*TOLD, "nbc__nbc_id", "generator__worked_by") if is_list else rows


class RegistroWorkViewSet(ReadOnlyViewSet):
    queryset = RegistroWork.objects.select_related("nbc")
    serializer_class = shown.RegistroWorkSerializer
    filterset_fields = ("rw_id", "condition", "nbc__nbc_id")


ROUTES: dict[str, type[viewsets.GenericViewSet[Any]]] = {
    "devices": DeviceViewSet,
    "nbc": NbcRecordViewSet,
    "queue-entries": QueueEntryViewSet,
    "registro-works": RegistroWorkViewSet,
    **MIRROR_ROUTES,
}
