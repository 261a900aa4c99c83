"""Claim one case by its id."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from brain.claiming import FAULTS, claim_resource
from brain.models import Claim
from orchestrator_site.commands import ActingCommand


class Command(ActingCommand):
    help = "Claim one case of the origin now, prove it and queue it."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("id", type=int, help="idRecurso")
        parser.add_argument("--site", help="the organismo, where several match")

    def handle(self, *args: Any, **options: Any) -> None:
        claims = Claim.objects.filter(resource_id=options["id"])
        last = claims.first()
        try:
            found = claim_resource(options["id"], options["site"])
        except (*FAULTS, LookupError) as error:
            if options["json"]:
                self.put_json({"idRecurso": options["id"], "queued": False, "error": str(error)})
            raise CommandError(str(error)) from error
        claim = claims.filter(pk__gt=last.pk if last else 0).first()  # an older one is no success
        answer = {
            **found.as_dict(),
            "claim": claim.status if claim else None,
            "queued": bool(claim and claim.queued_at),
            "message": claim.message if claim else "",
        }
        if options["json"]:
            self.put_json(answer)
        else:
            self.put_table(
                f"Case {options['id']}", ("", ""), [(k, v) for k, v in answer.items() if v]
            )
        if not answer["queued"]:
            raise CommandError("The case was not queued.")
