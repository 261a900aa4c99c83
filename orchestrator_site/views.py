"""Pages that belong to no app: evidence files, behind the admin's login."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views import defaults
from django.views.decorators.http import require_POST

from brain import cycles, sentences
from orchestrator_site.api.errors import answer
from orchestrator_site.api.files import stored_file
from orchestrator_site.api.serializing import Prepared
from orchestrator_site.api.views import ReadOnlyViewSet
from orchestrator_site.dashboard import snapshot
from orchestrator_site.models import Event, Pause
from queues import doorbell
from queues.models import EvidenceFile

API = "/api/"
# Where files are kept, and the permission to see them.
FILES = {
    "authorisations/": "brain.view_clientauthorisation",
    "attachments/": "queues.view_tramitetask",
    "claims/": "brain.view_claim",
}


@login_required(login_url="admin:login")
@permission_required("queues.view_evidencefile", raise_exception=True)
def evidence(request: HttpRequest, pk: int) -> FileResponse:
    """One evidence file, for a person; the API hands it out too."""
    return stored_file(get_object_or_404(EvidenceFile, pk=pk).path)


@login_required(login_url="admin:login")
def media(request: HttpRequest, path: str) -> FileResponse:
    """A stored file by its name, for whoever may see the rows that hold such files."""
    needed = next((right for start, right in FILES.items() if path.startswith(start)), None)
    if needed is None or ".." in path:
        raise Http404
    if not request.user.has_perm(needed):
        raise PermissionDenied
    return stored_file(path)


@require_POST
@permission_required("brain.operate_cycle", login_url="admin:login", raise_exception=True)
def brain_switch(request: HttpRequest) -> HttpResponse:
    """Pause, Resume and Run now on the overview."""
    asked = request.POST.get("do")
    reason = sentences.ON_OVERVIEW
    if asked == "pause":
        Pause.begin(cycles.BRAIN, reason)
    elif asked == "resume":
        Pause.end(cycles.BRAIN, reason)
    elif asked == "run":
        doorbell.ring("brain", "brain.tasks.cycle_now")
        messages.success(request, _("A cycle was asked for: it begins within seconds."))
    snapshot.forget()
    return redirect("admin:index")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """No such address: scripts get the API's shape, people a page."""
    if request.path.startswith(API):
        return answer("not_found", _("There is nothing at this address."), 404)
    return defaults.page_not_found(request, exception)


def failed(request: HttpRequest) -> HttpResponse:
    """A defect of ours."""
    if request.path.startswith(API):
        return answer("error", _("Something went wrong on our side."), 500)
    return defaults.server_error(request)


class EventSerializer(Prepared):
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
