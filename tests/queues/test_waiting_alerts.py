"""Who waits too long, what fails and what fell silent: as alerts read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from brain import alerts as brain_alerts
from brain.models import Claim, Organismo
from devices.models import Worker
from orchestrator_site.measures import MEASURES, Reading
from orchestrator_site.models import AlertRule
from postprocessing.alerts import upload_lags
from postprocessing.models import S3File
from queues import running_alerts, waiting_alerts
from queues.models import Generator, Job, QueueEntry, RegistroWork, TramiteTask
from tests.factories import (
    DeviceFactory,
    JobFactory,
    NbcRecordFactory,
    TramiteTaskFactory,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]
MINUTE = timedelta(minutes=1)


def read(function: Callable[[], Iterable[Reading]]) -> dict[str, float | None]:
    found = list(function())
    assert all(reading.message for reading in found)
    return {reading.subject: reading.value for reading in found}


def ago(minutes: float) -> Any:
    return timezone.now() - minutes * MINUTE


def test_the_appeal_that_has_been_due_for_longest_is_told() -> None:
    assert read(waiting_alerts.waiting_appeal) == {"": 0}
    TramiteTaskFactory(available_at=ago(40), priority=9)
    TramiteTaskFactory(available_at=ago(90))
    TramiteTaskFactory(available_at=ago(-90))
    TramiteTaskFactory(available_at=ago(500), status=TramiteTask.Status.HELD)
    assert read(waiting_alerts.waiting_appeal) == {"": pytest.approx(90, abs=0.2)}


def test_the_person_that_has_been_due_for_longest_is_told() -> None:
    NbcRecordFactory(available_at=ago(30), priority=9)
    NbcRecordFactory(available_at=ago(70))
    assert read(waiting_alerts.waiting_person) == {"": pytest.approx(70, abs=0.2)}


def test_the_appeals_of_a_site_that_fail_are_told_from_five_on() -> None:
    ended = ("completed", "completed_with_errors", "failed", "in_doubt", "failed")
    for status in (*ended, "cancelled"):
        TramiteTaskFactory(status=status, processed_at=ago(5))
    TramiteTaskFactory(status="failed", processed_at=ago(61))
    for _number in range(4):
        TramiteTaskFactory(site_id="madrid", status="failed", processed_at=ago(5))
    assert read(waiting_alerts.failing_sites) == {"xaloc_girona": 60}


def test_the_tasks_of_a_generator_that_fail_are_told() -> None:
    generator = Generator.objects.get(name="G_SISEC")
    for number in range(5):
        person = NbcRecordFactory()
        work = RegistroWork.objects.create(rw_id=f"w{number}", nbc=person)
        QueueEntry.objects.create(
            generator=generator,
            nbc=person,
            curp=person.curp,
            rw_id=work.rw_id,
            device=f"d{number}",
            status=QueueEntry.Status.COMPLETE,
            success=number == 0,
            processed_at=ago(5),
        )
    assert read(waiting_alerts.failing_generators) == {"G_SISEC": 80}


def test_the_runs_of_a_flow_that_fail_are_told() -> None:
    first = JobFactory(status=Job.Status.DONE, processed_at=ago(5))
    for _number in range(4):
        JobFactory(organisation=first.organisation, status="error", processed_at=ago(5))
    JobFactory(status="error", processed_at=ago(5))
    name = f"{first.organisation.name}: flow-demo"
    assert read(waiting_alerts.failing_flows) == {name: 80}


def test_a_worker_is_silent_where_nobody_of_its_kind_is_heard() -> None:
    def worker(name: str, kind: str, host: str, minutes: float) -> None:
        Worker.objects.create(name=name, kind=kind, host=host, pid=1, heartbeat_at=ago(minutes))

    worker("a", "tramite", "h1", 60)
    worker("b", "tramite", "h1", 0)
    worker("c", "tramite", "h2", 30)
    worker("d", "jobs", "gone", 8 * 24 * 60)
    found = read(running_alerts.silent_workers)
    assert found == {
        "tramite h1": pytest.approx(0, abs=0.2),
        "tramite h2": pytest.approx(30, abs=0.2),
    }


def test_a_generator_is_silent_since_its_last_report() -> None:
    Generator.objects.update(last_update=None)
    Generator.objects.filter(name="G_SISEC").update(last_update=ago(20))
    assert read(running_alerts.silent_generators) == {"G_SISEC": pytest.approx(20, abs=0.2)}
    Generator.objects.update(enabled=False)
    assert read(running_alerts.silent_generators) == {}


def test_devices_that_hang_are_counted_by_pool() -> None:
    DeviceFactory(available=False, task_start_time=ago(5))
    assert read(running_alerts.stuck_devices) == {}
    for _number in range(2):
        DeviceFactory(available=False, task_start_time=ago(25))
    assert read(running_alerts.stuck_devices) == {"dev_devices SISEC": 2}


def test_unproven_claims_are_counted_by_organismo(organismo: Organismo) -> None:
    for number, status in enumerate(("unproven", "unproven", "lost")):
        Claim.objects.create(organismo=organismo, resource_id=number, status=status)
    assert read(brain_alerts.unproven_claims) == {"xaloc_girona": 2}


def test_the_file_that_has_been_missing_in_the_bucket_for_longest_is_told() -> None:
    def file(name: str, hours: float, **values: Any) -> None:
        row = S3File.objects.create(
            empresa="afinia",
            filename=name,
            s3_key=name,
            file_size=1,
            content_type="x",
            file_hash="0",
            mtime_ns=1,
            created_at=ago(hours * 60),
            **values,
        )
        S3File.objects.filter(pk=row.pk).update(updated_at=ago(60))

    file("new", 2)
    file("there", 100, status=S3File.Status.UPLOADED)
    assert read(upload_lags) == {"afinia": pytest.approx(2, abs=0.1)}
    file("refused", 50, status=S3File.Status.ERROR)
    # Sent again since an hour: it was there until then.
    file("changed", 1000, uploaded_at=ago(900 * 60))
    assert read(upload_lags) == {"afinia": pytest.approx(50, abs=0.1)}


def test_each_measure_that_staff_count_on_has_a_rule() -> None:
    wanted = {
        *("tramite_wait", "imss_wait", "job_wait"),
        *("tramite_failures", "imss_failures", "job_failures"),
        *("imss_generator_silent", "worker_silent", "imss_device_stuck"),
        *("mirror_lag", "pqr_upload_lag", "claims_unproven", "schedule_late"),
    }
    assert wanted <= set(MEASURES)
    enabled = AlertRule.objects.filter(enabled=True)
    assert wanted <= set(enabled.values_list("measure", flat=True))
    severities = dict(AlertRule.objects.values_list("measure", "severity"))
    assert severities["worker_silent"] == "critical" and severities["imss_wait"] == "warning"
