"""The mirror in the foreground: told, read, compared and filled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from orchestrator_site.commands import ActingCommand
from orchestrator_site.sessions import Watch, run_leased
from orchestrator_site.stopping import stop_on_signals
from queues.mirror import backfilling, door, verifying
from queues.mirror.kinds import KINDS
from queues.mirror.publishing import LEASE, open_changes
from queues.mirror.session import Session, explain, mark_all, run, switch_on
from queues.models import MirrorChange, MirrorState, SetAside

TO, FROM = "to-mongo", "from-mongo"
LISTED = 1000  # differences that are shown
FIELDS = ("kind", "key", "field", "here", "there")
Advance = Callable[[str, int], object]  # what it is at, and how much further


class Command(ActingCommand):
    help = (
        "Tell Mongo what changes here and take in what is written there: for ever, or with --once "
        "until nothing is left. Or fill one side from the other, or compare both. MONGODB_URI says "
        "where Mongo is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        one = parser.add_mutually_exclusive_group()
        one.add_argument("--once", action="store_true", help="end when nothing is left to do")
        one.add_argument(
            "--backfill",
            choices=(TO, FROM),
            default="",
            help="write every row to Mongo, or take over what Mongo has and this database has not",
        )
        one.add_argument(
            "--verify", action="store_true", help="list differences; exit status 1 where any is"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="write nothing, say what would be done"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not door.is_configured():
            raise CommandError(
                "There is no mirror: set MONGODB_URI, say to mongodb://user:password@host:27017/."
            )
        self.as_json = options["json"]
        try:
            self._chosen(options)
        except door.PyMongoError as error:
            told = explain(error)
            MirrorState.failed(told)
            raise CommandError(f"Mongo: {told}") from error

    def _chosen(self, options: dict[str, Any]) -> None:
        if options["verify"]:
            self._verify()
        elif options["backfill"] == FROM:
            self._from_mongo(options["dry_run"])
        elif options["dry_run"]:
            self._dry_run(is_all=options["backfill"] == TO)
        elif options["backfill"] == TO:
            self._leased(self._to_mongo)
        elif options["once"]:
            self._leased(self._once)
        else:
            self._for_ever()

    # --- Mirroring --------------------------------------------------------------------------------

    def _for_ever(self) -> None:
        self.stderr.write("Mirroring. Ctrl-C ends after the batch at hand.")
        with stop_on_signals() as stop:
            while not stop():
                if not run(stop):
                    self.stderr.write("Another process holds the mirror's lease; waiting for it.")
                    stop.wait(15)

    def _leased(self, work: Callable[[Session, Watch], None]) -> None:
        """Do it under the lease, and end; a signal ends it after the batch at hand."""
        with stop_on_signals() as stop:
            session = Session(stop)

            def step(watch: Watch) -> bool:
                work(session, watch)
                stop.request()
                return False

            if not run_leased(LEASE, step, stop):
                raise CommandError("Another process holds the mirror's lease: it mirrors already.")
        self._put_total(session)

    def _once(self, session: Session, watch: Watch) -> None:
        """Until a look at Mongo brings nothing; then what it found to write back is written."""
        while not watch():
            while not watch() and session.publish(watch):
                pass
            if not session.look(watch):
                session.publish(watch)
                return

    def _to_mongo(self, session: Session, watch: Watch) -> None:
        switch_on()
        mark_all(watch)
        with _progress(open_changes().count()) as advance:
            while not watch() and (done := session.publish(watch)):
                advance("publishing", done)

    def _put_total(self, session: Session) -> None:
        waiting, aside = open_changes().count(), _set_aside()
        if self.as_json:
            told = {"published": session.published, "taken_in": session.taken}
            self.put_json({**told, "waiting": waiting, "set_aside": aside})
            return
        self.stdout.write(
            f"{session.published} documents written, {session.taken} changes taken in, "
            f"{waiting} wait, {sum(aside.values())} set aside."
        )

    def _dry_run(self, is_all: bool) -> None:
        kinds = KINDS.values()
        counts = (
            Counter({kind.name: sum(1 for _key in kind.all_keys()) for kind in kinds})
            if is_all
            else Counter(open_changes().order_by().values_list("kind", flat=True).iterator())
        )
        if self.as_json:
            self.put_json({"dry_run": True, "waiting": counts})
            return
        self.put_table("What would be written; nothing was", ("kind", "rows"), counts.items())

    # --- Taking over ------------------------------------------------------------------------------

    def _from_mongo(self, dry_run: bool) -> None:
        with _progress(backfilling.size()) as advance:
            report = backfilling.from_mongo(dry_run, advance)
        if self.as_json:
            self.put_json(report.as_dict())
            return
        if report.listed:
            self.put_table("Set aside", ("collection", "document", "reason"), report.listed)
        counts = (report.created, report.known, report.under_way, report.set_aside)
        head = "Dry run, nothing written" if dry_run else "Taken over"
        self.put_table(
            head,
            ("", "created", "there already", "under way in Mongo", "set aside"),
            [(what, *(one[what] for one in counts)) for what in ("people", "works", "tasks")],
        )

    # --- Comparing --------------------------------------------------------------------------------

    def _verify(self) -> None:
        result = verifying.Comparison()
        listed: list[verifying.Difference] = []
        with _progress(_rows()) as advance:
            for one in verifying.differences(result, advance):
                if len(listed) < LISTED:
                    listed.append(one)
        if self.as_json:
            shown = [vars(one) for one in listed]
            self.put_json({**result.as_dict(), "count": result.differences, "differences": shown})
        else:
            self._put_differences(result, listed)
        if result.differences:
            raise CommandError(f"{result.differences} differences.")

    def _put_differences(
        self, result: verifying.Comparison, listed: list[verifying.Difference]
    ) -> None:
        if listed:
            self.put_table("Differences", FIELDS, [tuple(vars(one).values()) for one in listed])
        if (more := result.differences - len(listed)) > 0:
            self.stdout.write(f"... and {more} more.")
        counts = (result.compared, result.waiting, result.set_aside)
        compared, waiting, aside = (one.total() for one in counts)
        self.stdout.write(f"{compared} rows compared, {waiting} on their way, {aside} set aside.")


def _set_aside() -> dict[str, int]:
    return {
        "changes": MirrorChange.objects.filter(set_aside_at__isnull=False).count(),
        "documents": SetAside.objects.count(),
    }


def _rows() -> int:
    return sum(sum(1 for _key in kind.all_keys()) for kind in KINDS.values())


@contextmanager
def _progress(total: int) -> Iterator[Advance]:
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda what, count: bar.update(task, description=what, advance=count)
