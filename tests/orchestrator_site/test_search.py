"""One box that finds everything by its names: what, for whom, and at what cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from brain.models import Organismo
from orchestrator_site.dashboard.case.finding import MOST, find
from orchestrator_site.dashboard.case.story import anything
from postprocessing.models import S3File, SourceFile
from queues.models import EvidenceFile, Generator, QueueEntry, WebhookDelivery
from tests.factories import DeviceFactory, NbcRecordFactory
from tests.orchestrator_site import cases

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]


def found(text: Any) -> set[Any]:
    """The cases that are meant."""
    return {one.case_id for one in find(str(text), anything) if one.case_id}


def test_an_appeal_is_found_by_its_numbers_and_its_case(organismo: Organismo) -> None:
    task = cases.appeal(organismo, resource_id=40012)
    for text in (40012, task.expediente, task.expediente.lower(), f"  {task.case_id} "):
        assert found(text) == {task.case_id}, text


def test_a_person_is_found_by_whatever_it_is_known_by() -> None:
    person = cases.person(curp="XEXX500101HNEXXX01")
    entry = QueueEntry.objects.get()
    known = (person.curp, "xexx5001", person.nbc_id, entry.rw_id, entry.document_id, entry.pk)
    for text in known:
        assert person.case_id in found(text), text
    assert found("XEX") == set()


def test_a_job_is_found_by_its_id_and_that_of_a_message() -> None:
    job = cases.job()
    message = WebhookDelivery.objects.get().message_id
    assert found(job.case_id) == found(message) == {job.case_id}


def test_a_complaint_is_found_by_radicado_sgc_and_file() -> None:
    row = cases.complaint(numero_radicado="RE3160202512345", numero_reclamo_sgc="31602025")
    file = S3File.objects.get()
    assert found("re3160202512345") == {row.case_id}
    assert found("31602025") == {row.case_id, file.case_id}
    assert found(file.s3_key) == found(file.filename) == {file.case_id}
    assert SourceFile._meta.label_lower in {one.kind for one in find(file.filename, anything)}


def test_a_stored_file_is_found_by_its_path(organismo: Organismo) -> None:
    task = cases.appeal(organismo)
    cases.evidence(task, "page.log", b"x")
    assert found(EvidenceFile.objects.get().path) == {task.case_id}


def test_small_tables_are_found_by_a_part_of_a_name() -> None:
    DeviceFactory(device="SISEC-OM-777")
    kinds = {one.title: one.kind for one in find("om-77", anything)}
    assert kinds == {"SISEC-OM-777": "devices.device"}
    assert {one.title for one in find("g_iad", anything)} == set(
        Generator.objects.filter(name__startswith="G_IAD").values_list("name", flat=True)
    )


@pytest.mark.parametrize("text", ["", " ", "\0", "%", "'", "9" * 40, "-1", "é" * 3000, "²", "_"])
def test_strange_texts_find_nothing_and_break_nothing(text: str, signed_in: SignedIn) -> None:
    assert find(text, anything) == []
    assert signed_in("viewer").get(reverse("search"), {"q": text}).status_code == 200


def test_no_more_than_a_page_of_rows_is_found() -> None:
    for number in range(MOST + 5):
        NbcRecordFactory(curp=f"XEXX5001{number:010d}")
    assert len(find("XEXX5001", anything)) == MOST


def test_a_reader_finds_what_it_may_see(client: Client) -> None:
    person = cases.person(curp="XEXX500101HNEXXX01")
    user = User.objects.create_user("reader", is_staff=True)
    client.force_login(user)
    for text in (person.curp, str(person.case_id)):
        page = client.get(reverse("search"), {"q": text})
        assert page.context["rows"] == []
    user.user_permissions.add(Permission.objects.get(codename="view_nbcrecord"))
    page = client.get(reverse("search"), {"q": person.curp})
    assert {one.kind for one in page.context["rows"]} == {"queues.nbcrecord"}


@pytest.mark.parametrize(
    "text",
    ["2026/101001-MUL", "40012", "XEXX5001", "0193a0c2-0000-7000-8000-000000000000", "x" * 30],
)
def test_a_search_is_a_page_of_few_queries(text: str, signed_in: SignedIn) -> None:
    client = signed_in("operator")
    with CaptureQueriesContext(connection) as queries:
        client.get(reverse("search"), {"q": text})
    assert len(queries) <= 12


def test_pages_of_the_menu_are_found_whatever_the_accents(signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    page = client.get(reverse("search"), {"q": "shàres"})
    assert [one.url for one in page.context["pages"]] == [reverse("admin:brain_shares")]


def test_nothing_found_says_what_can_be_searched(signed_in: SignedIn) -> None:
    text = signed_in("viewer").get(reverse("search"), {"q": "nobody"}).content.decode()
    assert "nobody" in text and "XEXX500101" in text and 'role="search"' in text


def test_every_page_has_the_box_and_it_needs_no_script(signed_in: SignedIn) -> None:
    text = signed_in("viewer").get(reverse("admin:queues_nbcrecord_changelist")).content.decode()
    assert f'action="{reverse("search")}"' in text


def test_the_palette_lists_rows_and_the_way_to_all_of_them(signed_in: SignedIn) -> None:
    person = cases.person(curp="XEXX500101HNEXXX01")
    answer = signed_in("viewer").get(reverse("search"), {"q": person.curp, "extended": "1"})
    text = answer.content.decode()
    assert 'id="command-results-list"' in text and "<html" not in text
    assert reverse("case", args=[person.case_id]) in text
    assert f"{reverse('search')}?q={person.curp}" in text


def test_a_name_of_one_case_leads_straight_to_it(organismo: Organismo, signed_in: SignedIn) -> None:
    task, client = cases.appeal(organismo), signed_in("viewer")
    answer = client.get(reverse("case-lookup"), {"q": task.expediente})
    assert (answer.status_code, answer["Location"]) == (302, reverse("case", args=[task.case_id]))
    answer = client.get(reverse("case-lookup"), {"q": "nobody & co"})
    assert answer["Location"] == f"{reverse('search')}?q=nobody+%26+co"


def test_the_api_finds_the_same(signed_in: SignedIn) -> None:
    person = cases.person(curp="XEXX500101HNEXXX01")
    client = signed_in("viewer")
    told = client.get(reverse("api-search"), {"q": person.curp}).json()["results"]
    assert {one["case_id"] for one in told} == {str(person.case_id)}
    refused = client.get(reverse("api-search"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid")
