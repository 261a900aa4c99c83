"""Devices in the admin: who holds what, since when, and the buttons."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from brain import assigning
from devices.models import DevDevice, Device
from orchestrator_site.models import Event
from queues.models import NbcRecord, QueueEntry
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]
LIST = reverse("admin:devices_device_changelist")
NEW = {
    "fleet": "devices",
    "device": "IAD-001",
    "device_name": "Invented",
    "process": "IAD",
    "instance": "IAD-A",
    "online": "on",
}


def page_of(device: Device) -> str:
    return reverse("admin:devices_device_change", args=[device.pk])


def do(client: Client, device: Device, verb: str, **more: Any) -> list[str]:
    """What the pages say, after the verb at last."""
    address = reverse("admin:devices_device_verb", args=[device.pk, verb])
    answer = client.post(address, {"confirmed": "1", "reason": "seen by a person", **more})
    return [str(message) for message in get_messages(answer.wsgi_request)]


@pytest.fixture
def held(db: None) -> list[Device]:
    """Two devices, each with somebody."""
    EndpointFactory()
    DeviceFactory.create_batch(2)
    NbcRecordFactory.create_batch(2)
    assigning.run_round()
    return list(Device.objects.order_by("pk"))


def hang(device: Device, minutes: int) -> None:
    before = timezone.now() - timedelta(minutes=minutes)
    Device.objects.filter(pk=device.pk).update(task_start_time=before)


def listed(client: Client, **query: Any) -> list[Device]:
    return list(client.get(LIST, query).context["cl"].queryset)


def test_the_list_says_who_holds_a_device_and_leads_there(
    signed_in: SignedIn, held: list[Device]
) -> None:
    client, free = signed_in("viewer"), DeviceFactory()
    text = client.get(LIST).content.decode()
    for device in held:
        assert reverse("admin:queues_queueentry_change", args=[device.task_id]) in text
        assert device.current_task in text
    assert [one.pk for one in listed(client)][-1] == free.pk


def test_the_longest_held_is_at_the_top(signed_in: SignedIn, held: list[Device]) -> None:
    client = signed_in("viewer")
    hang(held[1], 5)
    assert listed(client)[0] == held[1]


def test_devices_are_filtered_by_who_holds_them(signed_in: SignedIn, held: list[Device]) -> None:
    client, free = signed_in("viewer"), DeviceFactory()
    hang(held[1], 21)
    assert listed(client, held="free") == [free]
    assert set(listed(client, held="held")) == set(held)
    assert listed(client, held="stuck") == [held[1]]
    assert "stuck</span>" in client.get(LIST, {"held": "stuck"}).content.decode()


def test_a_device_is_found_by_name_task_and_person(signed_in: SignedIn, held: list[Device]) -> None:
    client, device = signed_in("viewer"), held[0]
    for text in (device.device, device.current_task):
        assert listed(client, q=text) == [device]
    assert device in listed(client, q=device.task_id)


def test_the_list_asks_as_much_for_many_as_for_few(signed_in: SignedIn, held: Any) -> None:
    client = signed_in("operator")

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(LIST).status_code == 200
        return len(queries)

    asked()  # what is cached is there afterwards
    few = asked()
    DeviceFactory.create_batch(20)
    NbcRecordFactory.create_batch(10)
    assigning.run_round()
    assert asked() == few


def test_an_operator_releases_a_device_with_its_task(
    signed_in: SignedIn, held: list[Device]
) -> None:
    client, device = signed_in("operator"), held[0]
    assert "../verb/release/" in client.get(page_of(device)).content.decode()
    asked = client.get(reverse("admin:devices_device_verb", args=[device.pk, "release"]))
    assert "the late result will be refused" in asked.content.decode()
    assert do(client, device, "release") == ["Done for 1 row."]
    entry = QueueEntry.objects.get(pk=device.task_id)
    assert (entry.status, entry.success) == ("Complete", False)
    assert entry.nbc.attempts == 0
    device.refresh_from_db()
    assert (device.available, device.task_id, device.failures) == (True, None, 0)
    assert "left alone" in do(client, device, "release")[-1]


def test_only_a_device_that_is_stuck_now_is_released_as_one(
    signed_in: SignedIn, held: list[Device]
) -> None:
    client, device, curp = signed_in("operator"), held[0], held[0].current_task
    assert "verb/release_stuck/" not in client.get(page_of(device)).content.decode()
    assert "left alone" in do(client, device, "release_stuck")[0]
    hang(device, 21)
    QueueEntry.objects.update(called_at=timezone.now())
    assert "verb/release_stuck/" in client.get(page_of(device)).content.decode()
    assert do(client, device, "release_stuck")[-1] == "Done for 1 row."
    device.refresh_from_db()
    assert (device.available, device.failures) == (True, 1)
    assert NbcRecord.objects.get(curp=curp).attempts == 1


def test_stuck_ones_are_released_together(signed_in: SignedIn, held: list[Device]) -> None:
    client = signed_in("operator")
    for device in held:
        hang(device, 30)
    data = {"action": "release_stuck", "_selected_action": [one.pk for one in held]}
    client.post(LIST, {**data, "index": "0", "confirmed": "1", "reason": "all of them hang"})
    assert not Device.objects.filter(available=False).exists()


def test_a_device_leaves_service_and_comes_back(signed_in: SignedIn) -> None:
    client, device = signed_in("operator"), DeviceFactory(failures=3)
    for verb, then, why in (
        ("drain", "draining", "seen by a person"),
        ("quarantine", "quarantined", "seen by a person"),
        ("restore", "in_service", ""),
    ):
        assert do(client, device, verb)[-1].startswith("Done for 1 row.")
        device.refresh_from_db()
        assert (device.status, device.status_reason) == (then, why)
        assert "left alone" in do(client, device, verb)[-1]
    assert (device.failures, device.probe_at) == (0, None)


def test_a_device_is_entered_by_hand_and_the_entry_is_kept(signed_in: SignedIn) -> None:
    client = signed_in("admin")
    client.post(reverse("admin:devices_device_add"), NEW)
    device = Device.objects.get()
    assert (device.fleet, device.process, device.available) == ("devices", "IAD", True)
    client.post(page_of(device), {**NEW, "instance": "IAD-B"})
    device.refresh_from_db()
    assert device.instance == "IAD-B"
    newest = Event.objects.first()
    assert newest and newest.data == {"instance": ["IAD-A", "IAD-B"]}
    assert (newest.new, newest.actor) == ("changed", "admin-person")
    assert "admin-person" in client.get(page_of(device)).content.decode()


def test_the_form_does_not_give_back_a_device_that_was_taken_meanwhile(
    signed_in: SignedIn, held: list[Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, device = signed_in("admin"), held[0]
    stale = Device.objects.get(pk=device.pk)
    stale.available, stale.task_id, stale.current_task, stale.task_start_time = True, None, "", None
    stale.is_stuck = False  # type: ignore[attr-defined]
    model_admin = "queues.admin.devices.DeviceAdmin.get_object"
    monkeypatch.setattr(model_admin, lambda *args, **kwargs: stale)
    given = {**NEW, "fleet": "dev_devices", "process": "SISEC", "device": device.device}
    assert client.post(page_of(device), given).status_code == 302
    device.refresh_from_db()
    assert (device.instance, device.available) == ("IAD-A", False)


def test_a_device_under_a_task_is_not_deleted(signed_in: SignedIn, held: list[Device]) -> None:
    client, free = signed_in("admin"), DeviceFactory()
    for device, status in ((held[0], 403), (free, 302)):
        address = reverse("admin:devices_device_delete", args=[device.pk])
        assert client.post(address, {"post": "yes"}).status_code == status
    data = {"action": "delete_selected", "_selected_action": [held[0].pk], "post": "yes"}
    client.post(LIST, data)
    assert set(Device.objects.all()) == set(held)


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_others_enter_no_devices(signed_in: SignedIn, role: str) -> None:
    client, device = signed_in(role), DeviceFactory()
    assert client.post(reverse("admin:devices_device_add"), NEW).status_code == 403
    assert client.post(page_of(device), NEW).status_code == 403
    allowed = client.get(reverse("admin:devices_device_verb", args=[device.pk, "drain"]))
    assert allowed.status_code == (200 if role == "operator" else 403)


def test_the_other_fleet_has_a_list_of_its_own(signed_in: SignedIn, held: list[Device]) -> None:
    client = signed_in("admin")
    DeviceFactory(fleet="devices", process="IAD")
    address = reverse("admin:devices_devdevice_changelist")
    assert {one.pk for one in client.get(address).context["cl"].queryset} == {
        one.pk for one in held
    }
    client.post(reverse("admin:devices_devdevice_add"), {**NEW, "device": "SISEC-NEW"})
    assert DevDevice.objects.filter(device="SISEC-NEW").exists()
    verb = reverse("admin:devices_devdevice_verb", args=[held[0].pk, "release"])
    client.post(verb, {"confirmed": "1", "reason": "seen by a person"})
    assert Device.objects.get(pk=held[0].pk).available
