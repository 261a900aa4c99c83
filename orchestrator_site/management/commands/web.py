"""The web application, served the same on Linux and Windows."""

from __future__ import annotations

from typing import Any

import waitress
from django.core.management.base import BaseCommand, CommandParser

from orchestrator_site.wsgi import application


class Command(BaseCommand):
    help = "Serve the control room."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--threads", type=int, default=8)

    def handle(self, *args: Any, **options: Any) -> None:
        waitress.serve(
            application,
            host=options["host"],
            port=options["port"],
            threads=options["threads"],
            ident=None,
        )
