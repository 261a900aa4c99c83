"""Django's registration of the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BrainConfig(AppConfig):
    name = "brain"
    verbose_name = _("Brain")

    def ready(self) -> None:
        from brain import metrics as brain_metrics
        from brain import mirroring
        from brain.claimers import session_token
        from orchestrator_site import metrics
        from queues import doorbell, workers
        from queues.mirror import kinds, reading

        doorbell.register(
            doorbell.Tick("brain", "brain.tasks.session", "brain"),
            doorbell.Tick("distribution", "brain.tasks.distribution_session", "brain"),
            doorbell.Tick("reconcile claims", "brain.tasks.reconcile", "brain", minutes=60),
        )
        workers.SECRETS["token"] = session_token
        metrics.register(brain_metrics.collect)
        kinds.register(mirroring.KIND)
        reading.register(mirroring.read)
