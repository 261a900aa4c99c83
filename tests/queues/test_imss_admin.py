"""People, their tasks, generators and the configuration in the admin."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from brain import assigning
from brain.distribution import Why
from brain.models import Decision
from orchestrator_site.admin import lists
from orchestrator_site.models import Event
from queues import blockers
from queues.models import (
    DistributionConfig,
    Endpoint,
    Generator,
    NbcRecord,
    QueueEntry,
    RegistroWork,
)
from queues.results import Report, take_in
from tests import distribution
from tests.factories import EndpointFactory, NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]
SURE = {"confirmed": "1", "reason": "seen by a person"}


def url(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def listed(client: Client, model: Any, **query: Any) -> list[Any]:
    return list(client.get(url(model, "changelist"), query).context["cl"].queryset)


def shown(client: Client, row: Any) -> str:
    answer = client.get(url(type(row), "change", row.pk))
    assert answer.status_code == 200
    return answer.content.decode()


def cost(client: Client, page: str) -> int:
    """Statements of the page, once what is cached is there."""
    client.get(page)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(page).status_code == 200
    return len(queries)


@pytest.fixture
def entry(db: None) -> QueueEntry:
    """Somebody whom a scraper looks up."""
    distribution.pool(3)
    distribution.assigned()
    return distribution.accepted()


# --- What people wait for -------------------------------------------------------------------------


def moment(minutes: float) -> Any:
    return timezone.now() + timedelta(minutes=minutes)


def test_a_person_at_rest_says_until_when_in_the_reader_s_time() -> None:
    noon = timezone.localtime().replace(hour=12, minute=0)
    until = noon.replace(hour=14, minute=5)
    told = blockers.describe({"kind": "window", "until": until.isoformat()}, noon)
    assert told == "this person was worked on a short while ago: not before 14:05"
    with timezone.override("America/Mexico_City"):
        there = f"{timezone.localtime(until):%H:%M}"
        assert there != "14:05"
        assert there in blockers.describe({"kind": "window", "until": until.isoformat()}, noon)


def test_another_day_is_named() -> None:
    until = timezone.localtime() + timedelta(days=2)
    told = blockers.describe({"kind": "window", "until": until.isoformat()})
    assert f"{until.day} " in told


def test_each_generator_says_why_it_was_passed_over() -> None:
    passed = [
        ["G_A", "disabled", 0],
        ["G_B", "failing", 0],
        ["G_C", "unreachable", 0],
        ["G_D", "offline", 0],
        ["G_E", "no_share", 0],
        ["G_F", "limit", 10],
        ["G_G", "busy", 0],
    ]
    assert blockers.describe({"kind": "nobody", "passed": passed}).split("; ") == [
        "G_A is disabled",
        "G_B is failing",
        "no endpoint of G_C can be asked",
        "no device of G_D is online and in service",
        "G_E has no share",
        "G_F: limit of 10 reached",
        "all devices of G_G are busy",
    ]


def test_every_reason_of_the_distributor_has_words() -> None:
    assert set(blockers.PASSED) == {str(why) for why in Why}


def test_only_who_waits_waits_for_something() -> None:
    now = timezone.now()
    twin = {"kind": "twin", "nbc_id": "n-1"}
    told = "the same CURP is being assigned as record n-1"
    assert blockers.of(NbcRecord(blocker=twin, available_at=now), now) == told
    assert blockers.of(NbcRecord(available_at=now), now) == ""
    assert blockers.of(NbcRecord(status="p1", blocker=twin, available_at=now), now) == ""
    later = NbcRecord(status="RETRY_AFTER_MIDNIGHT", available_at=moment(60))
    assert blockers.of(later, now).startswith("not before ")


def test_the_list_shows_what_a_person_waits_for(signed_in: SignedIn) -> None:
    Generator.objects.update(enabled=False)
    person = NbcRecordFactory()
    assigning.run_round()
    client = signed_in("viewer")
    page = client.get(url(NbcRecord, "changelist")).content.decode()
    assert "G_MASTER is disabled" in page
    assert "G_MASTER is disabled" in shown(client, person)


# --- People ---------------------------------------------------------------------------------------


def test_a_person_is_found_by_what_is_known_of_them(signed_in: SignedIn, entry: QueueEntry) -> None:
    client, person = signed_in("viewer"), entry.nbc
    NbcRecordFactory()
    whole, part = person.curp, person.curp[:10].lower()
    for text in (whole, part, f" {whole} ", person.nbc_id, entry.rw_id, person.case_id):
        assert listed(client, NbcRecord, q=text) == [person], text
    assert listed(client, NbcRecord, q=whole[1:]) == []
    assert listed(client, NbcRecord, status__exact="p1") == [person]


def test_a_person_s_page_tells_the_whole_story(signed_in: SignedIn, entry: QueueEntry) -> None:
    take_in(entry.document_id, Report(1, "Encontrado", {"semanas": 812}))
    page = shown(signed_in("viewer"), entry.nbc)
    assert url(QueueEntry, "change", entry.pk) in page
    assert url(Decision, "change", entry.decision.pk) in page
    for word in ("Encontrado", "semanas", entry.device, "accepted by the scraper", "batch"):
        assert word in page, word


def test_a_long_story_shows_its_end_and_the_way_to_the_rest(
    signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queues.admin.lists.EVENTS", 2)
    person = NbcRecordFactory()
    for word in ("first thing", "second thing", "third thing"):
        Event.record([person], "", "noted", word)
    page = shown(signed_in("viewer"), person)
    assert "first thing" not in page
    assert page.index("second thing") < page.index("third thing")
    assert f"?q={person.case_id}" in page


@pytest.mark.parametrize(
    ("verb", "status", "then"),
    [
        ("cancel", "p1", "cancelled"),
        ("retry", "failed", "pending"),
        ("now", "RETRY_AFTER_MIDNIGHT", "pending"),
    ],
)
def test_an_operator_acts_on_a_person(
    signed_in: SignedIn, verb: str, status: str, then: str
) -> None:
    client, person = signed_in("operator"), NbcRecordFactory(status=status)
    assert f"../verb/{verb}/" in shown(client, person)
    client.post(url(NbcRecord, "verb", person.pk, verb), SURE)
    person.refresh_from_db()
    assert person.status == then
    event = Event.objects.get()
    assert (event.actor, event.reason) == ("operator-person", "seen by a person")


def test_who_is_done_has_no_button(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    for status in NbcRecord.DONE:
        assert "../verb/" not in shown(client, NbcRecordFactory(status=status))


# --- Tasks ----------------------------------------------------------------------------------------


def test_a_task_is_found_by_every_name_it_has(signed_in: SignedIn, entry: QueueEntry) -> None:
    client = signed_in("viewer")
    distribution.assigned()
    names = (entry.pk, entry.document_id, entry.rw_id, entry.curp, entry.curp[:10])
    for text in (*names, entry.nbc.nbc_id, entry.case_id):
        assert listed(client, QueueEntry, q=text) == [entry], text
    assert listed(client, QueueEntry, q="nobody") == []


def test_a_task_s_page_has_the_document_s_names_and_the_decision(
    signed_in: SignedIn, entry: QueueEntry
) -> None:
    page = shown(signed_in("viewer"), entry)
    for name in ("nbc_id", "rw_id", "taskid", "Status", "Message", entry.document_id):
        assert name in page, name
    assert url(Decision, "change", entry.decision.pk) in page
    assert url(NbcRecord, "change", entry.nbc.pk) in page
    assert reverse("admin:devices_device_changelist") in page


def test_a_task_without_a_decision_opens_too(signed_in: SignedIn, entry: QueueEntry) -> None:
    Decision.objects.all().delete()
    client = signed_in("viewer")
    for row in (entry, entry.nbc):
        assert "Why here" not in shown(client, row)


def test_a_task_is_given_back(signed_in: SignedIn, entry: QueueEntry) -> None:
    client = signed_in("operator")
    asked = client.get(url(QueueEntry, "verb", entry.pk, "give_back")).content.decode()
    assert "The late result will be refused." in asked
    client.post(url(QueueEntry, "verb", entry.pk, "give_back"), SURE)
    entry.refresh_from_db()
    assert (entry.status, entry.condition) == ("Complete", 4)
    assert NbcRecord.objects.get().status == "pending"
    assert "../verb/" not in shown(client, entry)


# --- Long lists -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [NbcRecord, QueueEntry, RegistroWork])
def test_a_list_asks_as_much_for_many_rows_as_for_few(
    signed_in: SignedIn, entry: QueueEntry, model: Any
) -> None:
    client, page = signed_in("operator"), url(model, "changelist")
    few = cost(client, page)
    distribution.pool(10)
    NbcRecordFactory.create_batch(10)
    assert len(assigning.run_round().decisions) == 10
    assert cost(client, page) == few


def test_a_person_s_page_asks_as_much_for_many_tasks(
    signed_in: SignedIn, entry: QueueEntry
) -> None:
    client, person = signed_in("operator"), entry.nbc
    page = url(NbcRecord, "change", person.pk)
    few = cost(client, page)
    for number in range(5):
        other = QueueEntry.objects.get(pk=entry.pk)
        other.pk, other.document_id, other.rw_id = None, uuid.uuid4().hex[:24], f"other-{number}"
        other.status, other.success = "Complete", False
        other.save()
        Decision.objects.create(
            batch=entry.decision.batch,
            nbc=person,
            entry=other,
            generator_id="G_SISEC",
            choice=entry.decision.choice,
        )
    assert cost(client, page) == few


def test_rows_are_counted_no_further_than_anybody_turns_pages(
    signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "COUNTED", 60)
    NbcRecordFactory.create_batch(70)
    cl = signed_in("viewer").get(url(NbcRecord, "changelist")).context["cl"]
    assert (cl.result_count, cl.paginator.num_pages) == (60, 2)


# --- Generators -----------------------------------------------------------------------------------


def generator_form(row: Generator, *endpoints: dict[str, str], **changes: Any) -> dict[str, Any]:
    names = ("name", "short_name", "handler", "instance", "fleet", "process", "queue_collection")
    others = ("worked_by", "rotation_order", "array_position")
    form = {name: getattr(row, name) for name in (*names, *others)}
    kept = [one for one in endpoints if "id" in one]
    form |= {"endpoints-TOTAL_FORMS": len(endpoints), "endpoints-INITIAL_FORMS": len(kept)}
    for number, endpoint in enumerate(endpoints):
        values = {"generator": row.pk, "enabled": "on", **endpoint}
        form |= {f"endpoints-{number}-{name}": value for name, value in values.items()}
    return {**form, **changes}


def sisec() -> Generator:
    return Generator.objects.get(name="G_SISEC")


def test_a_generator_gets_an_endpoint_and_who_gave_it_is_kept(signed_in: SignedIn) -> None:
    client, row = signed_in("admin"), sisec()
    given = generator_form(row, {"url": "http://127.0.0.1:9/scraper/"}, handler="Other")
    assert client.post(url(Generator, "change", row.pk), given).status_code == 302
    assert Endpoint.objects.get().generator == row
    assert sisec().handler == "Other"
    endpoints, changed = Event.objects.all()
    assert changed.data == {"handler": [row.handler, "Other"]}
    assert endpoints.data["after"][0]["url"] == "http://127.0.0.1:9/scraper/"
    assert endpoints.actor == "admin-person"


def test_an_endpoint_outside_of_the_allowed_networks_is_refused(
    signed_in: SignedIn, settings: Any
) -> None:
    settings.SCRAPER_ALLOWED_NETWORKS = ()
    client, row = signed_in("admin"), sisec()
    given = generator_form(row, {"url": "http://127.0.0.1:9/scraper/"}, handler="Other")
    answer = client.post(url(Generator, "change", row.pk), given)
    assert answer.status_code == 200
    assert "SCRAPER_ALLOWED_NETWORKS" in answer.content.decode()
    assert not Endpoint.objects.exists()
    assert sisec().handler == row.handler
    assert not Event.objects.exists()


def test_shares_and_reports_are_not_written_in_a_generator_s_form(signed_in: SignedIn) -> None:
    client, row = signed_in("admin"), sisec()
    given = generator_form(row, share_good=99, enabled="", status="fallando", handler="Other")
    client.post(url(Generator, "change", row.pk), given)
    after = sisec()
    assert (after.handler, after.shares) == ("Other", row.shares)
    assert (after.enabled, after.status) == (row.enabled, "running")


def test_a_generator_s_page_leads_to_the_shares(signed_in: SignedIn) -> None:
    assert reverse("admin:brain_shares") in shown(signed_in("admin"), sisec())


def test_a_fifth_generator_is_a_row(signed_in: SignedIn) -> None:
    row = Generator(
        name="G_FIFTH",
        short_name="FIFTH",
        handler="H",
        instance="I",
        fleet="devices",
        process="FIFTH",
        queue_collection="imss_queue_fifth",
        rotation_order=9,
        array_position=9,
    )
    client = signed_in("admin")
    assert client.post(url(Generator, "add"), generator_form(row)).status_code == 302
    assert Generator.objects.filter(name="G_FIFTH", enabled=True).exists()


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_others_change_no_generator(signed_in: SignedIn, role: str) -> None:
    client, row = signed_in(role), sisec()
    given = generator_form(row, handler="Other")
    assert client.post(url(Generator, "change", row.pk), given).status_code == 403
    assert sisec().handler == row.handler
    assert ("../verb/disable/" in shown(client, row)) == (role == "operator")


def test_the_generators_list_asks_as_much_for_five_as_for_four(signed_in: SignedIn) -> None:
    client, page = signed_in("operator"), url(Generator, "changelist")
    few = cost(client, page)
    for row in Generator.objects.all():
        EndpointFactory.create_batch(2, generator=row)
    assert cost(client, page) == few


# --- The configuration ----------------------------------------------------------------------------

CONFIG = {
    "batch_size": 100,
    "batch_minutes": 10,
    "high_threshold": 80,
    "low_threshold": 50,
    "window_hours": 24,
    "person_window_minutes": 18,
    "result_minutes": 15,
    "stuck_minutes": 20,
    "silence_minutes": 5,
    "quarantine_failures": 5,
    "probe_minutes": 15,
    "max_attempts": 3,
}


def test_the_configuration_opens_at_once_and_a_change_is_kept(signed_in: SignedIn) -> None:
    client, page = signed_in("admin"), url(DistributionConfig, "changelist")
    assert 'name="stuck_minutes"' in client.get(page).content.decode()
    done = client.post(page, {**CONFIG, "stuck_minutes": 30})
    assert (done.status_code, done["Location"]) == (302, page)
    assert DistributionConfig.objects.get().stuck_minutes == 30
    event = Event.objects.get()
    assert (event.data, event.actor) == ({"stuck_minutes": [20, 30]}, "admin-person")


@pytest.mark.parametrize(
    "change", [{"batch_size": 0}, {"low_threshold": 90}, {"high_threshold": 101}]
)
def test_a_configuration_that_cannot_be_is_refused(
    signed_in: SignedIn, change: dict[str, int]
) -> None:
    client, page = signed_in("admin"), url(DistributionConfig, "changelist")
    assert client.post(page, {**CONFIG, **change}).status_code == 200
    row = DistributionConfig.current()
    assert {name: getattr(row, name) for name in CONFIG} == CONFIG
    assert not Event.objects.exists()


def test_the_configuration_is_one_row_and_the_admins(signed_in: SignedIn) -> None:
    client, row = signed_in("operator"), DistributionConfig.current()
    page = url(DistributionConfig, "changelist")
    assert client.get(page).status_code == 200
    assert client.post(page, {**CONFIG, "stuck_minutes": 30}).status_code == 403
    assert client.get(url(DistributionConfig, "add")).status_code == 403
    assert client.post(url(DistributionConfig, "delete", row.pk), {"post": "y"}).status_code == 403
    assert DistributionConfig.objects.get().stuck_minutes == 20
