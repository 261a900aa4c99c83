"""One short view a list or verb."""

from __future__ import annotations

import json
from typing import Any

from django.http import FileResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brain import cycles, importing, previewing, reconciling, repairing
from brain.api import serializers as shown
from brain.api.distribution import DecisionViewSet, DistributionBatchViewSet, ShareChangeViewSet
from brain.models import (
    Claim,
    ClientAuthorisation,
    Cycle,
    Motivo,
    Organismo,
    Reconciliation,
)
from brain.verbs import CLAIM_VERBS, ORGANISMO_VERBS, TASK_VERBS
from orchestrator_site.api.errors import Conflict
from orchestrator_site.api.files import stored_file
from orchestrator_site.api.views import (
    ModelViewSet,
    ReadOnlyViewSet,
    ReasonSerializer,
    with_verbs,
)
from orchestrator_site.models import Pause
from queues import doorbell
from queues.models import EvidenceFile, TramiteTask


@with_verbs(*ORGANISMO_VERBS)
class OrganismoViewSet(ModelViewSet):
    queryset = Organismo.objects.all()
    serializer_class = shown.OrganismoSerializer
    filterset_fields = ("site_id", "active", "paused", "claim_method")

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=True, required_permission="brain.view_organismo")
    def preview(self, request: Request, pk: str | None = None) -> Response:
        """Which cases the rule would take of the origin as it is now."""
        return Response(previewing.preview(self.get_object()).as_dict())

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=False, required_permission="brain.view_organismo", pagination_class=None)
    def export(self, request: Request) -> Response:
        """The rows as organismo_config.json."""
        return Response(importing.export(Organismo.objects.order_by("site_id")))

    @extend_schema(
        request=shown.ImportSerializer,
        responses=OpenApiTypes.OBJECT,
        parameters=[shown.DryRunSerializer],
    )
    @action(
        detail=False,
        methods=["post"],
        url_path="import",
        required_permission="brain.add_organismo brain.change_organismo",
    )
    def import_(self, request: Request) -> Response:
        """Upsert by site_id: all of it or, with one refused, nothing."""
        asked = shown.DryRunSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        text = json.dumps(request.data, ensure_ascii=False, indent=2)
        try:
            report = importing.import_text(text, dry_run=asked.validated_data["dry_run"])
        except importing.Malformed as error:
            raise ValidationError({"configs": [str(error)]}) from error
        if report.refused:
            raise ValidationError({"configs": [str(refusal) for refusal in report.refused]})
        return Response(report.__dict__)


class MotivoViewSet(ModelViewSet):
    queryset = Motivo.objects.all()
    serializer_class = shown.MotivoSerializer
    filterset_fields = ("organismo", "key")


class ClientAuthorisationViewSet(ModelViewSet):
    queryset = ClientAuthorisation.objects.all()
    serializer_class = shown.ClientAuthorisationSerializer
    filterset_fields = ("numclient",)


@with_verbs(*CLAIM_VERBS)
class ClaimViewSet(ReadOnlyViewSet):
    queryset = Claim.objects.select_related("organismo")
    serializer_class = shown.ClaimSerializer
    filterset_fields = ("status", "method", "resource_id", "case_id", "organismo__site_id")


@with_verbs(*TASK_VERBS)
class TramiteTaskViewSet(ReadOnlyViewSet):
    queryset = TramiteTask.objects.all()
    serializer_class = shown.TramiteTaskSerializer
    filterset_fields = ("status", "site_id", "resource_id", "case_id", "error_class", "worker")


class EvidenceFileViewSet(ReadOnlyViewSet):
    queryset = EvidenceFile.objects.all()
    serializer_class = shown.EvidenceFileSerializer
    filterset_fields = ("case_id", "object_type", "object_id", "kind")

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True, required_permission="queues.view_evidencefile")
    def download(self, request: Request, pk: str | None = None) -> FileResponse:
        """The file itself."""
        return stored_file(self.get_object().path)


@with_verbs(repairing.REPAIR_ALL)
class ReconciliationViewSet(ReadOnlyViewSet):
    queryset = Reconciliation.objects.all()
    serializer_class = shown.ReconciliationSerializer

    @extend_schema(request=None, responses={201: shown.ReconciliationSerializer})
    @action(detail=False, methods=["post"], required_permission="brain.operate_claim")
    def run(self, request: Request) -> Response:
        """Compare now."""
        return Response(self.get_serializer(reconciling.run()).data, status=201)

    @extend_schema(request=ReasonSerializer, responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["post"], required_permission="brain.operate_claim")
    def repair(self, request: Request, pk: str | None = None) -> Response:
        """Mend every difference of this comparison as its kind says; what could not is told."""
        given = ReasonSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        done = repairing.repair_all(self.get_object(), given.validated_data["reason"])
        return Response(vars(done))


class CycleViewSet(ReadOnlyViewSet):
    queryset = Cycle.objects.all()
    serializer_class = shown.CycleSerializer
    filterset_fields = ("outcome",)

    @extend_schema(request=None, responses={202: OpenApiTypes.OBJECT})
    @action(detail=False, methods=["post"], required_permission="brain.operate_cycle")
    def run(self, request: Request) -> Response:
        """Ask for a cycle at once."""
        doorbell.ring("brain", "brain.tasks.cycle_now")
        return Response({"status": "asked for"}, status=202)


class BrainView(APIView):
    """Whether the brain runs, what it last did, and what waits."""

    required_permission = "brain.view_cycle"

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        return Response(cycles.status(timezone.now()))


class BrainPauseView(APIView):
    required_permission = "brain.operate_cycle"

    @extend_schema(request=ReasonSerializer, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request) -> Response:
        """Pause the brain: no cycle begins, and a running one ends after the case at hand."""
        given = ReasonSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        if not Pause.begin(cycles.BRAIN, given.validated_data["reason"]):
            raise Conflict(_("The brain is paused already."))
        return Response(cycles.status(timezone.now()))


class BrainResumeView(APIView):
    required_permission = "brain.operate_cycle"

    @extend_schema(request=ReasonSerializer, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request) -> Response:
        """Let the brain run again."""
        given = ReasonSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        if Pause.of(cycles.BRAIN) is None:
            raise Conflict(_("The brain is not paused."))
        Pause.end(cycles.BRAIN, given.validated_data["reason"])
        return Response(cycles.status(timezone.now()))


ROUTES: dict[str, type[viewsets.GenericViewSet[Any]]] = {
    "organismos": OrganismoViewSet,
    "motivos": MotivoViewSet,
    "authorisations": ClientAuthorisationViewSet,
    "claims": ClaimViewSet,
    "cycles": CycleViewSet,
    "reconciliations": ReconciliationViewSet,
    "tramites": TramiteTaskViewSet,
    "evidence": EvidenceFileViewSet,
    "decisions": DecisionViewSet,
    "batches": DistributionBatchViewSet,
    "share-changes": ShareChangeViewSet,
}
