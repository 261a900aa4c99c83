"""The hold queue: appeals that wait for a person's authorisation."""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext as _

from brain.attachments import Gatherer, discard
from brain.models import Organismo
from orchestrator_site.verbs import Refused
from queues.models import TramiteTask


class AuthorisationMissing(Refused):
    """The organismo wants the client's paper itself, and none is on file."""


def authorise(task: TramiteTask, reason: str) -> bool:
    """Let a held appeal go on, with the client's authorisation where the organismo demands it.

    False where it had moved on. Raises AuthorisationMissing when the paper is still to be uploaded.
    """
    organismo = Organismo.objects.filter(site_id=task.site_id).first()
    if task.status != task.Status.HELD or organismo is None:
        return task.authorise(reason)
    gatherer = Gatherer(organismo, timezone.localdate())
    name = gatherer.authorisation_name
    if not name or any(file["name"] == name for file in task.attachments):
        return task.authorise(reason)
    files = gatherer.authorisation_file(task.case_id, task.payload.get("numclient"))
    if not files:
        raise AuthorisationMissing(
            _("Upload the authorisation of client %(client)s first: %(site)s wants it attached.")
            % {"client": task.payload.get("numclient"), "site": task.site_id}
        )
    moved = task.authorise(reason, attachments=[*task.attachments, *files])
    if not moved:
        discard(files)
    return moved
