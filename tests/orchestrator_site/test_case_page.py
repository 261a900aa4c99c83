"""A case's page, its zip, its place in the API and in the shell: everything of it, and no more than
the reader may know."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from brain.models import Organismo
from devices.models import Worker
from orchestrator_site.dashboard.case import archive
from orchestrator_site.dashboard.case.hops import Hop, Stand, judged
from orchestrator_site.dashboard.case.story import read
from orchestrator_site.models import Event, Pause
from postprocessing.models import S3File, SourceFile
from queues.models import EvidenceFile, Job, QueueEntry, TramiteTask, WebhookDelivery
from tests.factories import MemberFactory, NbcRecordFactory, TramiteTaskFactory
from tests.orchestrator_site import cases

pytestmark = pytest.mark.django_db
SignedIn = Callable[[str], Client]
MakeCase = Callable[[Organismo], Any]
KINDS: dict[str, MakeCase] = {
    "appeal": cases.appeal,
    "person": lambda _organismo: cases.person(),
    "job": lambda _organismo: cases.job(),
    "complaint": lambda _organismo: cases.complaint(),
}


def address(row: Any) -> str:
    return reverse("case", args=[row.case_id])


def stands(row: Any) -> dict[str, str]:
    return {hop.name: str(hop.stand) for hop in read(row.case_id).told.hops}


def opened(row: Any) -> ZipFile:
    return ZipFile(io.BytesIO(b"".join(archive.pieces(read(row.case_id)))))


# --- The way ------------------------------------------------------------------------------------


def hops(*done: bool) -> list[Hop]:
    return [Hop(str(place), "", one) for place, one in enumerate(done)]


def told(judgement: list[Hop]) -> list[Stand]:
    return [hop.stand for hop in judgement]


def test_a_hop_that_later_ones_have_passed_is_missing() -> None:
    found = told(judged(hops(True, False, True, False), is_over=False))
    assert found == [Stand.DONE, Stand.MISSING, Stand.DONE, Stand.NEXT]


def test_what_is_over_misses_the_next_hop_alone() -> None:
    found = told(judged(hops(True, False, False), is_over=True))
    assert found == [Stand.DONE, Stand.MISSING, Stand.LATER]


def test_what_was_cancelled_misses_nothing_further() -> None:
    found = told(judged(hops(True, False, False), is_over=True, is_dropped=True))
    assert found == [Stand.DONE, Stand.LATER, Stand.LATER]


@pytest.mark.parametrize("kind", KINDS)
def test_a_case_that_went_well_has_every_hop(kind: str, organismo: Organismo) -> None:
    found = stands(KINDS[kind](organismo))
    assert len(found) >= 4
    assert set(found.values()) <= {"done", "unneeded"}


def test_an_appeal_without_its_receipt_misses_it(organismo: Organismo) -> None:
    task = cases.appeal(organismo, status="completed_with_errors", result={"confirmed": True})
    assert stands(task)["confirmed"] == "done"
    assert stands(task)["receipt"] == "missing"
    assert "Receipt kept" in read(task.case_id).summary


def test_an_appeal_in_doubt_misses_its_confirmation(organismo: Organismo) -> None:
    task = cases.appeal(organismo, status="in_doubt", result={}, processed_at=None)
    assert stands(task)["sent"] == "done"
    assert stands(task)["confirmed"] == "missing"
    assert "decide" in read(task.case_id).summary


def test_a_task_without_a_claim_misses_its_claim() -> None:
    found = stands(TramiteTaskFactory())
    assert (found["claimed"], found["proven"], found["queued"]) == ("missing", "missing", "done")


def test_a_person_that_counts_as_assigned_without_a_task_misses_it() -> None:
    person = NbcRecordFactory(status="p1")
    assert stands(person)["assigned"] == "missing"
    assert "has no task" in read(person.case_id).summary


def test_a_call_that_was_never_made_is_missing_where_the_task_has_a_result() -> None:
    person = cases.person()
    QueueEntry.objects.update(called_at=None, answered_at=None, endpoint="")
    assert stands(person)["posted"] == "missing"


def test_a_result_that_was_lost_and_a_message_that_failed_are_missing() -> None:
    job = cases.job()
    EvidenceFile.objects.all().delete()
    WebhookDelivery.objects.update(status="failed")
    found = stands(job)
    assert (found["stored"], found["webhook"], found["ended"]) == ("missing", "missing", "done")


def test_a_script_that_is_not_what_was_signed_is_missing_its_signature() -> None:
    job = cases.job()
    Job.objects.update(script="[]")
    assert stands(job)["signed"] == "missing"


def test_a_complaint_whose_file_is_gone_misses_it() -> None:
    row = cases.complaint()
    SourceFile.objects.all().delete()
    S3File.objects.update(status="error", last_error="refused")
    found = stands(row)
    assert (found["file"], found["object"]) == ("missing", "missing")
    assert "refused" in read(row.case_id).summary


# --- Why it waits -------------------------------------------------------------------------------


def test_a_task_says_whether_anybody_is_there_to_take_it() -> None:
    task = TramiteTaskFactory()
    assert "none was ever heard" in read(task.case_id).summary
    worker = Worker(name="tramite@here:1", kind="tramite", host="here", pid=1)
    worker.beat()
    assert "1 worker of its kind is alive" in read(task.case_id).summary
    long_ago = timezone.now() - timedelta(minutes=5)
    Worker.objects.update(heartbeat_at=long_ago)
    assert "the last was heard 5" in read(task.case_id).summary.replace("\xa0", " ")


def test_a_held_appeal_says_why_and_a_later_one_until_when() -> None:
    held = TramiteTaskFactory(status="held", hold_reason="no paper")
    assert read(held.case_id).summary == "A person has to authorise it: no paper"
    later = TramiteTaskFactory(available_at=timezone.now() + timedelta(hours=2))
    assert read(later.case_id).summary.startswith("Not before in 1")


def test_a_person_waits_for_the_distribution_that_somebody_paused() -> None:
    person = NbcRecordFactory()
    assert "next round" in read(person.case_id).summary
    Pause.begin("distribution", "maintenance")
    assert "maintenance" in read(person.case_id).summary


def test_a_held_job_says_whose_session_it_waits_for() -> None:
    job = cases.job(status="held", provider_name="the-portal")
    assert f"{job.user.get_username()} has to sign in" in read(job.case_id).summary


# --- The page -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_case_has_its_page(
    kind: str, organismo: Organismo, signed_in: SignedIn
) -> None:
    row = KINDS[kind](organismo)
    page = signed_in("viewer").get(address(row))
    text = page.content.decode()
    assert page.status_code == 200
    assert page.context["story"].told.kind == kind
    assert 'class="hops"' in text and str(row.case_id) in text
    assert cases.SECRET not in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_case_costs_no_more_than_twelve_queries(
    kind: str, organismo: Organismo, signed_in: SignedIn
) -> None:
    row, client = KINDS[kind](organismo), signed_in("viewer")
    one = {"case_id": row.case_id, "object_type": row._meta.label_lower, "object_id": row.pk}
    Event.objects.bulk_create([Event(**one, new=str(n)) for n in range(1000)])
    with CaptureQueriesContext(connection) as queries:
        page = client.get(address(row))
    assert len(page.context["story"].events.lines) == 100
    assert len(queries) <= 12


def test_events_are_turned_round_and_paged(signed_in: SignedIn) -> None:
    task = TramiteTaskFactory()
    one = {"case_id": task.case_id, "object_type": "queues.tramitetask", "object_id": task.pk}
    Event.objects.bulk_create([Event(**one, new=f"state-{n}") for n in range(250)])
    client, seen = signed_in("viewer"), []
    query = "?order=oldest"
    while query:
        events = client.get(address(task) + query).context["story"].events
        seen += [line.event.new for line in events.lines]
        query = f"?order=oldest&past={events.more}" if events.more else ""
    assert seen == [f"state-{n}" for n in range(250)]
    newest = client.get(address(task)).context["story"].events
    assert newest.lines[0].event.new == "state-249"


@pytest.mark.parametrize("past", ["x", "-1", "9" * 30, "\0", ""])
def test_a_strange_page_of_events_is_the_first(past: str, signed_in: SignedIn) -> None:
    task = TramiteTaskFactory()
    page = signed_in("viewer").get(address(task), {"past": past})
    assert page.context["story"].events.is_first


def test_a_case_that_nobody_knows_says_what_can_be_searched(signed_in: SignedIn) -> None:
    page = signed_in("viewer").get(reverse("case", args=[uuid.uuid4()]))
    assert page.status_code == 404
    text = page.content.decode()
    assert "There is no such case" in text and 'name="q"' in text and "CURP" in text


def test_the_events_of_a_row_that_is_no_more_still_tell_its_case(signed_in: SignedIn) -> None:
    task = TramiteTaskFactory()
    Event.record([task], "pending", "cancelled", "withdrawn by the client")
    TramiteTask.objects.all().delete()
    page = signed_in("viewer").get(address(task))
    assert page.status_code == 200
    assert "withdrawn by the client" in page.content.decode()


# --- Who may see what ---------------------------------------------------------------------------


def reader(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("reader", is_staff=True)
    names = [name.partition(".")[2] for name in permissions]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return client


def test_a_reader_sees_the_parts_that_it_may_see(client: Client, organismo: Organismo) -> None:
    task = cases.appeal(organismo)
    cases.evidence(task, "page.log", b"a line")
    story = reader(client, "queues.view_tramitetask").get(address(task)).context["story"]
    assert [section.name for section in story.told.sections] == ["tasks", "sent"]
    assert story.events is None and story.files == []


def test_who_may_not_see_this_kind_of_case_is_refused(client: Client, organismo: Organismo) -> None:
    task = cases.appeal(organismo)
    reader(client, "queues.view_nbcrecord")
    assert client.get(address(task)).status_code == 403
    assert client.get(reverse("case-archive", args=[task.case_id])).status_code == 403
    assert client.get(reverse("api-case", args=[task.case_id])).status_code == 403


def test_members_of_organisations_have_no_cases_of_ours(client: Client) -> None:
    job = cases.job()
    member = MemberFactory(organisation=job.organisation)
    client.force_login(member.user)
    assert client.get(reverse("api-case", args=[job.case_id])).status_code == 403
    assert client.get(reverse("api-search"), {"q": str(job.case_id)}).status_code == 403
    member.user.is_staff = True
    member.user.save()
    assert client.get(address(job)).status_code == 403


# --- The zip ------------------------------------------------------------------------------------


def test_the_zip_holds_everything_with_true_hashes(
    organismo: Organismo, signed_in: SignedIn
) -> None:
    task = cases.appeal(organismo)
    cases.evidence(task, "execution.log", b"a line\n" * 100_000)
    answer = signed_in("viewer").get(reverse("case-archive", args=[task.case_id]))
    assert f"case-{task.case_id}.zip" in answer["Content-Disposition"]
    archived = ZipFile(io.BytesIO(b"".join(answer)))  # type: ignore[arg-type]
    assert archived.testzip() is None
    manifest = json.loads(archived.read("manifest.json"))
    assert manifest["is_complete"] is True
    assert {one["name"] for one in manifest["files"]} == {*archived.namelist()} - {"manifest.json"}
    for one in manifest["files"]:
        content = archived.read(one["name"])
        assert one["sha256"] == hashlib.sha256(content).hexdigest()
        assert one["size"] == len(content)
    (file,) = [one for one in manifest["files"] if one["name"].startswith("evidence/")]
    assert file["remembered_sha256"] == file["sha256"]
    assert json.loads(archived.read("case.json"))["id"] == str(task.case_id)


def test_the_manifest_tells_files_that_differ_and_files_that_are_gone(organismo: Organismo) -> None:
    task = cases.appeal(organismo)
    other = cases.evidence(task, "other.log", b"changed", sha256="0" * 64)
    gone = cases.evidence(task, "gone.log", b"x")
    EvidenceFile.objects.filter(pk=gone.pk).update(path="evidence/tests/nowhere.log")
    manifest = json.loads(opened(task).read("manifest.json"))
    problems = {one["name"].rpartition("/")[2]: one["problem"] for one in manifest["files"]}
    assert "SHA-256 is another" in problems[f"{other.pk}-{other.path.rpartition('/')[2]}"]
    assert "cannot be read" in problems[f"{gone.pk}-nowhere.log"]
    assert manifest["is_complete"] is False


def test_no_secret_is_in_the_zip_nor_in_the_api(signed_in: SignedIn) -> None:
    job = cases.job()
    archived = opened(job)
    texts = [archived.read(name).decode() for name in archived.namelist()]
    told = signed_in("admin").get(reverse("api-case", args=[job.case_id])).content.decode()
    assert not [text for text in [*texts, told] if cases.SECRET in text]
    assert "2026-01" in archived.read("case.json").decode()


def test_events_are_lines_that_no_spreadsheet_takes_for_formulas(organismo: Organismo) -> None:
    task = cases.appeal(organismo)
    Event.record([task], "", "noted", "=HYPERLINK(1)")
    text = opened(task).read("events.csv").decode("utf-8-sig")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [line["new"] for line in lines] == ["completed", "noted"]
    assert lines[-1]["reason"] == "'=HYPERLINK(1)"


def test_a_case_that_is_too_large_says_so(organismo: Organismo, signed_in: SignedIn) -> None:
    task = cases.appeal(organismo)
    cases.evidence(task, "huge.log", b"x", size=archive.LARGEST + 1)
    client = signed_in("viewer")
    page = client.get(reverse("case-archive", args=[task.case_id]))
    assert page.status_code == 413 and "500 MB" in page.content.decode()
    answer = client.get(reverse("api-case-archive", args=[task.case_id]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


# --- The API and the shell ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_api_tells_the_same_story(kind: str, organismo: Organismo, signed_in: SignedIn) -> None:
    row = KINDS[kind](organismo)
    told = signed_in("viewer").get(reverse("api-case", args=[row.case_id])).json()
    assert (told["id"], told["kind"]) == (str(row.case_id), kind)
    assert {hop["stand"] for hop in told["hops"]} <= {"done", "unneeded"}
    assert told["sections"]


def test_the_api_does_not_know_a_strange_case(signed_in: SignedIn) -> None:
    answer = signed_in("viewer").get(reverse("api-case", args=[uuid.uuid4()]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_the_command_finds_a_case_by_its_number_and_writes_its_zip(
    organismo: Organismo, tmp_path: Path
) -> None:
    task = cases.appeal(organismo)
    out = io.StringIO()
    call_command("case", task.expediente, json=True, stdout=out)
    assert json.loads(out.getvalue())["id"] == str(task.case_id)
    out = io.StringIO()
    call_command("case", str(task.case_id), stdout=out)
    assert "Receipt kept" in out.getvalue()
    file = tmp_path / "case.zip"
    call_command("case", task.expediente, zip=file, stdout=io.StringIO())
    assert "manifest.json" in ZipFile(file).namelist()
    with pytest.raises(CommandError, match="exists"):
        call_command("case", task.expediente, zip=file, stdout=io.StringIO())


def test_the_command_says_what_it_cannot_find_and_what_is_not_clear() -> None:
    with pytest.raises(CommandError, match="Nothing is called 'nobody'"):
        call_command("case", "nobody")
    NbcRecordFactory(curp="XEXX500101HNEXXX01")
    NbcRecordFactory(curp="XEXX500101HNEXXX02")
    with pytest.raises(CommandError, match="2 cases are meant"):
        call_command("case", "XEXX5001", stdout=io.StringIO())
