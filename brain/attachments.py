"""The files that an organismo demands with an appeal: are they there, and fetching them."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils.translation import gettext as _

from brain import portal, rules
from brain.claimers import portal_of
from brain.models import ClientAuthorisation, Organismo

# What concerns one document; everything else of the intranet concerns all.
DOCUMENT_FAULTS = (
    portal.DocumentMissing,
    portal.DocumentTooLarge,
    portal.PortalFailed,
    portal.ForeignRedirect,
    OSError,
)


@dataclass(frozen=True)
class Gathered:
    """What was found for one case: with `missing` it is not claimed, held waits for a person."""

    files: tuple[dict[str, Any], ...] = ()
    missing: tuple[str, ...] = ()
    hold_reason: str = ""


@dataclass
class Gatherer:
    """Finds the attachments of an organismo's cases; `today` decides on authorisations."""

    organismo: Organismo
    today: date
    demands: Sequence[rules.AttachmentDemand] = field(init=False)

    def __post_init__(self) -> None:
        self.demands = rules.parse_attachments(self.organismo.attachments)

    @cached_property
    def portal(self) -> portal.Portal:
        return portal_of(self.organismo)

    def close(self) -> None:
        """End the intranet's session, where one was begun."""
        if "portal" in self.__dict__:
            self.portal.close()

    def check(self, case: rules.Case) -> Gathered:
        """Look without storing anything."""
        missing = tuple(
            problem for demand in self._to_fetch() if (problem := self._problem(demand, case))
        )
        return Gathered(missing=missing, hold_reason=self._hold_reason(case))

    def gather(self, case: rules.Case, case_id: object) -> Gathered:
        """Fetch and store them, before the claim: what cannot be had must not strand a case.

        A document that cannot be had is that case's alone; an intranet that cannot be reached,
        or refuses us, ends the organismo's part: PortalError.
        """
        contents: dict[str, bytes] = {}
        missing: list[str] = []
        for demand in self._to_fetch():
            try:
                contents[demand.name] = self._content(demand, case)
            except DOCUMENT_FAULTS as error:
                missing.append(f"{demand.name} ({error})")
        contents |= self._authorisation_content(case.numclient)
        if missing:
            return Gathered(missing=tuple(missing))
        files = tuple(_stored(case_id, name, content) for name, content in contents.items())
        return Gathered(files=files, hold_reason=self._hold_reason(case))

    def authorisation_file(self, case_id: object, numclient: int | None) -> list[dict[str, Any]]:
        """The client's paper as an attachment, where it is demanded and on file."""
        contents = self._authorisation_content(numclient)
        return [_stored(case_id, name, content) for name, content in contents.items()]

    @property
    def authorisation_name(self) -> str:
        names = [demand.name for demand in self.demands if demand.source == "authorisation"]
        return names[0] if names else ""

    def _to_fetch(self) -> list[rules.AttachmentDemand]:
        return [demand for demand in self.demands if demand.source != "authorisation"]

    def _problem(self, demand: rules.AttachmentDemand, case: rules.Case) -> str:
        """Why the document cannot be had, without fetching it where that can be told."""
        try:
            if demand.source == "intranet":
                there = self.portal.has(demand.path_for(case))
            else:
                there = _in_folder(demand.path_for(case)).is_file()
        except DOCUMENT_FAULTS as error:
            return f"{demand.name} ({error})"
        return "" if there else demand.name

    def _content(self, demand: rules.AttachmentDemand, case: rules.Case) -> bytes:
        if demand.source == "intranet":
            return self.portal.fetch(demand.path_for(case))
        return _in_folder(demand.path_for(case)).read_bytes()

    def _authorisation_content(self, numclient: int | None) -> dict[str, bytes]:
        """By the attachment's name; empty where none is demanded, on file, or to be read."""
        if not self.authorisation_name:
            return {}
        valid = self._authorisation(numclient)
        if valid is None:
            return {}
        with valid.file.open("rb") as file:
            return {self.authorisation_name: file.read()}

    def _authorisation(self, numclient: int | None) -> ClientAuthorisation | None:
        """The paper on file; one whose file is gone from the storage is none."""
        if numclient is None:
            return None
        valid = ClientAuthorisation.objects.valid_for(numclient, self.today)
        return valid if valid and default_storage.exists(str(valid.file)) else None

    def _ended_authorisation(self, numclient: int | None) -> ClientAuthorisation | None:
        """The last one that was valid once."""
        if numclient is None:
            return None
        rows = ClientAuthorisation.objects.filter(numclient=numclient, valid_until__lt=self.today)
        return rows.order_by("-valid_until").first()

    def _hold_reason(self, case: rules.Case) -> str:
        demanded = self.organismo.demands_authorisation or self.authorisation_name
        if not demanded or self._authorisation(case.numclient):
            return ""
        ended = self._ended_authorisation(case.numclient)
        if ended:
            told = {"client": case.numclient, "date": ended.valid_until}
            return _("The authorisation of client %(client)s expired on %(date)s.") % told
        return _("Client %(client)s has no authorisation on file.") % {"client": case.numclient}


def discard(files: Sequence[Mapping[str, Any]]) -> None:
    """Delete what was stored for a case that did not become ours."""
    for file in files:
        default_storage.delete(file["path"])


def _stored(case_id: object, name: str, content: bytes) -> dict[str, Any]:
    """Kept in a folder of its own: what one attempt discards, another's task may need."""
    path = f"attachments/{case_id}/{uuid.uuid4().hex[:12]}/{name}"
    return {
        "name": name,
        "path": default_storage.save(path, ContentFile(content)),
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _in_folder(relative: str) -> Path:
    """A path of the attachments' folder; the demand's own check lets none leave it."""
    return Path(settings.ATTACHMENTS_DIR) / relative
