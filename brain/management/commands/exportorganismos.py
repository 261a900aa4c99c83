"""The organismos as `organismo_config.json`."""

from __future__ import annotations

from typing import Any

from brain import importing
from brain.models import Organismo
from orchestrator_site.commands import ActingCommand


class Command(ActingCommand):
    help = "Print the organismos in the format that importorganismos reads."

    def handle(self, *args: Any, **options: Any) -> None:
        self.put_json(importing.export(Organismo.objects.order_by("site_id")))
