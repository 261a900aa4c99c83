"""The front page: what it tells, to whom, at what cost, and that each number is its list's."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from itertools import count
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from brain import assigning
from brain.models import Claim, Organismo
from devices.models import Device, Worker
from orchestrator_site.dashboard import snapshot, worries
from orchestrator_site.dashboard.overview import PART
from orchestrator_site.models import Pause
from queues.models import Generator, QueueEntry, TramiteTask
from tests.factories import (
    DeviceFactory,
    EndpointFactory,
    JobFactory,
    NbcRecordFactory,
    OrganismoFactory,
    TramiteTaskFactory,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]
NUMBERS = count(1)
NUMBER = re.compile(r'<a [^>]*href="([^"]+)"[^>]*>\s*<(?:b|strong)>([\d ]+\+?)</')


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> None:
    snapshot.forget()


@pytest.fixture
def pools(db: None) -> None:
    for row in Generator.objects.all():
        EndpointFactory(generator=row)
        DeviceFactory.create_batch(2, fleet=row.fleet, process=row.process)


def shown(client: Client) -> str:
    page = client.get(reverse("admin:index"))
    assert page.status_code == 200
    return str(page.content.decode())


def section(text: str, name: str) -> str:
    return text.partition(f'id="{name}"')[2].partition("</section>")[0]


def claim(**values: Any) -> Claim:
    return Claim.objects.create(
        organismo=Organismo.objects.first() or OrganismoFactory(active=True),
        resource_id=next(NUMBERS),
        account="bot",
        **values,
    )


def held_for_an_hour() -> None:
    first = Device.objects.filter(available=False).order_by("pk")[:1]
    long_ago = timezone.now() - timedelta(hours=1)
    Device.objects.filter(pk__in=list(first.values_list("pk", flat=True))).update(
        task_start_time=long_ago
    )


def rows_of_all_kinds() -> None:
    now = timezone.now()
    ended = {"processed_at": now}
    for number, status in enumerate(TramiteTask.Status):
        final = ended if status in TramiteTask.FINAL else {}
        lease = {"lease_token": "0" * 32} if status == "processing" else {}
        TramiteTaskFactory.create_batch(1 + number % 3, status=status, **final, **lease)
    TramiteTaskFactory(status="completed", processed_at=now - timedelta(days=2))
    NbcRecordFactory.create_batch(5)
    assigning.run_round()
    NbcRecordFactory.create_batch(2, status="failed")
    held_for_an_hour()
    DeviceFactory(process="IAD", status="quarantined")
    DeviceFactory(process="IAD", online=False)
    DeviceFactory(process="ALONE", status="draining")
    entry = QueueEntry.objects.order_by("pk")[0]
    QueueEntry.objects.filter(pk=entry.pk).update(
        status="Complete", success=True, condition=1, processed_at=now
    )
    JobFactory.create_batch(2)
    claim(status="unproven")
    claim(status="started", started_at=now)
    claim(status="started", started_at=now - timedelta(days=1))
    claim(status="proven", queued_at=None)


def test_each_number_is_that_of_the_list_it_leads_to(pools: None, signed_in: SignedIn) -> None:
    rows_of_all_kinds()
    client = signed_in("admin")
    found = {unescape(url): text for url, text in NUMBER.findall(shown(client))}
    assert len(found) > 35
    counted = {url: str(client.get(url).context["cl"].result_count) for url in found if "/?" in url}
    assert counted == {url: found[url] for url in counted}
    assert sum(int(text) > 0 for text in counted.values()) > 18


def test_what_needs_a_person_stands_on_top_and_a_calm_line_where_nothing_does(
    signed_in: SignedIn,
) -> None:
    client = signed_in("viewer")
    assert "Nothing needs a person." in shown(client)
    TramiteTaskFactory.create_batch(2, status="in_doubt")
    text = shown(client)
    assert "Nothing needs a person." not in text
    assert text.index("appeals may have been sent: decide each") < text.index('id="appeals"')


def test_a_claim_that_is_just_being_decided_worries_nobody() -> None:
    claim(status=Claim.Status.STARTED, started_at=timezone.now())
    may = frozenset(PART.permissions)
    assert worries.worries(snapshot.current().data, may) == []
    Claim.objects.update(started_at=timezone.now() - timedelta(days=1))
    (worry,) = worries.worries(snapshot.current().data, may)
    assert worry["text"] == "claim was never decided"


def test_devices_that_are_held_and_stuck_are_told(pools: None, signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    NbcRecordFactory.create_batch(2)
    assigning.run_round()
    text = section(shown(client), "generators")
    assert text.count("</b> held") == 2 and "</b> stuck" not in text
    held_for_an_hour()
    assert section(shown(client), "generators").count("</b> stuck") == 1
    assert "device is stuck: release it" in shown(client)


def test_a_pause_is_told_with_who_and_why(pools: None, signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    assert "Distribution paused" not in shown(client)
    Pause.begin("distribution", "<maintenance>")
    text = section(shown(client), "lookups")
    assert "Distribution paused" in text and "&lt;maintenance&gt;" in text and "system" in text


def test_buttons_are_an_operator_s(signed_in: SignedIn) -> None:
    assert 'value="pause"' not in shown(signed_in("viewer"))
    text = shown(signed_in("operator"))
    assert text.count('value="pause"') == 2
    assert 'id="brain-switch"' in text and 'form="brain-switch"' in text


def test_a_pause_by_its_button_is_seen_at_once(signed_in: SignedIn, settings: Any) -> None:
    settings.OVERVIEW_SECONDS = 60
    client = signed_in("operator")
    assert "Brain runs" in shown(client)
    client.post(reverse("brain-switch"), {"do": "pause"})
    assert "Brain paused" in shown(client)


def test_the_silent_worker_comes_first(signed_in: SignedIn) -> None:
    Worker.objects.create(name="a", kind="brain", host="h", pid=1)
    long_ago = timezone.now() - timedelta(hours=1)
    Worker.objects.create(name="z", kind="brain", host="h", pid=2, heartbeat_at=long_ago)
    text = section(shown(signed_in("viewer")), "workers")
    assert text.index(">z</a>") < text.index(">a</a>")
    assert "Silent" in text and "Alive" in text


def test_who_may_see_nothing_is_told_nothing(
    pools: None, client: Client, django_user_model: Any
) -> None:
    rows_of_all_kinds()
    client.force_login(django_user_model.objects.create_user("new", is_staff=True))
    text = shown(client)
    for name in ("appeals", "lookups", "jobs", "generators", "organismos", "workers", "recent"):
        assert f'id="{name}"' not in text
    assert "appeals may have been sent" not in text


def test_a_snapshot_is_one_statement_whatever_the_number_of_rows(
    pools: None, signed_in: SignedIn
) -> None:
    client = signed_in("operator")

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            shown(client)
        return len(queries)

    cost()
    few = cost()
    rows_of_all_kinds()
    assert cost() == few
    assert few <= 12


def test_all_who_look_within_a_second_share_one_snapshot(
    signed_in: SignedIn, settings: Any
) -> None:
    settings.OVERVIEW_SECONDS = 60
    first = snapshot.current()
    with CaptureQueriesContext(connection) as queries:
        assert snapshot.current() == first
        snapshot._held.clear()  # as in another process
        assert snapshot.current() == first
    assert len(queries) == 0
    assert cache.get(snapshot.KEY)["version"] == first.version


def test_while_another_takes_the_next_the_last_one_is_shown(settings: Any) -> None:
    first = snapshot.current()
    TramiteTaskFactory(status="held")
    cache.add(snapshot.LOCK, 1, timeout=10)
    assert snapshot.current() == first
    cache.delete(snapshot.LOCK)
    assert snapshot.current() != first


def test_the_version_is_the_same_as_long_as_nothing_changes() -> None:
    TramiteTaskFactory()
    first = snapshot.current().version
    assert snapshot.current().version == first
    TramiteTaskFactory()
    assert snapshot.current().version != first


def test_the_api_and_the_command_tell_the_same(
    signed_in: SignedIn, capsys: Any, pools: None
) -> None:
    rows_of_all_kinds()
    told = signed_in("viewer").get("/api/v1/overview/").json()
    assert told["appeals"]["counts"]["held"] == told["attention"]["held"] > 0
    assert told["generators"][0]["tasks"].keys() == set(QueueEntry.LIVE)
    call_command("overview", "--json")
    assert f'"version": "{told["version"]}"' in capsys.readouterr().out
    call_command("overview")
    out = capsys.readouterr().out
    assert "G_SISEC" in out and "never decided" in out


def test_the_menu_counts_what_needs_a_person_without_a_query(signed_in: SignedIn) -> None:
    TramiteTaskFactory.create_batch(3, status="in_doubt")
    client = signed_in("viewer")
    shown(client)
    page = client.get(reverse("admin:brain_cycle_changelist")).content.decode()
    queue = page.partition(f'href="{reverse("admin:queues_tramitetask_changelist")}"')[2]
    assert re.search(r">\s*3\s*<", queue.partition("</a>")[0])
