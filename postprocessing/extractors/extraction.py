"""What a manager asks of an extractor, and what it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from postprocessing.companies import Company

Told = Callable[[int, int | None], None]  # how many done, of how many where it is known


@dataclass
class Extraction:
    """What came of one. `files_downloaded`: written into the folder, new or with other content,
    records and documents; `pqr_processed`: complaints read, changed or not."""

    files_downloaded: int = 0
    pqr_processed: int = 0
    errors: list[str] = field(default_factory=list)


class NoExtractor(Exception):
    """There is nowhere to extract a company's complaints from; the message says what to do."""


class Extractor(Protocol):
    def extract(self, company: Company, folder: Path, told: Told) -> Extraction:
        """Leave `{sgc}_data_{YYYYmmdd_HHMMSS}.json` and `{sgc}_*` documents in the folder. What
        goes wrong with one complaint, or with all, is among the errors and is not raised."""
