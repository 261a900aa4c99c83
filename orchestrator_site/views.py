"""Pages that belong to no app: evidence files, behind the admin's login."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.files.storage import default_storage
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from rest_framework import serializers

from brain import cycles
from orchestrator_site.api.views import ReadOnlyViewSet
from orchestrator_site.models import Event, Pause
from queues import doorbell
from queues.models import EvidenceFile

# What a browser may show in place; all else is downloaded, never run as a page of ours.
SHOWN = {".jpg": "image/jpeg", ".png": "image/png", ".pdf": "application/pdf", ".log": "text/plain"}


@permission_required("queues.view_evidencefile", login_url="admin:login")
def evidence(request: HttpRequest, pk: int) -> FileResponse:
    """One evidence file."""
    row = get_object_or_404(EvidenceFile, pk=pk)
    try:
        file = default_storage.open(row.path, "rb")
    except OSError as error:
        raise Http404 from error
    suffix = row.path[row.path.rfind(".") :].lower()
    kind = SHOWN.get(suffix)
    response = FileResponse(
        file,
        as_attachment=kind is None,
        filename=row.path.rpartition("/")[2],
        content_type=kind or "application/octet-stream",
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


@require_POST
@permission_required("brain.operate_cycle", login_url="admin:login", raise_exception=True)
def brain_switch(request: HttpRequest) -> HttpResponse:
    """Pause, Resume and Run now on the overview."""
    asked = request.POST.get("do")
    reason = _("on the overview")
    if asked == "pause":
        Pause.begin(cycles.BRAIN, reason)
    elif asked == "resume":
        Pause.end(cycles.BRAIN, reason)
    elif asked == "run":
        doorbell.ring("brain", "brain.tasks.cycle_now")
        messages.success(request, _("A cycle was asked for: it begins within seconds."))
    return redirect("admin:index")


class EventSerializer(serializers.ModelSerializer[Event]):
    class Meta:
        model = Event
        fields = (
            "id",
            "at",
            "case_id",
            "actor_kind",
            "actor",
            "object_type",
            "object_id",
            "old",
            "new",
            "reason",
            "data",
        )


class EventViewSet(ReadOnlyViewSet):
    queryset: QuerySet[Any] = Event.objects.all()
    serializer_class = EventSerializer
    filterset_fields = ("case_id", "object_type", "object_id", "new", "actor_kind", "actor")
