"""The files that go with each appeal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from brain.rules.cases import Case
from brain.rules.texts import check_placeholders, fill, refusal, url_part

PATH_PLACEHOLDERS = ("expediente", "idRecurso", "idExp", "numclient")
ATTACHMENT_SOURCES = ("intranet", "authorisation", "folder")
_PLAIN_NAME = re.compile(r"""[^.\s/\\:*?"<>|{}][^/\\:*?"<>|{}]{0,99}""")
_UNSAFE_IN_FILE_NAME = re.compile('[\x00-\x1f\x7f/\\\\:*?"<>|\ud800-\udfff]')


@dataclass(frozen=True)
class AttachmentDemand:
    """A file that goes with each appeal; `source` is one of ATTACHMENT_SOURCES."""

    name: str
    source: str
    path: str = ""  # of the intranet, or inside the folder; "" for an authorisation

    def path_for(self, case: Case) -> str:
        """The path with the case's values in it; none of them can add or leave a directory."""
        as_part = url_part if self.source == "intranet" else _file_part
        values = {
            "expediente": case.expediente.strip(),
            "idRecurso": str(case.id_recurso),
            "idExp": "" if case.id_exp is None else str(case.id_exp),
            "numclient": "" if case.numclient is None else str(case.numclient),
        }
        # Nothing, or dots alone, would make a part of the path vanish or climb.
        parts = {
            name: as_part(value) if value.strip(".") else "-" for name, value in values.items()
        }
        return fill(self.path, parts)


def _file_part(text: str) -> str:
    return _UNSAFE_IN_FILE_NAME.sub("-", text)


def parse_attachments(value: Any) -> list[AttachmentDemand]:
    """The demands of an organismo's JSON. Raises ValueError with the position, from 1."""
    if not isinstance(value, list):
        raise refusal(_("The attachments must be a list of objects. Write [] for none."))
    demands: list[AttachmentDemand] = []
    for position, item in enumerate(value, start=1):
        try:
            demands.append(_demand(item, demands))
        except ValueError as error:
            message = _("Attachment %(position)s: %(fault)s")
            raise ValueError(message % {"position": position, "fault": error}) from error
    return demands


def _demand(item: Any, others: Sequence[AttachmentDemand]) -> AttachmentDemand:
    if not isinstance(item, dict) or not all(isinstance(text, str) for text in item.values()):
        raise refusal(_("Write an object with the texts name, source and path."))
    if unknown := sorted(set(map(str, item)) - {"name", "source", "path"}):
        message = _("There is no setting “%(name)s”. Use name, source and path.")
        raise refusal(message, name=unknown[0])
    demand = AttachmentDemand(item.get("name", ""), item.get("source", ""), item.get("path", ""))
    _check_name(demand.name)
    _check_source(demand)
    _check_not_there(demand, others)
    return demand


def _check_name(name: str) -> None:
    if not _PLAIN_NAME.fullmatch(name) or not name.isprintable() or name != name.strip():
        message = _("“%(name)s” is not a plain file name. Write one such as recurso.pdf.")
        raise refusal(message, name=name)


def _check_source(demand: AttachmentDemand) -> None:
    if demand.source not in ATTACHMENT_SOURCES:
        message = _("There is no source “%(source)s”. Use %(known)s.")
        raise refusal(message, source=demand.source, known=", ".join(ATTACHMENT_SOURCES))
    if demand.source != "authorisation":
        _check_path(demand.path)
    elif demand.path:
        raise refusal(_("An authorisation is found by its client. Remove the path."))
    if demand.source == "intranet" and not demand.path.startswith("/"):
        raise refusal(_("The path of an intranet document starts with /. Add it."))
    if demand.source == "folder" and (demand.path.startswith("/") or ":" in demand.path):
        raise refusal(_("The path must stay inside the folder. Remove the leading / or drive."))


def _check_path(path: str) -> None:
    if not path.strip():
        raise refusal(_("The path is missing. Write where the file is found."))
    if "\\" in path or not path.isprintable():
        raise refusal(_("The path has a backslash or invisible character. Use / instead."))
    if ".." in re.split("[/?#]", path):
        raise refusal(_("The path must not climb with “..”. Write it from the top."))
    check_placeholders(path, PATH_PLACEHOLDERS)


def _check_not_there(demand: AttachmentDemand, others: Sequence[AttachmentDemand]) -> None:
    if any(other.name.casefold() == demand.name.casefold() for other in others):
        raise refusal(_("The name “%(name)s” is taken. Use another."), name=demand.name)
    if demand.source == "authorisation" and any(other.source == demand.source for other in others):
        raise refusal(_("The client's authorisation is demanded already. Remove this one."))
