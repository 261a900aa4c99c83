"""The demo's pass of post-processing: complaints extracted, loaded, uploaded, verified, judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.demo.world import complaints
from orchestrator_site.sessions import me
from postprocessing import managers, pipeline, verification
from postprocessing.companies import Company
from postprocessing.models import Verification, companies

Tell = Callable[[str, int, int], None]  # what, how many done, of how many
# Of the world's complaints: a browser visits each of them, twice.
COUNTS = {"afinia": 9, "aire": 4}


@dataclass(frozen=True)
class Counts:
    """What a pass is to do with records and files, and what it did."""

    inserted: int = 0
    updated: int = 0
    duplicates: int = 0
    refused: int = 0
    sent: int = 0  # to the bucket, or to its stand-in
    there: int = 0
    failed: int = 0


@dataclass(frozen=True)
class PassOutcome:
    """One pass over one company. `wrong` names each expectation that was not met."""

    company: str
    story: str
    counts: Counts
    is_simulated: bool
    told: str
    wrong: tuple[str, ...]


def run(tell: Tell) -> list[PassOutcome]:
    """Extract all; then one complaint is answered and one comes in; then nothing happens."""
    with acting_as(ActorKind.WORKER, me("postprocessing")):
        return [outcome for company in companies() for outcome in _passes(company, tell)]


def _passes(company: Company, tell: Tell) -> Iterator[PassOutcome]:
    known = complaints.keep(company.name, COUNTS[company.name])
    count = len(known)
    files = sum(2 + len(one.attachments) for one in known)  # its record, its document
    first = Counts(inserted=count, sent=files)
    yield _judge(company, "all are new", _extracted(company, tell), first)

    complaints.change(company.name, known[0].sgc, estado_solicitud="Cerrada", comentarios="Fin.")
    complaints.add(company.name)
    changed = Counts(inserted=1, updated=1, duplicates=count, sent=3, there=files)
    yield _judge(company, "one answered, one more", _extracted(company, tell), changed)

    still = Counts(duplicates=count + 2, there=files + 3)
    tell(f"{company}: once more", 0, 1)
    again = pipeline.run_post_processing_for_company(company.name)
    yield _judge(company, "nothing has happened", again, still)
    tell(f"{company}: verifying", 0, 1)
    yield _verified(company, verification.verify(company, deep=True))


def _extracted(company: Company, tell: Tell) -> pipeline.CompanyResult:
    answer = managers.manager_called(company.name).run(
        told=lambda what, done, of: tell(f"{company}: {what}", done, of or 1)
    )
    result = pipeline.CompanyResult(company.name, **answer.post_processing)
    result.error = "; ".join([*answer.errors, result.error]).strip("; ")
    return result


def _judge(
    company: Company, story: str, result: pipeline.CompanyResult, wanted: Counts
) -> PassOutcome:
    found = Counts(
        inserted=result.db_inserted,
        updated=result.db_updated,
        duplicates=result.db_duplicates,
        refused=result.db_errors,
        sent=result.s3_uploaded + result.s3_simulated,
        there=result.s3_pre_existing,
        failed=result.s3_errors,
    )
    wrong = [
        f"{name} {value} instead of {asdict(wanted)[name]}"
        for name, value in asdict(found).items()
        if value != asdict(wanted)[name]
    ]
    wrong += [result.error] if result.error else []
    is_simulated = bool(result.s3_simulated)
    return PassOutcome(company.name, story, found, is_simulated, "", tuple(wrong))


def _verified(company: Company, row: Verification) -> PassOutcome:
    covered = [f"{row.coverage_database or 0:.0f} % of {row.json_files} files in the table"]
    if not row.is_simulated:
        covered.append(f"{row.coverage_s3 or 0:.0f} % of {row.files} in the bucket")
    wrong = [f"{kind}: {count}" for kind, count in row.found.items()]
    wrong += [row.error] if row.error else []
    told = ", ".join(covered)
    return PassOutcome(company.name, "verified", Counts(), row.is_simulated, told, tuple(wrong))
