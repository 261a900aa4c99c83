"""The web application, served the same on Linux and Windows."""

from __future__ import annotations

from typing import Any

import waitress
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from orchestrator_site.wsgi import application

# Browsers keep theirs open: a wall of screens is some hundred.
CONNECTIONS = 1000


class Command(BaseCommand):
    help = "Serve the control room."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--threads", type=int, default=8)

    def handle(self, *args: Any, **options: Any) -> None:
        proxied = {
            "trusted_proxy": settings.TRUSTED_PROXY,
            "trusted_proxy_headers": {"x-forwarded-proto", "x-forwarded-for", "x-forwarded-host"},
        }
        host, port = options["host"], options["port"]
        try:
            server = waitress.create_server(
                application,
                host=host,
                port=port,
                threads=options["threads"],
                ident=None,
                connection_limit=CONNECTIONS,
                asyncore_use_poll=True,  # select() knows no more than 1,024 files
                **(proxied if settings.HTTPS else {}),
            )
        except OSError as error:
            raise CommandError(f"Port {port} of {host}: {error.strerror or error}") from error
        self.stdout.write(f"The control room is on http://{host}:{port}/")
        self.stdout.flush()
        server.run()
