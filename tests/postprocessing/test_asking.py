"""A run that somebody asks for has its row from then on, and what becomes of it stands there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.clock import db_now
from orchestrator_site.models import Event, Lease
from postprocessing import alerts, asking, pipeline, reporting, sentences, tasks
from postprocessing.models import OvAfinia, PostProcessingRun, company_called
from tests.postprocessing import rows
from tests.postprocessing.asked import asked_for
from tests.postprocessing.complaints import put_complaint

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Status = PostProcessingRun.Status
Heard = Callable[[Callable[[], Any]], list[tuple[str, tuple[Any, ...]]]]


@pytest.fixture(autouse=True)
def folders(settings: Any, tmp_path: Path) -> None:
    """One complaint, no bucket and no site."""
    settings.DOWNLOADS_DIR = tmp_path / "downloads"
    settings.PQR_SITES = {}
    backend = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": tmp_path / "objects"},
    }
    settings.STORAGES = {**settings.STORAGES, "pqr": backend}
    put_complaint("afinia", 1)


@pytest.fixture
def heard(django_capture_on_commit_callbacks: Any) -> Heard:
    """What the cluster is newly called for while a function is called."""

    def during(act: Callable[[], Any]) -> list[tuple[str, tuple[Any, ...]]]:
        before = len(asked_for())
        with django_capture_on_commit_callbacks(execute=True):
            act()
        return asked_for()[before:]

    return during


def lease() -> Lease:
    found = Lease.acquire("postprocessing afinia", "another:1", timedelta(minutes=1))
    assert found
    return found


def test_a_run_that_was_asked_for_becomes_the_run_and_stays_who_asked() -> None:
    with acting_as(ActorKind.USER, "ana"):
        row = asking.process("afinia", True, True)
    assert (row.status, row.runner) == ("queued", "user:ana")
    tasks.process("afinia", True, True, row.pk)
    (done,) = PostProcessingRun.objects.all()
    assert (done.pk, done.status, done.db_inserted) == (row.pk, "done", 1)
    assert (done.runner, done.database_only, done.full) == ("user:ana", True, True)


def test_asking_twice_in_the_same_way_is_one_run() -> None:
    first = asking.process("afinia")
    assert asking.process("afinia").pk == first.pk
    assert asking.process("afinia", full=True).pk != first.pk
    assert asking.process("aire").pk != first.pk
    assert asking.extract("afinia").pk != first.pk


def test_a_second_call_for_a_run_that_was_begun_does_nothing() -> None:
    row = asking.process("afinia")
    tasks.process("afinia", run=row.pk)
    assert tasks.process("afinia", run=row.pk) == {}
    assert PostProcessingRun.objects.count() == 1


def test_what_is_asked_for_while_a_run_is_under_way_is_begun_at_its_end(heard: Heard) -> None:
    row = asking.process("afinia", full=True)
    held = lease()
    assert not tasks.process("afinia", False, True, row.pk)["success"]
    row.refresh_from_db()
    assert row.status == "queued"
    held.release()
    again = heard(lambda: pipeline.run_post_processing_for_company("afinia"))
    assert again == [(asking.PROCESS, ("afinia", False, True, row.pk))]


def test_an_extraction_is_told_while_it_goes_on_and_ends_as_the_run() -> None:
    row = asking.extract("afinia")
    assert tasks.extract("afinia", run=row.pk)
    row.refresh_from_db()
    assert (row.status, row.extract, row.db_inserted) == ("done", True, 1)
    assert tasks.extract("afinia", run=row.pk) == []
    assert OvAfinia.objects.count() == 1


def test_after_an_extraction_a_run_waits_for_the_one_that_is_under_way(heard: Heard) -> None:
    row = asking.extract("afinia")
    lease()
    again = heard(lambda: tasks.extract("afinia", run=row.pk))
    row.refresh_from_db()
    assert (row.status, row.extract) == ("queued", False)  # what was extracted lies there
    assert again == [(asking.PROCESS, ("afinia", False, False, row.pk))]


@pytest.mark.parametrize("status", [Status.QUEUED, Status.EXTRACTING])
def test_what_nobody_began_within_a_day_is_given_up(status: str) -> None:
    now = db_now()
    lost = rows.run(status=status, finished_at=None, started_at=now - timedelta(hours=25))
    young = rows.run(status=status, finished_at=None, started_at=now - timedelta(hours=23))
    pipeline.run_post_processing_for_company("afinia")
    lost.refresh_from_db()
    young.refresh_from_db()
    assert (lost.status, young.status) == ("abandoned", status)
    told = Event.objects.get(object_id=str(lost.pk), new="abandoned")
    assert told.reason == sentences.NEVER_BEGUN


def test_a_run_that_waits_is_not_the_last_one_and_alarms_nobody() -> None:
    done = rows.run(db_errors=2)
    asking.process("afinia")
    assert reporting.report_of(company_called("afinia")).last_run == done
    (told,) = alerts.run_errors()
    assert told.value == 2
