"""The hold queue: what waits for a person, and how it moves on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from brain import holding
from brain.claimers import SqlClaimer
from brain.claiming import ClaimRound
from brain.holding import AuthorisationMissing
from brain.models import Claim, ClientAuthorisation, Organismo, RecursosExp
from brain.verbs import TASK_VERBS
from orchestrator_site.models import Event
from orchestrator_site.verbs import apply
from queues.models import TramiteTask
from tests.factories import OrganismoFactory, TramiteTaskFactory

pytestmark = pytest.mark.django_db
AddCase = Callable[..., RecursosExp]
Status = TramiteTask.Status
PAPER = {"name": "autorizacion.pdf", "source": "authorisation"}
CONTENT = b"%PDF-1.4 signed by Ana Inventada"


@pytest.fixture(autouse=True)
def media(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    return settings.MEDIA_ROOT


def paper(numclient: int, **values: Any) -> ClientAuthorisation:
    file = ContentFile(CONTENT, name=f"{numclient}.pdf")
    return ClientAuthorisation.objects.create(numclient=numclient, file=file, **values)


def wanting_paper(flow: Any) -> Organismo:
    return OrganismoFactory(flow_name=flow.name, attachments=[PAPER])


def held(organismo: Organismo, add: AddCase) -> TramiteTask:
    case = add()
    ClaimRound(organismo, SqlClaimer(organismo), sleep=lambda seconds: None).run(10)
    return TramiteTask.objects.get(resource_id=case.pk)


def again(task: TramiteTask) -> TramiteTask:
    return TramiteTask.objects.get(pk=task.pk)


def test_a_client_with_a_paper_is_queued_with_it(origin: AddCase, flow: Any) -> None:
    case = origin()
    paper(case.numclient)
    organismo = wanting_paper(flow)
    ClaimRound(organismo, SqlClaimer(organismo), sleep=lambda seconds: None).run(10)
    task = TramiteTask.objects.get()
    assert task.status == Status.PENDING
    (file,) = task.attachments
    assert (file["name"], file["size"]) == ("autorizacion.pdf", len(CONTENT))
    assert file["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_a_client_without_a_paper_is_claimed_and_held_with_the_reason(
    origin: AddCase, flow: Any
) -> None:
    task = held(wanting_paper(flow), origin)
    assert (task.status, task.attachments) == (Status.HELD, [])
    assert str(task.payload["numclient"]) in task.hold_reason
    assert Claim.objects.get().status == Claim.Status.PROVEN
    assert TramiteTask.objects.take("w", timedelta(minutes=1)) == []


@pytest.mark.parametrize(
    ("begins", "ends"),
    [(-400, -1), (1, None), (1, 10)],
    ids=["ended", "not begun", "not begun, ends"],
)
def test_a_paper_out_of_its_time_is_none(
    origin: AddCase, flow: Any, begins: int, ends: int | None
) -> None:
    case = origin()
    today = date.today()
    until = None if ends is None else today + timedelta(days=ends)
    paper(case.numclient, valid_from=today + timedelta(days=begins), valid_until=until)
    organismo = wanting_paper(flow)
    ClaimRound(organismo, SqlClaimer(organismo), sleep=lambda seconds: None).run(10)
    assert TramiteTask.objects.get().status == Status.HELD


def test_a_paper_whose_file_is_gone_is_none(origin: AddCase, flow: Any) -> None:
    case = origin()
    row = paper(case.numclient)
    default_storage.delete(row.file.name)
    organismo = wanting_paper(flow)
    report = ClaimRound(organismo, SqlClaimer(organismo), sleep=lambda seconds: None).run(10)
    assert (report.error, report.held) == ("", 1)
    with pytest.raises(AuthorisationMissing):
        holding.authorise(TramiteTask.objects.get(), "I know the client")


def test_without_the_paper_it_cannot_be_authorised_where_it_is_to_be_attached(
    origin: AddCase, flow: Any
) -> None:
    task = held(wanting_paper(flow), origin)
    with pytest.raises(AuthorisationMissing, match=f"client {task.payload['numclient']}"):
        holding.authorise(task, "I know the client")
    assert again(task).status == Status.HELD


def test_with_the_paper_it_moves_on_and_carries_it(origin: AddCase, flow: Any, media: Path) -> None:
    task = held(wanting_paper(flow), origin)
    paper(task.payload["numclient"])
    assert holding.authorise(task, "the paper came")
    task = again(task)
    assert (task.status, task.hold_reason) == (Status.PENDING, "")
    (file,) = task.attachments
    assert (media / file["path"]).read_bytes() == CONTENT
    event = Event.objects.filter(case_id=task.case_id, reason="the paper came").get()
    assert (event.old, event.new) == ("held", "pending")


def test_the_paper_is_attached_once(origin: AddCase, flow: Any) -> None:
    task = held(wanting_paper(flow), origin)
    paper(task.payload["numclient"])
    holding.authorise(task, "the paper came")
    assert again(task).hold("wait")
    assert holding.authorise(again(task), "go on")
    assert len(again(task).attachments) == 1


def test_where_none_is_to_be_attached_a_person_s_word_is_enough(origin: AddCase, flow: Any) -> None:
    organismo = OrganismoFactory(flow_name=flow.name, demands_authorisation=True)
    task = held(organismo, origin)
    assert task.status == Status.HELD
    assert holding.authorise(task, "seen on paper")
    assert again(task).status == Status.PENDING


def test_a_paper_that_ended_is_told_apart_from_none(origin: AddCase, flow: Any) -> None:
    organismo, today = wanting_paper(flow), timezone.localdate()
    case, other = origin(), origin()
    began, ended = today - timedelta(days=500), today - timedelta(days=10)
    for until in (ended - timedelta(days=200), ended):
        paper(case.numclient, valid_from=began, valid_until=until)
    ClaimRound(organismo, SqlClaimer(organismo), sleep=lambda seconds: None).run(10)
    told = dict(TramiteTask.objects.values_list("resource_id", "hold_reason"))
    assert told[case.pk].endswith(f"client {case.numclient} expired on {ended}.")
    assert "no authorisation on file" in told[other.pk]


def test_of_two_persons_one_authorises_and_no_file_is_left_over(
    origin: AddCase, flow: Any, media: Path
) -> None:
    task = held(wanting_paper(flow), origin)
    paper(task.payload["numclient"])
    stale = again(task)
    assert holding.authorise(task, "first")
    assert not holding.authorise(stale, "second")
    (file,) = again(task).attachments
    kept = [path for path in (media / "attachments").rglob("*") if path.is_file()]
    assert kept == [media / file["path"]]


def test_a_rejected_appeal_ends_and_is_never_authorised(origin: AddCase, flow: Any) -> None:
    task = held(wanting_paper(flow), origin)
    stale = again(task)
    paper(task.payload["numclient"])
    assert task.reject("the client paid")
    assert not holding.authorise(stale, "late")
    assert not holding.authorise(again(task), "late")
    assert again(task).status == Status.CANCELLED
    assert Event.objects.filter(case_id=task.case_id, reason="the client paid").count() == 1


def test_a_waiting_appeal_can_be_held_and_is_not_taken(organismo: Organismo) -> None:
    task = TramiteTaskFactory()
    assert task.hold("the client calls back")
    assert again(task).hold_reason == "the client calls back"
    assert TramiteTask.objects.take("w", timedelta(minutes=1)) == []
    assert holding.authorise(again(task), "called")
    assert len(TramiteTask.objects.take("w", timedelta(minutes=1))) == 1


def test_an_appeal_that_a_worker_has_cannot_be_held(organismo: Organismo) -> None:
    task = TramiteTaskFactory()
    (taken,) = TramiteTask.objects.take("w", timedelta(minutes=1))
    assert not task.hold("too late")
    assert not taken.hold("too late")
    assert again(task).status == Status.PROCESSING


def test_an_appeal_whose_organismo_is_gone_can_still_be_authorised() -> None:
    task = TramiteTaskFactory(site_id="gone", status=Status.HELD)
    assert holding.authorise(task, "go on")


def test_the_verb_counts_what_it_did_and_tells_what_it_could_not(
    origin: AddCase, flow: Any
) -> None:
    without = held(wanting_paper(flow), origin)
    with_word = TramiteTaskFactory(site_id="gone", status=Status.HELD, resource_id=900)
    done = TramiteTaskFactory(status=Status.COMPLETED, resource_id=901)
    authorise = next(verb for verb in TASK_VERBS if verb.name == "authorise")
    tally = apply(authorise, [without, with_word, done], "all of these")
    assert (tally.done, tally.moved_on, len(tally.refused)) == (1, 1, 1)
    assert "Upload the authorisation" in tally.refused[0]
