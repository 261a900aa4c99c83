"""The ground that every app stands on."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class OrchestratorSiteConfig(AppConfig):
    name = "orchestrator_site"
    verbose_name = _("Control room")

    def ready(self) -> None:
        from orchestrator_site import (
            alerting,
            bulk,
            checks,  # noqa: F401  registers the system checks
            connections,
            membership,
            metrics,
            roles,
            row_security,
            verbs,
        )
        from orchestrator_site.models import Alert, BulkAction, Member

        connection_created.connect(connections.read_dates_fast, dispatch_uid="dates")
        connection_created.connect(connections.ask_the_socket, dispatch_uid="socket")
        connection_created.connect(row_security.tell, dispatch_uid="organisation")
        # Permissions exist only after a migration: the roles follow each app's.
        post_migrate.connect(roles.sync, dispatch_uid="roles")
        post_migrate.connect(alerting.make_rules, sender=self, dispatch_uid="alert rules")
        metrics.register(metrics.ground)
        verbs.offer("alert", Alert, *alerting.ALERT_VERBS)
        verbs.offer(
            "member",
            Member,
            *membership.MEMBER_VERBS,
            permission="orchestrator_site.change_member",
        )
        verbs.offer(bulk.KIND, BulkAction, *bulk.BULK_VERBS)
