"""Django's registration of the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class QueuesConfig(AppConfig):
    name = "queues"
    verbose_name = _("Queues")

    def ready(self) -> None:
        from django.conf import settings

        from queues import doorbell

        doorbell.register(doorbell.Tick("sweep", "queues.tasks.sweep", "workers"))
        for slot in range(1, settings.WORKER_SLOTS + 1):
            name = f"filing worker {slot}"
            session = "queues.tasks.tramite_session"
            doorbell.register(doorbell.Tick(name, session, "workers", args=(slot,)))
