"""One short view a list or verb."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator_site.api.access import RolePermission
from orchestrator_site.api.errors import Conflict
from orchestrator_site.api.views import (
    ErrorSerializer,
    ReadOnlyViewSet,
    ReasonSerializer,
    with_verbs,
)
from postprocessing import asking, downloads, reporting
from postprocessing.api import serializers as shown
from postprocessing.models import (
    Complaint,
    Difference,
    PostProcessingRun,
    S3File,
    SourceFile,
    Verification,
)
from postprocessing.models.complaint import models_of_all
from postprocessing.verbs import DIFFERENCE_VERBS, S3_FILE_VERBS, VERIFICATION_VERBS

OPERATE_RUNS = "postprocessing.operate_postprocessingrun"
OPERATE_DIFFERENCES = "postprocessing.operate_difference"
ACCEPTED = {"status": "asked for"}


class MayAsk(RolePermission):
    """To look asks for the list's permission; to ask for work, for that to run it."""

    def needed(self, request: Request, view: Any) -> list[str]:
        return [OPERATE_RUNS] if view.action == "create" else super().needed(request, view)


def complaint_viewset(model: type[Complaint]) -> type[ReadOnlyViewSet]:
    """The complaints of a company."""
    values = {
        "queryset": model._default_manager.all(),
        "serializer_class": shown.complaint_serializer(model),
        "filterset_fields": {
            "numero_radicado": ["exact"],
            "numero_reclamo_sgc": ["exact"],
            "sgc_number": ["exact"],
            "nic": ["exact"],
            "documento_identidad": ["exact"],
            "tipo_pqr": ["exact"],
            "estado_solicitud": ["exact"],
            "hash_registro": ["exact"],
            "file_name": ["exact"],
            "case_id": ["exact"],
            "fecha": ["gte", "lt"],
            "updated_at": ["gte", "lt"],
        },
        "__doc__": f"Complaints of {model.company.title}.",
    }
    return type(f"{model.__name__}ViewSet", (ReadOnlyViewSet,), values)


class RunViewSet(ReadOnlyViewSet):
    queryset = PostProcessingRun.objects.all()
    serializer_class = shown.RunSerializer
    permission_classes = [MayAsk]
    filterset_fields = ("empresa", "status", "extract", "database_only", "full", "case_id")

    @extend_schema(request=shown.RunAskedSerializer, responses={202: shown.RunSerializer})
    def create(self, request: Request) -> Response:
        """Ask for a run of a company: its row, to be looked at again. One that is under way is
        waited for; one that waits already, asked for in the same way, is enough."""
        given = shown.RunAskedSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        company, extract, database_only, full = given.validated_data.values()
        row = (
            asking.extract(company, database_only)
            if extract
            else asking.process(company, database_only, full)
        )
        where = {"Location": self.reverse_action("detail", args=[row.pk])}
        return Response(self.get_serializer(row).data, status=202, headers=where)


@with_verbs(*S3_FILE_VERBS)
class S3FileViewSet(ReadOnlyViewSet):
    """The registry: `?upload_status=error` is written `?status=error`."""

    queryset = S3File.objects.all()
    serializer_class = shown.S3FileSerializer
    filterset_fields = (
        "empresa",
        "status",
        "upload_source",
        "filename",
        "s3_key",
        "numero_reclamo_sgc",
        "file_hash",
        "case_id",
    )

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY, 302: None})
    @action(detail=True, required_permission="postprocessing.view_s3file")
    def download(self, request: Request, pk: str | None = None) -> HttpResponseBase:
        """The file itself, or the way to it in the bucket, which is open for some minutes."""
        return downloads.handed_out(self.get_object())


class SourceFileViewSet(ReadOnlyViewSet):
    queryset = SourceFile.objects.all()
    serializer_class = shown.SourceFileSerializer
    filterset_fields = ("empresa", "filename", "sha256")


class VerificationViewSet(ReadOnlyViewSet):
    queryset = Verification.objects.all()
    serializer_class = shown.VerificationSerializer
    permission_classes = [MayAsk]
    filterset_fields = ("empresa", "is_simulated")

    @extend_schema(request=shown.CompanySerializer, responses={202: shown.AcceptedSerializer})
    def create(self, request: Request) -> Response:
        """Compare files, table and bucket of a company, on the cluster."""
        given = shown.CompanySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asking.verify(given.validated_data["company"])
        return Response(ACCEPTED, status=202)

    @extend_schema(
        request=ReasonSerializer,
        responses={202: shown.AcceptedSerializer, 409: ErrorSerializer},
    )
    @action(
        detail=True,
        methods=["post"],
        url_path="repair-all",
        required_permission=OPERATE_DIFFERENCES,
        permission_classes=[RolePermission],
    )
    def repair_all(self, request: Request, pk: str | None = None) -> Response:
        """Mend what can be mended, on the cluster, and compare again."""
        given = ReasonSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        (verb,) = VERIFICATION_VERBS
        row = self.get_object()
        if not (verb.fits(row) and verb.run(row, given.validated_data["reason"])):
            raise Conflict(_("Nothing of it can be repaired (any more)."))
        return Response(ACCEPTED, status=202)


@with_verbs(*DIFFERENCE_VERBS)
class DifferenceViewSet(ReadOnlyViewSet):
    queryset = Difference.objects.select_related("verification")
    serializer_class = shown.DifferenceSerializer
    filterset_fields = ("verification", "verification__empresa", "kind", "filename", "s3_key")


class ReportView(APIView):
    """How the companies stand: rows, files, objects, the last run, the last verification."""

    required_permission = "postprocessing.view_postprocessingrun"

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        return Response(reporting.generate_post_processing_report().as_dict())


ROUTES: dict[str, type[viewsets.GenericViewSet[Any]]] = {
    **{f"complaints/{model.company.name}": complaint_viewset(model) for model in models_of_all()},
    "post-processing-runs": RunViewSet,
    "s3-files": S3FileViewSet,
    "source-files": SourceFileViewSet,
    "verifications": VerificationViewSet,
    "differences": DifferenceViewSet,
}
