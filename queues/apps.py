"""Django's registration of the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class QueuesConfig(AppConfig):
    name = "queues"
    verbose_name = _("Queues")

    def ready(self) -> None:
        from django.conf import settings
        from django.db.models.signals import post_migrate

        from orchestrator_site import alert_telling, bulk, measures, metrics
        from queues import (
            alerts,
            doorbell,
            job_alerts,
            job_metrics,
            running_alerts,
            verbs,
            waiting_alerts,
            webhook_alerts,
            webhook_metrics,
        )
        from queues import metrics as queue_metrics
        from queues.doorbell import Tick
        from queues.mirror import triggers
        from queues.webhook_sending import call

        post_migrate.connect(
            lambda using, **kwargs: triggers.install(using),
            sender=self,
            weak=False,
            dispatch_uid="mirror",
        )

        doorbell.register(
            Tick("sweep", "queues.tasks.sweep", "workers"),
            Tick("webhooks", "queues.tasks.webhook_session", "workers"),
            Tick("scrapers", "queues.tasks.scraper_session", "scrapers", args=(1,)),
            Tick("devices", "queues.tasks.keep_devices", "scrapers"),
            Tick("alerts", "orchestrator_site.alerting.tick", "scrapers"),
            Tick("audit", "orchestrator_site.auditing.tick", "scrapers"),
            Tick("bulk actions", "queues.tasks.bulk_session", "brain"),
        )
        for slot in range(1, settings.WORKER_SLOTS + 1):
            name = f"filing worker {slot}"
            doorbell.register(Tick(name, "queues.tasks.tramite_session", "workers", args=(slot,)))
        if settings.REDIS_URL:
            doorbell.register(Tick("dispatcher", "queues.tasks.dispatch_session", "workers"))
        else:
            for slot in range(1, settings.WORKER_SLOTS + 1):
                name = f"job worker {slot}"
                doorbell.register(Tick(name, "queues.tasks.job_session", "workers", args=(slot,)))
        if settings.MONGODB_URI:
            doorbell.register(Tick("mirror", "queues.tasks.mirror_session", "scrapers"))
        metrics.register(queue_metrics.collect, job_metrics.collect, webhook_metrics.collect)
        for one in (alerts, waiting_alerts, running_alerts, job_alerts, webhook_alerts):
            measures.register(*one.MEASURES)
        alert_telling.send_by(call)
        bulk.when_asked(lambda: doorbell.ring("brain", "queues.tasks.bulk_session", is_hint=True))
        verbs.offer_all()
