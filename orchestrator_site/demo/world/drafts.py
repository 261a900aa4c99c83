"""What a visitor of an organism's site has filled in and not sent yet."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from django.core.files.uploadedfile import UploadedFile

from orchestrator_site.demo.world import store


@dataclass(frozen=True)
class SentFile:
    """What the world keeps of an upload."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, upload: UploadedFile) -> SentFile:
        digest = hashlib.sha256()
        for chunk in upload.chunks():
            digest.update(chunk)
        return cls(str(upload.name), upload.size or 0, digest.hexdigest())


@dataclass(frozen=True)
class Draft:
    """One visit's form, known by the id in its address."""

    id: str
    site: str
    fields: Mapping[str, str]
    files: tuple[SentFile, ...] = ()

    @property
    def expediente(self) -> str:
        return self.fields.get("expediente", "")


def start(site: str, fields: Mapping[str, str]) -> str:
    """A new draft's id."""
    key = secrets.token_hex(8)
    with store.opened() as database:
        database.execute(
            "INSERT INTO drafts (id, site, fields) VALUES (?, ?, ?)",
            (key, site, json.dumps(dict(fields))),
        )
    return key


def read(key: str) -> Draft | None:
    with store.opened() as database:
        row = database.execute("SELECT * FROM drafts WHERE id = ?", (key,)).fetchone()
    if row is None:
        return None
    return Draft(row["id"], row["site"], json.loads(row["fields"]), files_of(row["files"]))


def fill_in(draft: Draft, fields: Mapping[str, str], files: Iterable[SentFile] = ()) -> None:
    """Add a step's fields and files to it."""
    kept = [*draft.files, *files]
    with store.opened() as database:
        database.execute(
            "UPDATE drafts SET fields = ?, files = ? WHERE id = ?",
            (json.dumps({**draft.fields, **fields}), files_json(kept), draft.id),
        )


def files_json(files: Iterable[SentFile]) -> str:
    return json.dumps([asdict(file) for file in files])


def files_of(text: str) -> tuple[SentFile, ...]:
    return tuple(SentFile(**file) for file in json.loads(text))
