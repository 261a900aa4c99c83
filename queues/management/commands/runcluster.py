"""A django-q2 cluster, supervised."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from orchestrator_site.stopping import stop_on_signals
from queues import doorbell
from queues.locking import Held
from queues.supervision import Cluster


class Command(BaseCommand):
    help = "Run one cluster (brain, workers, ...) of this host, replaced when it dies or is deaf."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=doorbell.known_clusters())

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        try:
            with stop_on_signals() as stop:
                Cluster(name).supervise(stop)
        except Held as error:
            told = _("cluster %(name)s is supervised already by process %(pid)s")
            raise CommandError(told % {"name": name, "pid": error.by}) from error
