"""`organismo_config.json`: into rows and back, in the documents' format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from brain.models import Organismo

FIELDS = (
    "site_id",
    "query_organisme",
    "filtro_texp",
    "regex_expediente",
    "url_template",
    "bot_username",
    "active",
    "login_url",
    "recursos_url",
    "claim_method",
    "claimed_when",
    "repair",
    "priority",
    "target_queue_depth",
    "claims_per_cycle",
    "flow_name",
    "claim_flow",
    "login_flow",
    "demands_authorisation",
    "attachments",
    "time_zone",
    "notes",
)
# The documents' own columns that the database keeps for itself.
IGNORED = frozenset({"id", "last_sync_at", "created_at", "updated_at"})


class Malformed(Exception):
    """The text is not in either of the documents' forms."""


@dataclass(frozen=True)
class Refusal:
    """Why a configuration was not taken. `line` counts from 1."""

    line: int
    site_id: str
    messages: tuple[str, ...]

    def __str__(self) -> str:
        return f"line {self.line}: {self.site_id or '?'}: {' '.join(self.messages)}"


@dataclass
class ImportReport:
    """Either everything is written, or, with a refusal or in a dry run, nothing."""

    created: list[str] = field(default_factory=list)
    updated: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    written: bool = False


def import_text(text: str, *, dry_run: bool = False) -> ImportReport:
    """Upsert the configurations by site_id. Raises Malformed where the text is in neither form."""
    report = ImportReport()
    with transaction.atomic():
        for values in _configs(text):
            _take(values, _line(text, values), report)
        report.written = not dry_run and not report.refused
        if not report.written:
            transaction.set_rollback(True)
    return report


def export(rows: Iterable[Organismo]) -> dict[str, list[dict[str, Any]]]:
    """The rows in the documents' form; importing it again changes nothing."""
    return {"configs": [{name: getattr(row, name) for name in FIELDS} for row in rows]}


def _configs(text: str) -> list[Mapping[str, Any]]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        text = _("line %(line)s, column %(column)s: this is not JSON: %(why)s")
        place = {"line": error.lineno, "column": error.colno, "why": error.msg}
        raise Malformed(text % place) from error
    if isinstance(data, dict) and isinstance(data.get("configs"), list):
        configs = data["configs"]
    elif isinstance(data, dict) and all(isinstance(one, dict) for one in data.values()):
        configs = [{"site_id": site_id, **values} for site_id, values in data.items()]
    else:
        raise Malformed(_('Expected {"configs": [...]} or {"site_id": {...}, ...}.'))
    if not all(isinstance(one, dict) for one in configs):
        raise Malformed(_("Each configuration must be an object."))
    return configs


def _take(values: Mapping[str, Any], line: int, report: ImportReport) -> None:
    site_id = str(values.get("site_id") or "")
    row = Organismo.objects.filter(site_id=site_id).first() or Organismo()
    is_new = row.pk is None
    unknown = [
        _("%(name)s is not a field.") % {"name": name}
        for name in values
        if name not in FIELDS and name not in IGNORED
    ]
    before = {name: getattr(row, name) for name in FIELDS}
    for name in FIELDS:
        if name in values:
            setattr(row, name, _cleared(name, values[name]))
    try:
        row.full_clean()
    except ValidationError as error:
        unknown += [
            f"{name}: {text}" for name, texts in error.message_dict.items() for text in texts
        ]
    if unknown:
        report.refused.append(Refusal(line, site_id, tuple(unknown)))
        return
    _write(row, before, is_new, report)


def _write(row: Organismo, before: dict[str, Any], is_new: bool, report: ImportReport) -> None:
    changed = {
        name: [before[name], getattr(row, name)]
        for name in FIELDS
        if before[name] != getattr(row, name)
    }
    if is_new:
        report.created.append(row.site_id)
    elif changed:
        report.updated[row.site_id] = changed
    else:
        report.unchanged.append(row.site_id)
    if is_new or changed:
        row.save()


def _cleared(name: str, value: Any) -> Any:
    """null means empty, but for the link template, where it means no link."""
    if value is None and name != "url_template":
        return getattr(Organismo(), name)
    return value


def _line(text: str, values: Mapping[str, Any]) -> int:
    """The line where the configuration names its site."""
    quoted = re.escape(json.dumps(values.get("site_id"), ensure_ascii=False))
    match = re.search(rf'"site_id"\s*:\s*{quoted}|{quoted}\s*:\s*\{{', text)
    return text.count("\n", 0, match.start()) + 1 if match else 1
