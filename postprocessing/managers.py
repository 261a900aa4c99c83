"""A manager a company: extract its complaints, then load and upload what is there."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from django.utils.translation import gettext as _

from orchestrator_site.logs import redact
from postprocessing.companies import Company
from postprocessing.extractors.extraction import Extraction, Extractor, NoExtractor
from postprocessing.extractors.oficina_virtual import OficinaVirtual
from postprocessing.models import company_called

if TYPE_CHECKING:
    from postprocessing.pipeline import CompanyResult, Tell

logger = logging.getLogger(__name__)
ANSWERED = (
    *("success", "db_inserted", "db_updated", "db_duplicates", "db_errors"),
    *("s3_uploaded", "s3_pre_existing", "s3_simulated", "s3_errors", "processing_time", "error"),
)


@dataclass
class ManagerAnswer:
    """As the managers of old answered, `errors` of the extraction added. `duration` in seconds;
    success is true only without any error."""

    success: bool
    duration: float
    service: str
    files_downloaded: int
    pqr_processed: int
    post_processing: dict[str, Any]
    errors: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _untold(what: str, done: int, of: int | None) -> None:
    return


class Manager:
    """Of one company. One whose complaints come from elsewhere has a subclass of its own."""

    name: ClassVar[str] = ""

    def __init__(self, company: str = "") -> None:
        """Raises UnknownCompany."""
        self.company: Company = company_called(company or self.name)

    def extractor(self) -> Extractor:
        """Raises NoExtractor."""
        return OficinaVirtual.of(self.company)

    def run(
        self, database_only: bool = False, told: Tell = _untold, *, asked: int | None = None
    ) -> ManagerAnswer:
        """Extract, then process. An extraction that fails does not keep what is in the folder
        from being processed. `asked`: the run that was asked for."""
        began = time.monotonic()
        extraction = self._extract(told)
        result = self._process(database_only, told, asked)
        return ManagerAnswer(
            success=result.success and not extraction.errors,
            duration=round(time.monotonic() - began, 3),
            service=self.company.name,
            files_downloaded=extraction.files_downloaded,
            pqr_processed=extraction.pqr_processed,
            post_processing={name: getattr(result, name) for name in ANSWERED},
            errors=extraction.errors,
        )

    def _extract(self, told: Tell) -> Extraction:
        try:
            return self.extractor().extract(
                self.company,
                self.company.folder,
                lambda done, of: told(_("extracting"), done, of),
            )
        except NoExtractor as error:
            return Extraction(errors=[str(error)])
        except Exception as error:  # the rim: what is in the folder is processed all the same
            logger.exception("extraction of %s failed", self.company)
            return Extraction(errors=[redact(f"{type(error).__name__}: {error}")])

    def _process(self, database_only: bool, told: Tell, asked: int | None) -> CompanyResult:
        from postprocessing import pipeline

        try:
            return pipeline.run_post_processing_for_company(
                self.company.name, database_only=database_only, told=told, asked=asked
            )
        except pipeline.Busy as error:
            return pipeline.CompanyResult(self.company.name, error=str(error))


class AfiniaManager(Manager):
    name = "afinia"


class AireManager(Manager):
    name = "aire"


def manager_called(name: str) -> Manager:
    """The company's own manager, or the usual one. Raises UnknownCompany."""
    own = {kind.name: kind for kind in Manager.__subclasses__()}
    return own.get(name, Manager)(name)
