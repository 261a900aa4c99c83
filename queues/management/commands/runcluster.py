"""A django-q2 cluster, supervised."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orchestrator_site.stopping import stop_on_signals
from queues import doorbell
from queues.supervision import Cluster


class Command(BaseCommand):
    help = "Run one cluster (brain, workers, ...) of this host, restarted when it falls deaf."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=doorbell.known_clusters())

    def handle(self, *args: Any, **options: Any) -> None:
        with stop_on_signals() as stop:
            Cluster(options["name"]).supervise(stop)
