"""Complaints out of a company's "oficina virtual", in a browser."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from postprocessing.companies import Company
from postprocessing.extractors.extraction import Extraction, NoExtractor, Told
from postprocessing.extractors.incoming import SGC, Incoming
from postprocessing.extractors.visiting import Site, SiteFailed, Visitor, collected
from postprocessing.models import FIELDS
from queues.browser.runs import Outcome

logger = logging.getLogger(__name__)
MOST_PAGES = 2_000  # of a list: more are taken for a list without an end
STAGING = ".extraction-"
STALE = 86_400  # seconds after which what a killed extraction left is removed
ENOUGH = 5  # complaints in a row that fail: the rest would too


@dataclass(frozen=True)
class Listed:
    """One row of the list; `number` counts from 1."""

    number: int
    sgc: str
    url: str


class OficinaVirtual:
    """An Extractor. One browser and one session, one run a page."""

    def __init__(self, site: Site) -> None:
        self.site = site

    @classmethod
    def of(cls, company: Company) -> OficinaVirtual:
        """The company's, as it is configured. Raises NoExtractor."""
        known = settings.PQR_SITES.get(company.name, {})
        if not known.get("url"):
            name = f"PQR_{company.name}_URL".upper()
            text = _("%(company)s has no site to extract from: set %(name)s.")
            raise NoExtractor(text % {"company": company.title, "name": name})
        return cls(Site(known["url"], known.get("user", ""), known.get("password", "")))

    def extract(self, company: Company, folder: Path, told: Told) -> Extraction:
        done = Extraction()
        try:
            with _staging(folder) as staging, Visitor(self.site, staging) as visitor:
                _Work(company, visitor, Incoming(folder, staging), done, told).carry_out()
        except SiteFailed as error:
            done.errors.append(str(error))
        except OSError as error:
            done.errors.append(_("the folder cannot be written to: %(why)s") % {"why": error})
        for told_error in done.errors:
            logger.warning("extraction of %s: %s", company, told_error)
        return done


@dataclass
class _Work:
    """One extraction, under way."""

    company: Company
    visitor: Visitor
    incoming: Incoming
    done: Extraction
    told: Told

    def carry_out(self) -> None:
        self.told(0, None)
        listed = list(self._listed(self.visitor.log_in()))
        failed = 0
        for count, one in enumerate(listed, 1):
            failed = 0 if self._is_taken(one) else failed + 1
            self.told(count, len(listed))
            if failed == ENOUGH and count < len(listed):
                text = _("given up: %(count)s complaints were not looked at")
                raise SiteFailed(text % {"count": len(listed) - count})

    def _listed(self, url: str) -> Iterator[Listed]:
        """Every complaint of the list, page for page. A page that fails ends it: what was found
        before is taken all the same."""
        seen: dict[str, None] = {}
        pages: set[str] = set()
        try:
            while url and url not in pages:
                pages.add(url)
                rows, url = self._page(url)
                for row in rows:
                    if row["sgc"] not in seen:
                        seen[row["sgc"]] = None
                        yield Listed(len(seen), row["sgc"], row["url"])
                self.told(0, len(seen))
                if len(pages) > MOST_PAGES:
                    raise SiteFailed(_("the list does not end"))
        except SiteFailed as error:
            self.done.errors.append(_("list of complaints: %(why)s") % {"why": error})

    def _page(self, url: str) -> tuple[list[dict[str, str]], str]:
        outcome = self.visitor.visit(self.visitor.site.flows.listing, url)
        if not outcome.ok:
            raise SiteFailed(outcome.message)
        following = collected(outcome, "next")
        self.visitor.forget(outcome)
        return (
            collected(outcome, "complaints"),
            self.visitor.checked(following[0]["url"]) if following else "",
        )

    def _is_taken(self, listed: Listed) -> bool:
        try:
            self._take(listed)
        except (SiteFailed, OSError) as error:
            self.done.errors.append(f"{listed.sgc}: {error}")
            return False
        return True

    def _take(self, listed: Listed) -> None:
        """Read one complaint into the folder. A document that fails leaves its record there."""
        if not SGC.fullmatch(listed.sgc):
            raise SiteFailed(_("the number cannot name a file"))
        url = self.visitor.checked(listed.url)
        outcome = self.visitor.visit(self.visitor.site.flows.complaint, url)
        try:
            self._keep(listed, outcome)
        finally:
            self.visitor.forget(outcome)
        if not outcome.ok:
            raise SiteFailed(outcome.message)

    def _keep(self, listed: Listed, outcome: Outcome) -> None:
        fields = _fields(outcome, self.visitor.site.flows.labels)
        if not fields:
            if outcome.ok:
                raise SiteFailed(_("the page shows none of the fields that are known"))
            return
        if fields.get("numero_reclamo_sgc", listed.sgc) != listed.sgc:
            raise SiteFailed(_("the page shows another complaint"))
        at = datetime.now(self.company.zone)
        record = _record(listed, fields, outcome, at)
        # Documents first: whoever sees the record sees what belongs to it.
        for artifact in outcome.artifacts:
            if artifact.kind == "download":
                self.done.files_downloaded += self.incoming.take_document(artifact.path, listed.sgc)
        self.done.files_downloaded += self.incoming.take_record(record, listed.sgc, at)
        self.done.pqr_processed += 1


def _record(
    listed: Listed, fields: Mapping[str, str], outcome: Outcome, at: datetime
) -> dict[str, str]:
    """With every key of a record, "" for what the page does not show."""
    title = collected(outcome, "title")
    found = {
        "record_number": str(listed.number),
        "sgc_number": listed.sgc,
        "extraction_timestamp": f"{at:%Y-%m-%d %H:%M:%S}",
        "page_url": listed.url,
        "page_title": title[0]["text"] if title else "",
        "numero_reclamo_sgc": listed.sgc,
        **fields,
    }
    return {name: found.get(name, "") for name in FIELDS}


def _fields(outcome: Outcome, labels: Mapping[str, str]) -> dict[str, str]:
    """The page's fields by their names in a record; others are left out."""
    names = {_plain(label): name for label, name in labels.items()}
    rows = ((_plain(row["label"]), row["value"]) for row in collected(outcome, "fields"))
    return {names[label]: value for label, value in rows if label in names}


def _plain(label: str) -> str:
    """Without accents, case, a colon, or the star of a required field."""
    parts = unicodedata.normalize("NFKD", label.casefold())
    return "".join(one for one in parts if not unicodedata.combining(one)).strip(" :*")


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder beside the company's, so that what is finished is moved in at once."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"{STAGING}*"):
        with suppress(FileNotFoundError):  # another extraction was first
            if left.stat().st_mtime < time.time() - STALE:
                shutil.rmtree(left, ignore_errors=True)
    path = tempfile.mkdtemp(dir=folder.parent, prefix=STAGING)
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)
