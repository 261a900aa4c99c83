"""Pages that belong to no app: evidence files, behind the admin's login."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from rest_framework import serializers

from brain import cycles
from orchestrator_site.api.files import stored_file
from orchestrator_site.api.views import ReadOnlyViewSet
from orchestrator_site.models import Event, Pause
from queues import doorbell
from queues.models import EvidenceFile


@login_required(login_url="admin:login")
@permission_required("queues.view_evidencefile", raise_exception=True)
def evidence(request: HttpRequest, pk: int) -> FileResponse:
    """One evidence file, for a person; the API hands it out too."""
    return stored_file(get_object_or_404(EvidenceFile, pk=pk).path)


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
