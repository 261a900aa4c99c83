"""Rotate the key that signs scripts and jobs, without a pause; revoke one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from brain import signing
from brain.models import SigningKey
from orchestrator_site.commands import ActingCommand
from orchestrator_site.verbs import Refused

WHY = "rotatesigningkey"
Told = dict[str, Any]


class Command(ActingCommand):
    help = (
        "Make a new signing key and print once what workers are to be given. When they have it:"
        " --activate. The key before verifies for 90 days more. --revoke ends one at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--activate", action="store_true", help="the new key signs from now on")
        what.add_argument("--revoke", metavar="KEY_ID", help="nothing that it signed runs any more")
        what.add_argument("--export", action="store_true", help="the keys of now, for a new worker")
        parser.add_argument("--keys-file", type=Path, help="write them here, not on the screen")
        parser.add_argument("--force", action="store_true", help="whatever living workers know")
        parser.add_argument("--reason", default=WHY, help="why, for the record")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            told = self._rehearsed(options) if options["dry_run"] else self._done(options)
        except Refused as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"The keys cannot be written: {error}") from error
        if options["json"]:
            self.put_json(told)
        else:
            for name, value in told.items():
                self.stdout.write(f"{name}: {value}")

    def _done(self, options: dict[str, Any]) -> Told:
        if options["activate"]:
            told = self._activated(options)
        elif options["revoke"]:
            told = self._revoked(options)
        elif options["export"]:
            told = {"signs": SigningKey.current().key_id}
        else:
            told = {"new": signing.rotate(options["reason"]).key_id}
        return told | _handed_over(options)

    def _activated(self, options: dict[str, Any]) -> Told:
        key = _waiting()
        signed = signing.activate(key, options["reason"], force=options["force"])
        return {"signs": key.key_id, **vars(signed)}

    def _revoked(self, options: dict[str, Any]) -> Told:
        key = _known(options["revoke"])
        if key.status == SigningKey.Status.REVOKED:
            raise CommandError(f"The key {key} is revoked already.")
        ended = signing.revoke(key, options["reason"], force=options["force"])
        return {"revoked": key.key_id, "jobs_ended": ended, "signs": SigningKey.current().key_id}

    def _rehearsed(self, options: dict[str, Any]) -> Told:
        """Changes nothing, and says nothing secret."""
        if options["activate"]:
            key = _waiting()
            return {"would_sign": key.key_id, "unknown_to": signing.ignorant_workers(key)}
        if options["revoke"]:
            key = _known(options["revoke"])
            return {"would_revoke": key.key_id, "jobs_that_would_end": signing.signed_jobs(key)}
        return {"signs": SigningKey.current().key_id, "keys": len(signing.keys_file())}


def _handed_over(options: dict[str, Any]) -> Told:
    """What workers are given: in a file, or once on the screen where there is something new."""
    if options["keys_file"]:
        signing.write_keys_file(options["keys_file"])
        return {"keys_file": str(options["keys_file"])}
    if options["activate"] or options["revoke"]:
        return {}
    return {"for_workers": signing.workers_line()}


def _waiting() -> SigningKey:
    key = SigningKey.objects.filter(status=SigningKey.Status.NEW).first()
    if key is None:
        raise CommandError("There is no new key: run rotatesigningkey first.")
    return key


def _known(key_id: str) -> SigningKey:
    key = SigningKey.objects.filter(key_id=key_id).first()
    if key is None:
        known = ", ".join(f"{row.key_id} ({row.status})" for row in SigningKey.objects.all())
        raise CommandError(f"There is no key {key_id}. Known are: {known}.")
    return key
