"""How the companies stand: rows, files, objects, and what was said of them last."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, PositiveIntegerField

from postprocessing import objects
from postprocessing.companies import OFFICE, Company
from postprocessing.folder import written_out
from postprocessing.models import (
    PostProcessingRun,
    S3File,
    SourceFile,
    Verification,
    companies,
    model_of,
)

# What a run counts, as its row has it.
COUNTS = tuple(
    field.name
    for field in PostProcessingRun._meta.fields
    if isinstance(field, PositiveIntegerField)
)
RUN = (
    *("id", "status", "extract", "database_only", "full", "runner", "started_at", "finished_at"),
    *COUNTS,
    "error",
)
VERIFICATION = (
    *("id", "at", "seconds", "files", "json_files", "files_loaded", "rows"),
    *("objects_there", "objects_listed", "coverage_database", "coverage_s3", "found", "error"),
)
TOTALS = ("rows", "files", "faults")


@dataclass(frozen=True)
class CompanyReport:
    """One company. `files` are those that were read, `faults` what is refused in them."""

    company: Company
    rows: int
    files: int
    files_with_faults: int
    faults: int
    registry: Mapping[str, int]  # files by status, all statuses
    last_run: PostProcessingRun | None  # that was begun
    last_verification: Verification | None
    is_simulated: bool  # objects are kept on this machine

    def as_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "files": self.files,
            "files_with_faults": self.files_with_faults,
            "faults": self.faults,
            "registry": dict(self.registry),
            "last_run": _values(self.last_run, RUN),
            "last_verification": _values(self.last_verification, VERIFICATION),
            "is_simulated": self.is_simulated,
        }


@dataclass(frozen=True)
class Report:
    """All companies."""

    companies: list[CompanyReport]

    def as_dict(self) -> dict[str, Any]:
        totals: dict[str, Any] = {
            name: sum(getattr(one, name) for one in self.companies) for name in TOTALS
        }
        totals["registry"] = {
            status: sum(one.registry[status] for one in self.companies)
            for status in S3File.Status.values
        }
        return {
            "is_simulated": is_simulated(),
            "undeclared": undeclared(),
            "totals": totals,
            "companies": {one.company.name: one.as_dict() for one in self.companies},
        }


def generate_post_processing_report() -> Report:
    """Read from the tables: no file and no bucket is asked."""
    return Report([report_of(company) for company in companies()])


def report_of(company: Company) -> CompanyReport:
    files = SourceFile.objects.filter(empresa=company.name).order_by()
    # As lists: their lengths are counted in two ways by the two databases.
    faults = [len(one) for one in files.exclude(faults=[]).values_list("faults", flat=True)]
    return CompanyReport(
        company=company,
        rows=model_of(company).objects.count(),
        files=files.count(),
        files_with_faults=len(faults),
        faults=sum(faults),
        registry=registry_of(company),
        last_run=PostProcessingRun.objects.filter(empresa=company.name)
        .exclude(status__in=PostProcessingRun.NOT_BEGUN)
        .first(),
        last_verification=Verification.objects.filter(empresa=company.name).first(),
        is_simulated=is_simulated(),
    )


def undeclared() -> list[str]:
    """Folders beside the companies' of which no company is declared: nobody looks into them."""
    home = Path(settings.DOWNLOADS_DIR)
    names = os.listdir(home) if home.is_dir() else []
    found = {name for name in names if (home / name / OFFICE).is_dir()}
    return sorted(map(written_out, found - {one.name for one in companies()}))


def is_simulated() -> bool:
    """Whether objects are kept on this machine, since there is no bucket."""
    return objects.store().is_simulated


def registry_of(company: Company) -> dict[str, int]:
    """Files by their status; 0 where there is none."""
    rows = S3File.objects.filter(empresa=company.name).order_by()
    counted: Any = rows.values_list("status").annotate(Count("pk"))
    return {**dict.fromkeys(S3File.Status.values, 0), **dict(counted)}


def _values(row: Any, names: tuple[str, ...]) -> dict[str, Any] | None:
    return {name: getattr(row, name) for name in names} if row else None
