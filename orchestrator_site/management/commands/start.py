"""Everything of the Procfile on this machine, until Ctrl-C."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from honcho import manager
from honcho.environ import parse_procfile

# A worker ends the appeal at hand before it goes; honcho's own five seconds would cut it off.
LET_END = 90


class Command(BaseCommand):
    help = "Prepare this machine and start the web, the clusters and (DEMO) the demo world."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", default=str(settings.PORT))

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("prepare", port=options["port"])
        self.stdout.write("  Stop with Ctrl-C.")
        manager.KILL_WAIT = LET_END
        running = manager.Manager()
        environment = {
            "LOG_LEVEL": "WARNING",
            **settings.ENVIRON,
            "PORT": options["port"],
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{settings.ENVIRON.get('PATH', '')}",
        }
        procfile = parse_procfile((settings.BASE_DIR / "Procfile").read_text())
        for name, command in procfile.processes.items():
            if name != "world" or settings.DEMO:
                running.add_process(name, command, env=environment, cwd=str(settings.BASE_DIR))
        running.loop()
        sys.exit(running.returncode)
