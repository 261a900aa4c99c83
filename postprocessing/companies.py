"""The companies whose complaints (PQR) are processed. Each is declared on its own model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from django.conf import settings

OFFICE = "oficina_virtual"  # of a company's folders the one that extractors know
KEY_TEMPLATE = "{base}/{empresa}/{año}/{mes}/{día}/{numero_reclamo_sgc}/{file}"


@dataclass(frozen=True)
class Company:
    """`name`: as in `ov_{name}`, in folders, keys and answers."""

    name: str
    title: str
    time_zone: str = "America/Bogota"  # of the dates in its files
    key_template: str = KEY_TEMPLATE

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def folder(self) -> Path:
        """Where extractors leave its files."""
        return Path(settings.DOWNLOADS_DIR) / self.name / OFFICE / "processed"

    def __str__(self) -> str:
        return self.name
