"""Is everything that is configured there, and what to do where it is not."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from orchestrator_site import diagnosis
from orchestrator_site.commands import ActingCommand


class Command(ActingCommand):
    help = "Check every configured system and say in plain words what to do."

    def handle(self, *args: Any, **options: Any) -> None:
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
            raise CommandError(f"Needs mending: {', '.join(sick)}")
