"""What staff do with the buttons of the admin, for scripts and the shell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from brain.verbs import VERBS
from orchestrator_site import verbs
from orchestrator_site.commands import ActingCommand

OFFERED = "; ".join(
    f"{word}: {', '.join(verb.path for verb in offered)}" for word, (_m, offered) in VERBS.items()
)


class Command(ActingCommand):
    help = f"Do a verb to rows, by their ids. {OFFERED}."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("kind", choices=VERBS)
        parser.add_argument("verb")
        parser.add_argument("ids", type=int, nargs="+")
        parser.add_argument("--reason", required=True, help="why, for the record")
        parser.add_argument("--dry-run", action="store_true", help="say which rows it would be")

    def handle(self, *args: Any, **options: Any) -> None:
        model, offered = VERBS[options["kind"]]
        verb = next((one for one in offered if one.path == options["verb"]), None)
        if verb is None:
            names = ", ".join(one.path for one in offered)
            raise CommandError(f"{options['kind']} has no verb {options['verb']}: {names}")
        rows = list(model._default_manager.filter(pk__in=options["ids"]))
        missing = sorted(set(options["ids"]) - {row.pk for row in rows})
        if missing:
            raise CommandError(f"No {options['kind']} {', '.join(map(str, missing))}.")
        if options["dry_run"]:
            self._tell({"would": [str(row) for row in rows if verb.fits(row)]}, options["json"])
            return
        tally = verbs.apply(verb, rows, options["reason"])
        self._tell(vars(tally), options["json"])
        if tally.done < len(rows):
            raise CommandError(f"Done for {tally.done} of {len(rows)}.")

    def _tell(self, told: dict[str, Any], as_json: bool) -> None:
        if as_json:
            self.put_json(told)
        else:
            self.put_table("", ("", ""), [(name, value) for name, value in told.items()])
