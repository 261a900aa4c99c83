"""What staff can be warned of in the post-processing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Case, F, Min, When
from django.utils.translation import gettext_lazy

from orchestrator_site.clock import db_now
from orchestrator_site.measures import Measure, Reading
from postprocessing import sentences
from postprocessing.models import PostProcessingRun, S3File, Verification, companies

Run = PostProcessingRun.Status
HOUR = timedelta(hours=1)


def coverage() -> Iterator[Reading]:
    """Per cent, of each company's last verification: the lower of table and bucket. Where
    uploads are simulated there is no bucket to be counted."""
    for company in companies():
        last = Verification.objects.filter(empresa=company.name).first()
        known = [] if last is None else [last.coverage_database, last.coverage_s3]
        if last is None or not (found := [one for one in known if one is not None]):
            continue
        yield Reading(company.name, _rounded(min(found)), _covered(company.title, last))


def _covered(title: str, last: Verification) -> str:
    """No JSON file: nothing is missing in the table."""
    database = 100 if last.coverage_database is None else last.coverage_database
    facts = {"company": title, "database": _rounded(database)}
    if last.coverage_s3 is None:
        return sentences.COVERAGE_DATABASE % facts
    return sentences.COVERAGE % {**facts, "s3": _rounded(last.coverage_s3)}


def _rounded(percent: float) -> float:
    """Down: one file of a million that is missing is no full coverage."""
    return math.floor(percent * 100) / 100


def run_errors() -> Iterator[Reading]:
    """Of each company's last run that ended: what was refused, and 1 more where it failed."""
    for company in companies():
        ended = PostProcessingRun.objects.filter(
            empresa=company.name, status__in=PostProcessingRun.ENDED
        )
        if (last := ended.first()) is None:
            continue
        has_failed = last.status in (Run.FAILED, Run.ABANDONED)
        why = last.error or last.get_status_display()
        refused = {"records": last.db_errors, "files": last.s3_errors}
        said = (
            sentences.RUN_FAILED % {"company": company.title, "why": why}
            if has_failed
            else sentences.REFUSED % {"company": company.title, **refused}
        )
        yield Reading(company.name, sum(refused.values()) + has_failed, said)


def verification_ages() -> Iterator[Reading]:
    """Hours since each company was verified without an error; since its first run where it never
    was."""
    now = db_now()
    for company in companies():
        rows = Verification.objects.filter(empresa=company.name, error="")
        runs = PostProcessingRun.objects.filter(empresa=company.name).order_by("id")
        if last := rows.first():
            yield _age(company.name, company.title, last.at, now, sentences.VERIFIED_LAST)
        elif first := runs.first():
            text = sentences.NEVER_VERIFIED
            yield _age(company.name, company.title, first.started_at, now, text)


def _age(name: str, title: str, since: datetime, now: datetime, text: str) -> Reading:
    hours = (now - since) / HOUR
    return Reading(name, round(hours, 1), text % {"company": title, "hours": hours})


def upload_lags() -> Iterator[Reading]:
    """Hours that the file of each company has been missing in the bucket that has been so for
    longest: since it came, or since it was to be sent again."""
    now = db_now()
    missing = S3File.objects.filter(status__in=(S3File.Status.PENDING, S3File.Status.ERROR))
    since = Case(When(uploaded_at=None, then=F("created_at")), default=F("updated_at"))
    oldest = dict(missing.order_by().values_list("empresa").annotate(since=Min(since)))
    for company in companies():
        if at := oldest.get(company.name):
            yield _age(company.name, company.title, at, now, sentences.UPLOAD_LATE)


MEASURES = (
    Measure(
        "pqr_upload_lag",
        gettext_lazy("Uploads behind"),
        upload_lags,
        26,
        ">",
        gettext_lazy("h"),
        gettext_lazy("How long a company's file has been missing in the bucket."),
    ),
    Measure(
        "pqr_coverage",
        gettext_lazy("Coverage of complaints' files"),
        coverage,
        100,
        "<",
        "%",
        gettext_lazy("The lower of table and bucket in a company's last verification."),
    ),
    Measure(
        "pqr_errors",
        gettext_lazy("Errors of post-processing"),
        run_errors,
        0,
        ">",
        gettext_lazy("errors"),
        gettext_lazy("Refused in a company's last run; 1 more where the run failed."),
    ),
    Measure(
        "pqr_verification_age",
        gettext_lazy("Verification too old"),
        verification_ages,
        26,
        ">",
        gettext_lazy("h"),
        gettext_lazy("Since files, table and bucket of a company were last compared."),
    ),
)
