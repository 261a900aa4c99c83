"""`organismo_config.json`: into rows and back, in the documents' format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
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

_STRING_OR_BRACE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}]')
_SITE_KEY = re.compile(r'"site_id"\s*:')
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


class Malformed(Exception):
    """The text is not in either of the documents' forms."""


class _Object(dict[str, Any]):
    """A JSON object, with the line that names its site and the names that it has twice."""

    line = 1
    twice: tuple[str, ...] = ()


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
    seen: set[str] = set()
    with transaction.atomic():
        for values in _configs(text.removeprefix("\ufeff")):
            _take(values, report, seen)
        report.written = not dry_run and not report.refused
        if not report.written:
            transaction.set_rollback(True)
    return report


def export(rows: Iterable[Organismo]) -> dict[str, list[dict[str, Any]]]:
    """The rows in the documents' form; importing it again changes nothing."""
    return {"configs": [{name: getattr(row, name) for name in FIELDS} for row in rows]}


def _configs(text: str) -> list[_Object]:
    data = _parsed(text)
    if isinstance(data, _Object) and isinstance(data.get("configs"), list):
        configs = data["configs"]
    elif isinstance(data, _Object) and all(isinstance(one, dict) for one in data.values()):
        configs = [_named(one, site_id) for site_id, one in data.items()]
    else:
        raise Malformed(_('Expected {"configs": [...]} or {"site_id": {...}, ...}.'))
    if not all(isinstance(one, dict) for one in configs):
        raise Malformed(_("Each configuration must be an object."))
    if data.twice:
        twice = {"names": ", ".join(data.twice)}
        raise Malformed(_("%(names)s: there twice. Keep one of each.") % twice)
    return configs


def _parsed(text: str) -> Any:
    starts = _starts(text)

    def made(pairs: list[tuple[str, Any]]) -> _Object:
        names = [name for name, _value in pairs]
        found = _Object(pairs)
        found.twice = tuple(sorted({name for name in names if names.count(name) > 1}))
        place = next(starts)
        if "site_id" in found and (key := _SITE_KEY.search(text, place)):
            place = key.start()
        found.line = text.count("\n", 0, place) + 1
        return found

    try:
        return json.loads(text, object_pairs_hook=made)
    except json.JSONDecodeError as error:
        told = _("line %(line)s, column %(column)s: this is not JSON: %(why)s")
        place = {"line": error.lineno, "column": error.colno, "why": error.msg}
        raise Malformed(told % place) from error


def _starts(text: str) -> Iterator[int]:
    """Where each object begins, in the order in which they end: the order of the parser's hook."""
    begun: list[int] = []
    for token in _STRING_OR_BRACE.finditer(text):
        if token[0] == "{":
            begun.append(token.start())
        elif token[0] == "}":
            yield begun.pop()


def _named(values: _Object, site_id: str) -> _Object:
    """A configuration of the second form; `_take` refuses it where it names another site."""
    if values.setdefault("site_id", site_id) != site_id:
        values.twice = (*values.twice, "site_id")
    return values


def _take(values: _Object, report: ImportReport, seen: set[str]) -> None:
    site_id = str(values.get("site_id") or "")
    wrong = _faults(values)
    if site_id in seen:
        wrong.append(_("site_id: %(site)s is there twice.") % {"site": site_id})
    seen.add(site_id)
    row = Organismo.objects.filter(site_id=site_id).first() or Organismo()
    before = {name: getattr(row, name) for name in FIELDS}
    if not wrong:
        for name in FIELDS:
            if name in values:
                setattr(row, name, _cleared(name, values[name]))
        wrong = _refused_by_model(row)
    if wrong:
        report.refused.append(Refusal(values.line, site_id, tuple(wrong)))
    else:
        _write(row, before, report)


def _faults(values: _Object) -> list[str]:
    """What is wrong with the object itself, whatever the model says of its values."""
    twice = [_("%(name)s is there twice.") % {"name": name} for name in values.twice]
    known = [_fault(name, value) for name, value in values.items() if name in FIELDS]
    unknown = [
        _("%(name)s is not a field.") % {"name": name}
        for name in values
        if name not in FIELDS and name not in IGNORED
    ]
    return [*twice, *filter(None, known), *unknown]


def _fault(name: str, value: Any) -> str:
    """Why a value is not of its field's kind: the model itself would make a text of anything,
    and look at no empty one."""
    field = Organismo._meta.get_field(name)
    if value is None or isinstance(field, models.JSONField):
        fits, wanted = value != "" and value != {}, _("a list")
    elif isinstance(field, models.BooleanField):
        fits, wanted = value in (True, False), _("true or false")
    elif isinstance(field, models.IntegerField):
        # SQLite takes larger ones, PostgreSQL does not.
        most = 2**15 if isinstance(field, models.SmallIntegerField) else 2**31
        fits, wanted = type(value) is int and abs(value) < most, _("a whole number")
    else:
        fits, wanted = isinstance(value, str), _("a text")
    if not fits:
        return _("%(name)s: must be %(kind)s.") % {"name": name, "kind": wanted}
    if isinstance(value, str) and _NOT_STORABLE.search(value):
        return _("%(name)s: holds a character that cannot be stored.") % {"name": name}
    return ""


def _refused_by_model(row: Organismo) -> list[str]:
    try:
        row.full_clean()
    except ValidationError as error:
        return [f"{name}: {text}" for name, texts in error.message_dict.items() for text in texts]
    return []


def _write(row: Organismo, before: dict[str, Any], report: ImportReport) -> None:
    changed = {
        name: [before[name], getattr(row, name)]
        for name in FIELDS
        if before[name] != getattr(row, name)
    }
    if row.pk is None:
        report.created.append(row.site_id)
        row.save()
    elif changed:
        report.updated[row.site_id] = changed
        row.save(update_fields=[*changed, "updated_at"])
    else:
        report.unchanged.append(row.site_id)


def _cleared(name: str, value: Any) -> Any:
    """null means empty, but for the link template, where it means no link."""
    if value is None and name != "url_template":
        return getattr(Organismo(), name)
    return value
