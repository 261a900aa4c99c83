"""What our commands share: an actor, `--json`, and plain tables."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from rich.console import Console
from rich.table import Table

from orchestrator_site.actors import ActorKind, acting_as


class ActingCommand(BaseCommand):
    """A command whose moves are written down under the person that runs it."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def execute(self, *args: Any, **options: Any) -> Any:
        with acting_as(ActorKind.COMMAND, f"{_user()} {self.name}"):
            return super().execute(*args, **options)

    @property
    def name(self) -> str:
        return self.__module__.rpartition(".")[2]

    def put_json(self, data: Any) -> None:
        self.stdout.write(json.dumps(data, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2))

    def put_table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        table = Table(*columns, title=title, title_justify="left", highlight=False)
        for row in rows:
            table.add_row(*("" if value is None else str(value) for value in row))
        console = Console(
            file=cast(TextIO, self.stdout), width=None if sys.stdout.isatty() else 160
        )
        console.print(table)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
