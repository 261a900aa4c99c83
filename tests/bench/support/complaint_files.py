"""Very many files of complaints, and what reading them costs anybody."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test.utils import override_settings

from orchestrator_site.models import Event
from postprocessing.companies import Company
from postprocessing.models import OvAfinia, SourceFile, company_called
from tests.bench.support import tasks
from tests.postprocessing.complaints import EXTRACTED, file_name, large, put

NAME = "afinia"


def company() -> Company:
    return company_called(NAME)


@contextmanager
def folder(name: str) -> Iterator[None]:
    """Where the company's files lie, for the length of the block."""
    with override_settings(DOWNLOADS_DIR=Path(settings.DATA_DIR) / name):
        yield


def write(numbers: range, at: datetime = EXTRACTED, **values: Any) -> None:
    """A file of 2.5 KB for each complaint, extracted at that time."""
    for number in numbers:
        said = large(number, extraction_timestamp=at.isoformat(), **values)
        put(company(), file_name(number, at), said)


def read_all() -> int:
    """The files' JSON, and nothing done with it; answers with their number."""
    with os.scandir(company().folder) as found:
        return sum(bool(_json(one.path)) for one in found)


def _json(path: str) -> Any:
    with open(path, "rb") as file:
        return json.loads(file.read())


def hash_all() -> int:
    with os.scandir(company().folder) as found:
        return len({_hash(one.path) for one in found})


def _hash(path: str) -> str:
    with open(path, "rb") as file:
        return sha256(file.read()).hexdigest()


def forget() -> None:
    """Empty tables, as they are after some time of quiet. What is in memory by now is none of the
    collector's business: no other program holds so much."""
    gc.freeze()
    tasks.empty(*(model._meta.db_table for model in (OvAfinia, SourceFile, Event)))
    tasks.settle()
