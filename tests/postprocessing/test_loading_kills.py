"""Loads that are killed at any instant, and begun again."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from orchestrator_site.models import Event
from postprocessing import loading, reading
from postprocessing.models import OvAfinia, SourceFile, company_called
from tests.postprocessing.complaints import EXTRACTED, STATES, put_complaint

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]
COMPLAINTS, CHANGED, KILLS = 200, 100, 12
SOONEST, LATEST = 0.0, 0.12  # seconds that a load lives


def test_a_load_that_is_killed_again_and_again_ends_with_every_row_once(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DOWNLOADS_DIR = tmp_path
    monkeypatch.setattr(reading, "BATCH", 10)
    afinia = company_called("afinia")
    for number in range(COMPLAINTS):
        put_complaint(afinia, number)
    for number in range(CHANGED):
        put_complaint(afinia, number, EXTRACTED + timedelta(days=1), estado_solicitud=STATES[2])
    ends = Counter(killed() for _kill in range(KILLS))
    assert ends[True], "none was killed"
    loading.load(afinia)
    assert OvAfinia.objects.count() == COMPLAINTS
    assert OvAfinia.objects.filter(estado_solicitud=STATES[2]).count() == CHANGED
    assert SourceFile.objects.count() == COMPLAINTS + CHANGED
    noted = Counter(Event.objects.values_list("object_id", flat=True))
    assert set(noted.values()) == {1}
    assert len(noted) == CHANGED
    for full in (False, True):
        again = loading.load(afinia, full=full)
        assert (again.duplicates, again.inserted + again.updated + again.errors) == (300, 0)


def killed() -> bool:
    """Whether a load in a process of its own was killed before its end."""
    connections.close_all()
    child = os.fork()
    if not child:
        try:
            loading.load(company_called("afinia"))
        finally:
            os._exit(0)
    time.sleep(random.uniform(SOONEST, LATEST))  # the instant is what is tried
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])
