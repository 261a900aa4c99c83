"""Numbers of a snapshot as a page shows them: each with the list that it counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.http import urlencode

from orchestrator_site.dashboard.together import Counted


@dataclass(frozen=True)
class Number:
    """`tone`: ok, busy, wait, warn, bad or off, as everywhere."""

    label: Any
    tone: str
    count: int
    url: str

    @property
    def text(self) -> str:
        """Counted no further than lists are."""
        return f"{self.count:,}".replace(",", " ") + ("+" if self.is_at_limit else "")

    @property
    def is_at_limit(self) -> bool:
        return self.count >= Counted.most

    @property
    def shown_tone(self) -> str:
        """None of something is nothing to look at."""
        return self.tone if self.count else "off"


def listed(model: str, **filters: Any) -> str:
    """The address of a model's list (`queues_job`), filtered."""
    url = reverse(f"admin:{model}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url


def moment(text: str | datetime | None) -> datetime | None:
    """A time of a snapshot, where JSON has text."""
    return datetime.fromisoformat(text) if isinstance(text, str) else text
