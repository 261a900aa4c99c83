"""The organisms' own books: what was really sent to them. A test proves "once" by these."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator_site.demo.world import store
from orchestrator_site.demo.world.drafts import Draft, SentFile, files_json, files_of

PREFIXES = {"xaloc": "E", "madrid": "MAD"}


@dataclass(frozen=True)
class Filing:
    """One appeal that an organism's registry took in."""

    id: int
    site: str
    expediente: str
    registry_number: str
    fields: Mapping[str, str]
    files: tuple[SentFile, ...]
    at: datetime
    draft: str


def filings(site: str | None = None, expediente: str | None = None) -> list[Filing]:
    """What was sent, in the order of sending."""
    with store.opened() as database:
        rows = database.execute(
            "SELECT * FROM filings WHERE site = coalesce(:site, site)"
            " AND expediente = coalesce(:expediente, expediente) ORDER BY id",
            {"site": site, "expediente": expediente},
        )
        return [_filing(row) for row in rows]


def record(draft: Draft) -> Filing:
    """Enter what is sent. A form that is sent twice is one filing; a second form is another."""
    now = datetime.now(UTC)
    with store.opened() as database:
        # The number's place is taken by the draft until the row's own number is known.
        database.execute(
            "INSERT OR IGNORE INTO filings"
            " (site, expediente, registry_number, fields, files, at, draft)"
            " VALUES (:site, :expediente, :draft, :fields, :files, :at, :draft)",
            {
                "site": draft.site,
                "expediente": draft.expediente,
                "fields": json.dumps(dict(draft.fields)),
                "files": files_json(draft.files),
                "at": now.isoformat(),
                "draft": draft.id,
            },
        )
        database.execute(
            "UPDATE filings SET registry_number = printf('%s%d/%07d', :prefix, :year, id)"
            " WHERE draft = :draft AND registry_number = draft",
            {"prefix": PREFIXES[draft.site], "year": now.year, "draft": draft.id},
        )
        return _filing(_row_of(database, draft.id))


def filing_of(draft: Draft) -> Filing | None:
    """What became of a form; None while it is not sent."""
    with store.opened() as database:
        row = _row_of(database, draft.id)
        return _filing(row) if row else None


def clear() -> None:
    """Forget everything that was sent or begun. Numbers are not given out again."""
    with store.opened() as database:
        database.execute("DELETE FROM filings")
        database.execute("DELETE FROM drafts")


def _row_of(database: sqlite3.Connection, draft: str) -> sqlite3.Row:
    return database.execute("SELECT * FROM filings WHERE draft = ?", (draft,)).fetchone()


def _filing(row: sqlite3.Row) -> Filing:
    values = dict(row)
    values["fields"] = json.loads(values["fields"])
    values["files"] = files_of(values["files"])
    values["at"] = datetime.fromisoformat(values["at"])
    return Filing(**values)
