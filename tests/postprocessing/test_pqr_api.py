"""The post-processing over HTTP: lists, what can be asked for, and for whom."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import Client

from orchestrator_site.models import ApiKey, Event
from postprocessing import asking, verification
from postprocessing.models import FIELDS, OvAfinia, OvAire, company_called
from tests.postprocessing import rows
from tests.postprocessing.asked import asked_for
from tests.postprocessing.complaints import put_complaint

pytestmark = [pytest.mark.django_db, pytest.mark.database]
API = "/api/v1/"
WHY = {"reason": "a test"}


@pytest.fixture
def caller(person: Callable[[str], User]) -> Callable[..., Client]:
    """A client with a key of a user of the role."""

    def make(role: str = "operator", scope: str = "operate") -> Client:
        row = ApiKey(name="script", user=person(role), scope=scope)
        key = row.issue()
        row.save()
        return Client(headers={"Authorization": f"Bearer {key}"})

    return make


@pytest.fixture
def sent(django_capture_on_commit_callbacks: Any) -> Callable[..., Any]:
    """Post, and let the cluster be asked."""

    def post(client: Client, path: str, data: Any) -> Any:
        with django_capture_on_commit_callbacks(execute=True):
            return client.post(f"{API}{path}", data, content_type="application/json")

    return post


# --- Complaints -----------------------------------------------------------------------------------


def test_each_company_has_its_complaints_under_the_names_of_the_files(caller: Any) -> None:
    rows.complaint()
    row = rows.complaint(OvAire, numero_radicado=None, extra={"a": 1})
    (told,) = caller("viewer", "read").get(f"{API}complaints/aire/").json()["results"]
    assert set(FIELDS) <= set(told)
    assert (told["id"], told["numero_radicado"], told["extra"]) == (row.pk, None, {"a": 1})
    assert told["case_id"] == str(row.case_id)


def test_complaints_are_found_by_number_state_and_time(caller: Any) -> None:
    at = datetime(2026, 3, 1, 13, tzinfo=UTC)
    wanted = rows.complaint(fecha=at, estado_solicitud="Resuelto", nic="5")
    rows.complaint(fecha=at + timedelta(days=1))
    client = caller("viewer", "read")
    for query in (
        {"numero_radicado": wanted.numero_radicado},
        {"estado_solicitud": "Resuelto"},
        {"nic": "5"},
        {"fecha__gte": "2026-03-01T13:00Z", "fecha__lt": "2026-03-02T13:00Z"},
    ):
        found = client.get(f"{API}complaints/afinia/", query).json()["results"]
        assert [one["id"] for one in found] == [wanted.pk], query


def test_nobody_writes_complaints(caller: Any) -> None:
    row = rows.complaint()
    client = caller("admin", "admin")
    one = f"{API}complaints/afinia/{row.pk}/"
    data = {"estado_solicitud": "x"}
    answers = [
        client.patch(one, data, content_type="application/json"),
        client.delete(one),
        client.post(f"{API}complaints/afinia/", data, content_type="application/json"),
    ]
    assert {answer.status_code for answer in answers} == {405}


# --- Asking for work ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "call"),
    [
        ({}, (asking.PROCESS, ("afinia", False, False))),
        ({"database_only": True, "full": True}, (asking.PROCESS, ("afinia", True, True))),
        ({"extract": True}, (asking.EXTRACT, ("afinia", False))),
    ],
)
def test_an_operator_asks_for_a_run_and_is_given_what_to_follow(
    caller: Any, sent: Any, data: dict[str, Any], call: Any
) -> None:
    client = caller()
    answer = sent(client, "post-processing-runs/", {"company": "afinia", **data})
    row = answer.json()
    assert (answer.status_code, row["status"], row["company"]) == (202, "queued", "afinia")
    assert {name: row[name] for name in data} == data
    function, arguments = call
    assert asked_for() == [(function, (*arguments, row["id"]))]
    assert client.get(answer["Location"]).json()["id"] == row["id"]


def test_an_operator_asks_for_a_verification(caller: Any, sent: Any) -> None:
    answer = sent(caller(), "verifications/", {"company": "afinia"})
    assert (answer.status_code, answer.json()) == (202, {"status": "asked for"})
    assert asked_for() == [(asking.VERIFY, ("afinia",))]


@pytest.mark.parametrize("data", [{}, {"company": "other"}, {"company": None}, []])
def test_a_company_that_is_not_there_is_refused(caller: Any, sent: Any, data: Any) -> None:
    assert sent(caller(), "post-processing-runs/", data).status_code == 400
    assert asked_for() == []


@pytest.mark.parametrize(("role", "scope"), [("viewer", "admin"), ("operator", "read")])
def test_who_may_only_look_asks_for_nothing(caller: Any, sent: Any, role: str, scope: str) -> None:
    client = caller(role, scope)
    failed = rows.s3_file(status="error")
    seen = rows.verification(differing={"not_loaded": 1})
    for path, data in (
        ("post-processing-runs/", {"company": "afinia"}),
        ("verifications/", {"company": "afinia"}),
        (f"verifications/{seen.pk}/repair-all/", WHY),
        (f"differences/{seen.differences.get().pk}/repair/", WHY),
        (f"s3-files/{failed.pk}/retry/", WHY),
    ):
        assert sent(client, path, data).status_code == 403, path
    assert asked_for() == []


# --- Files ----------------------------------------------------------------------------------------


def test_a_file_is_uploaded_again(caller: Any, sent: Any) -> None:
    row = rows.s3_file(status="error")
    client = caller()
    answer = sent(client, f"s3-files/{row.pk}/retry/", WHY)
    assert (answer.status_code, answer.json()["upload_status"]) == (200, "pending")
    assert asked_for() == [(asking.UPLOAD, (row.pk,))]
    assert sent(client, f"s3-files/{row.pk}/retry/", WHY).status_code == 409
    assert Event.objects.get().actor == "operator-person/script"


def test_files_are_filtered_by_company_and_status(caller: Any) -> None:
    wanted = rows.s3_file("aire", status="error")
    rows.s3_file("aire", status="uploaded")
    rows.s3_file(status="error")
    query = {"empresa": "aire", "status": "error"}
    answer = caller("viewer", "read").get(f"{API}s3-files/", query).json()
    assert [one["id"] for one in answer["results"]] == [wanted.pk]


def test_a_simulated_file_is_downloaded(caller: Any, settings: Any, tmp_path: Path) -> None:
    backend = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": tmp_path},
    }
    settings.STORAGES = {**settings.STORAGES, "pqr": backend}
    row, gone = rows.s3_file(status="simulated"), rows.s3_file(status="error")
    storages["pqr"].save(row.s3_key, ContentFile(b"%PDF"))
    client = caller("viewer", "read")
    answer = client.get(f"{API}s3-files/{row.pk}/download/")
    assert b"".join(answer.streaming_content) == b"%PDF"
    lost = client.get(f"{API}s3-files/{gone.pk}/download/")
    assert (lost.status_code, lost.json()["error"]["code"]) == (404, "not_found")


# --- Verifications and the report -----------------------------------------------------------------


def test_a_verification_tells_its_coverage_and_its_differences(caller: Any) -> None:
    row = rows.verification(differing={"not_loaded": 2, "refused": 1}, files_loaded=98)
    rows.verification("aire", is_simulated=True)
    client = caller("viewer", "read")
    simulated, told = client.get(f"{API}verifications/").json()["results"]
    assert (told["coverage_database"], told["coverage_s3"]) == (98.0, 100.0)
    assert (simulated["coverage_s3"], simulated["is_simulated"]) == (None, True)
    query = {"verification": row.pk, "kind": "not_loaded"}
    found = client.get(f"{API}differences/", query).json()["results"]
    assert [(one["repair"], one["empresa"]) for one in found] == [("load", "afinia")] * 2


def test_what_can_be_mended_is_asked_for_and_else_told(caller: Any, sent: Any) -> None:
    row, hopeless = (rows.verification(differing={one: 1}) for one in ("not_loaded", "refused"))
    client = caller()
    assert sent(client, f"verifications/{row.pk}/repair-all/", WHY).status_code == 202
    assert sent(client, f"verifications/{hopeless.pk}/repair-all/", WHY).status_code == 409
    assert sent(client, f"verifications/{row.pk}/repair-all/", {}).status_code == 400
    assert asked_for() == [(asking.REPAIR, (row.pk, "a test"))]


def test_a_difference_is_repaired_at_once(
    caller: Any, sent: Any, settings: Any, tmp_path: Path
) -> None:
    settings.DOWNLOADS_DIR = tmp_path
    put_complaint("afinia", 1)
    found = verification.verify(company_called("afinia"))
    one = found.differences.get()
    client = caller()
    answer = sent(client, f"differences/{one.pk}/repair/", WHY)
    assert answer.status_code == 200 and answer.json()["repaired_at"]
    assert OvAfinia.objects.count() == 1
    assert sent(client, f"differences/{one.pk}/repair/", WHY).status_code == 409
    event = Event.objects.get(object_id=str(one.pk))
    assert (event.new, event.reason) == ("repaired", "a test")


def test_a_difference_that_cannot_be_repaired_tells_why(
    caller: Any, sent: Any, settings: Any, tmp_path: Path
) -> None:
    settings.DOWNLOADS_DIR = tmp_path
    one = rows.verification(differing={"not_loaded": 1}).differences.get()
    answer = sent(caller(), f"differences/{one.pk}/repair/", WHY)
    assert answer.status_code == 409
    assert "not_loaded_0.json" in answer.json()["error"]["message"]


def test_the_report_tells_of_each_company_and_of_all(caller: Any) -> None:
    rows.complaint()
    rows.complaint(OvAire)
    rows.source_file(faults=[{"record": 1, "reason": "x"}, {"record": 2, "reason": "y"}])
    rows.s3_file(status="simulated")
    rows.run(db_inserted=7, started_at=datetime(2026, 3, 1, tzinfo=UTC))
    rows.verification(differing={"refused": 2}, files_loaded=99)
    told = caller("viewer", "read").get(f"{API}post-processing/").json()
    assert told["is_simulated"] is True
    assert told["totals"]["rows"] == 2 and told["totals"]["registry"]["simulated"] == 1
    afinia, aire = told["companies"]["afinia"], told["companies"]["aire"]
    assert (afinia["files"], afinia["files_with_faults"], afinia["faults"]) == (1, 1, 2)
    assert afinia["last_run"]["db_inserted"] == 7
    assert afinia["last_verification"]["coverage_database"] == 99.0
    assert afinia["last_verification"]["found"] == {"refused": 2}
    assert (aire["last_run"], aire["last_verification"]) == (None, None)
