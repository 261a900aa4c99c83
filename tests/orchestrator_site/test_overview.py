"""What the front page tells of distribution: to whom, at what cost, and where it leads."""

from __future__ import annotations

import re
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
from devices.models import Device
from orchestrator_site.models import Pause
from queues.models import Generator, QueueEntry
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]


@pytest.fixture
def pools(db: None) -> None:
    for row in Generator.objects.all():
        EndpointFactory(generator=row)
        DeviceFactory.create_batch(2, fleet=row.fleet, process=row.process)


def opened(client: Client) -> Any:
    page = client.get(reverse("admin:index"))
    assert page.status_code == 200
    return page


def section(page: Any) -> str:
    """The part about distribution."""
    return page.content.decode().partition('id="lookups"')[2].partition("</section>")[0]


def test_people_and_generators_are_counted_as_on_the_dashboard(
    pools: None, signed_in: SignedIn
) -> None:
    NbcRecordFactory.create_batch(3)
    assigning.run_round()
    NbcRecordFactory(status="failed")
    client = signed_in("viewer")
    here, there = opened(client), client.get(reverse("distribution"))
    assert here.context["people"] == there.context["people"]
    rows = [(one.standing, one.queued, one.active) for one in here.context["lines"]]
    assert rows == [(one.standing, one.queued, one.active) for one in there.context["lines"]]
    assert [one.count for one in here.context["people"]][:4] == [0, 3, 0, 1]
    text = section(here)
    assert all(name in text for name in ("G_IAD", "G_MASTER", "G_IAD2", "G_SISEC"))
    assert "1 free of 2 online" in text


def test_devices_that_are_held_and_stuck_are_told_with_their_lists(
    pools: None, signed_in: SignedIn
) -> None:
    client = signed_in("viewer")
    assert "0 devices held" in section(opened(client))
    NbcRecordFactory.create_batch(2)
    assigning.run_round()
    text = section(opened(client))
    assert "2 devices held" in text and "stuck" not in text
    first = Device.objects.filter(available=False).order_by("pk")[:1]
    long_ago = timezone.now() - timedelta(hours=1)
    Device.objects.filter(pk__in=list(first.values_list("pk", flat=True))).update(
        task_start_time=long_ago
    )
    text = section(opened(client))
    assert "2 devices held" in text and "1 stuck" in text
    for which, count in (("held", 2), ("stuck", 1)):
        listed = client.get(reverse("admin:devices_device_changelist"), {"held": which})
        assert f"?held={which}" in text
        assert listed.context["cl"].queryset.count() == count


def test_a_pause_of_distribution_is_told_with_its_reason(pools: None, signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    assert "Paused" not in section(opened(client))
    Pause.begin("distribution", "<maintenance>")
    text = section(opened(client))
    assert "Paused" in text and "&lt;maintenance&gt;" in text


def test_each_link_about_distribution_opens(pools: None, signed_in: SignedIn) -> None:
    NbcRecordFactory()
    assigning.run_round()
    client = signed_in("viewer")
    links = set(re.findall(r'href="(/[^"]*)"', section(opened(client))))
    assert reverse("distribution") in links
    for link in links:
        assert client.get(link.replace("&amp;", "&")).status_code == 200, link


def test_who_may_not_see_generators_is_told_nothing_of_them(
    pools: None, client: Client, django_user_model: Any
) -> None:
    client.force_login(django_user_model.objects.create_user("new", is_staff=True))
    with CaptureQueriesContext(connection) as queries:
        page = opened(client)
    assert section(page) == ""
    tables = {QueueEntry._meta.db_table, Device._meta.db_table, Generator._meta.db_table}
    asked = [one["sql"] for one in queries]
    assert not [sql for sql in asked if any(f'FROM "{name}"' in sql for name in tables)]


def test_the_cost_does_not_grow_with_people_and_devices(pools: None, signed_in: SignedIn) -> None:
    client = signed_in("operator")

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            opened(client)
        return len(queries)

    cost()
    few = cost()
    NbcRecordFactory.create_batch(20)
    assigning.run_round()
    DeviceFactory.create_batch(10)
    assert cost() == few
    assert few <= 45
