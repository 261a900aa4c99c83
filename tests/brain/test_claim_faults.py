"""What goes wrong around a claim: outages, races, wrong rules, bad documents, people's verbs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connections
from django.utils import timezone

from brain import cycles, enqueuing, portal, reconciling
from brain import origin as origin_module
from brain.attachments import Gatherer
from brain.claimers import Answer, ClaimerUnavailable, SqlClaimer
from brain.claiming import PROBE, ClaimRound
from brain.ledger import SiteReport
from brain.models import Claim, ClientAuthorisation, Cycle, Organismo, RecursosExp
from brain.recovering import Recovery
from orchestrator_site.models import Event
from orchestrator_site.verbs import Refused
from queues.models import TramiteTask
from tests.factories import STEPS, FlowFactory, OrganismoFactory, TramiteTaskFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
AddCase = Callable[..., RecursosExp]
Status = Claim.Status
Task = TramiteTask.Status
OURS = {"TExp": 1, "UsuarioAsignado": "BOT_MULTIVIA"}
THEIRS = {"TExp": 1, "UsuarioAsignado": "persona"}
FREE = {"TExp": 2, "Estado": 0, "UsuarioAsignado": None}


class Dies(SqlClaimer):
    """Its process ends right after the origin was changed."""

    def claim(self, claims: list[Claim]) -> dict[int, Answer]:
        super().claim(claims)
        raise KeyboardInterrupt


class Silent(SqlClaimer):
    """Is told that all is well, and nothing was done."""

    def claim(self, claims: list[Claim]) -> dict[int, Answer]:
        return {claim.resource_id: Answer("HTTP 200") for claim in claims}


def visit(
    organismo: Organismo, quota: int = 1000, method: type[SqlClaimer] = SqlClaimer
) -> SiteReport:
    return ClaimRound(organismo, method(organismo), sleep=lambda seconds: None).run(quota)


def abandon(organismo: Organismo) -> Claim:
    """A claim whose brain died long ago, after the origin was changed."""
    with pytest.raises(KeyboardInterrupt):
        visit(organismo, method=Dies)
    make_late()
    return Claim.objects.latest("id")


def make_late() -> None:
    Claim.objects.update(started_at=timezone.now() - timedelta(minutes=15))


def shown(case: RecursosExp) -> dict[str, Any]:
    return RecursosExp.objects.filter(pk=case.pk).values("TExp", "Estado", "UsuarioAsignado").get()


def statuses() -> list[str]:
    return list(Claim.objects.order_by("id").values_list("status", flat=True))


@pytest.fixture(autouse=True)
def media(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"


@pytest.fixture
def with_file(organismo: Organismo, settings: Any, tmp_path: Path) -> Callable[[RecursosExp], None]:
    """The organismo demands a file; call it to put a case's file where it is looked for."""
    settings.ATTACHMENTS_DIR = tmp_path
    organismo.attachments = [{"name": "r.pdf", "source": "folder", "path": "{idRecurso}.pdf"}]
    organismo.save()
    return lambda case: (tmp_path / f"{case.pk}.pdf").write_bytes(b"%PDF") and None


@pytest.fixture
def with_documents(organismo: Organismo, monkeypatch: pytest.MonkeyPatch) -> dict[int, Exception]:
    """The organismo demands a document of the intranet; errors by case may be put into it."""
    organismo.attachments = [{"name": "r.pdf", "source": "intranet", "path": "/d/{idRecurso}"}]
    organismo.login_url = "http://127.0.0.1:9/login"
    organismo.save()
    errors: dict[int, Exception] = {}

    def fetch(self: portal.Portal, path: str) -> bytes:
        if error := errors.get(int(path.rpartition("/")[2])):
            raise error
        return b"%PDF"

    monkeypatch.setattr(portal.Portal, "fetch", fetch)
    return errors


def kept_files(media: Path) -> set[str]:
    files = (path for path in (media / "attachments").rglob("*") if path.is_file())
    return {path.relative_to(media).as_posix() for path in files}


def files_of_tasks() -> set[str]:
    return {file["path"] for task in TramiteTask.objects.all() for file in task.attachments}


# --- Giving back -----------------------------------------------------------------------------


def test_a_give_back_that_the_origin_cannot_hear_is_refused_and_can_be_repeated(
    origin: AddCase, organismo: Organismo, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = origin()
    visit(organismo)

    def down(*args: Any) -> bool:
        raise origin_module.OriginUnreachable("down")

    with monkeypatch.context() as patch:
        patch.setattr(origin_module, "release", down)
        with pytest.raises(Refused, match="down"):
            reconciling.release(Claim.objects.get(), "back")
    assert Claim.objects.get().status == Status.PROVEN
    assert TramiteTask.objects.get().status == Task.CANCELLED, "what is given back is not sent"
    assert shown(case)["UsuarioAsignado"] == "BOT_MULTIVIA"
    visit(organismo)
    assert TramiteTask.objects.count() == 1
    assert reconciling.release(Claim.objects.get(), "again")
    assert Claim.objects.get().status == Status.RELEASED
    assert shown(case) == FREE


@pytest.mark.parametrize("is_queued", [True, False])
def test_a_case_found_as_ours_is_freed_by_a_give_back_and_then_left_alone(
    origin: AddCase,
    organismo: Organismo,
    with_file: Callable[[RecursosExp], None],
    is_queued: bool,
) -> None:
    case = origin(**OURS)
    if is_queued:
        with_file(case)
    visit(organismo)
    assert statuses() == [Status.RECOVERED]
    assert TramiteTask.objects.exists() is is_queued
    assert reconciling.release(Claim.objects.get(), "by hand")
    assert shown(case) == FREE
    with_file(case)
    report = visit(organismo)
    assert (report.already_queued, report.claimed, report.recovered) == (1, 0, 0)
    assert report.dropped[0]["reason"].startswith("a task exists" if is_queued else "given back")
    assert statuses() == [Status.RELEASED]
    assert not TramiteTask.objects.filter(status__in=TramiteTask.LIVE).exists()
    assert list(reconciling.differences(organismo)) == []


@pytest.mark.parametrize("is_queued", [True, False])
def test_what_was_given_back_here_and_not_in_the_origin_is_listed_and_can_be_mended(
    origin: AddCase,
    organismo: Organismo,
    with_file: Callable[[RecursosExp], None],
    is_queued: bool,
) -> None:
    case = origin(**OURS)
    if is_queued:
        with_file(case)
    visit(organismo)
    assert reconciling.release(Claim.objects.get(), "back")
    RecursosExp.objects.update(**OURS)  # somebody put it back to us there
    with_file(case)
    report = visit(organismo)
    assert (report.recovered, report.queued) == (0, 0)
    assert statuses() == [Status.RELEASED]
    (difference,) = reconciling.differences(organismo)
    assert difference.kind == reconciling.Kind.OURS_THERE_NOT_HERE
    assert reconciling.repair(difference, "mend")
    assert shown(case) == FREE
    assert statuses() == [Status.RELEASED]


@pytest.mark.parametrize("status", [Task.PROCESSING, Task.IN_DOUBT, Task.COMPLETED])
def test_what_a_worker_has_or_had_is_not_given_back(
    origin: AddCase, organismo: Organismo, status: str
) -> None:
    case = origin()
    visit(organismo)
    token = "00000000-0000-0000-0000-000000000001"
    TramiteTask.objects.update(status=status, lease_token=token)
    assert not reconciling.release(Claim.objects.get(), "back")
    assert statuses() == [Status.PROVEN]
    assert shown(case)["UsuarioAsignado"] == "BOT_MULTIVIA"


def test_an_old_claim_does_not_give_back_what_a_later_one_took(
    origin: AddCase, organismo: Organismo
) -> None:
    case = origin()
    visit(organismo, method=Silent)
    visit(organismo)
    old, new = Claim.objects.order_by("id")
    assert (old.status, new.status) == (Status.UNPROVEN, Status.PROVEN)
    with pytest.raises(Refused, match="Another claim"):
        reconciling.release(old, "the wrong row")
    assert TramiteTask.objects.get().status == Task.PENDING
    assert shown(case)["UsuarioAsignado"] == "BOT_MULTIVIA"
    assert reconciling.release(new, "the right row")


# --- A recovery and a person at once -----------------------------------------------------------


@pytest.mark.parametrize("now", [FREE, THEIRS])
def test_a_give_back_while_a_recovery_fetches_documents_wins(
    origin: AddCase,
    organismo: Organismo,
    with_file: Callable[[RecursosExp], None],
    media: Path,
    monkeypatch: pytest.MonkeyPatch,
    now: dict[str, Any],
) -> None:
    case = origin()
    with_file(case)
    visit(organismo, 1, Silent)
    assert statuses() == [Status.UNPROVEN]
    RecursosExp.objects.update(**OURS)  # it had worked, late
    real = Gatherer.gather

    def gather(self: Gatherer, *args: Any) -> Any:
        gathered = real(self, *args)
        assert reconciling.release(Claim.objects.get(), "I do it by hand")
        RecursosExp.objects.update(**now)
        return gathered

    monkeypatch.setattr(Gatherer, "gather", gather)
    report = visit(organismo, 0)
    assert (report.error, report.queued) == ("", 0)
    assert statuses() == [Status.RELEASED]
    assert not TramiteTask.objects.exists()
    assert shown(case) == {"Estado": 0, **now}
    assert kept_files(media) == set()


@pytest.mark.parametrize("left", [Status.UNPROVEN, Status.RECOVERED])
def test_a_give_back_after_the_recovery_s_last_look_wins(
    origin: AddCase,
    organismo: Organismo,
    with_file: Callable[[RecursosExp], None],
    media: Path,
    monkeypatch: pytest.MonkeyPatch,
    left: str,
) -> None:
    case = origin(**OURS)
    visit(organismo)
    Claim.objects.update(status=left)
    with_file(case)
    real = Recovery._is_still_ours

    def look(self: Recovery, claim: Claim) -> bool:
        is_ours = real(self, claim)
        assert reconciling.release(Claim.objects.get(), "at this moment")
        return is_ours

    monkeypatch.setattr(Recovery, "_is_still_ours", look)
    report = visit(organismo, 0)
    assert (report.error, report.queued) == ("", 0)
    assert statuses() == [Status.RELEASED]
    assert not TramiteTask.objects.exists()
    assert kept_files(media) == set()


def test_a_claim_without_a_task_is_queued_once_its_cause_is_gone(
    origin: AddCase, organismo: Organismo, with_file: Callable[[RecursosExp], None], media: Path
) -> None:
    case = origin(**OURS)
    report = visit(organismo)
    assert (report.recovered, report.not_queued, report.queued) == (1, 1, 0)
    assert "r.pdf" in cycles.unqueued_claims().get().message
    report = visit(organismo)
    assert (report.recovered, report.not_queued) == (0, 1), "it is the same claim"
    with_file(case)
    report = visit(organismo)
    assert (report.not_queued, report.queued) == (0, 1)
    assert statuses() == [Status.RECOVERED]
    assert not cycles.unqueued_claims().exists()
    assert kept_files(media) == files_of_tasks() != set()


def test_a_case_of_another_organismo_s_claim_is_left_to_that_one(
    origin: AddCase, organismo: Organismo
) -> None:
    other = OrganismoFactory(site_id="other", filtro_texp="3", flow_name=organismo.flow_name)
    origin()
    abandon(organismo)
    assert visit(other).recovered == 0
    assert not TramiteTask.objects.exists()
    assert visit(organismo).recovered == 1
    assert TramiteTask.objects.get().site_id == organismo.site_id


@pytest.mark.parametrize(
    ("now", "status", "tasks"),
    [(OURS, Status.RECOVERED, 1), (THEIRS, Status.LOST, 0), (FREE, Status.FAILED, 0)],
)
def test_the_claims_of_an_account_that_changed_are_decided(
    origin: AddCase, organismo: Organismo, now: dict[str, Any], status: str, tasks: int
) -> None:
    origin()
    abandon(organismo)
    RecursosExp.objects.update(**now)
    assert cycles.status(timezone.now())["undecided_claims"] == 0, "it is not late enough"
    organismo.bot_username = "BOT_NEW"
    organismo.save()
    assert visit(organismo, 0).error == ""
    assert (statuses(), TramiteTask.objects.count()) == ([status], tasks)


def test_a_claim_that_no_cycle_decides_is_counted(origin: AddCase, organismo: Organismo) -> None:
    origin()
    abandon(organismo)
    Claim.objects.update(started_at=timezone.now() - timedelta(minutes=21))
    assert cycles.status(timezone.now())["undecided_claims"] == 1


# --- Two brains ------------------------------------------------------------------------------


def test_a_slow_claim_that_another_brain_recovers_meanwhile_is_queued_once(
    origin: AddCase, organismo: Organismo, with_file: Callable[[RecursosExp], None], media: Path
) -> None:
    for _number in range(3):
        with_file(origin())

    class Slow(SqlClaimer):
        def claim(self, claims: list[Claim]) -> dict[int, Answer]:
            answers = super().claim(claims)
            make_late()
            assert visit(organismo, 0).recovered == 3
            return answers

    report = visit(organismo, method=Slow)
    assert (report.error, report.queued) == ("", 0)
    assert statuses() == [Status.RECOVERED] * 3
    assert TramiteTask.objects.count() == 3
    assert kept_files(media) == files_of_tasks()


def test_a_slow_claim_that_another_brain_closed_is_recovered_by_the_next_cycle(
    origin: AddCase, organismo: Organismo, with_file: Callable[[RecursosExp], None], media: Path
) -> None:
    case = origin()
    with_file(case)

    class Slow(SqlClaimer):
        def claim(self, claims: list[Claim]) -> dict[int, Answer]:
            make_late()
            visit(organismo, 0)  # sees it free: it was never claimed
            return super().claim(claims)

    report = visit(organismo, method=Slow)
    assert (report.error, report.queued) == ("", 0)
    assert statuses() == [Status.FAILED]
    assert not TramiteTask.objects.exists()
    assert kept_files(media) == set()
    report = visit(organismo)
    assert (report.recovered, report.queued) == (1, 1)
    assert statuses() == [Status.FAILED, Status.RECOVERED]
    assert TramiteTask.objects.get().resource_id == case.pk


# --- Rules and configuration that are wrong ----------------------------------------------------


class Elsewhere(SqlClaimer):
    """An intranet that shows a claimed case otherwise than the organismo's rule says."""

    def claim(self, claims: list[Claim]) -> dict[int, Answer]:
        ids = [claim.resource_id for claim in claims]
        RecursosExp.objects.filter(pk__in=ids).update(Estado=1, UsuarioAsignado=self.account)
        return {pk: Answer("HTTP 302") for pk in ids}


@pytest.mark.parametrize("batch", [1, 50])
def test_a_wrong_rule_stops_after_five_cases_and_pauses_the_organismo(
    origin: AddCase, organismo: Organismo, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    for _number in range(20):
        origin()
    monkeypatch.setattr(Elsewhere, "batch", batch)
    report = visit(organismo, method=Elsewhere)
    assert (report.error_kind, report.unproven, report.claimed) == ("Unprovable", PROBE, 0)
    assert RecursosExp.objects.filter(UsuarioAsignado="BOT_MULTIVIA").count() == PROBE == 5
    organismo.refresh_from_db()
    assert organismo.paused
    event = Event.objects.get(object_type="brain.organismo", new="paused")
    assert event.reason == report.error
    assert cycles.run_cycle().sites == {}


def test_unproven_cases_count_against_the_quota(origin: AddCase, organismo: Organismo) -> None:
    for _number in range(20):
        origin()
    assert visit(organismo, 3, Elsewhere).unproven == 3
    assert RecursosExp.objects.filter(UsuarioAsignado="BOT_MULTIVIA").count() == 3


def test_an_origin_that_does_not_answer_the_read_back_says_nothing_about_the_rule(
    origin: AddCase, organismo: Organismo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _number in range(6):
        origin()

    def down(ids: Any) -> Any:
        raise origin_module.OriginUnreachable("down")

    with monkeypatch.context() as patch:
        patch.setattr(origin_module, "read_back", down)
        report = visit(organismo)
    assert report.error_kind == "OriginUnreachable"
    assert Status.STARTED not in statuses()
    organismo.refresh_from_db()
    assert not organismo.paused
    report = visit(organismo)
    assert (report.recovered, report.claimed, report.queued) == (5, 1, 6)


def test_a_case_that_stays_unproven_three_times_is_left_alone(
    origin: AddCase, organismo: Organismo
) -> None:
    case = origin()
    for _time in range(3):
        assert visit(organismo, method=Silent).unproven == 1
    report = visit(organismo)
    assert (report.already_queued, report.claimed) == (1, 0)
    assert "unproven" in report.dropped[0]["reason"]
    assert shown(case) == FREE


@pytest.mark.parametrize(
    ("texp", "when", "is_valid"),
    [("1,2", "TExp=1", False), ("2,3", "TExp=1", True), ("1,2", "Estado=1", True)],
)
def test_a_claimed_case_must_not_look_free(
    organismo: Organismo, texp: str, when: str, is_valid: bool
) -> None:
    organismo.filtro_texp, organismo.claimed_when = texp, when
    if is_valid:
        organismo.full_clean()
        return
    with pytest.raises(ValidationError) as refused:
        organismo.full_clean()
    assert set(refused.value.message_dict) == {"filtro_texp"}


@pytest.mark.parametrize("marks", [[], [{"irrevocable": True}]])
def test_a_flow_that_does_not_mark_what_sends_is_refused_before_any_claim(
    origin: AddCase, organismo: Organismo, marks: list[dict[str, bool]]
) -> None:
    case = origin()
    sending = [{"do": "click", "selector": "#send", **mark} for mark in marks]
    FlowFactory(name=organismo.flow_name, steps=[STEPS[0], *sending])
    report = visit(organismo)
    assert report.error_kind == "NotQueued"
    assert "mark" in report.error
    assert not Claim.objects.exists()
    assert shown(case) == FREE


def test_a_dry_run_without_a_flow_says_the_cycle_s_error(
    origin: AddCase, organismo: Organismo
) -> None:
    origin()
    organismo.flow_name = "not_there"
    organismo.save()
    (dry,) = cycles.dry_run()
    assert dry.as_dict()["would_claim"] == 0
    assert (dry.error_kind, dry.error) == ("NotQueued", visit(organismo).error)
    assert "not_there" in dry.error


def test_a_claimer_that_ends_in_the_middle_of_a_batch_leaves_no_claim_undecided(
    origin: AddCase, organismo: Organismo, with_file: Callable[[RecursosExp], None], media: Path
) -> None:
    for _number in range(3):
        with_file(origin())

    class Gone(SqlClaimer):
        def claim(self, claims: list[Claim]) -> dict[int, Answer]:
            super().claim(claims[:1])
            RecursosExp.objects.filter(pk=claims[2].resource_id).update(**THEIRS)
            raise ClaimerUnavailable("session expired")

    report = visit(organismo, method=Gone)
    assert report.error == "session expired"
    assert statuses() == [Status.PROVEN, Status.UNPROVEN, Status.LOST]
    assert (report.claimed, report.queued, report.unproven, report.lost) == (1, 1, 1, 1)
    assert kept_files(media) == files_of_tasks()
    assert TramiteTask.objects.count() == 1


# --- One that breaks ends nothing else ---------------------------------------------------------


@pytest.fixture
def broken(organismo: Organismo, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """An organismo, visited first, whose claimer raises what is put in."""
    OrganismoFactory(
        site_id="broken", priority=9, query_organisme="%LEON%", flow_name=organismo.flow_name
    )
    fault: dict[str, Any] = {"error": ZeroDivisionError("a bug")}
    real = cycles.claimer_for

    def claimer_for(one: Organismo) -> Any:
        claimer = real(one)
        if one.site_id == "broken":

            def claim(claims: list[Claim]) -> Any:
                raise fault["error"]

            claimer.claim = claim  # type: ignore[method-assign]
        return claimer

    monkeypatch.setattr(cycles, "claimer_for", claimer_for)
    yield fault


def test_an_unexpected_error_ends_its_organismo_s_part_alone(
    origin: AddCase, organismo: Organismo, broken: dict[str, Any]
) -> None:
    origin(Organisme="LEON")
    origin()
    cycle = cycles.run_cycle()
    assert cycle.sites["broken"]["error_kind"] == "ZeroDivisionError"
    assert Organismo.objects.get(site_id="broken").last_error == "a bug"
    assert cycle.sites[organismo.site_id]["queued"] == 1
    assert cycle.outcome == Cycle.Outcome.WITH_ERRORS
    assert cycle.finished_at
    assert Cycle.objects.get().outcome == Cycle.Outcome.WITH_ERRORS


def test_a_cycle_that_is_interrupted_has_an_outcome_too(
    origin: AddCase, organismo: Organismo, broken: dict[str, Any]
) -> None:
    origin(Organisme="LEON")
    broken["error"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        cycles.run_cycle()
    cycle = Cycle.objects.get()
    assert cycle.outcome == Cycle.Outcome.STOPPED
    assert cycle.finished_at


def test_a_cycle_of_one_site_does_not_put_off_the_next_full_one(
    organismo: Organismo, settings: Any
) -> None:
    cycles.run_cycle()
    assert not cycles.is_due()
    long_ago = timezone.now() - settings.BRAIN_SYNC_INTERVAL - timedelta(seconds=1)
    Cycle.objects.update(started_at=long_ago)
    cycles.run_cycle([organismo.site_id])
    assert cycles.is_due()
    now = timezone.now()
    assert cycles.status(now)["next_at"] == now, "what is told is what is done"


def test_a_brain_of_some_sites_keeps_the_interval_too(organismo: Organismo, settings: Any) -> None:
    assert cycles.is_due([organismo.site_id])
    cycles.run_cycle([organismo.site_id])
    assert not cycles.is_due([organismo.site_id])
    long_ago = timezone.now() - settings.BRAIN_SYNC_INTERVAL
    Cycle.objects.update(started_at=long_ago)
    assert cycles.is_due([organismo.site_id])


# --- Documents -------------------------------------------------------------------------------

BAD = [
    portal.PortalFailed("/d/2 answered 500"),
    portal.DocumentTooLarge("more than 25 MiB"),
    portal.ForeignRedirect("redirected to http://elsewhere"),
    portal.DocumentMissing("/d/2"),
]


@pytest.mark.parametrize("error", BAD, ids=lambda error: type(error).__name__)
def test_one_bad_document_keeps_its_own_case_alone(
    origin: AddCase,
    organismo: Organismo,
    with_documents: dict[int, Exception],
    media: Path,
    error: Exception,
) -> None:
    cases = [origin() for _number in range(3)]
    with_documents[cases[1].pk] = error
    report = visit(organismo)
    assert (report.error, report.claimed, report.incomplete) == ("", 2, 1)
    assert str(error) in report.dropped[0]["reason"]
    assert shown(cases[1]) == FREE
    assert not Claim.objects.filter(resource_id=cases[1].pk).exists()
    assert kept_files(media) == files_of_tasks()
    del with_documents[cases[1].pk]
    assert visit(organismo).queued == 1


@pytest.mark.parametrize("error", BAD, ids=lambda error: type(error).__name__)
def test_a_case_of_ours_with_a_bad_document_keeps_no_other_from_being_claimed(
    origin: AddCase,
    organismo: Organismo,
    with_documents: dict[int, Exception],
    error: Exception,
) -> None:
    bad = origin(**OURS)
    origin()
    with_documents[bad.pk] = error
    report = visit(organismo)
    assert (report.error, report.not_queued, report.claimed, report.queued) == ("", 1, 1, 1)
    assert str(error) in cycles.unqueued_claims().get(resource_id=bad.pk).message


def test_an_intranet_that_is_gone_ends_the_part_with_no_claim_and_no_file(
    origin: AddCase, organismo: Organismo, with_documents: dict[int, Exception], media: Path
) -> None:
    cases = [origin() for _number in range(3)]
    with_documents[cases[2].pk] = portal.PortalUnreachable("no connection")
    report = visit(organismo)
    assert (report.error_kind, report.claimed) == ("PortalUnreachable", 0)
    assert not Claim.objects.exists()
    assert kept_files(media) == set()


def test_an_authorisation_whose_file_is_gone_is_none(origin: AddCase, organismo: Organismo) -> None:
    organismo.attachments = [{"name": "aut.pdf", "source": "authorisation"}]
    organismo.save()
    gone, there = origin(), origin()
    for case in (gone, there):
        file = ContentFile(b"%PDF", name=f"{case.pk}.pdf")
        paper = ClientAuthorisation.objects.create(numclient=case.numclient, file=file)
        if case is gone:
            default_storage.delete(str(paper.file))
    report = visit(organismo)
    assert (report.error, report.queued, report.held) == ("", 2, 1)
    held = TramiteTask.objects.get(resource_id=gone.pk)
    assert (held.status, held.attachments) == (Task.HELD, [])
    queued = TramiteTask.objects.get(resource_id=there.pk)
    assert (queued.status, queued.attachments[0]["name"]) == (Task.PENDING, "aut.pdf")


class Beaten(SqlClaimer):
    """A person is faster."""

    def claim(self, claims: list[Claim]) -> dict[int, Answer]:
        RecursosExp.objects.update(**THEIRS)
        return super().claim(claims)


class Breaks(SqlClaimer):
    def claim(self, claims: list[Claim]) -> dict[int, Answer]:
        raise ZeroDivisionError


@pytest.mark.parametrize("method", [Beaten, Silent, Breaks])
def test_what_did_not_become_ours_leaves_no_file(
    origin: AddCase,
    organismo: Organismo,
    with_file: Callable[[RecursosExp], None],
    media: Path,
    method: type[SqlClaimer],
) -> None:
    with_file(origin())
    if method is Breaks:
        with pytest.raises(ZeroDivisionError):
            visit(organismo, method=method)
    else:
        assert visit(organismo, method=method).queued == 0
    assert Claim.objects.count() == 1
    assert kept_files(media) == set()


def test_what_became_ours_and_is_refused_by_the_queue_leaves_no_file(
    origin: AddCase,
    organismo: Organismo,
    with_file: Callable[[RecursosExp], None],
    media: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = origin(), origin()
    with_file(first)
    with_file(second)
    monkeypatch.setattr("brain.surveying.queued_ids", lambda ids: set())
    TramiteTaskFactory(resource_id=first.pk, status=Task.FAILED)
    report = visit(organismo)
    assert (report.claimed, report.queued, report.not_queued) == (2, 1, 1)
    assert kept_files(media) == files_of_tasks()
    assert len(kept_files(media)) == 1


# --- Running again ---------------------------------------------------------------------------


@pytest.fixture
def failed(origin: AddCase, organismo: Organismo, motivos: None) -> TramiteTask:
    """The only task of a case of ours, failed."""
    origin()
    visit(organismo)
    TramiteTask.objects.update(status=Task.FAILED)
    return TramiteTask.objects.get()


def test_only_the_last_run_can_be_run_again(failed: TramiteTask) -> None:
    again = enqueuing.rerun(failed, "first")
    TramiteTask.objects.filter(pk=again.pk).update(status=Task.COMPLETED)
    with pytest.raises(enqueuing.NotQueued, match="later run"):
        enqueuing.rerun(failed, "all that failed, at once")
    assert TramiteTask.objects.count() == 2
    again.refresh_from_db()
    assert enqueuing.rerun(again, "sent, and still").run == 3


@pytest.mark.parametrize("status", [Status.RELEASED, Status.TAKEN_OVER])
def test_a_case_that_is_not_ours_any_more_is_not_run_again(
    failed: TramiteTask, status: str
) -> None:
    claim = Claim.objects.get()
    if status == Status.RELEASED:
        assert reconciling.release(claim, "back")
    else:
        assert reconciling.close(claim, status, "a person has it")
    assert statuses() == [status]
    with pytest.raises(enqueuing.NotQueued, match="not ours any more"):
        enqueuing.rerun(failed, "all that failed, at once")
    assert TramiteTask.objects.count() == 1


def test_a_rerun_while_the_origin_takes_the_case_back_is_cancelled(
    failed: TramiteTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = origin_module.release

    def release(*args: Any) -> bool:
        enqueuing.rerun(failed, "another person, at the same moment")
        return real(*args)

    monkeypatch.setattr(origin_module, "release", release)
    assert reconciling.release(Claim.objects.get(), "back")
    assert statuses() == [Status.RELEASED]
    assert not TramiteTask.objects.filter(status__in=TramiteTask.LIVE).exists()


@pytest.mark.django_db(transaction=True)
def test_a_rerun_in_the_last_moment_of_a_give_back_waits_and_is_refused(
    failed: TramiteTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = Claim.objects.get()
    told: list[str] = []

    def rerun() -> None:
        try:
            enqueuing.rerun(failed, "another person, at the same moment")
            told.append("queued")
        except enqueuing.NotQueued as error:
            told.append(str(error))
        finally:
            connections.close_all()

    person = threading.Thread(target=rerun)
    real = Claim.move

    def move(self: Claim, *args: Any, **changes: Any) -> bool:
        person.start()
        person.join(0.3)
        return real(self, *args, **changes)

    monkeypatch.setattr(Claim, "move", move)
    assert reconciling.release(claim, "back")
    person.join()
    assert told == ["The case is not ours any more: claim it first."]
    assert statuses() == [Status.RELEASED]
    assert shown(RecursosExp.objects.get()) == FREE
    assert TramiteTask.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_a_rerun_and_a_give_back_at_once_never_both_stand(failed: TramiteTask) -> None:
    barrier = threading.Barrier(2)

    def rerun() -> None:
        try:
            barrier.wait()
            enqueuing.rerun(failed, "again")
        except enqueuing.NotQueued:
            pass
        finally:
            connections.close_all()

    for _round in range(5):
        person = threading.Thread(target=rerun)
        person.start()
        barrier.wait()
        assert reconciling.release(Claim.objects.get(), "back")
        person.join()
        assert statuses() == [Status.RELEASED]
        assert shown(RecursosExp.objects.get()) == FREE
        assert not TramiteTask.objects.filter(status__in=TramiteTask.LIVE).exists()
        TramiteTask.objects.exclude(pk=failed.pk).delete()
        Claim.objects.update(status=Status.PROVEN)
        RecursosExp.objects.update(**OURS)


def test_a_small_quota_does_not_hide_a_wrong_rule(origin: AddCase, organismo: Organismo) -> None:
    for _number in range(20):
        origin()
    organismo.claimed_when = "Estado=1,TExp=1"
    organismo.claims_per_cycle = 2
    organismo.save()

    class Half(SqlClaimer):
        def claim(self, claims: list[Claim]) -> Any:
            rows = RecursosExp.objects.filter(pk__in=[claim.resource_id for claim in claims])
            rows.update(TExp=1, UsuarioAsignado="BOT_MULTIVIA")  # and never Estado
            return {claim.resource_id: Answer("HTTP 302") for claim in claims}

    reports = [
        ClaimRound(organismo, Half(organismo), sleep=lambda seconds: None).run(2) for _n in range(3)
    ]
    assert [report.error_kind for report in reports] == ["", "", "Unprovable"]
    organismo.refresh_from_db()
    assert organismo.paused
