"""A run of the post-processing: a company's files into its table, then into the bucket.

One at a time for each company, on all hosts. What a run that died leaves behind, the next one
settles: rows are written in whole batches, and an object is `pending` until its end is known.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _

from orchestrator_site.actors import current_actor
from orchestrator_site.clock import db_now
from orchestrator_site.logs import redact
from orchestrator_site.models import Lease
from orchestrator_site.sessions import LEASE, Watch, me
from orchestrator_site.stopping import Stop
from postprocessing import asking, loading, reporting, sentences, uploading
from postprocessing.companies import Company
from postprocessing.folder import FileFault
from postprocessing.models import PostProcessingRun, companies, company_called

logger = logging.getLogger(__name__)
NO_END = timedelta(days=1)
WAITS_AT_MOST = timedelta(days=1)
Tell = Callable[[str, int, int | None], None]  # what, how many done, of how many where it is known
Status = PostProcessingRun.Status


class Busy(Exception):
    """Another run is at work on the company; the message says which."""


@dataclass
class CompanyResult:
    """What a run did, in the documents' names. Times in seconds."""

    company: str
    success: bool = False
    files: int = 0
    files_read: int = 0
    db_inserted: int = 0
    db_updated: int = 0
    db_duplicates: int = 0
    db_errors: int = 0
    s3_uploaded: int = 0
    s3_pre_existing: int = 0
    s3_simulated: int = 0
    s3_errors: int = 0
    processing_time: float = 0.0
    error: str = ""  # what ended it
    is_simulated: bool = False  # there is no bucket: objects are kept on this machine
    is_unfinished: bool = False  # its time was over; the next run goes on
    run: int | None = None  # the row's key; None: a dry run
    faults: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)

    @property
    def total_processing_time(self) -> float:
        """As the managers of old call it."""
        return self.processing_time

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class CompleteResult:
    """The runs of several companies."""

    companies: list[CompanyResult]

    @property
    def success(self) -> bool:
        return all(one.success for one in self.companies)

    def as_dict(self) -> dict[str, Any]:
        totals = {name: self._total(name) for name in COUNTED}
        by_name = {one.company: one.as_dict() for one in self.companies}
        undeclared = reporting.undeclared()
        return {"success": self.success, **totals, "companies": by_name, "undeclared": undeclared}

    def _total(self, name: str) -> Any:
        return sum(getattr(one, name) for one in self.companies)


COUNTS = (
    *("files", "files_read", "db_inserted", "db_updated", "db_duplicates", "db_errors"),
    *("s3_uploaded", "s3_pre_existing", "s3_simulated", "s3_errors"),
)
COUNTED = (*COUNTS, "processing_time")


def _untold(what: str, done: int, of: int | None) -> None:
    return


def run_post_processing_for_company(
    company: str,
    database_only: bool = False,
    full: bool = False,
    *,
    dry_run: bool = False,
    told: Tell = _untold,
    stop: Stop | None = None,
    duration: timedelta = NO_END,
    asked: int | None = None,
) -> CompanyResult:
    """Load a company's files, and upload them unless `database_only`. `full` looks at every file
    again, `dry_run` writes nothing. After `duration` it ends early: the next run goes on.
    `asked`: the run that waits for this, which becomes this one's row.

    Raises UnknownCompany and Busy. What else goes wrong is in the result.
    """
    known = company_called(company)
    lease = Lease.acquire(f"postprocessing {known.name}", me("postprocessing"), LEASE)
    if lease is None:
        holder = Lease.objects.get(name=f"postprocessing {known.name}").holder
        text = _("%(company)s is being processed already, by %(holder)s.")
        raise Busy(text % {"company": known.title, "holder": holder})
    watch = Watch(lease, stop or Stop(), duration)
    try:
        return _Run(known, database_only, full, dry_run, told, watch, asked).carry_out()
    finally:
        lease.release()
        asking.begin_next(known.name)


def run_complete_post_processing(
    only: Iterable[str] = (), database_only: bool = False, full: bool = False, **options: Any
) -> CompleteResult:
    """The same for all companies, or `only` some, one after the other. One that is busy is told as
    such. Raises UnknownCompany."""
    names = [company_called(name).name for name in only] or [one.name for one in companies()]
    return CompleteResult([_or_busy(name, database_only, full, options) for name in names])


def _or_busy(name: str, database_only: bool, full: bool, options: dict[str, Any]) -> CompanyResult:
    try:
        return run_post_processing_for_company(name, database_only, full, **options)
    except Busy as error:
        return CompanyResult(name, error=str(error))


class _Run:
    """One run of one company, under its lease."""

    def __init__(
        self,
        company: Company,
        database_only: bool,
        full: bool,
        dry_run: bool,
        told: Tell,
        watch: Watch,
        asked: int | None,
    ) -> None:
        self.asked = asked
        self.company, self.full, self.dry_run, self.told = company, full, dry_run, told
        self.database_only, self.watch = database_only, watch
        self.result = CompanyResult(company.name)
        self.began = time.monotonic()

    def carry_out(self) -> CompanyResult:
        row = None if self.dry_run else self._open()
        try:
            self._load()
            if not self.database_only and not self._is_over():
                self._upload()
            if self._is_over() and not self.result.error:
                self.result.is_unfinished = True
                self.result.error = sentences.ENDED_EARLY
        except Exception as error:  # the rim: other companies go on
            logger.exception("post-processing of %s failed", self.company)
            self.result.error = redact(f"{type(error).__name__}: {error}")
        self.result.processing_time = round(time.monotonic() - self.began, 3)
        refused = self.result.db_errors + self.result.s3_errors
        self.result.success = not refused and not self.result.error
        if row is not None:
            self._close(row)
        return self.result

    def _is_over(self) -> bool:
        return self.watch() or self.watch.is_over()

    def _load(self) -> None:
        done = loading.load(
            self.company,
            full=self.full,
            dry_run=self.dry_run,
            told=lambda count, of: self.told(_("loading"), count, of),
            stopped=self._is_over,
        )
        self.result.files, self.result.files_read = done.files, done.files_read
        self.result.db_inserted, self.result.db_updated = done.inserted, done.updated
        self.result.db_duplicates, self.result.db_errors = done.duplicates, done.errors
        self.result.faults += [asdict(one) for one in done.faults]
        self.result.warnings += [asdict(one) for one in done.warnings]

    def _upload(self) -> None:
        done = uploading.upload(
            self.company,
            full=self.full,
            dry_run=self.dry_run,
            told=lambda count, of: self.told(_("uploading"), count, of),
            stopped=self._is_over,
        )
        self.result.files = max(self.result.files, done.files)
        self.result.s3_uploaded, self.result.s3_pre_existing = done.uploaded, done.pre_existing
        known = {FileFault(**one) for one in self.result.faults}
        new = [one for one in done.faults if one not in known]  # a link that is named .json, say
        self.result.is_simulated, self.result.s3_simulated = done.is_simulated, done.simulated
        self.result.s3_errors = done.errors - (len(done.faults) - len(new))
        self.result.faults += [asdict(one) for one in new]
        self.result.warnings += [asdict(one) for one in done.warnings]
        self.result.error = done.error

    def _open(self) -> PostProcessingRun:
        self._abandon()
        row = self._taken() or PostProcessingRun.objects.create(
            empresa=self.company.name,
            database_only=self.database_only,
            full=self.full,
            runner=str(current_actor()),
            started_at=db_now(),
        )
        self.result.run = row.pk
        return row

    def _abandon(self) -> None:
        """What nobody is at work on, or will be."""
        now, runs = db_now(), PostProcessingRun.objects.filter(empresa=self.company.name)
        for left in runs.filter(status=Status.RUNNING):
            left.move(Status.ABANDONED, sentences.PROCESS_DIED, finished_at=now)
        lost = runs.filter(
            status__in=PostProcessingRun.NOT_BEGUN, started_at__lt=now - WAITS_AT_MOST
        )
        for left in lost:
            if left.pk != self.asked:
                left.move(Status.ABANDONED, sentences.NEVER_BEGUN, finished_at=now)

    def _taken(self) -> PostProcessingRun | None:
        """The row of who asked for this; None: nobody did, or another run has taken it."""
        if self.asked is None:
            return None
        waiting = PostProcessingRun.objects.filter(status__in=PostProcessingRun.NOT_BEGUN)
        row = waiting.filter(pk=self.asked).first()
        return row if row and row.move(Status.RUNNING, started_at=db_now()) else None

    def _close(self, row: PostProcessingRun) -> None:
        refused = self.result.db_errors + self.result.s3_errors
        ending = Status.WITH_ERRORS if refused else Status.DONE
        counts = {name: getattr(self.result, name) for name in COUNTS}
        row.move(
            Status.FAILED if self.result.error else ending,
            self.result.error,
            finished_at=db_now(),
            faults=self.result.faults,
            warnings=self.result.warnings,
            error=self.result.error,
            **counts,
        )
