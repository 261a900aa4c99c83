"""The ledger against the origin: three lists, their repairs, and giving a case back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from brain import origin as origin_module
from brain import reconciling
from brain.claimers import SqlClaimer
from brain.claiming import ClaimRound
from brain.models import Claim, Organismo, Reconciliation, RecursosExp
from brain.reconciling import Difference, Kind
from brain.surveying import case_id_for
from orchestrator_site.models import Event
from orchestrator_site.verbs import Refused
from queues import claims
from queues.errors import ErrorClass
from queues.models import TramiteTask
from tests.factories import OrganismoFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
AddCase = Callable[..., RecursosExp]
Status = TramiteTask.Status
OURS = {"TExp": 1, "Estado": 0, "UsuarioAsignado": "BOT_MULTIVIA"}
PERSON = {"TExp": 1, "Estado": 0, "UsuarioAsignado": "persona"}
FREE = {"TExp": 2, "Estado": 0, "UsuarioAsignado": None}


def visit(organismo: Organismo) -> None:
    ClaimRound(organismo, SqlClaimer(organismo), sleep=lambda seconds: None).run(1000)


def shows(case: RecursosExp, **values: Any) -> None:
    RecursosExp.objects.filter(pk=case.pk).update(**values)


def state(case: RecursosExp) -> dict[str, Any]:
    return RecursosExp.objects.filter(pk=case.pk).values("TExp", "Estado", "UsuarioAsignado").get()


def found() -> list[Difference]:
    return [Difference(**difference) for difference in reconciling.run().differences]


def claim_of(case: RecursosExp) -> Claim:
    return Claim.objects.filter(resource_id=case.pk).latest("pk")


def task_of(case: RecursosExp) -> TramiteTask:
    return TramiteTask.objects.get(resource_id=case.pk)


def taken(case: RecursosExp) -> TramiteTask:
    """The case's task, leased to a worker."""
    (task,) = TramiteTask.objects.filter(resource_id=case.pk).take("w", timedelta(hours=1))
    return task


def run(*arguments: str) -> dict[str, Any]:
    told = io.StringIO()
    call_command("reconcileclaims", "--json", *arguments, stdout=told)
    return json.loads(told.getvalue())


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it to take the origin away."""

    def gone(*args: Any, **kwargs: Any) -> Any:
        raise origin_module.OriginUnreachable("no route to host")

    def take() -> None:
        for name in ("stream", "read", "read_back", "release", "claim"):
            monkeypatch.setattr(origin_module, name, gone)

    return take


# --- The three lists --------------------------------------------------------------------------


def test_what_agrees_is_not_listed(origin: AddCase, organismo: Organismo) -> None:
    origin(), origin(**PERSON), origin(Estado=1)
    visit(organismo)
    assert found() == []
    assert Reconciliation.objects.get().errors == {}


def test_each_difference_is_in_its_list(origin: AddCase, organismo: Organismo) -> None:
    freed, over, gone = origin(), origin(), origin()
    visit(organismo)
    ours = origin(idRecurso=50, **OURS)
    shows(freed, **FREE)
    shows(over, **PERSON)
    gone.delete()
    listed = {(d.kind, d.resource_id): d for d in found()}
    assert set(listed) == {
        (Kind.OURS_THERE_NOT_HERE, ours.pk),
        (Kind.HERE_NOT_OURS_THERE, freed.pk),
        (Kind.TAKEN_OVER, over.pk),
        (Kind.TAKEN_OVER, 3),
    }
    assert listed[Kind.TAKEN_OVER, over.pk].shown == PERSON
    assert listed[Kind.TAKEN_OVER, over.pk].claim_id == claim_of(over).pk
    assert listed[Kind.TAKEN_OVER, 3].shown == {}
    assert listed[Kind.OURS_THERE_NOT_HERE, 50].expediente == ours.Expedient


def test_comparing_changes_nothing(origin: AddCase, organismo: Organismo) -> None:
    over, ours = origin(), origin(**OURS, idRecurso=50)
    visit(organismo)
    TramiteTask.objects.filter(resource_id=ours.pk).delete()
    Claim.objects.filter(resource_id=ours.pk).delete()
    shows(over, **PERSON)
    rows = list(Claim.objects.values()), list(TramiteTask.objects.values())
    assert len(found()) == 2
    assert (list(Claim.objects.values()), list(TramiteTask.objects.values())) == rows


@pytest.mark.parametrize("status", TramiteTask.SENT)
def test_a_sent_appeal_goes_its_own_way(origin: AddCase, organismo: Organismo, status: str) -> None:
    case = origin()
    visit(organismo)
    TramiteTask.objects.update(status=status)
    shows(case, **PERSON)
    assert found() == []


def test_a_name_with_blanks_around_it_is_ours(origin: AddCase, organismo: Organismo) -> None:
    case = origin()
    visit(organismo)
    shows(case, UsuarioAsignado=" BOT_MULTIVIA ")
    assert found() == []


def test_an_origin_that_does_not_answer_is_an_error_and_no_difference(
    origin: AddCase, organismo: Organismo, unreachable: Callable[[], None]
) -> None:
    origin()
    visit(organismo)
    unreachable()
    result = reconciling.run()
    assert result.differences == []
    assert result.errors == {"xaloc_girona": "OriginUnreachable: no route to host"}


def test_our_name_is_what_the_last_session_showed(origin: AddCase, flow: Any) -> None:
    organismo = OrganismoFactory(flow_name=flow.name, claim_method="portal", bot_username="OLD")
    assert reconciling.account_of(organismo) == "OLD"
    Claim.objects.create(
        organismo=organismo, resource_id=1, account="SESSION_S", status="proven", method="portal"
    )
    assert reconciling.account_of(organismo) == "SESSION_S"
    organismo.claim_method = Organismo.ClaimMethod.SQL
    assert reconciling.account_of(organismo) == "OLD"


# --- The repairs ------------------------------------------------------------------------------


def test_what_is_ours_there_is_queued_and_not_claimed_again(
    origin: AddCase, organismo: Organismo
) -> None:
    case = origin(**OURS)
    (difference,) = found()
    assert reconciling.repair(difference, "because")
    assert (claim_of(case).status, task_of(case).status) == ("recovered", "pending")
    assert state(case) == OURS
    assert not reconciling.repair(difference, "again")
    assert TramiteTask.objects.count() == Claim.objects.count() == 1
    assert found() == []


@pytest.mark.parametrize(
    ("there", "status"), [(PERSON, "taken_over"), (FREE, "released")], ids=["taken over", "freed"]
)
def test_a_claim_that_is_not_ours_there_is_closed_with_its_task(
    origin: AddCase, organismo: Organismo, there: dict[str, Any], status: str
) -> None:
    case = origin()
    visit(organismo)
    shows(case, **there)
    (difference,) = found()
    assert reconciling.repair(difference, "a person has it")
    assert claim_of(case).status == status
    assert claim_of(case).message == "a person has it"
    assert task_of(case).status == Status.CANCELLED
    assert state(case) == there, "the origin is the person's"
    assert not reconciling.repair(difference, "again")
    assert found() == []
    thread = Event.objects.filter(case_id=case_id_for(case.pk), reason="a person has it")
    assert {event.new for event in thread} == {status, "cancelled"}


def test_a_held_appeal_is_cancelled_too(origin: AddCase, organismo: Organismo) -> None:
    case = origin()
    visit(organismo)
    task_of(case).hold("wait")
    shows(case, **PERSON)
    assert reconciling.repair(found()[0], "because")
    assert task_of(case).status == Status.CANCELLED


def test_a_difference_that_is_gone_by_now_is_left_alone(
    origin: AddCase, organismo: Organismo
) -> None:
    over, ours = origin(), origin(idRecurso=50)
    visit(organismo)
    late = origin(idRecurso=51, **OURS)
    shows(over, **PERSON)
    differences = found()
    assert len(differences) == 2
    shows(over, **OURS)
    shows(late, **PERSON)
    assert not any(reconciling.repair(difference, "late") for difference in differences)
    assert claim_of(over).status == "proven"
    assert task_of(over).status == task_of(ours).status == Status.PENDING
    assert not Claim.objects.filter(resource_id=late.pk).exists()


def test_the_repair_follows_what_the_origin_shows_now(
    origin: AddCase, organismo: Organismo
) -> None:
    case = origin()
    visit(organismo)
    shows(case, **FREE)
    (difference,) = found()
    shows(case, **PERSON)
    assert reconciling.repair(difference, "because")
    assert claim_of(case).status == "taken_over"


@pytest.mark.parametrize("status", [Status.PROCESSING, Status.IN_DOUBT])
def test_what_a_worker_has_is_listed_and_left_alone(
    origin: AddCase, organismo: Organismo, status: str
) -> None:
    case = origin()
    visit(organismo)
    task = taken(case)
    if status == Status.IN_DOUBT:
        assert claims.begin_irrevocable(task)
        assert claims.fail(task, ErrorClass.SITE, "nobody knows")
    shows(case, **PERSON)
    (difference,) = found()
    assert not reconciling.repair(difference, "because")
    assert task_of(case).status == status
    assert claim_of(case).status == "proven"


def test_a_task_that_is_taken_while_it_is_repaired_is_left_alone(
    origin: AddCase, organismo: Organismo, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = origin()
    visit(organismo)
    shows(case, **PERSON)
    (difference,) = found()
    cancel = TramiteTask.cancel

    def late(task: TramiteTask, reason: str) -> bool:
        taken(case)
        return cancel(task, reason)

    monkeypatch.setattr(TramiteTask, "cancel", late)
    assert not reconciling.repair(difference, "because")
    # What the repair had begun is taken back as a whole, the worker's lease in this test too.
    assert claim_of(case).status == "proven"
    assert task_of(case).status in (Status.PROCESSING, Status.PENDING)


# --- Giving a case back -----------------------------------------------------------------------


@pytest.mark.parametrize("before", [{}, {"TExp": 3}, {"UsuarioAsignado": ""}])
def test_a_case_is_given_back_as_it_was(
    origin: AddCase, organismo: Organismo, before: dict[str, Any]
) -> None:
    case = origin(**before)
    was = state(case)
    visit(organismo)
    assert state(case) == OURS
    assert reconciling.release(claim_of(case), "not for us")
    assert state(case) == was
    assert (claim_of(case).status, task_of(case).status) == ("released", "cancelled")
    assert not reconciling.release(claim_of(case), "again")


def test_a_rule_that_leaves_texp_alone_is_given_back_too(origin: AddCase, flow: Any) -> None:
    organismo = OrganismoFactory(flow_name=flow.name, claimed_when="Estado=1")
    case = origin(TExp=3)
    was = state(case)
    visit(organismo)
    assert state(case)["Estado"] == 1
    assert reconciling.release(claim_of(case), "not for us")
    assert state(case) == was


@pytest.mark.parametrize(
    ("rule", "found_as", "free"),
    [
        ("TExp=1", OURS, FREE),
        ("Estado=1", {**OURS, "TExp": 3, "Estado": 1}, {**FREE, "TExp": 3}),
    ],
)
def test_a_case_that_was_found_as_ours_is_made_free(
    origin: AddCase, flow: Any, rule: str, found_as: dict[str, Any], free: dict[str, Any]
) -> None:
    organismo = OrganismoFactory(flow_name=flow.name, claimed_when=rule)
    case = origin(**found_as)
    visit(organismo)
    assert claim_of(case).status == "recovered"
    assert reconciling.release(claim_of(case), "not for us")
    assert state(case) == free


@pytest.mark.parametrize("there", [PERSON, FREE])
def test_a_case_that_is_not_ours_any_more_is_not_touched_there(
    origin: AddCase, organismo: Organismo, there: dict[str, Any]
) -> None:
    case = origin()
    visit(organismo)
    shows(case, **there)
    assert reconciling.release(claim_of(case), "not for us")
    assert state(case) == there
    assert task_of(case).status == Status.CANCELLED


@pytest.mark.parametrize(
    "status", [Status.PROCESSING, Status.IN_DOUBT, Status.COMPLETED, Status.COMPLETED_WITH_ERRORS]
)
def test_what_runs_is_in_doubt_or_was_sent_is_not_given_back(
    origin: AddCase, organismo: Organismo, status: str
) -> None:
    case = origin()
    visit(organismo)
    token = case_id_for(1) if status == Status.PROCESSING else None
    TramiteTask.objects.update(status=status, lease_token=token)
    assert not reconciling.release(claim_of(case), "not for us")
    assert state(case) == OURS
    assert (claim_of(case).status, task_of(case).status) == ("proven", status)


def test_an_origin_that_does_not_answer_refuses_and_can_be_asked_again(
    origin: AddCase, organismo: Organismo
) -> None:
    case = origin()
    was = state(case)
    visit(organismo)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(origin_module, "release", _gone)
        with pytest.raises(Refused, match="no route to host"):
            reconciling.release(claim_of(case), "not for us")
    assert claim_of(case).status == "proven", "it is ours there, and must not be forgotten here"
    assert reconciling.release(claim_of(case), "not for us")
    assert state(case) == was


def _gone(*args: Any) -> bool:
    raise origin_module.OriginUnreachable("no route to host")


def test_an_old_unproven_claim_does_not_give_a_later_one_s_case_back(
    origin: AddCase, organismo: Organismo
) -> None:
    case = origin()
    old = Claim.objects.create(
        organismo=organismo,
        resource_id=case.pk,
        account="BOT_MULTIVIA",
        status=Claim.Status.UNPROVEN,
        before=FREE,
        method="sql",
    )
    visit(organismo)
    with pytest.raises(Refused, match="Another claim"):
        reconciling.release(old, "tidying up")
    assert state(case) == OURS
    assert task_of(case).status == Status.PENDING


def test_an_unproven_claim_can_be_given_back(origin: AddCase, organismo: Organismo) -> None:
    case = origin(**OURS)
    claim = Claim.objects.create(
        organismo=organismo,
        resource_id=case.pk,
        account="BOT_MULTIVIA",
        status=Claim.Status.UNPROVEN,
        before={**FREE, "TExp": 3},
        method="sql",
    )
    assert reconciling.release(claim, "it was ours after all")
    assert state(case) == {**FREE, "TExp": 3}


def test_a_case_that_was_given_back_is_not_claimed_again_by_itself(
    origin: AddCase, organismo: Organismo
) -> None:
    case = origin()
    visit(organismo)
    reconciling.release(claim_of(case), "not for us")
    visit(organismo)
    assert state(case) == FREE
    assert TramiteTask.objects.count() == 1


# --- The command ------------------------------------------------------------------------------


def test_the_command_lists_by_kind(origin: AddCase, organismo: Organismo) -> None:
    over = origin()
    visit(organismo)
    shows(over, **PERSON)
    ours = origin(idRecurso=50, **OURS)
    told = run()
    assert [d["resource_id"] for d in told["ours_there_not_here"]] == [ours.pk]
    assert [d["resource_id"] for d in told["taken_over"]] == [over.pk]
    assert told["here_not_ours_there"] == []
    assert (told["errors"], told["repaired"]) == ({}, [])
    assert claim_of(over).status == "proven"


def test_the_command_repairs_one_kind_and_a_second_time_is_harmless(
    origin: AddCase, organismo: Organismo
) -> None:
    over = origin()
    visit(organismo)
    shows(over, **PERSON)
    ours = origin(idRecurso=50, **OURS)
    repair = ("--repair", "taken_over", "--reason", "seen")
    assert run(*repair)["repaired"] == [over.pk]
    assert claim_of(over).status == "taken_over"
    assert Event.objects.filter(reason="seen", actor_kind="command").exists()
    assert run(*repair)["repaired"] == []
    assert not TramiteTask.objects.filter(resource_id=ours.pk).exists(), "another kind"


def test_the_command_wants_a_reason_and_a_known_site(organismo: Organismo) -> None:
    with pytest.raises(CommandError, match="needs a --reason"):
        run("--repair", "taken_over")
    with pytest.raises(CommandError, match="No organismo nowhere"):
        run("--site", "nowhere")


def test_a_named_organismo_is_compared_though_it_is_inactive(
    origin: AddCase, organismo: Organismo
) -> None:
    case = origin()
    visit(organismo)
    shows(case, **PERSON)
    Organismo.objects.update(active=False)
    assert run()["taken_over"] == []
    assert [d["resource_id"] for d in run("--site", "xaloc_girona")["taken_over"]] == [case.pk]


def test_the_command_fails_where_the_origin_does_not_answer(
    origin: AddCase, organismo: Organismo, unreachable: Callable[[], None]
) -> None:
    unreachable()
    told = io.StringIO()
    with pytest.raises(CommandError, match="xaloc_girona: OriginUnreachable"):
        call_command("reconcileclaims", "--json", stdout=told)
    assert "no route to host" in json.loads(told.getvalue())["errors"]["xaloc_girona"]


def test_one_repair_that_cannot_be_done_stops_no_other(
    origin: AddCase, organismo: Organismo, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = origin(**OURS), origin(**OURS)
    read = origin_module.read

    def broken(pk: int) -> Any:
        return _gone() if pk == first.pk else read(pk)

    monkeypatch.setattr(origin_module, "read", broken)
    told = io.StringIO()
    arguments = ("--json", "--repair", "ours_there_not_here", "--reason", "r")
    with pytest.raises(CommandError, match="no route to host"):
        call_command("reconcileclaims", *arguments, stdout=told)
    assert json.loads(told.getvalue())["repaired"] == [second.pk]


def test_nothing_that_differs_is_told_in_words(origin: AddCase, organismo: Organismo) -> None:
    origin()
    told = io.StringIO()
    call_command("reconcileclaims", stdout=told)
    assert told.getvalue() == "No differences.\n"
