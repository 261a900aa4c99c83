"""What staff do with the buttons of the admin, for scripts and the shell."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from orchestrator_site import bulk, verbs
from orchestrator_site.commands import ActingCommand
from orchestrator_site.models import BulkAction
from orchestrator_site.narrowing import narrowed, parsed
from orchestrator_site.stopping import stop_on_signals
from orchestrator_site.verbs import OFFERS, Offer, Refused, Verb

OFFERED = "; ".join(
    f"{kind}: {', '.join(verb.path for verb in offer.verbs)}" for kind, offer in OFFERS.items()
)
NAMED = 20  # rows that a dry run of many names
LOOKED_AT = 200
SHOWN_REFUSED = 10


class Command(ActingCommand):
    help = f"Do a verb to rows: by their ids, by filters, or to all. {OFFERED}."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("kind", choices=sorted(OFFERS))
        parser.add_argument("verb")
        parser.add_argument("ids", nargs="*")
        parser.add_argument(
            "--filter",
            action="append",
            default=[],
            metavar="FIELD=VALUE",
            help="the rows of which it holds, such as status=failed or created_at__lt=2026-01-01;"
            " several: of which all hold",
        )
        parser.add_argument("--all", action="store_true", help="all rows of the kind")
        parser.add_argument("--value", default="", help="of a verb that wants one")
        parser.add_argument("--reason", required=True, help="why, for the record")
        parser.add_argument("--dry-run", action="store_true", help="say which rows it would be")

    def handle(self, *args: Any, **options: Any) -> None:
        offer = OFFERS[options["kind"]]
        verb = _verb(offer, options["verb"], options["value"])
        chosen = [bool(options[name]) for name in ("ids", "filter", "all")]
        if sum(chosen) != 1:
            raise CommandError("Say which rows: their ids, or --filter, or --all.")
        if options["ids"]:
            self._few(offer, verb, options)
        else:
            self._many(offer, verb, options)

    # --- By ids ---------------------------------------------------------------------------------

    def _few(self, offer: Offer, verb: Verb, options: Mapping[str, Any]) -> None:
        model = offer.model
        ids = _keys(offer, options["ids"])
        rows = list(model._default_manager.filter(pk__in=ids))
        missing = sorted(ids - {row.pk for row in rows})
        if missing:
            raise CommandError(f"No {offer.kind} {', '.join(map(str, missing))}.")
        if options["dry_run"]:
            self._rehearse(verb, rows, options["json"])
            return
        tally = verbs.apply(verb, rows, options["reason"], options["value"])
        self._tell(vars(tally), options["json"])
        if tally.done < len(rows):
            raise CommandError(f"Done for {tally.done} of {len(rows)}.")

    def _rehearse(self, verb: Verb, rows: list[Any], as_json: bool) -> None:
        would = [str(row) for row in rows if verb.fits(row)]
        left = [str(row) for row in rows if not verb.fits(row)]
        self._tell({"would": would, "left_alone": left}, as_json)
        if left:
            told = f"It would be done for {len(would)} of {len(rows)}"
            raise CommandError(f"{told}: the others are not in a state for {verb.path}.")

    # --- By filters -----------------------------------------------------------------------------

    def _many(self, offer: Offer, verb: Verb, options: Mapping[str, Any]) -> None:
        try:
            rows = narrowed(offer.model, parsed(options["filter"]))
            if options["dry_run"]:
                self._tell(_rehearsed(verb, rows), options["json"])
                return
            told = ", ".join(options["filter"])
            action = bulk.ask(offer, verb, rows, options["reason"], options["value"], told)
        except Refused as error:
            raise CommandError(str(error)) from error
        self._go_on(action, options["json"])
        refused = [why for _key, _outcome, why in bulk.lines(action, ("refused",))]
        counts = {"bulk_action": action.pk, "rows": action.total, **action.counts}
        self._tell({**counts, "reasons": refused[:SHOWN_REFUSED]}, options["json"])
        if action.counts["done"] < action.total:
            raise CommandError(f"Done for {action.counts['done']} of {action.total}.")

    def _go_on(self, action: BulkAction, as_json: bool) -> None:
        """Here, with a bar where somebody looks; Ctrl-C stops it between two rows. A command that
        dies is carried on in the background."""
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        is_hidden = as_json or not sys.stderr.isatty()
        with (
            stop_on_signals() as stop,
            Progress(*columns, TimeRemainingColumn(), console=console, disable=is_hidden) as bar,
        ):
            line = bar.add_task(f"{action.kind} {action.verb}", total=action.total)

            def stopped() -> bool:
                bar.advance(line)
                return stop()

            bulk.carry_on(action, stopped)
            if stop() and action.is_live:
                bulk.stop(action, "stopped in the shell")

    def _tell(self, told: Mapping[str, Any], as_json: bool) -> None:
        if as_json:
            self.put_json(told)
        else:
            lines = [(name.replace("_", " "), _in_lines(value)) for name, value in told.items()]
            self.put_table("", ("", ""), lines)


def _verb(offer: Offer, name: str, value: str) -> Verb:
    verb = next((one for one in offer.verbs if one.path == name), None)
    if verb is None:
        names = ", ".join(one.path for one in offer.verbs)
        raise CommandError(f"{offer.kind} has no verb {name}: {names}")
    if verb.argument is None:
        if value:
            raise CommandError(f"{verb.path} takes no --value.")
        return verb
    try:
        verb.argument.value(value)
    except Refused as error:
        raise CommandError(f"--value: {error}") from error
    return verb


def _rehearsed(verb: Verb, rows: QuerySet[Any]) -> dict[str, Any]:
    looked_at = list(rows.order_by("pk")[:LOOKED_AT])
    would = [str(row) for row in looked_at if verb.fits(row)]
    left = [str(row) for row in looked_at if not verb.fits(row)]
    return {
        "rows": rows.count(),
        "looked_at": len(looked_at),
        "fitting": len(would),
        "would": would[:NAMED],
        "left_alone": left[:NAMED],
    }


def _keys(offer: Offer, ids: Iterable[str]) -> set[Any]:
    try:
        return {offer.model._meta.pk.to_python(one) for one in ids}
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error


def _in_lines(value: Any) -> str:
    return ("\n".join(value) or "-") if isinstance(value, list) else str(value)
