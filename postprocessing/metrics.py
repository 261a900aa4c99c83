"""Figures of the post-processing for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from postprocessing.models import (
    PostProcessingRun,
    SourceFile,
    Verification,
    companies,
    model_of,
)
from postprocessing.reporting import COUNTS, registry_of

OF = "orchestrator_pqr"


def collect() -> Iterator[Metric]:
    yield from _tables()
    yield from _last_runs()
    yield from _verifications()


def _gauge(name: str, what: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{OF}_{name}", what, labels=["company", *labels])


def _tables() -> Iterator[Metric]:
    rows = _gauge("rows", "Complaints in the table")
    files = _gauge("files", "JSON files that were read")
    registry = _gauge("objects", "Files in the registry of objects", "status")
    for company in companies():
        known = SourceFile.objects.filter(empresa=company.name)
        rows.add_metric([company.name], model_of(company).objects.count())
        files.add_metric([company.name], known.count())
        for status, count in registry_of(company).items():
            registry.add_metric([company.name, status], count)
    yield from (rows, files, registry)


def _last_runs() -> Iterator[Metric]:
    counted = _gauge("last_run", "Counts of the last run that ended", "count")
    good = _gauge("last_run_success", "1 where it ended without an error")
    age = _gauge("last_run_age_seconds", "Since it ended")
    now, done = timezone.now(), PostProcessingRun.Status.DONE
    for company in companies():
        ended = PostProcessingRun.objects.filter(empresa=company.name, finished_at__isnull=False)
        last = ended.first()
        if last is None or last.finished_at is None:
            continue
        for name in COUNTS:
            counted.add_metric([company.name, name], getattr(last, name))
        good.add_metric([company.name], last.status == done)
        age.add_metric([company.name], (now - last.finished_at).total_seconds())
    yield from (counted, good, age)


def _verifications() -> Iterator[Metric]:
    covered = _gauge("coverage_percent", "Files that are there, when last verified", "where")
    differing = _gauge("differences", "What differed when last verified", "kind")
    age = _gauge("verification_age_seconds", "Since the last verification")
    now = timezone.now()
    for company in companies():
        last = Verification.objects.filter(empresa=company.name).first()
        if last is None:
            continue
        found = {"database": last.coverage_database, "s3": last.coverage_s3}
        for where, value in found.items():
            if value is not None:
                covered.add_metric([company.name, where], value)
        for kind, count in last.found.items():
            differing.add_metric([company.name, kind], count)
        age.add_metric([company.name], (now - last.at).total_seconds())
    yield from (covered, differing, age)
