"""The claim cycle by SQL against a real origin."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone

from brain import cycles, enqueuing
from brain import origin as origin_module
from brain.claimers import SqlClaimer
from brain.claiming import ClaimRound
from brain.ledger import SiteReport
from brain.models import Claim, ClientAuthorisation, Cycle, Organismo, RecursosExp
from brain.surveying import case_id_for
from orchestrator_site.models import Event, Pause
from queues.models import TramiteTask
from tests.factories import FlowFactory, OrganismoFactory, TramiteTaskFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
AddCase = Callable[..., RecursosExp]


def visit(organismo: Organismo, quota: int = 1000) -> SiteReport:
    return ClaimRound(organismo, SqlClaimer(organismo), sleep=lambda seconds: None).run(quota)


def test_a_free_case_is_claimed_proven_and_queued(origin: AddCase, organismo: Organismo) -> None:
    case = origin()
    report = visit(organismo)
    case.refresh_from_db()
    assert (case.TExp, case.UsuarioAsignado, case.Estado) == (1, "BOT_MULTIVIA", 0)
    claim = Claim.objects.get()
    assert claim.status == Claim.Status.PROVEN
    assert claim.answer == "rows 1"
    assert claim.readbacks[0]["UsuarioAsignado"] == "BOT_MULTIVIA"
    assert claim.queued_at
    task = TramiteTask.objects.get()
    assert task.status == TramiteTask.Status.PENDING
    assert task.case_id == claim.case_id == case_id_for(case.pk)
    assert task.payload["expediente"] == case.Expedient
    assert task.payload["source"] == "brain_orchestrator"
    assert task.payload["claimed_at"]
    assert set(task.payload["motivos"]) == {"asunto", "expone", "solicita"}
    assert task.url_directa.endswith("Expedient=2026%2F000001-MUL")
    assert (report.found, report.claimed, report.queued) == (1, 1, 1)


def test_the_case_s_thread_tells_the_whole_way(origin: AddCase, organismo: Organismo) -> None:
    case = origin()
    visit(organismo)
    thread = Event.objects.filter(case_id=case_id_for(case.pk)).order_by("id")
    assert [event.new for event in thread] == ["started", "proven", "pending"]


@pytest.mark.parametrize(
    "values",
    [
        {"Estado": 1},
        {"TExp": 1},
        {"TExp": 4},
        {"Organisme": "AYUNTAMIENTO DE LEON"},
        {"Expedient": None},
        {"TExp": 1, "UsuarioAsignado": "persona"},
    ],
)
def test_what_is_not_a_candidate_is_left_alone(
    origin: AddCase, organismo: Organismo, values: dict[str, Any]
) -> None:
    case = origin(**values)
    before = RecursosExp.objects.filter(pk=case.pk).values().get()
    report = visit(organismo)
    assert report.found == 0
    assert not Claim.objects.exists()
    assert RecursosExp.objects.filter(pk=case.pk).values().get() == before


@pytest.mark.parametrize(
    ("values", "counter", "reason"),
    [
        ({"Expedient": "LOQUESEA"}, "discarded", "LOQUESEA"),
        ({"Expedient": "x" * 300}, "discarded", "xxx"),
        ({"SujetoRecurso": None}, "incomplete", "sujeto_recurso"),
        ({"FaseProcedimiento": None}, "incomplete", "fase_procedimiento"),
        ({"FaseProcedimiento": "Otra cosa"}, "incomplete", "Otra cosa"),
        ({"numclient": None}, "incomplete", "numclient"),
    ],
)
def test_what_cannot_be_filed_is_listed_with_its_reason_and_not_claimed(
    origin: AddCase, organismo: Organismo, values: dict[str, Any], counter: str, reason: str
) -> None:
    case = origin(**values)
    report = visit(organismo)
    assert getattr(report, counter) == 1
    assert report.dropped[0]["idRecurso"] == case.pk
    assert reason in report.dropped[0]["reason"]
    case.refresh_from_db()
    assert case.TExp == 2
    assert not Claim.objects.exists()


def test_a_case_taken_between_discovery_and_claim_is_lost(
    origin: AddCase, organismo: Organismo
) -> None:
    case = origin()

    class Late(SqlClaimer):
        def claim(self, claims: list[Claim]) -> Any:
            RecursosExp.objects.filter(pk=case.pk).update(TExp=1, UsuarioAsignado="persona")
            return super().claim(claims)

    report = ClaimRound(organismo, Late(organismo), sleep=lambda seconds: None).run(10)
    assert report.lost == 1
    assert Claim.objects.get().status == Claim.Status.LOST
    assert "persona" in Claim.objects.get().message
    assert not TramiteTask.objects.exists()


def test_a_claim_that_cannot_be_proven_is_not_queued(origin: AddCase, organismo: Organismo) -> None:
    origin()

    class Silent(SqlClaimer):
        def claim(self, claims: list[Claim]) -> Any:
            answers = super().claim(claims)
            RecursosExp.objects.update(TExp=2, UsuarioAsignado=None)
            return {pk: type(answer)("no answer") for pk, answer in answers.items()}

    waits: list[float] = []
    report = ClaimRound(organismo, Silent(organismo), sleep=waits.append).run(10)
    claim = Claim.objects.get()
    assert report.unproven == 1
    assert claim.status == Claim.Status.UNPROVEN
    assert len(claim.readbacks) == 5
    assert waits == [0.01, 0.02, 0.03, 0.05], "the first look was at once"
    assert not TramiteTask.objects.exists()


def test_an_answer_lost_after_the_update_is_found_by_the_read_back(
    origin: AddCase, organismo: Organismo, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin()
    really = origin_module.claim

    def broken(*args: Any) -> set[int]:
        really(*args)
        raise origin_module.OriginUnreachable("connection reset")

    monkeypatch.setattr(origin_module, "claim", broken)
    assert visit(organismo).claimed == 1
    assert "connection reset" in Claim.objects.get().answer


def test_our_case_without_a_task_is_queued_without_a_new_claim(
    origin: AddCase, organismo: Organismo
) -> None:
    case = origin(TExp=1, UsuarioAsignado=" BOT_MULTIVIA ")
    report = visit(organismo)
    assert (report.recovered, report.queued, report.claimed) == (1, 1, 0)
    assert Claim.objects.get().status == Claim.Status.RECOVERED
    assert TramiteTask.objects.get().resource_id == case.pk


@pytest.mark.parametrize("status", TramiteTask.FINAL)
def test_a_case_that_has_a_task_is_never_queued_again_by_the_brain(
    origin: AddCase, organismo: Organismo, status: str
) -> None:
    ours = origin(TExp=1, UsuarioAsignado="BOT_MULTIVIA")
    put_back = origin()
    for case in (ours, put_back):
        TramiteTaskFactory(resource_id=case.pk, status=status, site_id="another_site")
    report = visit(organismo)
    assert (report.recovered, report.claimed, report.already_queued) == (0, 0, 1)
    assert TramiteTask.objects.count() == 2
    put_back.refresh_from_db()
    assert put_back.TExp == 2


def test_a_brain_that_died_after_its_update_is_made_good(
    origin: AddCase, organismo: Organismo
) -> None:
    case = origin()

    class Dies(SqlClaimer):
        def claim(self, claims: list[Claim]) -> Any:
            super().claim(claims)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ClaimRound(organismo, Dies(organismo)).run(10)
    assert Claim.objects.get().status == Claim.Status.STARTED
    assert visit(organismo).recovered == 0, "it may still be at work"
    long_ago = timezone.now() - timedelta(minutes=15)
    Claim.objects.update(started_at=long_ago)
    assert visit(organismo).recovered == 1
    assert Claim.objects.get().status == Claim.Status.RECOVERED
    assert TramiteTask.objects.get().resource_id == case.pk


def test_a_brain_that_died_before_its_update_leaves_the_case_to_the_next(
    origin: AddCase, organismo: Organismo
) -> None:
    origin()
    started = ClaimRound(organismo, SqlClaimer(organismo))

    class Dies(SqlClaimer):
        def claim(self, claims: list[Claim]) -> Any:
            raise KeyboardInterrupt

    started.claimer = Dies(organismo)
    with pytest.raises(KeyboardInterrupt):
        started.run(10)
    Claim.objects.update(started_at=timezone.now() - timedelta(minutes=15))
    report = visit(organismo)
    assert (report.claimed, report.queued) == (1, 1)
    assert set(Claim.objects.values_list("status", flat=True)) == {"failed", "proven"}


def test_a_refused_task_leaves_the_claim_listed_and_strands_no_other(
    origin: AddCase, organismo: Organismo, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = origin(), origin()
    monkeypatch.setattr("brain.surveying.queued_ids", lambda ids: set())
    TramiteTaskFactory(resource_id=first.pk, status=TramiteTask.Status.FAILED)
    report = visit(organismo)
    assert (report.claimed, report.queued, report.not_queued) == (2, 1, 1)
    left = cycles.unqueued_claims().get()
    assert left.resource_id == first.pk
    assert "task exists" in left.message
    assert TramiteTask.objects.filter(resource_id=second.pk).exists()


def test_the_running_system_s_rule_is_configuration(origin: AddCase, flow: Any) -> None:
    organismo = OrganismoFactory(flow_name=flow.name, claimed_when="Estado=1")
    case = origin(TExp=3)
    assert visit(organismo).claimed == 1
    case.refresh_from_db()
    assert (case.TExp, case.Estado, case.UsuarioAsignado) == (3, 1, "BOT_MULTIVIA")


def test_decimals_dates_and_accents_survive_into_the_payload(
    origin: AddCase, organismo: Organismo
) -> None:
    origin(
        SujetoRecurso="Ñandú Á. d'Ávila",
        FaseProcedimiento="PROPUESTA DE RESOLUCIÓN",
        FAlta=timezone.now(),
    )
    visit(organismo)
    task = TramiteTask.objects.get()
    assert task.payload["sujeto_recurso"] == "Ñandú Á. d'Ávila"
    assert "propuesta" in task.payload["motivos"]["asunto"].lower()
    assert isinstance(Claim.objects.get().before["FAlta"], str)
    assert Decimal(task.payload["idRecurso"]) == task.resource_id


def test_a_number_is_repaired_as_the_organismo_says(origin: AddCase, flow: Any) -> None:
    case = origin(Expedient=" 2026-150585-mu ")
    organismo = OrganismoFactory(flow_name=flow.name, repair=Organismo.Repair.USE)
    assert visit(organismo).repaired == 1
    claim = Claim.objects.get()
    assert (claim.expediente, claim.repaired_from) == ("2026/150585-MUL", " 2026-150585-mu ")
    assert TramiteTask.objects.get().payload["expediente"] == "2026/150585-MUL"
    case.refresh_from_db()
    assert case.Expedient == " 2026-150585-mu "


def test_a_repair_is_written_to_the_origin_only_where_asked(origin: AddCase, flow: Any) -> None:
    case = origin(Expedient="2026-150585-MUL")
    organismo = OrganismoFactory(flow_name=flow.name, repair=Organismo.Repair.WRITE)
    visit(organismo)
    case.refresh_from_db()
    assert case.Expedient == "2026/150585-MUL"
    event = Event.objects.get(reason="case number repaired")
    assert event.data["before"] == "2026-150585-MUL"


def test_without_a_flow_nothing_is_claimed(origin: AddCase) -> None:
    case = origin()
    report = visit(OrganismoFactory(flow_name="not_there"))
    assert "not_there" in report.error
    case.refresh_from_db()
    assert case.TExp == 2


def test_a_client_without_authorisation_is_held(origin: AddCase, flow: Any) -> None:
    organismo = OrganismoFactory(flow_name=flow.name, demands_authorisation=True)
    known, unknown = origin(numclient=1), origin(numclient=2)
    ClientAuthorisation.objects.create(numclient=1, file=ContentFile(b"%PDF-1.4", "paper.pdf"))
    report = visit(organismo)
    assert (report.queued, report.held) == (2, 1)
    held = TramiteTask.objects.get(resource_id=unknown.pk)
    assert held.status == TramiteTask.Status.HELD
    assert "2" in held.hold_reason
    assert TramiteTask.objects.get(resource_id=known.pk).status == TramiteTask.Status.PENDING


def test_limits_of_row_queue_and_cycle_are_kept(
    origin: AddCase, organismo: Organismo, settings: Any
) -> None:
    for _number in range(10):
        origin()
    organismo.claims_per_cycle = 4
    organismo.save()
    assert cycles.run_cycle().sites["xaloc_girona"]["claimed"] == 4
    organismo.target_queue_depth = 6
    organismo.save()
    assert cycles.run_cycle().sites["xaloc_girona"]["claimed"] == 2
    organismo.target_queue_depth = 100
    organismo.save()
    settings.BRAIN_MAX_CLAIMS = 1
    assert cycles.run_cycle().sites["xaloc_girona"]["claimed"] == 1


def test_one_broken_organismo_ends_its_own_part_alone(
    origin: AddCase, organismo: Organismo
) -> None:
    OrganismoFactory(site_id="broken", query_organisme="%LEON%", flow_name="none", priority=9)
    origin()
    cycle = cycles.run_cycle()
    assert cycle.sites["broken"]["error"]
    assert cycle.sites["xaloc_girona"]["queued"] == 1
    assert cycle.outcome == Cycle.Outcome.WITH_ERRORS


def test_a_stop_ends_the_cycle_between_two_batches(origin: AddCase, organismo: Organismo) -> None:
    for _number in range(120):
        origin()
    settings_max = 120
    stops = iter([False, False, True, True, True, True])
    claimer = SqlClaimer(organismo)
    report = ClaimRound(organismo, claimer, stopped=lambda: next(stops, True)).run(settings_max)
    assert report.claimed == TramiteTask.objects.count()
    assert 0 < report.claimed < 120
    assert not Claim.objects.filter(status=Claim.Status.STARTED).exists()


def test_a_pause_keeps_the_brain_from_beginning(organismo: Organismo) -> None:
    assert cycles.is_due()
    Pause.begin(cycles.BRAIN, "maintenance")
    assert not cycles.is_due()
    Pause.end(cycles.BRAIN)
    assert cycles.is_due()


def test_a_paused_or_inactive_organismo_is_not_visited(
    origin: AddCase, organismo: Organismo, settings: Any
) -> None:
    origin()
    Organismo.objects.update(paused=True)
    assert cycles.run_cycle().sites == {}
    Organismo.objects.update(paused=False)
    settings.BRAIN_ENABLED_SITES = ["madrid"]
    assert cycles.run_cycle().sites == {}


def test_only_a_person_s_rerun_with_a_reason_makes_another_task(
    origin: AddCase, organismo: Organismo
) -> None:
    origin()
    visit(organismo)
    task = TramiteTask.objects.get()
    with pytest.raises(enqueuing.NotQueued, match="finished"):
        enqueuing.rerun(task, "because")
    TramiteTask.objects.update(status=TramiteTask.Status.FAILED)
    task.refresh_from_db()
    FlowFactory(name=organismo.flow_name)  # version 2 becomes the active one
    again = enqueuing.rerun(task, "the page is mended")
    assert (again.run, again.flow_version, again.case_id) == (2, 2, task.case_id)
    with pytest.raises(enqueuing.NotQueued, match="later run"):
        enqueuing.rerun(task, "twice by mistake")


def test_discovery_reads_page_by_page(origin: AddCase, organismo: Organismo) -> None:
    for _number in range(7):
        origin()
    rows = origin_rows(organismo, page=3)
    assert [row["idRecurso"] for row in rows] == list(range(1, 8))


def origin_rows(organismo: Organismo, page: int) -> list[dict[str, Any]]:
    found = origin_module.discovery(organismo.patterns, organismo.texp_values)
    return list(origin_module.stream(found, page))
