"""The dashboard of distribution: what it shows, to whom, at what cost; and its switch."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from brain import assigning
from brain.models import DistributionBatch
from devices.models import Device
from orchestrator_site.clock import midnight
from orchestrator_site.dashboard import distribution
from orchestrator_site.models import Event, Pause
from queues import blockers
from queues.models import Generator, NbcRecord, QueueEntry
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]
PAGE = "/admin/distribution/"


@pytest.fixture
def pools(db: None) -> None:
    for row in Generator.objects.all():
        EndpointFactory(generator=row)
        DeviceFactory.create_batch(3, fleet=row.fleet, process=row.process)


def shown(client: Client) -> Any:
    page = client.get(PAGE)
    assert page.status_code == 200
    return page


def finish(entry: QueueEntry, minutes_ago: int, success: bool = True, message: str = "") -> None:
    at = timezone.now() - timedelta(minutes=minutes_ago)
    condition = 1 if success else 4
    entry.move("Complete", success=success, condition=condition, message=message, processed_at=at)


# --- Generators -----------------------------------------------------------------------------------


def test_each_generator_s_devices_tasks_and_slots(pools: None, signed_in: SignedIn) -> None:
    NbcRecordFactory.create_batch(6)
    assigning.run_round()
    first = QueueEntry.objects.filter(generator_id="G_IAD").order_by("pk")[0]
    finish(first, minutes_ago=1)
    Device.objects.release([first.pk], timezone.now())
    Device.objects.filter(process="SISEC", available=True).update(online=False)
    lines = {
        one.standing.generator.name: one for one in shown(signed_in("viewer")).context["lines"]
    }
    assert list(lines) == ["G_IAD", "G_MASTER", "G_IAD2", "G_SISEC"]
    iad, sisec = lines["G_IAD"], lines["G_SISEC"]
    assert (iad.used, iad.slots, iad.active, iad.queued) == (2, 45, 1, 1)
    assert (iad.standing.rate, iad.standing.level) == (100.0, "good")
    assert (iad.standing.pool.free, iad.standing.pool.online) == (2, 3)
    assert (sisec.standing.pool.free, sisec.standing.pool.online) == (0, 1)
    assert (sisec.standing.pool.offline, sisec.standing.rate) == (2, None)


def test_what_hinders_a_generator_is_a_word(pools: None, signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    calm = shown(client).content.decode()
    for word in ("Disabled", "Failing", "No endpoint", "quarantined", "offline"):
        assert word not in calm
    Generator.objects.filter(name="G_IAD").update(enabled=False)
    Generator.objects.filter(name="G_MASTER").update(status="fallando", last_failure="<no answer>")
    Generator.objects.get(name="G_IAD2").endpoints.update(enabled=False)
    first = Device.objects.filter(process="SISEC").first()
    assert first
    first.quarantine("it failed")
    Device.objects.filter(process="IAD").update(online=False)
    text = shown(client).content.decode()
    for word in ("Disabled", "Failing", "No endpoint", "1 quarantined", "3 offline"):
        assert word in text
    assert "&lt;no answer&gt;" in text


def test_an_endpoint_that_is_left_alone_is_told_until_it_is_asked_again(
    pools: None, signed_in: SignedIn
) -> None:
    client, now = signed_in("viewer"), timezone.now()
    row = Generator.objects.get(name="G_IAD")
    EndpointFactory(generator=row, url="http://10.0.0.9/", last_error="<refused>")
    assert "Left alone" not in shown(client).content.decode()
    alone = row.endpoints.filter(url="http://10.0.0.9/")
    alone.update(open_until=now + timedelta(minutes=1))
    text = shown(client).content.decode()
    assert text.count("Left alone until") == 1
    assert "http://10.0.0.9/: &lt;refused&gt;" in text
    assert "No endpoint" not in text
    alone.update(open_until=now - timedelta(seconds=1))
    assert "Left alone" not in shown(client).content.decode()


def test_without_a_batch_or_a_generator_the_page_says_so(signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    assert "No batch is open" in shown(client).content.decode()
    Generator.objects.all().delete()
    assert "There is no generator." in shown(client).content.decode()
    assert "Nobody waits." in shown(client).content.decode()


# --- People ---------------------------------------------------------------------------------------


def test_people_who_wait_for_the_same_are_counted_together(pools: None) -> None:
    now = timezone.now() + timedelta(seconds=5)
    passed = [["G_IAD", "busy", 0], ["G_SISEC", "limit", 5]]
    NbcRecordFactory.create_batch(3, blocker={"kind": "nobody", "passed": passed})
    NbcRecordFactory.create_batch(1, blocker={"kind": "nobody", "passed": passed[:1]})
    for minutes in (5, 9):
        until = now + timedelta(minutes=minutes)
        NbcRecordFactory(blocker={"kind": "window", "until": until.isoformat()})
    NbcRecordFactory.create_batch(4)
    later = NbcRecordFactory(available_at=now + timedelta(hours=1)).available_at
    NbcRecordFactory(status="failed", blocker={"kind": "nobody", "passed": passed})
    found = distribution.blocked(now)
    first = (now + timedelta(minutes=5)).isoformat()
    assert [(one.people, one.text) for one in found] == [
        (4, "nobody has looked yet: the next round will"),
        (3, "all devices of G_IAD are busy; G_SISEC: limit of 5 reached"),
        (2, blockers.describe({"kind": "window", "until": first}, now)),
        (1, "all devices of G_IAD are busy"),
        (1, blockers.not_before(later, now)),
    ]


def test_what_the_distributor_wrote_is_what_the_page_tells(
    pools: None, signed_in: SignedIn
) -> None:
    Device.objects.update(online=False)
    NbcRecordFactory.create_batch(2)
    assigning.run_round()
    page = shown(signed_in("viewer"))
    (group,) = page.context["blocked"]
    assert group.people == 2
    assert group.text.count("is online and in service") == 4
    assert group.text in page.content.decode()


def counted(page: Any) -> dict[str, int]:
    return {str(one.label): one.count for one in page.context["people"]}


def test_people_not_done_with_are_counted_and_linked(pools: None, signed_in: SignedIn) -> None:
    NbcRecordFactory.create_batch(2)
    NbcRecordFactory(status="RETRY_AFTER_MIDNIGHT")
    NbcRecordFactory.create_batch(3, status="s")
    client = signed_in("viewer")
    page = shown(client)
    assert counted(page) == {
        "Waiting": 2,
        "Assigned": 0,
        "Again after midnight": 1,
        "Failed": 0,
        "Found today": 0,
        "Referred today": 0,
        "Ended otherwise today": 0,
    }
    for one in page.context["people"][:4]:
        listed = client.get(one.url)
        assert listed.context["cl"].queryset.count() == one.count, one.url


@pytest.fixture
def today(pools: None) -> datetime:
    """Its beginning. One was found before it, one at it, two referred, one ended otherwise, one
    comes again."""
    for row in Generator.objects.all():
        DeviceFactory.create_batch(3, fleet=row.fleet, process=row.process)
    NbcRecordFactory.create_batch(6)
    assigning.run_round()
    begin = midnight(timezone.now())
    second = timedelta(seconds=1)
    ended = [(1, begin - second), (1, begin), (2, begin), (2, begin + second)]
    ended += [(3, begin + second), (4, begin + second)]
    for entry, (condition, at) in zip(QueueEntry.objects.all(), ended, strict=True):
        entry.move("Complete", success=condition < 4, condition=condition, processed_at=at)
    return begin


def test_who_was_done_since_midnight_is_counted(today: datetime, signed_in: SignedIn) -> None:
    found = counted(shown(signed_in("viewer")))
    words = ("Found today", "Referred today", "Ended otherwise today")
    assert [found[word] for word in words] == [1, 2, 1]


def test_each_count_of_the_day_leads_to_its_tasks(today: datetime, signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    for one in shown(client).context["people"][4:]:
        listed = client.get(one.url)
        assert listed.context["cl"].queryset.count() == one.count
        (day,) = [
            one
            for one in listed.context["cl"].filter_specs
            if hasattr(one, "field_path") and one.field_path == "processed_at"
        ]
        chosen = {str(end) for end in day.used_parameters.values()}
        assert chosen == {timezone.localdate().isoformat()}


def test_the_day_is_read_by_the_index_of_what_ended(today: datetime) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("plans are PostgreSQL's")
    now, person = timezone.now(), NbcRecordFactory()
    QueueEntry.objects.bulk_create(
        QueueEntry(
            generator_id="G_IAD",
            nbc=person,
            curp=person.curp,
            rw_id=f"IMSS_{ago}",
            status="Complete",
            success=True,
            condition=1,
            processed_at=now - timedelta(hours=ago),
        )
        for ago in range(3000)
    )
    with CaptureQueriesContext(connection) as queries:
        distribution.people(now)
    (asked,) = [one["sql"] for one in queries if '"processed_at" >=' in one["sql"]]
    with connection.cursor() as cursor:
        # The planner's choice is its statistics': those of these rows, not of whenever.
        cursor.execute(f"ANALYZE {QueueEntry._meta.db_table}")
        cursor.execute(f"EXPLAIN {asked}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "imss_finished" in plan or "imss_processed" in plan
    condition = re.search(r"Index Cond: .*", plan)
    assert condition and "processed_at" in condition[0]


# --- Endings --------------------------------------------------------------------------------------


def test_the_last_endings_of_all_generators_newest_first(pools: None, signed_in: SignedIn) -> None:
    NbcRecordFactory.create_batch(8)
    assigning.run_round()
    entries = list(QueueEntry.objects.order_by("pk"))
    for number, entry in enumerate(entries[:6]):
        finish(entry, minutes_ago=(7 * number) % 6, success=number != 2, message=f"<b>{number}")
    page = shown(signed_in("viewer"))
    found = page.context["endings"]
    assert len(found) == 6
    assert [row.processed_at for row in found] == sorted(
        (row.processed_at for row in found), reverse=True
    )
    text = page.content.decode()
    assert "&lt;b&gt;2" in text
    assert "Error, again" in text


def test_no_more_than_the_last_twenty(pools: None) -> None:
    for row in Generator.objects.all():
        DeviceFactory.create_batch(20, fleet=row.fleet, process=row.process)
    NbcRecordFactory.create_batch(60)
    assigning.run_round()
    entries = list(QueueEntry.objects.order_by("pk"))
    for number, entry in enumerate(entries):
        finish(entry, minutes_ago=number)
    assert distribution.endings() == entries[: distribution.ENDINGS]


# --- Stuck devices --------------------------------------------------------------------------------


@pytest.fixture
def stuck(pools: None) -> Device:
    NbcRecordFactory.create_batch(2)
    assigning.run_round()
    held = Device.objects.filter(available=False).order_by("pk").first()
    assert held
    long_ago = timezone.now() - timedelta(minutes=21)
    Device.objects.filter(pk=held.pk).update(task_start_time=long_ago)
    return held


def test_a_stuck_device_is_released_from_the_page(stuck: Device, signed_in: SignedIn) -> None:
    client = signed_in("operator")
    page = shown(client)
    assert [device.pk for device in page.context["stuck"]] == [stuck.pk]
    (url,) = re.findall(r'action="([^"]*release_stuck/)"', page.content.decode())
    asked = client.post(url)
    assert asked.status_code == 200
    assert 'name="reason"' in asked.content.decode()
    stuck.refresh_from_db()
    assert not stuck.available
    client.post(url, {"confirmed": "1", "reason": "it hangs"})
    stuck.refresh_from_db()
    assert stuck.available
    assert not list(shown(client).context["stuck"])


def test_who_may_only_look_sees_the_stuck_device_without_a_button(
    stuck: Device, signed_in: SignedIn
) -> None:
    text = shown(signed_in("viewer")).content.decode()
    assert stuck.device in text
    assert "release_stuck" not in text
    assert "distribution/switch" not in text


def test_many_stuck_devices_are_cut_short_and_counted(pools: None, signed_in: SignedIn) -> None:
    DeviceFactory.create_batch(
        distribution.STUCK + 2,
        available=False,
        task_start_time=timezone.now() - timedelta(hours=1),
    )
    page = shown(signed_in("viewer"))
    assert len(page.context["stuck"]) == distribution.STUCK
    assert "and 2 more" in page.content.decode()


# --- The switch -----------------------------------------------------------------------------------


def test_distribution_is_paused_and_resumed(pools: None, signed_in: SignedIn) -> None:
    client = signed_in("operator")
    url = reverse("distribution-switch")
    assert client.post(url, {"do": "pause"})["Location"] == PAGE
    assert Pause.objects.get().by == "user:operator-person"
    assert "Paused" in shown(client).content.decode()
    NbcRecordFactory()
    assert not assigning.step()
    client.post(url, {"do": "resume"})
    assert assigning.step()
    told = Event.objects.filter(object_type="orchestrator_site.pause")
    assert [event.new for event in told.order_by("id")] == ["paused", "running"]


def test_the_switch_is_for_operators_and_by_post(signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    url = reverse("distribution-switch")
    assert client.post(url, {"do": "pause"}).status_code == 403
    assert client.get(url).status_code == 405
    client.logout()
    assert client.post(url, {"do": "pause"}).status_code in (302, 403)
    assert not Pause.objects.exists()


# --- The page -------------------------------------------------------------------------------------


def test_the_page_asks_for_itself_and_for_no_other_host(pools: None, signed_in: SignedIn) -> None:
    text = shown(signed_in("operator")).content.decode()
    assert f'hx-get="{PAGE}"' in text
    assert 'hx-trigger="every 5s' in text
    assert re.findall(r'(?:src|href|action)="(?:https?:)?//[^"]*"', text) == []


def test_each_link_of_the_page_opens(stuck: Device, signed_in: SignedIn) -> None:
    done = NbcRecordFactory(status="pending", blocker={"kind": "twin", "nbc_id": "x"})
    assert done
    finish(QueueEntry.objects.order_by("-pk")[0], minutes_ago=1)
    client = signed_in("viewer")
    text = shown(client).content.decode()
    inside = text[text.index('id="distribution"') :]
    for link in set(re.findall(r'href="(/[^"]*)"', inside)):
        assert client.get(link.replace("&amp;", "&")).status_code == 200, link


def test_it_is_in_the_menu_of_those_who_may_see_it(
    signed_in: SignedIn, django_user_model: Any
) -> None:
    client = signed_in("viewer")
    text = client.get(reverse("admin:index")).content.decode()
    assert f'href="{PAGE}"' in text
    assert f'href="{reverse("admin:brain_shares")}"' in text
    client.force_login(django_user_model.objects.create_user("new", is_staff=True))
    assert PAGE not in client.get(reverse("admin:index")).content.decode()
    assert client.get(PAGE).status_code == 403
    client.logout()
    assert client.get(PAGE)["Location"].startswith(reverse("admin:login"))


def test_the_cost_does_not_grow_with_what_is_shown(pools: None, signed_in: SignedIn) -> None:
    client = signed_in("operator")
    NbcRecordFactory.create_batch(2)
    assigning.run_round()

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            shown(client)
        return len(queries)

    cost()
    few = cost()
    NbcRecordFactory.create_batch(40)
    assigning.run_round()
    for entry in QueueEntry.objects.all():
        finish(entry, minutes_ago=1)
    Device.objects.filter(available=False).update(
        task_start_time=timezone.now() - timedelta(hours=1)
    )
    assert DistributionBatch.objects.count() == 1
    assert NbcRecord.objects.filter(status="pending").exists()
    assert cost() == few
    assert few <= 30
