"""Django's registration of the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BrainConfig(AppConfig):
    name = "brain"
    verbose_name = _("Brain")

    def ready(self) -> None:
        from brain import alerts, mirroring, sessions, verbs
        from brain import metrics as brain_metrics
        from brain.claimers import session_token
        from brain.models import SigningKey
        from orchestrator_site import measures, membership, metrics
        from queues import doorbell, workers
        from queues.mirror import kinds, reading
        from queues.registered import registered

        doorbell.register(
            doorbell.Tick("brain", "brain.tasks.session", "brain"),
            doorbell.Tick("distribution", "brain.tasks.distribution_session", "brain"),
            doorbell.Tick("reconcile claims", "brain.tasks.reconcile", "brain", minutes=60),
            doorbell.Tick("sessions", "brain.tasks.keep_sessions", "brain"),
        )
        workers.SECRETS["token"] = session_token
        registered.keyring = SigningKey.keyring
        registered.session = sessions.token_for
        registered.lend_session = sessions.lend
        registered.session_lost = sessions.lost
        membership.when_leaving(sessions.forget)
        measures.register(*alerts.MEASURES)
        metrics.register(brain_metrics.collect)
        kinds.register(mirroring.KIND)
        reading.register(mirroring.read)
        verbs.offer_all()
