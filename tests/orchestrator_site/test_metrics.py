"""`/metrics`: what Prometheus reads, from the database, and who may ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from devices.models import Worker
from orchestrator_site import metrics
from orchestrator_site.models import Alert, AlertRule, ApiKey, Lease, Pause
from tests.factories import TramiteTaskFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]
Person = Callable[[str], User]
TOKEN = "a-long-token-of-prometheus"


@pytest.fixture
def prometheus(settings: Any) -> Client:
    settings.METRICS_TOKEN = TOKEN
    return Client(headers={"Authorization": f"Bearer {TOKEN}"})


def figures(client: Client, name: str) -> dict[tuple[str, ...], float]:
    """The values of one family, by its labels' values in the order of their names."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    (family,) = [
        one for one in text_string_to_metric_families(answer.content.decode()) if one.name == name
    ]
    return {
        tuple(value for _label, value in sorted(sample.labels.items())): sample.value
        for sample in family.samples
    }


# --- What is shown --------------------------------------------------------------------------------


def test_the_page_is_prometheus_text(prometheus: Client) -> None:
    answer = prometheus.get("/metrics")
    assert answer["Content-Type"].startswith("text/plain; version=")
    families = list(text_string_to_metric_families(answer.content.decode()))
    names = [family.name for family in families]
    assert len(set(names)) == len(names) >= 8
    assert all(family.documentation and family.type == "gauge" for family in families)
    assert all(name.startswith("orchestrator_") for name in names)


def test_raised_alerts_are_counted_by_rule(prometheus: Client) -> None:
    AlertRule.objects.create(name="quiet", measure="quiet", threshold=1)
    rule = AlertRule.objects.create(name='a "b"', measure="m", threshold=1, severity="critical")
    now = timezone.now()
    statuses = ["pending", "open", "open", "acknowledged", "resolved", "resolved"]
    for number, status in enumerate(statuses):
        Alert.objects.create(
            rule=rule, subject=f"{number}", status=status, first_seen_at=now, last_seen_at=now
        )
    shown = figures(prometheus, "orchestrator_alerts")
    assert shown['a "b"', "critical", "open"] == 2
    assert shown['a "b"', "critical", "acknowledged"] == 1
    assert shown["quiet", "warning", "open"] == shown["quiet", "warning", "acknowledged"] == 0


def test_leases_are_held_or_not(prometheus: Client) -> None:
    Lease.acquire("brain", "host:1", timedelta(minutes=1))
    Lease.acquire("tramite:host:1", "host:2", timedelta(seconds=-1))
    released = Lease.acquire("alerts", "host:3", timedelta(minutes=1))
    assert released is not None
    released.release()
    assert figures(prometheus, "orchestrator_lease_held") == {
        ("brain",): 1,
        ("tramite:host:1",): 0,
        ("alerts",): 0,
    }


def test_pauses_are_there_while_they_last(prometheus: Client) -> None:
    Pause.begin("brain", "maintenance")
    assert figures(prometheus, "orchestrator_paused") == {("brain",): 1}
    Pause.end("brain")
    assert figures(prometheus, "orchestrator_paused") == {}


def test_a_database_that_is_not_migrated_is_not_ready(
    prometheus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert figures(prometheus, "orchestrator_ready") == {(): 1}
    monkeypatch.setattr(metrics, "database_problems", lambda: ["2 migrations are not applied"])
    assert figures(prometheus, "orchestrator_ready") == {(): 0}


def test_appeals_are_counted_by_site_and_status(prometheus: Client) -> None:
    TramiteTaskFactory.create_batch(2)
    TramiteTaskFactory(site_id="madrid", status="failed")
    assert figures(prometheus, "orchestrator_tramite_tasks") == {
        ("xaloc_girona", "pending"): 2,
        ("madrid", "failed"): 1,
    }


def test_the_age_of_the_oldest_waiting_appeal_is_told(prometheus: Client) -> None:
    assert figures(prometheus, "orchestrator_tramite_oldest_waiting_seconds") == {(): 0}
    task = TramiteTaskFactory()
    type(task).objects.update(created_at=timezone.now() - timedelta(hours=1))
    (age,) = figures(prometheus, "orchestrator_tramite_oldest_waiting_seconds").values()
    assert 3600 <= age < 3660


def test_a_silent_cluster_is_seen_by_its_age(prometheus: Client) -> None:
    Worker(name="cluster brain@here", kind="cluster", host="here", pid=1).beat()
    ago = timezone.now() - timedelta(minutes=10)
    Worker.objects.create(name="w", kind="tramite", host="here", pid=2, heartbeat_at=ago)
    ages = figures(prometheus, "orchestrator_heartbeat_age_seconds")
    assert ages["cluster", "cluster brain@here"] < 60
    assert 600 <= ages["tramite", "w"] < 660


# --- Collectors -----------------------------------------------------------------------------------


def test_what_an_app_registers_is_shown(
    prometheus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def queue() -> Iterator[Metric]:
        family = GaugeMetricFamily("orchestrator_queue", "Waiting", labels=["generator"])
        family.add_metric(['G "x"\n\\'], 7)
        yield family

    monkeypatch.setattr(metrics, "COLLECTORS", [*metrics.COLLECTORS])
    metrics.register(queue)
    assert figures(prometheus, "orchestrator_queue") == {('G "x"\n\\',): 7}


def test_a_collector_that_breaks_is_told_and_stops_no_other(
    prometheus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Iterator[Metric]:
        yield GaugeMetricFamily("orchestrator_half", "Half of it", value=1)
        raise OSError("no answer")

    monkeypatch.setattr(metrics, "COLLECTORS", [broken, *metrics.COLLECTORS])
    up = figures(prometheus, "orchestrator_collector_up")
    assert [name for (name,), value in up.items() if not value] == [
        f"{__name__}.{broken.__qualname__}"
    ]
    assert up["orchestrator_site.metrics.ground",] == up["brain.metrics.collect",] == 1
    assert "orchestrator_half" not in prometheus.get("/metrics").content.decode()


# --- Who may ask ----------------------------------------------------------------------------------


def test_without_a_key_nothing_is_told(client: Client) -> None:
    answer = client.get("/metrics")
    assert (answer.status_code, answer.content) == (401, b"")
    assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "value",
    [
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer Ñ",
        "Bearer \xff",
    ],
)
def test_another_token_is_refused(settings: Any, value: str) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert Client(headers={"Authorization": value}).get("/metrics").status_code == 401


def test_without_a_token_set_none_is_taken(settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    for value in ("Bearer ", "Bearer", "bearer  ", f"Bearer {TOKEN}"):
        assert Client(headers={"Authorization": value}).get("/metrics").status_code == 401


def test_the_token_opens_nothing_else(prometheus: Client) -> None:
    assert prometheus.get("/api/v1/alerts/").status_code == 401


@pytest.mark.parametrize("scope", list(ApiKey.Scope))
def test_a_key_of_any_scope_reads(person: Person, scope: str) -> None:
    row = ApiKey(name="prometheus", user=person("viewer"), scope=scope)
    key = row.issue()
    row.save()
    client = Client(headers={"Authorization": f"Bearer {key}"})
    assert client.get("/metrics").status_code == 200
    User.objects.update(is_active=False)
    assert client.get("/metrics").status_code == 401


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_staff_that_are_signed_in_read(signed_in: SignedIn, role: str) -> None:
    client = signed_in(role)
    assert client.get("/metrics").status_code == 200
    assert client.post("/metrics").status_code == 405


def test_to_who_is_no_staff_and_sees_no_alerts_it_is_not_there(client: Client) -> None:
    outside = User.objects.create_user("outside", password="x")
    client.force_login(outside)
    assert client.get("/metrics").status_code == 404
    row = ApiKey(name="theirs", user=outside)
    key = row.issue()
    row.save()
    theirs = Client(headers={"Authorization": f"Bearer {key}"})
    assert theirs.get("/metrics").status_code == 404


def test_an_unknown_key_is_not_excused_by_a_session(signed_in: SignedIn) -> None:
    answer = signed_in("admin").get("/metrics", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401
