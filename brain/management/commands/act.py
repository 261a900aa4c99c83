"""What staff do with the buttons of the admin, for scripts and the shell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db.models import Model

from brain.verbs import VERBS
from orchestrator_site import verbs
from orchestrator_site.commands import ActingCommand
from orchestrator_site.verbs import Verb

OFFERED = "; ".join(
    f"{word}: {', '.join(verb.path for verb in offered)}" for word, (_m, offered) in VERBS.items()
)


class Command(ActingCommand):
    help = f"Do a verb to rows, by their ids. {OFFERED}."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("kind", choices=VERBS)
        parser.add_argument("verb")
        parser.add_argument("ids", nargs="+")
        parser.add_argument("--reason", required=True, help="why, for the record")
        parser.add_argument("--dry-run", action="store_true", help="say which rows it would be")

    def handle(self, *args: Any, **options: Any) -> None:
        model, offered = VERBS[options["kind"]]
        verb = next((one for one in offered if one.path == options["verb"]), None)
        if verb is None:
            names = ", ".join(one.path for one in offered)
            raise CommandError(f"{options['kind']} has no verb {options['verb']}: {names}")
        ids = _keys(model, options["ids"])
        rows = list(model._default_manager.filter(pk__in=ids))
        missing = sorted(ids - {row.pk for row in rows})
        if missing:
            raise CommandError(f"No {options['kind']} {', '.join(map(str, missing))}.")
        if options["dry_run"]:
            self._rehearse(verb, rows, options["json"])
            return
        tally = verbs.apply(verb, rows, options["reason"])
        self._tell(vars(tally), options["json"])
        if tally.done < len(rows):
            raise CommandError(f"Done for {tally.done} of {len(rows)}.")

    def _rehearse(self, verb: Verb, rows: list[Model], as_json: bool) -> None:
        would = [str(row) for row in rows if verb.fits(row)]
        left = [str(row) for row in rows if not verb.fits(row)]
        self._tell({"would": would, "left_alone": left}, as_json)
        if left:
            told = f"It would be done for {len(would)} of {len(rows)}"
            raise CommandError(f"{told}: the others are not in a state for {verb.path}.")

    def _tell(self, told: Mapping[str, Any], as_json: bool) -> None:
        if as_json:
            self.put_json(told)
        else:
            lines = [(name.replace("_", " "), _in_lines(value)) for name, value in told.items()]
            self.put_table("", ("", ""), lines)


def _keys(model: type[Model], ids: Iterable[str]) -> set[Any]:
    try:
        return {model._meta.pk.to_python(one) for one in ids}
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error


def _in_lines(value: Any) -> str:
    return ("\n".join(value) or "-") if isinstance(value, list) else str(value)
