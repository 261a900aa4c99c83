"""Results that scrapers report: signed, taken in once, and refused where nothing may change."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from devices.models import Device
from orchestrator_site import roles
from orchestrator_site.models import ApiKey, Event
from queues.api.results import MOST
from queues.models import NbcRecord, QueueEntry, RegistroWork
from tests import distribution

pytestmark = [pytest.mark.django_db, pytest.mark.database]
FOUND = {"condition": 1, "message": "Encontrado", "data": {"semanas": 812}}
Report = Callable[..., Any]


@pytest.fixture
def entry(db: None) -> QueueEntry:
    """A task that its scraper has accepted."""
    distribution.pool()
    distribution.assigned()
    return distribution.accepted()


def make_key(scope: str = ApiKey.Scope.OPERATE, role: str = roles.SCRAPER) -> str:
    user = User.objects.create_user(f"{role}-{scope}")
    user.groups.add(Group.objects.get(name=role))
    row = ApiKey(name="scraper", user=user, scope=scope)
    key = row.issue()
    row.save()
    return key


def signature(key: str, body: bytes) -> str:
    return "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def send(key: str, document_id: str, body: bytes, sign: str | None = None, **more: Any) -> Any:
    """`sign`: another signature than the right one; "" for none."""
    headers = {"Authorization": f"Api-Key {key}"}
    if sign != "":
        headers["X-Signature"] = sign or signature(key, body)
    path = f"/api/v1/queue-entries/{document_id}/result"
    return Client().post(path, body, content_type="application/json", headers=headers, **more)


@pytest.fixture
def report(entry: QueueEntry) -> Report:
    """Report what is given for the task, with the key of a scraper."""
    key = make_key()

    def sent(given: Any = FOUND, **options: Any) -> Any:
        body = given if isinstance(given, bytes) else json.dumps(given).encode()
        return send(key, options.pop("document_id", entry.document_id), body, **options)

    return sent


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    problem = answer.json()["error"]
    assert problem["code"] == code
    return problem


def as_it_was(entry: QueueEntry) -> None:
    """Nothing but events changed."""
    entry.refresh_from_db()
    assert (entry.status, entry.success, entry.result) == ("Accepted", None, {})
    assert NbcRecord.objects.get().status == "p1"
    assert not Device.objects.get().available


# --- A result that counts -------------------------------------------------------------------------


def test_a_result_ends_the_task_and_frees_all_that_it_held(
    report: Report, entry: QueueEntry
) -> None:
    answer = report()
    assert answer.status_code == 200, answer.content
    assert answer.json() == {
        "status": "settled",
        "document_id": entry.document_id,
        "condition": 1,
    }
    entry.refresh_from_db()
    assert (entry.status, entry.success, entry.condition) == ("Complete", True, 1)
    assert entry.result["data"] == {"semanas": 812}
    assert NbcRecord.objects.get().status == "s"
    assert Device.objects.get().available
    assert RegistroWork.objects.get().condition == 1
    told = Event.objects.filter(object_type="queues.queueentry").first()
    assert told and (told.actor_kind, told.actor) == ("api_key", "scraper-operate/scraper")


def test_the_same_result_again_is_harmless(report: Report) -> None:
    report()
    events = Event.objects.count()
    answer = report()
    assert (answer.status_code, answer.json()["status"]) == (200, "repeated")
    assert Event.objects.count() == events


def test_a_device_s_fault_counts_against_the_device(report: Report) -> None:
    report({"condition": 4, "message": "no screen", "error_class": "device"})
    assert Device.objects.get().failures == 1
    assert NbcRecord.objects.get().status == "pending"


def test_another_result_for_a_task_that_ended_is_refused_and_kept(
    report: Report, entry: QueueEntry
) -> None:
    report()
    refused(report({**FOUND, "condition": 2}), 409, "conflict")
    entry.refresh_from_db()
    assert entry.condition == 1
    told = Event.objects.filter(object_id=str(entry.pk), reason="late result refused").get()
    assert told.data["condition"] == 2


def test_a_result_of_a_mebibyte_is_taken(report: Report, entry: QueueEntry) -> None:
    empty = len(json.dumps({**FOUND, "data": {"page": ""}}))
    answer = report({**FOUND, "data": {"page": "x" * (MOST - empty)}})
    assert answer.status_code == 200, answer.content
    entry.refresh_from_db()
    assert len(entry.result["data"]["page"]) == MOST - empty


# --- Who may --------------------------------------------------------------------------------------


def test_without_a_key_nobody_reports(entry: QueueEntry, client: Client, admin_user: User) -> None:
    path = f"/api/v1/queue-entries/{entry.document_id}/result"
    refused(client.post(path, FOUND, "application/json"), 401, "not_authenticated")
    client.force_login(admin_user)  # a session has no key to sign with
    refused(client.post(path, FOUND, "application/json"), 401, "not_authenticated")
    as_it_was(entry)


@pytest.mark.parametrize(
    ("role", "scope"), [("scraper", "read"), ("viewer", "admin"), ("operator", "operate")]
)
def test_a_key_without_the_right_is_refused(entry: QueueEntry, role: str, scope: str) -> None:
    answer = send(make_key(scope, role), entry.document_id, json.dumps(FOUND).encode())
    refused(answer, 403, "permission_denied")
    as_it_was(entry)


def test_a_scraper_s_key_opens_nothing_else(entry: QueueEntry) -> None:
    client = Client(headers={"Authorization": f"Api-Key {make_key('admin')}"})
    for path in ("queue-entries/", f"queue-entries/{entry.document_id}/", "nbc/", "devices/"):
        refused(client.get(f"/api/v1/{path}"), 403, "permission_denied")


@pytest.mark.parametrize(
    "sign",
    [
        "",
        "sha256=",
        "sha256=" + "0" * 64,
        signature("another key", json.dumps(FOUND).encode()),
        "sha1=" + "0" * 40,
        "ñ",
    ],
)
def test_a_wrong_signature_is_refused_and_written_down(
    report: Report, entry: QueueEntry, sign: str
) -> None:
    refused(report(sign=sign), 403, "wrong_signature")
    as_it_was(entry)
    told = Event.objects.filter(object_id=str(entry.pk)).first()
    assert told and told.reason == "a result with a wrong signature was refused"
    assert told.actor == "scraper-operate/scraper"


def test_the_signature_is_over_the_exact_bytes(entry: QueueEntry) -> None:
    key, body = make_key(), json.dumps(FOUND).encode()
    for other in (body + b"\n", body.replace(b": 1,", b": 2,"), body.replace(b" ", b"")):
        answer = send(key, entry.document_id, other, sign=signature(key, body))
        refused(answer, 403, "wrong_signature")
    as_it_was(entry)


def test_a_document_that_is_not_there_is_not_found(report: Report, entry: QueueEntry) -> None:
    events = Event.objects.count()
    refused(report(document_id="0" * 24), 404, "not_found")
    refused(report(document_id="nonsense"), 404, "not_found")
    assert report(document_id="%00").status_code == 404
    refused(report(document_id="0" * 24, sign="sha256=0"), 403, "wrong_signature")
    assert Event.objects.count() == events
    as_it_was(entry)


# --- What it may say ------------------------------------------------------------------------------

DEEP = b'{"condition": 1, "data": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({**FOUND, "condition": 0}, "condition"),
        ({**FOUND, "condition": 5}, "condition"),
        ({**FOUND, "condition": "found"}, "condition"),
        ({**FOUND, "condition": None}, "condition"),
        ({**FOUND, "condition": 1.5}, "condition"),
        ({"message": "no condition"}, "condition"),
        ({**FOUND, "message": "x" * 2001}, "message"),
        ({**FOUND, "message": "a\0b"}, "message"),
        ({**FOUND, "message": "\ud800"}, "message"),
        ({**FOUND, "message": {"a": 1}}, "message"),
        ({**FOUND, "data": [1]}, "data"),
        ({**FOUND, "data": "text"}, "data"),
        ({**FOUND, "data": {"a": ["\0"]}}, "data"),
        ({**FOUND, "data": {"\ud800": 1}}, "data"),
        (b'{"condition": 1, "data": {"a": 1e999}}', "data"),
        ({**FOUND, "error_class": "bad luck"}, "error_class"),
        ([FOUND], "non_field_errors"),
        (b"", "condition"),
    ],
)
def test_a_field_that_is_wrong_is_named_and_written_down(
    report: Report, entry: QueueEntry, given: Any, field: str
) -> None:
    problem = refused(report(given), 400, "invalid")
    assert list(problem["fields"]) == [field]
    as_it_was(entry)
    told = Event.objects.filter(object_id=str(entry.pk)).first()
    assert told and told.reason == "a result that is not valid was refused"
    assert field in told.data["problem"]


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"condition": NaN}', DEEP])
def test_what_is_no_json_is_told_as_such(report: Report, entry: QueueEntry, body: bytes) -> None:
    refused(report(body), 400, "parse_error")
    as_it_was(entry)


class Counted(io.BytesIO):
    """A body that knows whether anybody read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


@pytest.mark.parametrize("size", [MOST + 1, 50 * 2**20])
def test_a_body_that_is_too_large_is_refused_unread(
    report: Report, entry: QueueEntry, size: int
) -> None:
    stream = Counted(b" " * 1000)
    answer = report(b"{}", **{"wsgi.input": stream, "CONTENT_LENGTH": str(size)})
    refused(answer, 413, "too_large")
    assert stream.taken == 0
    as_it_was(entry)
    told = Event.objects.filter(object_id=str(entry.pk)).first()
    assert told and told.reason == "a result that is too large was refused"


def test_a_length_that_is_no_number_is_refused(report: Report, entry: QueueEntry) -> None:
    refused(report(b"{}", CONTENT_LENGTH="-1"), 413, "too_large")
    as_it_was(entry)


@pytest.mark.once
def test_the_schema_documents_the_signature_and_each_answer(admin_client: Client) -> None:
    schema = admin_client.get("/api/v1/schema/?format=json").json()
    told = schema["paths"]["/api/v1/queue-entries/{document_id}/result"]["post"]
    assert [one["name"] for one in told["parameters"] if one["in"] == "header"] == ["X-Signature"]
    assert set(told["responses"]) == {
        *("200", "400", "401", "403", "404", "409", "413", "429"),
    }
