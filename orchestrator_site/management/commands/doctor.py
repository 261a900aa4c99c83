"""Is everything that is configured there, and what to do where it is not."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from orchestrator_site import diagnosis
from orchestrator_site.commands import ActingCommand


class Command(ActingCommand):
    help = "Check every configured system and say in plain words what to do."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--fix",
            action="store_true",
            help="first make the indexes and triggers that are missing",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["fix"]:
            diagnosis.mend()
        findings = list(diagnosis.examine())
        sick = [finding.system for finding in findings if finding.state == diagnosis.BAD]
        if options["json"]:
            self.put_json({"ok": not sick, "findings": [vars(finding) for finding in findings]})
        else:
            self.put_table(
                "Doctor",
                ("", "system", "found", "to do"),
                [(f.state.upper(), f.system, f.found, f.to_do) for f in findings],
            )
        if sick:
            raise CommandError(f"Needs mending: {', '.join(dict.fromkeys(sick))}")
