"""Devices, people, tasks and generators over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from brain import assigning
from devices.models import Device
from orchestrator_site import recording, roles
from orchestrator_site.models import ApiKey, Event
from queues.models import Endpoint, Generator, NbcRecord, QueueEntry, RegistroWork
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Ask = Callable[..., Any]
NEW_DEVICE = {
    "fleet": "dev_devices",
    "device": "SISEC-OM-900",
    "device_name": "Invented",
    "process": "SISEC",
    "instance": "SISEC-OM",
}
NEW_GENERATOR = {
    "name": "G_FIFTH",
    "short_name": "FIFTH",
    "handler": "IMSS_Fifth",
    "instance": "IMSS_FIFTH_01",
    "fleet": "dev_devices",
    "process": "FIFTH",
    "queue_collection": "imss_queue_fifth",
    "rotation_order": 9,
    "array_position": 9,
}


@pytest.fixture(autouse=True)
def nobody_has_asked_yet() -> None:
    cache.clear()


@pytest.fixture
def api(db: None) -> Ask:
    """Ask with a key of a user of the role: (method, path, data) -> response."""
    keys: dict[str, str] = {}

    def ask(method: str, path: str, data: Any = None, *, role: str = roles.ADMIN) -> Any:
        if role not in keys:
            user = User.objects.create_user(f"{role}-person")
            user.groups.add(Group.objects.get(name=role))
            row = ApiKey(name="script", user=user, scope="admin")
            keys[role] = row.issue()
            row.save()
        client = Client(headers={"Authorization": f"Bearer {keys[role]}"})
        if method == "get":
            return client.get(f"/api/v1/{path}", data)
        return getattr(client, method)(f"/api/v1/{path}", data or {}, "application/json")

    return ask


@pytest.fixture
def entry(db: None) -> QueueEntry:
    """Somebody on a device of G_SISEC."""
    EndpointFactory()
    DeviceFactory()
    NbcRecordFactory()
    assigning.run_round()
    return QueueEntry.objects.get()


def fields(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 400, answer.content
    return answer.json()["error"]["fields"]


# --- Devices --------------------------------------------------------------------------------------


def test_a_device_is_entered_and_changed_by_an_admin(api: Ask) -> None:
    made = api("post", "devices/", {**NEW_DEVICE, "available": False, "failures": 3})
    assert made.status_code == 201, made.content
    device = Device.objects.get()
    assert (device.available, device.failures, device.status) == (True, 0, "in_service")
    changed = api("patch", f"devices/{device.pk}/", {"instance": "SISEC-X", "available": False})
    assert changed.status_code == 200
    device.refresh_from_db()
    assert (device.instance, device.available) == ("SISEC-X", True)
    newest, oldest = Event.objects.filter(object_id=str(device.pk))
    assert newest.data == {"instance": ["SISEC-OM", "SISEC-X"]}
    assert (newest.new, oldest.new, newest.actor) == ("changed", "made", "admin-person/script")


def test_a_change_does_not_give_back_a_device_that_was_taken_meanwhile(
    api: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = DeviceFactory()
    stored = recording.stored

    def and_somebody_takes_it(row: Any) -> Any:
        Device.objects.update(available=False, current_task="X", task_id=7)
        return stored(row)

    monkeypatch.setattr(recording, "stored", and_somebody_takes_it)
    assert api("patch", f"devices/{device.pk}/", {"instance": "B"}).status_code == 200
    device.refresh_from_db()
    assert (device.instance, device.task_id, device.available) == ("B", 7, False)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"fleet": "others"}, "fleet"),
        ({"device": ""}, "device"),
        ({"process": "x" * 33}, "process"),
    ],
)
def test_a_device_s_wrong_field_is_named(api: Ask, change: dict[str, Any], name: str) -> None:
    assert list(fields(api("post", "devices/", {**NEW_DEVICE, **change}))) == [name]


def test_a_name_is_there_once_in_a_fleet(api: Ask) -> None:
    api("post", "devices/", NEW_DEVICE)
    assert api("post", "devices/", NEW_DEVICE).status_code == 400
    assert api("post", "devices/", {**NEW_DEVICE, "fleet": "devices"}).status_code == 201


@pytest.mark.parametrize("role", [roles.VIEWER, roles.OPERATOR])
def test_others_enter_and_change_no_devices(api: Ask, role: str) -> None:
    device = DeviceFactory()
    assert api("post", "devices/", NEW_DEVICE, role=role).status_code == 403
    assert api("patch", f"devices/{device.pk}/", {"online": False}, role=role).status_code == 403
    assert api("get", "devices/", {"fleet": "dev_devices"}, role=role).json()["results"]
    assert not api("get", "devices/", {"fleet": "devices"}, role=role).json()["results"]


def test_a_release_ends_the_task_of_the_device(api: Ask, entry: QueueEntry) -> None:
    device = Device.objects.get()
    path = f"devices/{device.pk}/release/"
    assert api("post", path, {"reason": "it hangs"}, role=roles.VIEWER).status_code == 403
    done = api("post", path, {"reason": "it hangs"}, role=roles.OPERATOR)
    assert (done.status_code, done.json()["available"]) == (200, True)
    entry.refresh_from_db()
    assert (entry.status, entry.success, entry.message) == ("Complete", False, "it hangs")
    person = NbcRecord.objects.get()
    assert (person.status, person.attempts) == ("pending", 0)
    assert api("post", path, {"reason": "again"}, role=roles.OPERATOR).status_code == 409


@pytest.mark.parametrize("role", [roles.SCRAPER, roles.OPERATOR])
def test_a_heartbeat_is_told_by_id_or_by_name(api: Ask, role: str) -> None:
    device = DeviceFactory(device="10.0.0.7:5555")
    for name in (device.pk, device.device):
        answer = api("post", f"devices/{name}/heartbeat/", {"online": False}, role=role)
        assert answer.status_code == 200, answer.content
        device.refresh_from_db()
        assert (device.online, device.heartbeat_at is None) == (False, False)
        assert api("post", f"devices/{name}/heartbeat/", {"online": True}, role=role)
    assert Event.objects.filter(old="online", new="offline", reason="heartbeat").count() == 2


def test_a_heartbeat_of_nobody_or_of_two_is_refused(api: Ask) -> None:
    first = DeviceFactory()
    DeviceFactory(device=first.device, fleet="devices")
    beat = {"online": True}
    for name in ("none", "%00", "9" * 30):
        path = f"devices/{name}/heartbeat/"
        assert api("post", path, beat, role=roles.SCRAPER).status_code == 404, name
    path = f"devices/{first.device}/heartbeat/"
    assert api("post", path, beat, role=roles.SCRAPER).status_code == 409
    assert api("post", path, beat, role=roles.VIEWER).status_code == 403
    told = api("post", f"devices/{first.pk}/heartbeat/", {"online": "x"}, role=roles.SCRAPER)
    assert list(fields(told)) == ["online"]
    assert not Device.objects.exclude(heartbeat_at=None).exists()


# --- People ---------------------------------------------------------------------------------------


def test_a_person_is_entered(api: Ask) -> None:
    number = NbcRecordFactory.build().curp
    given = {"nbc_id": "n-1", "curp": f" {number.lower()} ", "data": {"nombre": "Ana"}}
    made = api("post", "nbc/", {**given, "status": "s", "attempts": 9})
    assert made.status_code == 201, made.content
    person = NbcRecord.objects.get()
    assert (person.curp, person.status, person.attempts) == (number, "pending", 0)
    assert person.data == {"nombre": "Ana", "curp": number}
    event = Event.objects.get(case_id=person.case_id)
    assert (event.new, event.actor) == ("pending", "admin-person/script")
    assert made.json()["waits_for"] == ""


def test_an_nbc_id_that_is_there_is_a_conflict(api: Ask) -> None:
    there = NbcRecordFactory()
    other = NbcRecordFactory.build().curp
    answer = api("post", "nbc/", {"nbc_id": there.nbc_id, "curp": other})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert NbcRecord.objects.get().curp == there.curp


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"curp": "INVE900101HDFXXX0"}, "curp"),
        ({"curp": "XEXX500101HNEXXX01"}, "curp"),
        ({"curp": None}, "curp"),
        ({"nbc_id": "x" * 65}, "nbc_id"),
        ({"nbc_id": ""}, "nbc_id"),
        ({"data": []}, "data"),
        ({"data": {"a": "\0"}}, "data"),
        ({"priority": 10**9}, "priority"),
    ],
)
def test_a_person_s_wrong_field_is_named(api: Ask, change: dict[str, Any], name: str) -> None:
    given = {"nbc_id": "n-1", "curp": NbcRecordFactory.build().curp, **change}
    assert list(fields(api("post", "nbc/", given))) == [name]
    assert not NbcRecord.objects.exists()


@pytest.mark.parametrize("role", [roles.VIEWER, roles.OPERATOR, roles.SCRAPER])
def test_others_enter_nobody(api: Ask, role: str) -> None:
    given = {"curp": NbcRecordFactory.build().curp}
    assert api("post", "nbc/", given, role=role).status_code == 403


@pytest.mark.parametrize(
    ("verb", "status", "then"),
    [
        ("cancel", "pending", "cancelled"),
        ("cancel", "RETRY_AFTER_MIDNIGHT", "cancelled"),
        ("retry", "failed", "pending"),
        ("retry", "cancelled", "pending"),
        ("now", "RETRY_AFTER_MIDNIGHT", "pending"),
    ],
)
def test_a_verb_moves_a_person(api: Ask, verb: str, status: str, then: str) -> None:
    later = timezone.now() + timedelta(hours=3)
    person = NbcRecordFactory(status=status, attempts=3, bad_requests=1, available_at=later)
    answer = api("post", f"nbc/{person.pk}/{verb}/", {"reason": "asked for"}, role=roles.OPERATOR)
    assert (answer.status_code, answer.json()["status"]) == (200, then)
    person.refresh_from_db()
    is_due = NbcRecord.objects.due(timezone.now()).filter(pk=person.pk).exists()
    assert is_due == (then == "pending")
    assert person.attempts == (0 if verb == "retry" else 3)
    assert Event.objects.get().reason == "asked for"


def test_of_a_person_who_was_cancelled_under_way_the_result_does_not_count(
    api: Ask, entry: QueueEntry
) -> None:
    person = entry.nbc
    assert api("post", f"nbc/{person.pk}/cancel/", {"reason": "withdrawn"}).status_code == 200
    give_back = f"queue-entries/{entry.document_id}/give-back/"
    assert api("post", give_back, {"reason": "no need"}).status_code == 200
    person.refresh_from_db()
    assert (person.status, person.message) == ("cancelled", "")
    assert Device.objects.get().available


def test_a_person_says_what_for_it_waits(api: Ask) -> None:
    Generator.objects.update(enabled=False)
    person = NbcRecordFactory()
    assigning.run_round()
    told = api("get", f"nbc/{person.pk}/", role=roles.VIEWER).json()["waits_for"]
    assert told == "; ".join(
        f"{name} is disabled" for name in ("G_IAD", "G_IAD2", "G_MASTER", "G_SISEC")
    )


# --- Tasks and work records -----------------------------------------------------------------------


def test_a_task_is_read_by_its_document_s_id(api: Ask, entry: QueueEntry) -> None:
    told = api("get", f"queue-entries/{entry.document_id}/", role=roles.VIEWER).json()
    assert (told["taskid"], told["nbc_id"]) == (entry.pk, entry.nbc.nbc_id)
    assert (told["generator"], told["rw_id"]) == ("G_SISEC", entry.rw_id)
    assert "lease_token" not in told
    (work,) = api("get", "registro-works/", {"rw_id": entry.rw_id}).json()["results"]
    assert (work["nbc_id"], work["status"]) == (entry.nbc.nbc_id, "Assigned")
    for other in ("0", "%00", "a.b"):
        assert api("get", f"queue-entries/{other}/").status_code == 404


def test_a_task_is_given_back(api: Ask, entry: QueueEntry) -> None:
    path = f"queue-entries/{entry.document_id}/give-back/"
    answer = api("post", path, {"reason": "wrong device"}, role=roles.OPERATOR)
    assert (answer.status_code, answer.json()["condition"]) == (200, 4)
    assert NbcRecord.objects.get().status == "pending"
    assert RegistroWork.objects.get().condition == 4
    assert Device.objects.get().available


def test_lists_ask_as_much_for_many_rows_as_for_few(api: Ask) -> None:
    for row in Generator.objects.all():
        EndpointFactory(generator=row)
        DeviceFactory.create_batch(3, fleet=row.fleet, process=row.process)

    def asked() -> dict[str, int]:
        counts = {}
        for path in ("nbc/", "queue-entries/", "registro-works/", "devices/", "generators/"):
            with CaptureQueriesContext(connection) as queries:
                assert api("get", path).status_code == 200
            counts[path] = len(queries)
        return counts

    NbcRecordFactory()
    assigning.run_round()
    asked()  # the key's use is noted once
    few = asked()
    NbcRecordFactory.create_batch(8)
    assigning.run_round()
    assert QueueEntry.objects.count() == 9
    assert asked() == few


# --- Generators and endpoints ---------------------------------------------------------------------


def test_a_fifth_generator_is_a_row(api: Ask) -> None:
    made = api("post", "generators/", {**NEW_GENERATOR, "enabled": False, "status": "fallando"})
    assert made.status_code == 201, made.content
    row = Generator.objects.get(name="G_FIFTH")
    assert (row.enabled, row.status) == (True, "running")
    assert row.shares == made.json()["shares"] == {"good": 0, "normal": 0, "bad": 0}
    wrong = {**NEW_GENERATOR, "name": "fifth"}
    assert set(fields(api("post", "generators/", wrong))) >= {"name", "queue_collection"}
    assert api("post", "generators/", NEW_GENERATOR, role=roles.OPERATOR).status_code == 403


def test_shares_are_not_set_on_a_generator(api: Ask) -> None:
    row = Generator.objects.get(name="G_SISEC")
    given = {"shares": {"good": 99}, "share_good": 99}
    assert api("patch", f"generators/{row.pk}/", given).status_code == 200
    assert Generator.objects.get(name="G_SISEC").shares == row.shares


def test_a_generator_is_disabled_and_enabled_with_a_reason(api: Ask) -> None:
    row = Generator.objects.get(name="G_SISEC")
    for verb, enabled in (("disable", False), ("enable", True)):
        path = f"generators/{row.pk}/{verb}/"
        done = api("post", path, {"reason": "maintenance"}, role=roles.OPERATOR)
        assert (done.status_code, done.json()["enabled"]) == (200, enabled)
        assert api("post", path, {"reason": "maintenance"}).status_code == 409
    assert [one.new for one in Event.objects.all()] == ["enabled", "disabled"]


def test_endpoints_that_were_left_alone_are_asked_again(api: Ask) -> None:
    later = timezone.now() + timedelta(minutes=5)
    one, other = EndpointFactory(failures=5, open_until=later), EndpointFactory(failures=2)
    path = f"generators/{one.generator_id}/close-breakers/"
    assert api("post", path, {"reason": "repaired"}, role=roles.OPERATOR).status_code == 200
    one.refresh_from_db()
    other.refresh_from_db()
    assert (one.failures, one.open_until, other.failures) == (0, None, 2)
    assert api("post", path, {"reason": "repaired"}).status_code == 409
    assert Event.objects.get().object_id == str(one.pk)


def test_an_endpoint_is_a_place_that_may_be_called(api: Ask, settings: Any) -> None:
    given = {"generator": "G_SISEC", "url": "http://127.0.0.1:9/scraper/", "instance": "SISEC-OM"}
    made = api("post", "endpoints/", given)
    assert made.status_code == 201, made.content
    settings.SCRAPER_ALLOWED_NETWORKS = ()
    refused = fields(api("post", "endpoints/", {**given, "url": "http://127.0.0.1:9/other/"}))
    assert list(refused) == ["url"]
    assert "SCRAPER_ALLOWED_NETWORKS" in refused["url"][0]
    assert Endpoint.objects.count() == 1
    for name in ("G_NONE", "G_\0", None, 1, {}):
        told = fields(api("post", "endpoints/", {**given, "generator": name}))
        assert list(told) == ["generator"], name
    path = f"endpoints/{made.json()['id']}/"
    assert api("delete", path, role=roles.OPERATOR).status_code == 403
    assert api("delete", path).status_code == 204
