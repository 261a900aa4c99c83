"""What the django-q2 cluster `workers` calls."""

from __future__ import annotations

from django.conf import settings

from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.sessions import me, run_leased
from orchestrator_site.stopping import Stop, note_for
from queues.models import TramiteTask
from queues.workers import TramiteWorker


def tramite_session(slot: int) -> bool:
    """A filing worker for some minutes; at once done where this host's slot is taken."""
    name = me("tramite")
    with acting_as(ActorKind.WORKER, name):
        worker = TramiteWorker(name)
        try:
            lease = f"tramite:{settings.WORKER_ID}:{slot}"
            return run_leased(lease, worker.step, Stop(note_for("workers")))
        finally:
            worker.close()


def sweep() -> int:
    """Settle the tasks of workers that fell silent, where no worker is alive to do it."""
    with acting_as(ActorKind.SYSTEM, "sweep"):
        return len(TramiteTask.objects.sweep())
