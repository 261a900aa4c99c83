"""Recompute the audit's chain, and compare it with what it was made of."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from orchestrator_site import auditing
from orchestrator_site.auditing import Head, Verdict
from orchestrator_site.commands import ActingCommand


class Command(ActingCommand):
    help = (
        "Seal what happened until now, recompute every hash of the audit, and compare each entry"
        " with its event, version or line where that still exists. Names the first broken link,"
        " and ends with 1. Prints the head: keep it where nobody can change it, and give it with"
        " --since the next time, since an end that was cut off shows in no other way."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--since", metavar="NUMBER:HASH", help="a head of before, which must still stand"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        kept = _head(options["since"]) if options["since"] else None
        auditing.collect()
        with Progress(console=Console(file=sys.stderr), transient=True) as bar:
            task = bar.add_task("entries", total=auditing.head().number)
            verdict = auditing.verify(kept, lambda count: bar.update(task, advance=count))
        auditing.note(verdict)
        if options["json"]:
            self.put_json(_told(verdict))
        elif not verdict.broken:
            compared = f"{verdict.sources} of them compared with what they were made of"
            self.stdout.write(f"{verdict.entries} entries stand, {compared}.")
            if kept:
                self.stdout.write(f"The head of entry {kept.number} stands.")
            self.stdout.write(f"head {verdict.head}")
        if broken := verdict.broken:
            raise CommandError(
                f"Broken at entry {broken.number} ({broken.kind}): {broken.text}."
                f" The {verdict.entries} before it stand."
            )


def _head(text: str) -> Head:
    try:
        return Head.parse(text)
    except ValueError as error:
        raise CommandError(f"--since: {error}") from error


def _told(verdict: Verdict) -> dict[str, Any]:
    return {
        "ok": verdict.broken is None,
        "entries": verdict.entries,
        "compared": verdict.sources,
        "head": str(verdict.head),
        "broken": vars(verdict.broken) if verdict.broken else None,
    }
