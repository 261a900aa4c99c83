"""The post-processing in the admin: what staff see, ask for, repair and take away."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orchestrator_site.models import Event
from postprocessing import asking
from postprocessing.admin import pages
from postprocessing.admin.exporting import PlainCSV, PlainXLSX
from postprocessing.models import (
    Difference,
    OvAfinia,
    OvAire,
    PostProcessingRun,
    S3File,
    SourceFile,
    Verification,
    company_called,
)
from tests.postprocessing import rows
from tests.postprocessing.asked import Asked, asked_for

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]
OVERVIEW = "/admin/postprocessing/"
COMPANY = "/admin/postprocessing/company/afinia/"
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\uff1d1+1", "#N/A", "=")
SURE = {"confirmed": "1", "reason": "a test"}


@pytest.fixture(autouse=True)
def folders(settings: Any, tmp_path: Path) -> None:
    """Files and objects of this test alone."""
    settings.DOWNLOADS_DIR = tmp_path / "downloads"
    settings.STORAGES = {
        **settings.STORAGES,
        "pqr": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "objects"},
        },
    }


@pytest.fixture
def bucket(settings: Any) -> None:
    """Credentials, by which nobody is asked."""
    options = {"access_key": "a", "secret_key": "b", "bucket_name": "pqr", "region_name": "us-1"}
    backend = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "pqr": backend}


@pytest.fixture
def asked(django_capture_on_commit_callbacks: Any) -> Asked:
    """What the cluster was asked for while a function was called: functions and arguments."""

    def during(act: Callable[[], Any]) -> list[tuple[str, tuple[Any, ...]]]:
        with django_capture_on_commit_callbacks(execute=True):
            act()
        return asked_for()

    return during


def url(model: type, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def listed(answer: Any) -> list[Any]:
    return list(answer.context["cl"].queryset)


# --- Overview and companies -----------------------------------------------------------------------


def test_without_anything_each_page_says_what_to_do_next(signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    overview = client.get(OVERVIEW).content.decode()
    folder = html.escape(str(company_called("aire").folder))
    assert folder in overview and "manage.py postprocess aire" in overview
    page = client.get(COMPANY).content.decode()
    assert "press “Verify now”" in page and "No file was uploaded yet" in page


def test_a_company_s_page_tells_how_it_stands(signed_in: SignedIn, bucket: None) -> None:
    rows.complaint()
    rows.s3_file(status="error")
    rows.source_file(faults=[{"record": 2, "reason": "no JSON"}])
    fault = {"file": "7_data.json", "record": 2, "reason": "no JSON"}
    rows.run(status="failed", error="the disk is full", faults=[fault])
    seen = rows.verification(differing={"not_loaded": 3}, files_loaded=97, objects_there=50)
    client = signed_in("viewer")
    page = client.get(COMPANY).content.decode()
    for text in ("97 %", "50 %", "the disk is full", "7_data.json", "no JSON"):
        assert text in page, text
    of_kind = f"?verification__id__exact={seen.pk}&kind__exact=not_loaded"
    link = reverse("admin:postprocessing_difference_changelist") + of_kind
    assert html.escape(link) in page
    assert len(listed(client.get(link))) == 3


def test_coverage_is_never_rounded_up(signed_in: SignedIn, bucket: None) -> None:
    counted = {"files": 1_000_000, "json_files": 1_000_000}
    rows.verification(**counted, files_loaded=999_999, objects_there=1_000_000)
    page = signed_in("viewer").get(COMPANY).content.decode()
    assert "99.99 %" in page and "100 %" in page


def test_simulated_is_said_wherever_objects_are_shown(signed_in: SignedIn) -> None:
    rows.verification(is_simulated=True)
    client = signed_in("viewer")
    for page in (OVERVIEW, COMPANY, url(S3File, "changelist"), url(Verification, "changelist")):
        assert "Simulated" in client.get(page).content.decode(), page
    assert "count in no coverage" in client.get(COMPANY).content.decode()


def test_the_charts_show_what_the_runs_of_each_of_thirty_days_counted(
    signed_in: SignedIn,
) -> None:
    now = timezone.localtime()
    for days, inserted in ((0, 5), (0, 7), (29, 3), (30, 100)):
        rows.run(started_at=now - timedelta(days=days), db_inserted=inserted, s3_uploaded=1)
    rows.run("aire", started_at=now, db_inserted=1000)
    page = signed_in("viewer").get(COMPANY)
    database, bucket = (json.loads(page.context[name]) for name in ("database", "bucket"))
    inserted = next(one["data"] for one in database["datasets"] if one["label"] == "inserted")
    assert (len(inserted), inserted[0], inserted[-1], sum(inserted)) == (30, 3, 12, 15)
    assert database["labels"][-1] == f"{now:%d.%m.}"
    assert sum(bucket["datasets"][0]["data"]) == 3
    drawn = re.findall(r'<canvas class="chart"[^>]*data-value="([^"]*)"', page.content.decode())
    assert [json.loads(html.unescape(one)) for one in drawn] == [database, bucket]


def test_a_day_is_the_reader_s(settings: Any) -> None:
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)  # the second of March in Madrid
    rows.run(started_at=late, db_inserted=5)
    now = timezone.localtime(datetime(2026, 3, 3, 12, tzinfo=UTC))
    days = pages.by_day(company_called("afinia"), now)
    assert [(f"{one['day']:%d}", one["db_inserted"]) for one in days[-3:]] == [
        ("01", 0),
        ("02", 5),
        ("03", 0),
    ]


def test_no_page_asks_another_host(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    for page in (OVERVIEW, COMPANY):
        text = client.get(page).content.decode()
        assert not re.findall(r'(?:src|href|action)="(?:https?:)?//', text), page


def test_who_may_not_see_runs_sees_no_page_of_them(client: Client) -> None:
    client.force_login(User.objects.create_user("new", password="x", is_staff=True))
    assert {client.get(page).status_code for page in (OVERVIEW, COMPANY)} == {403}


def test_a_company_that_is_not_there_has_no_page(signed_in: SignedIn) -> None:
    assert signed_in("viewer").get(f"{OVERVIEW}company/other/").status_code == 404


# --- Asking for work ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "function", "arguments"),
    [
        ({"do": "run"}, asking.PROCESS, ("afinia", False, False)),
        ({"do": "run", "database_only": "on"}, asking.PROCESS, ("afinia", True, False)),
        ({"do": "run", "full": "on"}, asking.PROCESS, ("afinia", False, True)),
        ({"do": "extract"}, asking.EXTRACT, ("afinia", False)),
        ({"do": "verify"}, asking.VERIFY, ("afinia",)),
    ],
)
def test_an_operator_asks_for_a_run_and_for_a_verification(
    signed_in: SignedIn, asked: Any, chosen: dict[str, str], function: str, arguments: tuple
) -> None:
    client = signed_in("operator")
    found = asked(lambda: client.post(reverse("pqr-ask"), {"company": "afinia", **chosen}))
    waiting = PostProcessingRun.objects.values_list("pk", flat=True)
    assert found == [(function, (*arguments, *waiting))]


def test_a_viewer_asks_for_nothing(signed_in: SignedIn, asked: Any) -> None:
    client = signed_in("viewer")
    assert reverse("pqr-ask") not in client.get(OVERVIEW).content.decode()
    answers: list[Any] = []
    data = {"company": "afinia", "do": "run"}
    assert asked(lambda: answers.append(client.post(reverse("pqr-ask"), data))) == []
    assert [one.status_code for one in answers] == [403]


# --- Files ----------------------------------------------------------------------------------------


def test_an_operator_has_a_file_uploaded_again(signed_in: SignedIn, asked: Any) -> None:
    row = rows.s3_file(status="error", last_error="503 SlowDown")
    client = signed_in("operator")
    found = asked(lambda: client.post(url(S3File, "verb", row.pk, "retry"), SURE))
    assert found == [(asking.UPLOAD, (row.pk,))]
    row.refresh_from_db()
    assert row.status == "pending"
    event = Event.objects.get(object_id=str(row.pk))
    assert (event.old, event.new, event.reason) == ("error", "pending", "a test")


def test_a_file_that_waits_is_not_asked_for_again(signed_in: SignedIn, asked: Any) -> None:
    row = rows.s3_file(status="pending")
    client = signed_in("operator")
    assert asked(lambda: client.post(url(S3File, "verb", row.pk, "retry"), SURE)) == []


def test_files_are_found_by_key_file_sgc_and_hash(signed_in: SignedIn) -> None:
    wanted = rows.s3_file(filename="carta.pdf", numero_reclamo_sgc="55", file_hash="a" * 64)
    rows.s3_file()
    client = signed_in("viewer")
    for text in ("carta", wanted.s3_key, "55", "A" * 64, str(wanted.case_id)):
        assert listed(client.get(url(S3File, "changelist"), {"q": text})) == [wanted], text


def test_files_with_faults_are_listed_alone(signed_in: SignedIn) -> None:
    wrong = rows.source_file(faults=[{"record": 1, "reason": "x"}])
    rows.source_file()
    client, page = signed_in("viewer"), url(SourceFile, "changelist")
    assert listed(client.get(page, {"faults": "yes"})) == [wrong]
    assert listed(client.get(page, {"q": wrong.filename[:4], "faults": "yes"})) == [wrong]


def test_a_simulated_file_is_handed_out_from_this_machine(signed_in: SignedIn) -> None:
    row = rows.s3_file(status="simulated", filename="carta.json")
    storages["pqr"].save(row.s3_key, ContentFile(b'{"a": 1}'))
    answer = signed_in("viewer").get(url(S3File, "download", row.pk))
    assert b"".join(answer.streaming_content) == b'{"a": 1}'
    assert answer["Content-Disposition"] == 'attachment; filename="carta.json"'


@pytest.mark.parametrize("status", ["pending", "error", "uploaded", "simulated"])
def test_a_file_that_is_not_here_is_no_page(signed_in: SignedIn, status: str) -> None:
    row = rows.s3_file(status=status)
    assert signed_in("viewer").get(url(S3File, "download", row.pk)).status_code == 404


def test_a_file_in_the_bucket_is_handed_out_by_an_address_for_a_while(
    signed_in: SignedIn, bucket: None
) -> None:
    row = rows.s3_file(status="uploaded", filename="carta.pdf")
    answer = signed_in("viewer").get(url(S3File, "download", row.pk))
    assert answer.status_code == 302
    assert f"{row.s3_key}?" in answer["Location"] and "Signature=" in answer["Location"]


def test_a_file_is_for_whoever_may_see_the_registry(client: Client) -> None:
    row = rows.s3_file(status="simulated")
    client.force_login(User.objects.create_user("new", password="x", is_staff=True))
    assert client.get(url(S3File, "download", row.pk)).status_code == 403


# --- Verifications --------------------------------------------------------------------------------


def test_all_that_can_be_mended_is_asked_for_at_once(signed_in: SignedIn, asked: Any) -> None:
    seen = rows.verification(differing={"not_loaded": 2})
    client = signed_in("operator")
    found = asked(lambda: client.post(url(Verification, "verb", seen.pk, "repair_all"), SURE))
    assert found == [(asking.REPAIR, (seen.pk, "a test"))]
    assert Event.objects.get().reason == "a test"


def test_the_list_of_differences_begins_with_each_company_s_last_verification(
    signed_in: SignedIn,
) -> None:
    old = rows.verification(differing={"not_loaded": 1})
    new = rows.verification(differing={"refused": 2})
    other = rows.verification("aire", differing={"not_loaded": 1})
    client, page = signed_in("viewer"), url(Difference, "changelist")

    def found(**query: Any) -> set[int]:
        return {one.verification_id for one in listed(client.get(page, query))}

    assert found() == {new.pk, other.pk}
    assert found(which="all") == {old.pk, new.pk, other.pk}
    assert found(empresa="afinia") == {new.pk}
    assert found(verification__id__exact=old.pk) == {old.pk}
    assert found(which="all", q="not_loaded_0") == {old.pk, other.pk}


def test_the_overview_tells_how_many_differences_there_are_and_leads_to_them(
    signed_in: SignedIn,
) -> None:
    seen = rows.verification(differing={"not_loaded": 2, "refused": 1})
    client = signed_in("viewer")
    page = client.get(OVERVIEW).content.decode()
    link = f"{url(Difference, 'changelist')}?verification__id__exact={seen.pk}"
    assert f'<a href="{link}">3</a>' in page
    assert len(listed(client.get(link))) == 3


def test_a_folder_of_no_company_is_told(signed_in: SignedIn) -> None:
    company = company_called("afinia").folder
    company.mkdir(parents=True)
    client = signed_in("viewer")
    assert "Not processed" not in client.get(OVERVIEW).content.decode()
    (company.parents[2] / "afinai" / "oficina_virtual").mkdir(parents=True)
    (company.parents[2] / "something else").mkdir()
    page = client.get(OVERVIEW).content.decode()
    assert "there is a folder afinai, and no company" in page and "something else" not in page


def test_a_run_tells_who_ran_it_as_events_do(signed_in: SignedIn) -> None:
    row = rows.run(runner="command:root postprocess")
    client = signed_in("viewer")
    for page in (url(type(row), "changelist"), url(type(row), "change", row.pk)):
        text = client.get(page).content.decode()
        assert "Command root postprocess" in text and "command:root" not in text, page


def test_what_only_a_person_can_mend_has_no_button(signed_in: SignedIn) -> None:
    seen = rows.verification(differing={"refused": 1})
    (difference,) = seen.differences.all()
    client = signed_in("operator")
    assert "/verb/" not in client.get(url(Verification, "change", seen.pk)).content.decode()
    page = client.get(url(type(difference), "change", difference.pk)).content.decode()
    assert "/verb/" not in page and "A person has to look" in page


# --- Complaints -----------------------------------------------------------------------------------


def test_complaints_are_found_by_what_people_know_of_them(signed_in: SignedIn) -> None:
    wanted = rows.complaint(
        numero_radicado="RE-55",
        numero_reclamo_sgc="551",
        nic="552",
        documento_identidad="CC 553",
        nombres_apellidos="José Ñandú",
    )
    rows.complaint()
    client = signed_in("viewer")
    for text in ("RE-55", "re-55", "551", "552", "cc 553", "José Ñ", "JOSé", str(wanted.case_id)):
        assert listed(client.get(url(OvAfinia, "changelist"), {"q": text})) == [wanted], text
    assert listed(client.get(url(OvAfinia, "changelist"), {"q": "55"})) == []


def test_texts_that_no_index_takes_are_kept_and_found(signed_in: SignedIn) -> None:
    # What cannot be made shorter, either.
    long = "".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(150))
    fields = ("nic", "documento_identidad", "nombres_apellidos", "estado_solicitud", "tipo_pqr")
    wanted = rows.complaint(**dict.fromkeys(fields, long))
    rows.complaint(nic=f"{long[:200]}x", estado_solicitud=f"{long[:200]}x")
    client = signed_in("viewer")
    for query in ({"estado_solicitud": long}, {"q": long}, {"q": f"{long[:150]}"}):
        found = listed(client.get(url(OvAfinia, "changelist"), query))
        assert found == [wanted], query


def test_complaints_are_filtered_by_state_and_by_days_where_the_company_is(
    signed_in: SignedIn,
) -> None:
    last = datetime(2026, 3, 2, 4, 59, tzinfo=UTC)  # 23:59 of the first in Bogotá
    wanted = rows.complaint(fecha=last, estado_solicitud="Resuelto")
    rows.complaint(fecha=last + timedelta(minutes=1), estado_solicitud="Resuelto")
    rows.complaint(fecha=last)
    chosen = {"fecha_from": "2026-03-01", "fecha_to": "2026-03-01"}
    client = signed_in("viewer")
    answer = client.get(url(OvAfinia, "changelist"), {**chosen, "estado_solicitud": "Resuelto"})
    assert listed(answer) == [wanted]
    assert "2026-03-01 23:59" in answer.content.decode()


def test_a_complaint_s_page_leads_to_its_file_and_its_objects(signed_in: SignedIn) -> None:
    file = rows.source_file("aire")
    row = rows.complaint(OvAire, numero_reclamo_sgc="77", file_name=file.filename)
    rows.complaint(OvAire, numero_reclamo_sgc="")
    mine = rows.s3_file("aire", numero_reclamo_sgc="77", status="uploaded")
    others = [rows.s3_file("afinia", numero_reclamo_sgc="77"), rows.s3_file("aire")]
    page = signed_in("viewer").get(url(OvAire, "change", row.pk)).content.decode()
    assert url(type(file), "change", file.pk) in page
    assert url(S3File, "change", mine.pk) in page
    assert not any(url(S3File, "change", one.pk) in page for one in others)


# --- Export ---------------------------------------------------------------------------------------


def exported(client: Client, kind: type, query: str = "") -> Any:
    number = [PlainCSV, PlainXLSX].index(kind)
    return client.post(url(OvAfinia, "export") + query, {"format": number, "resource": ""})


def content(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_no_text_of_an_export_is_a_formula(signed_in: SignedIn) -> None:
    for text in FORMULAS:
        rows.complaint(comentarios=text)
    client = signed_in("viewer")
    text = content(exported(client, PlainCSV)).decode("utf-8-sig")
    cells = [line["comentarios"] for line in csv.DictReader(io.StringIO(text, newline=""))]
    assert cells == [one if one == "#N/A" else f"'{one}" for one in reversed(FORMULAS)]
    book = openpyxl.load_workbook(io.BytesIO(content(exported(client, PlainXLSX))))
    heads, *lines = book.active.iter_rows()
    place = [cell.value for cell in heads].index("comentarios")
    read = [line[place] for line in lines]
    assert {cell.data_type for cell in read} == {"s"}
    # XML knows one kind of line end.
    assert [cell.value for cell in read] == [t.replace("\r", "\n") for t in reversed(FORMULAS)]


def test_what_is_exported_is_what_the_list_shows(signed_in: SignedIn) -> None:
    at = datetime(2026, 3, 2, 4, 59, 30, tzinfo=UTC)
    rows.complaint(estado_solicitud="Resuelto", numero_radicado="R1", fecha=at, nic="007")
    rows.complaint(numero_radicado="R2")
    client = signed_in("viewer")
    page = client.get(url(OvAfinia, "changelist"), {"estado_solicitud": "Resuelto"})
    link = f"{url(OvAfinia, 'export')}?estado_solicitud=Resuelto"
    assert link in page.content.decode()
    form = client.get(link).content.decode()
    assert '<form action="" method="POST">' in form  # to where it stands, with the filter
    book = openpyxl.load_workbook(
        io.BytesIO(content(exported(client, PlainXLSX, "?estado_solicitud=Resuelto")))
    )
    heads, *lines = book.active.iter_rows(values_only=True)
    (line,) = lines
    told = dict(zip(heads, line, strict=True))
    assert (told["numero_radicado"], told["nic"]) == ("R1", "007")
    assert told["fecha"] == datetime(2026, 3, 1, 23, 59, 30)


def test_a_letter_that_no_sheet_can_hold_is_replaced(signed_in: SignedIn) -> None:
    rows.complaint(comentarios="a\x0bb")
    answer = exported(signed_in("viewer"), PlainXLSX)
    book = openpyxl.load_workbook(io.BytesIO(content(answer)))
    assert any("a\ufffdb" in line for line in book.active.iter_rows(values_only=True))


def test_who_may_not_see_complaints_exports_none(client: Client) -> None:
    rows.complaint()
    client.force_login(User.objects.create_user("new", password="x", is_staff=True))
    assert exported(client, PlainCSV).status_code == 403
