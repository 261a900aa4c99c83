"""The brain's commands: what they print, what they refuse, how they end."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from brain import origin as origin_module
from brain.claimers import SqlClaimer
from brain.models import Claim, Cycle, Organismo, RecursosExp
from orchestrator_site.models import Event
from queues.models import TramiteTask
from tests.factories import FlowFactory, OrganismoFactory, TramiteTaskFactory

pytestmark = pytest.mark.django_db
AddCase = Callable[..., RecursosExp]
Status = TramiteTask.Status


def run(*arguments: str) -> str:
    told = io.StringIO()
    call_command(*arguments, stdout=told, stderr=io.StringIO())
    return told.getvalue()


def failing(*arguments: str) -> tuple[str, str]:
    """What was printed before the command failed, and its error."""
    told = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command(*arguments, stdout=told, stderr=io.StringIO())
    return told.getvalue(), str(caught.value)


def told_by(*arguments: str) -> dict[str, Any]:
    return json.loads(run(*arguments, "--json"))


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it to take the origin away."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise origin_module.OriginUnreachable("no route to host")

    def take() -> None:
        for name in ("stream", "read", "read_back", "claim"):
            monkeypatch.setattr(origin_module, name, refuse)

    return take


# --- runbrain ---------------------------------------------------------------------------------


def test_one_cycle_is_told_by_site(origin: AddCase, organismo: Organismo) -> None:
    origin(), origin(Expedient="SIN-NUMERO")
    told = told_by("runbrain", "--once")
    assert told["outcome"] == Cycle.Outcome.DONE
    site = told["sites"]["xaloc_girona"]
    assert (site["found"], site["claimed"], site["queued"], site["discarded"]) == (2, 1, 1, 1)
    assert told["cycle"] == Cycle.objects.get().pk
    assert Event.objects.filter(actor_kind="command", actor__endswith="runbrain").exists()


def test_the_table_names_the_site_and_its_counts(origin: AddCase, organismo: Organismo) -> None:
    origin()
    told = run("runbrain", "--once")
    assert "xaloc_girona" in told
    assert "Done" in told


def test_a_cycle_with_errors_tells_them_and_fails(
    origin: AddCase, organismo: Organismo, gone: Callable[[], None]
) -> None:
    origin()
    gone()
    told, error = failing("runbrain", "--once", "--json")
    assert "errors" in error
    assert json.loads(told)["sites"]["xaloc_girona"]["error"] == "no route to host"
    assert json.loads(told)["outcome"] == Cycle.Outcome.WITH_ERRORS


def test_a_dry_run_lists_and_writes_nothing(origin: AddCase, organismo: Organismo) -> None:
    case, ours = origin(), origin(TExp=1, UsuarioAsignado="BOT_MULTIVIA")
    events = Event.objects.count()
    told = told_by("runbrain", "--once", "--dry-run")
    (site,) = told["sites"]
    verdicts = {one["idRecurso"]: one["verdict"] for one in site["cases"]}
    assert verdicts == {case.pk: "accepted", ours.pk: "recovered"}
    assert site["would_claim"] == 1
    assert not any(model.objects.exists() for model in (Cycle, Claim, TramiteTask))
    assert Event.objects.count() == events
    case.refresh_from_db()
    assert case.TExp == 2
    assert Organismo.objects.get().last_sync_at is None


def test_a_dry_run_of_an_origin_that_is_gone_fails(
    organismo: Organismo, gone: Callable[[], None]
) -> None:
    gone()
    told, error = failing("runbrain", "--dry-run", "--json")
    assert json.loads(told)["sites"][0]["error_kind"] == "OriginUnreachable"
    assert "could not be read" in error


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_wrong_site_is_refused_with_those_that_there_are(
    organismo: Organismo, more: tuple[str, ...]
) -> None:
    _told, error = failing("runbrain", "--once", "--site", "xaloc", *more)
    assert "No organismo xaloc" in error
    assert "xaloc_girona" in error
    assert not Cycle.objects.exists()


def test_just_the_site_that_was_asked_for_is_visited(origin: AddCase, organismo: Organismo) -> None:
    OrganismoFactory(site_id="other", flow_name=organismo.flow_name, query_organisme="%OTRO%")
    origin(), origin(Organisme="OTRO")
    assert list(told_by("runbrain", "--once", "--site", "other")["sites"]) == ["other"]
    assert Claim.objects.get().organismo.site_id == "other"


def test_a_site_that_is_asked_for_and_not_visited_is_named(organismo: Organismo) -> None:
    Organismo.objects.update(active=False)
    warned = io.StringIO()
    call_command("runbrain", "--once", "--site", "xaloc_girona", stdout=warned, stderr=warned)
    assert "xaloc_girona: not visited" in warned.getvalue()


# --- claimresource ----------------------------------------------------------------------------


def test_a_case_is_claimed_by_its_id(origin: AddCase, organismo: Organismo) -> None:
    other, case = origin(), origin()
    told = told_by("claimresource", str(case.pk))
    assert (told["idRecurso"], told["claim"], told["queued"]) == (case.pk, "proven", True)
    assert TramiteTask.objects.get().resource_id == case.pk
    other.refresh_from_db()
    assert other.TExp == 2


def test_a_case_that_nobody_takes(origin: AddCase, organismo: Organismo) -> None:
    case = origin(Estado=1, UsuarioAsignado="persona")
    assert failing("claimresource", "999")[1] == "The origin has no case 999."
    error = failing("claimresource", str(case.pk))[1]
    assert f"No active organismo takes case {case.pk} as it is now" in error
    assert "Estado 1, with persona" in error
    assert not Claim.objects.exists()


def test_a_case_that_is_ours_already_is_told_with_its_claim(
    origin: AddCase, organismo: Organismo
) -> None:
    case = origin()
    run("claimresource", str(case.pk))
    claim = Claim.objects.get()
    error = failing("claimresource", str(case.pk))[1]
    assert error == f"Case {case.pk} is claimed already: claim {claim.pk}, xaloc_girona."


def test_a_case_that_is_not_tried_is_told_as_json_too(
    origin: AddCase, organismo: Organismo
) -> None:
    told, error = failing("claimresource", "999", "--json")
    assert json.loads(told) == {"idRecurso": 999, "queued": False, "error": error}


def test_a_case_that_two_take_needs_a_site(origin: AddCase, organismo: Organismo) -> None:
    OrganismoFactory(site_id="xaloc_other", flow_name=organismo.flow_name)
    case = origin()
    error = failing("claimresource", str(case.pk))[1]
    assert "2 active organismos" in error
    assert "xaloc_other" in error
    assert not Claim.objects.exists()
    assert told_by("claimresource", str(case.pk), "--site", "xaloc_other")["queued"]
    assert Claim.objects.get().organismo.site_id == "xaloc_other"


def test_a_case_that_is_lost_is_told_and_fails(
    origin: AddCase, organismo: Organismo, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = origin()
    really = SqlClaimer.claim

    def late(claimer: SqlClaimer, claims: list[Claim]) -> Any:
        RecursosExp.objects.filter(pk=case.pk).update(TExp=1, UsuarioAsignado="persona")
        return really(claimer, claims)

    monkeypatch.setattr(SqlClaimer, "claim", late)
    told, error = failing("claimresource", str(case.pk), "--json")
    assert "not queued" in error
    answer = json.loads(told)
    assert (answer["claim"], answer["queued"]) == ("lost", False)
    assert "persona" in answer["message"]


@pytest.mark.parametrize(
    ("values", "verdict"),
    [({"Expedient": "SIN-NUMERO"}, "discarded"), ({"SujetoRecurso": None}, "incomplete")],
)
def test_a_case_that_cannot_be_filed_is_told_with_its_reason(
    origin: AddCase, organismo: Organismo, values: dict[str, Any], verdict: str
) -> None:
    case = origin(**values)
    told, _error = failing("claimresource", str(case.pk), "--json")
    answer = json.loads(told)
    assert answer["verdict"] == verdict
    assert answer["reason"]
    assert answer["claim"] is None


def test_a_case_that_has_a_task_is_not_queued_and_the_old_claim_is_no_success(
    origin: AddCase, organismo: Organismo
) -> None:
    case = origin()
    run("claimresource", str(case.pk))
    RecursosExp.objects.filter(pk=case.pk).update(TExp=2, UsuarioAsignado=None)
    told, error = failing("claimresource", str(case.pk), "--json")
    assert "not queued" in error
    answer = json.loads(told)
    assert (answer["verdict"], answer["claim"], answer["queued"]) == ("already_queued", None, False)
    assert TramiteTask.objects.count() == 1


def test_an_origin_that_is_gone_is_one_clear_error(
    origin: AddCase, organismo: Organismo, gone: Callable[[], None]
) -> None:
    gone()
    assert failing("claimresource", "1")[1] == "no route to host"


def test_an_intranet_that_is_gone_is_one_clear_error(origin: AddCase, flow: Any) -> None:
    case = origin()
    demand = {"name": "a.pdf", "source": "intranet", "path": "/a"}
    OrganismoFactory(
        flow_name=flow.name, login_url="http://127.0.0.1:9/login", attachments=[demand]
    )
    assert "no connection" in failing("claimresource", str(case.pk))[1]
    assert not Claim.objects.exists()


def test_an_organismo_without_a_flow_is_one_clear_error(origin: AddCase) -> None:
    case = origin()
    OrganismoFactory(flow_name="not_there")
    assert "not_there" in failing("claimresource", str(case.pk))[1]
    assert not Claim.objects.exists()


# --- rerun ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.FAILED, Status.COMPLETED, Status.CANCELLED])
def test_a_finished_appeal_is_queued_again(organismo: Organismo, status: str) -> None:
    task = TramiteTaskFactory(status=status, attachments=[{"name": "a.pdf"}])
    FlowFactory(name=organismo.flow_name)
    told = told_by("rerun", str(task.pk), "--reason", "the page is mended")
    assert (told["run"], told["status"]) == (2, "pending")
    again = TramiteTask.objects.get(pk=told["task"])
    assert (again.case_id, again.flow_version) == (task.case_id, 2)
    assert again.attachments == task.attachments
    event = Event.objects.get(object_id=str(again.pk), reason="the page is mended")
    assert (event.actor_kind, event.data) == ("command", {"rerun_of": task.pk})


@pytest.mark.parametrize("status", [Status.PENDING, Status.HELD, Status.IN_DOUBT])
def test_an_appeal_that_is_not_finished_is_refused(organismo: Organismo, status: str) -> None:
    task = TramiteTaskFactory(status=status)
    assert "finished" in failing("rerun", str(task.pk), "--reason", "r")[1]
    assert TramiteTask.objects.count() == 1


def test_a_second_rerun_is_refused(organismo: Organismo) -> None:
    task = TramiteTaskFactory(status=Status.FAILED)
    assert "queued: run 2" in run("rerun", str(task.pk), "--reason", "r")
    failing("rerun", str(task.pk), "--reason", "twice by mistake")
    assert TramiteTask.objects.count() == 2


def test_a_rerun_needs_a_task_a_reason_and_a_flow(organismo: Organismo) -> None:
    assert "no task 999" in failing("rerun", "999", "--reason", "r")[1]
    task = TramiteTaskFactory(status=Status.FAILED)
    assert "--reason" in failing("rerun", str(task.pk))[1]
    Organismo.objects.update(flow_name="not_there")
    assert "not_there" in failing("rerun", str(task.pk), "--reason", "r")[1]
    stray = TramiteTaskFactory(status=Status.FAILED, site_id="gone")
    assert "no organismo gone" in failing("rerun", str(stray.pk), "--reason", "r")[1]
