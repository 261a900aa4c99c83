"""Keeping what a browser run left behind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from django.core.files import File
from django.core.files.storage import default_storage

from queues.browser.runs import Artifact
from queues.models import EvidenceFile


def keep(row: Any, attempt: int, folder: str, artifacts: Iterable[Artifact]) -> list[EvidenceFile]:
    """Store each file under `folder` by the storage API and write down its SHA-256.

    `row` is the object that the run was for; it has a `case_id`.
    """
    return EvidenceFile.objects.bulk_create(
        [_kept(row, attempt, folder, artifact) for artifact in artifacts]
    )


def _kept(row: Any, attempt: int, folder: str, artifact: Artifact) -> EvidenceFile:
    with artifact.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        path = default_storage.save(f"{folder}/{artifact.path.name}", File(file))
    return EvidenceFile(
        case_id=row.case_id,
        object_type=row._meta.label_lower,
        object_id=str(row.pk),
        attempt=attempt,
        kind=artifact.kind,
        path=path,
        size=artifact.path.stat().st_size,
        sha256=digest,
    )


def last_screenshot(files: Iterable[EvidenceFile]) -> str:
    shots = [file.path for file in files if file.kind == EvidenceFile.Kind.SCREENSHOT]
    return shots[-1] if shots else ""
