"""How what was extracted comes into a company's folder: whole, and only where it is news."""

from __future__ import annotations

import filecmp
import json
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from postprocessing import folder as folders
from postprocessing.records import OF_EXTRACTION

# Of a record: how it was extracted, not what the company says.
METADATA = frozenset({"extraction_timestamp", *OF_EXTRACTION})
SGC = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,39}")
DATA = re.compile(rf"(?P<sgc>{SGC.pattern})_data_\d{{8}}_\d{{6}}\.json")
LONGEST = 200  # bytes of a document's name besides its complaint's number
Record = Mapping[str, str]


class Incoming:
    """One extraction's way into a folder. `staging` is one on the same file system."""

    def __init__(self, folder: Path, staging: Path) -> None:
        self.folder, self.staging = folder, staging
        self._latest = _latest(folder)

    def take_record(self, record: Record, sgc: str, at: datetime) -> bool:
        """Write the record, unless the last one of this complaint says the same; whether it was
        written. `at` is in the company's zone."""
        if _content(record) == self._last_content(sgc):
            return False
        name = f"{sgc}_data_{at:%Y%m%d_%H%M%S}.json"
        staged = self.staging / f"{name}.part"
        staged.write_text(json.dumps(record, ensure_ascii=False, indent=2), encoding="utf-8")
        os.replace(staged, self.folder / name)
        self._latest[sgc] = name
        return True

    def take_document(self, source: Path, sgc: str) -> bool:
        """Move a file in under the complaint's number, unless it is there already; whether it was
        moved."""
        target = self.folder / document_name(source.name, sgc)
        if target.exists() and filecmp.cmp(source, target, shallow=False):
            return False
        os.replace(source, target)
        return True

    def _last_content(self, sgc: str) -> Any:
        """None: there is none, or none that can be read."""
        name = self._latest.get(sgc)
        if name is None:
            return None
        try:
            content = folders.read(self.folder, name, settings.PQR_MAX_FILE_BYTES).bytes
            return _content(json.loads(content))
        except (folders.Unreadable, OSError, ValueError, RecursionError):
            return None


def document_name(name: str, sgc: str) -> str:
    """What a document is called in the folder: never a name that would be read as data."""
    own = name.removeprefix(f"{sgc}_")
    own = own.encode()[-LONGEST:].decode(errors="ignore")
    return f"{sgc}_{own}" + ("_" if own.lower().endswith(".json") else "")


def _latest(folder: Path) -> dict[str, str]:
    """By complaint the name of its last record: names differ by their times."""
    found: dict[str, str] = {}
    for entry in folders.listed(folder):
        if match := DATA.fullmatch(entry.name):
            sgc = match["sgc"]
            found[sgc] = max(found.get(sgc, ""), entry.name)
    return found


def _content(record: Any) -> Any:
    if not isinstance(record, Mapping):
        return None
    return {key: value for key, value in record.items() if key not in METADATA}
