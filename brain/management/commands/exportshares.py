"""The shares as `main_config` has them."""

from __future__ import annotations

from typing import Any

from brain import main_config
from orchestrator_site.commands import ActingCommand


class Command(ActingCommand):
    help = "Print the shares as positional arrays, in the format that importshares reads."

    def handle(self, *args: Any, **options: Any) -> None:
        self.put_json(main_config.export())
