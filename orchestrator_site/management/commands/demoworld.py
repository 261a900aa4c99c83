"""Serve the demo world: the intranet and the organism sites, on loopback."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from orchestrator_site.demo.world.application import serve

HOST = "127.0.0.1"


class Command(BaseCommand):
    help = "Serve the demo world (intranet and organism sites) on loopback until it is stopped."
    requires_system_checks = []  # the world must come up whatever state the project is in

    def add_arguments(self, parser: CommandParser) -> None:
        port = urlsplit(settings.DEMO_WORLD_URL).port or 80
        parser.add_argument("--port", type=int, default=port, help="Default: DEMO_WORLD_URL's.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.ORIGIN_IS_EMBEDDED:
            raise CommandError("The demo world assigns cases: it stays away from a real origin.")
        try:
            server = serve(HOST, options["port"])
        except OSError as error:
            raise CommandError(f"Port {options['port']}: {error.strerror}") from error
        self.stdout.write(f"The demo world is on http://{HOST}:{server.effective_port}/")
        server.run()
