"""What staff are warned of in the post-processing, and its figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone, translation
from django_q.models import Schedule
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from orchestrator_site import alerting, sentences
from orchestrator_site.models import Alert
from postprocessing import alerts, metrics
from queues import alerts as queue_alerts
from queues import doorbell
from tests.postprocessing import rows

pytestmark = [pytest.mark.django_db, pytest.mark.database]
HOUR = timedelta(hours=1)


def values(measure: Any) -> dict[str, float]:
    return {one.subject: one.value for one in measure()}


def said(measure: Any) -> list[str]:
    return [one.message for one in measure()]


def ago(hours: float) -> Any:
    return timezone.now() - hours * HOUR


# --- Coverage -------------------------------------------------------------------------------------


def test_the_lower_of_both_coverages_of_the_last_verification_counts() -> None:
    rows.verification(files_loaded=1)
    rows.verification(files_loaded=97, objects_there=99)
    rows.verification("aire", files_loaded=99, objects_there=98)
    assert values(alerts.coverage) == {"afinia": 97, "aire": 98}
    text = "Afinia: 97.0 per cent of the files are in the table, 99.0 per cent in the bucket"
    assert said(alerts.coverage)[0] == text


def test_one_file_of_many_is_no_full_coverage() -> None:
    counted = {"files": 1_000_000, "json_files": 1_000_000, "objects_there": 1_000_000}
    rows.verification(**counted, files_loaded=999_999)
    (value,) = values(alerts.coverage).values()
    assert value == 99.99


def test_where_uploads_are_simulated_the_table_alone_counts() -> None:
    rows.verification(is_simulated=True, objects_there=0, files_loaded=100)
    assert values(alerts.coverage) == {"afinia": 100}


def test_without_a_file_or_a_verification_nothing_is_missing() -> None:
    rows.verification(files=0, json_files=0, files_loaded=0, objects_there=0)
    assert values(alerts.coverage) == {}


def test_siblings_alone_are_told_of_by_the_bucket() -> None:
    rows.verification(json_files=0, files_loaded=0, objects_there=50)
    assert values(alerts.coverage) == {"afinia": 50}
    assert "100.0 per cent of the files are in the table, 50.0 per cent" in said(alerts.coverage)[0]


# --- Runs -----------------------------------------------------------------------------------------


def test_what_the_last_run_that_ended_refused_is_an_error() -> None:
    rows.run(db_errors=5)
    rows.run(status="with_errors", db_errors=2, s3_errors=1)
    rows.run(status="running", finished_at=None, db_errors=9)
    rows.run("aire")
    assert values(alerts.run_errors) == {"afinia": 3, "aire": 0}


@pytest.mark.parametrize("status", ["failed", "abandoned"])
def test_a_run_that_failed_is_an_error_whatever_it_counted(status: str) -> None:
    rows.run(status=status, error="the disk is full" if status == "failed" else "")
    assert values(alerts.run_errors) == {"afinia": 1}
    why = "the disk is full" if status == "failed" else "its process died"
    assert why in said(alerts.run_errors)[0]


# --- Age ------------------------------------------------------------------------------------------


def test_the_age_is_that_of_the_last_verification_that_compared_all() -> None:
    rows.verification(at=ago(30))
    rows.verification(at=ago(1), error="no bucket")
    assert values(alerts.verification_ages) == {"afinia": pytest.approx(30, abs=0.1)}


def test_a_company_that_is_worked_and_was_never_verified_ages_from_its_first_run() -> None:
    rows.run(started_at=ago(50))
    rows.run(started_at=ago(1))
    assert values(alerts.verification_ages) == {"afinia": pytest.approx(50, abs=0.1)}


def test_an_alert_is_raised_by_the_rules_that_a_migration_made() -> None:
    rows.verification(files_loaded=97, at=ago(27))
    rows.run(status="with_errors", db_errors=1)
    Schedule.objects.update(next_run=timezone.now() + HOUR)
    alerting.evaluate(timezone.now())
    raised = Alert.objects.filter(subject="afinia").order_by("rule__name")
    assert [one.rule.name for one in raised] == [
        "pqr_coverage",
        "pqr_errors",
        "pqr_verification_age",
    ]


def test_what_an_alert_says_is_told_in_the_reader_s_language() -> None:
    rows.verification(files_loaded=97, at=ago(27))
    for measure in (alerts.coverage, alerts.verification_ages):
        for text in said(measure):
            assert sentences.matched(text), text
            with translation.override("en"):
                assert sentences.told(text) == text


# --- Schedules ------------------------------------------------------------------------------------


def test_a_schedule_that_no_cluster_takes_up_is_late() -> None:
    Schedule.objects.all().delete()
    now = timezone.now()
    for name, minutes, repeats in (("late", 45, -1), ("soon", -5, -1), ("used up", 45, 0)):
        Schedule.objects.create(
            name=name, func="x.y", next_run=now - timedelta(minutes=minutes), repeats=repeats
        )
    assert list(doorbell.overdue(now)) == [("late", timedelta(minutes=45))]
    (reading,) = queue_alerts.late_schedules()
    assert reading.subject == "late" and reading.value == pytest.approx(45, abs=0.1)
    assert reading.message == "late should have run 45 minutes ago"


# --- Figures --------------------------------------------------------------------------------------


class Registered(Collector):
    def collect(self) -> Iterator[Any]:
        return metrics.collect()


def figures() -> dict[tuple[str, ...], float]:
    """By name and labels' values."""
    registry = CollectorRegistry()
    registry.register(Registered())
    text = generate_latest(registry).decode()
    return {
        (one.name.removeprefix("orchestrator_pqr_"), *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_figures_tell_of_each_company() -> None:
    rows.complaint()
    rows.source_file()
    rows.s3_file(status="error")
    rows.run(status="with_errors", db_errors=4, started_at=ago(2))
    rows.run(status="running", finished_at=None)
    rows.verification(files_loaded=97, objects_there=50, differing={"not_loaded": 3})
    found = figures()
    assert (found["rows", "afinia"], found["rows", "aire"], found["files", "afinia"]) == (1, 0, 1)
    assert found["objects", "afinia", "error"] == 1 and found["objects", "aire", "error"] == 0
    assert found["last_run", "afinia", "db_errors"] == 4
    assert found["last_run_success", "afinia"] == 0
    assert found["last_run_age_seconds", "afinia"] == pytest.approx(7200, abs=60)
    covered = [found["coverage_percent", "afinia", where] for where in ("database", "s3")]
    assert covered == [97, 50]
    assert found["differences", "afinia", "not_loaded"] == 3
    assert not any(name[:2] == ("coverage_percent", "aire") for name in found)
