"""Claims in a really served intranet, over HTTP and by clicking, from the case to its task."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.storage import default_storage

from brain import claimers, cycles
from brain.claimers import Claimer, claimer_for, portal_of, session_token
from brain.claiming import ClaimRound
from brain.ledger import SiteReport
from brain.models import Claim, Cycle, Flow, Organismo, RecursosExp
from brain.portal import Portal
from orchestrator_site.demo.flows import FLOWS
from orchestrator_site.demo.world import faults, intranet, store
from queues.browser.thread import BrowserThread
from queues.models import EvidenceFile, TramiteTask
from tests import parts
from tests.factories import FlowFactory, OrganismoFactory, TramiteTaskFactory
from tests.world import world_files, world_url

__all__ = ["world_files", "world_url"]

# The world's threads read the origin: they must see what a test has written.
pytestmark = pytest.mark.django_db(transaction=True)
AddCase = Callable[..., RecursosExp]
PDF = {"name": "recurso.pdf", "source": "intranet", "path": "/servicio/recursos/{idRecurso}/pdf"}


@dataclass
class Intranet:
    """Where it is, and how often somebody tried to log in."""

    url: str
    logins: int = 0

    def organismo(self, method: str, **values: Any) -> Organismo:
        for name, steps in FLOWS.items():
            if Flow.active_version(name) is None:
                FlowFactory(name=name, steps=steps)
        return OrganismoFactory(
            **{
                "flow_name": "xaloc_girona",
                "login_flow": "intranet_login",
                "claim_flow": "intranet_claim",
                "claim_method": method,
                "login_url": f"{self.url}/login",
                "recursos_url": f"{self.url}/servicio/recursos/telematicos",
                "bot_username": "NOT_THE_SESSION_S",
                **values,
            }
        )


@pytest.fixture
def served(
    world_url: str,
    world_files: Path,
    origin: AddCase,
    motivos: None,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Intranet:
    settings.MEDIA_ROOT = world_files / "media"
    settings.PAGE_TIMEOUT = timedelta(seconds=3)
    there = Intranet(f"{world_url}/intranet/xvia-grupoeuropa/public")
    log_in = intranet._log_in

    def counted(*args: Any) -> Any:
        there.logins += 1
        return log_in(*args)

    monkeypatch.setattr(intranet, "_log_in", counted)
    return there


@pytest.fixture(scope="module")
def chromium() -> Iterator[BrowserThread]:
    """One for all tests that do not care whose it is."""
    parts.require("a browser")
    thread = BrowserThread()
    yield thread
    thread.close()


@pytest.fixture(params=["portal", pytest.param("browser", marks=pytest.mark.chromium)])
def method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "browser":
        thread: BrowserThread = request.getfixturevalue("chromium")
        kept = SimpleNamespace(execute=thread.execute, close=lambda: None)
        monkeypatch.setattr(claimers, "BrowserThread", lambda *args: kept)
    return str(request.param)


def visit(organismo: Organismo, before_claim: Callable[[], None] = lambda: None) -> SiteReport:
    claimer = claimer_for(organismo)
    really = claimer.claim

    def claim(claims: list[Claim]) -> Any:
        before_claim()
        return really(claims)

    claimer.claim = claim  # type: ignore[method-assign]
    return ClaimRound(organismo, claimer, sleep=lambda seconds: None).run(1000)


def refuse_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intranet, "_name_for", lambda email, password: "")


def stored_files() -> list[Path]:
    folder = Path(default_storage.path("attachments"))
    return [path for path in folder.rglob("*") if path.is_file()]


# --- From the case to its task ----------------------------------------------------------------


def test_a_case_is_claimed_under_the_name_that_the_session_shows(
    served: Intranet, origin: AddCase, method: str
) -> None:
    cases = [origin(), origin()]
    report = visit(served.organismo(method))
    assert (report.error, report.claimed, report.queued) == ("", 2, 2)
    for case in cases:
        case.refresh_from_db()
        assert (case.TExp, case.Estado, case.UsuarioAsignado) == (1, 0, "BOT_MULTIVIA")
        claim = Claim.objects.get(resource_id=case.pk)
        assert (claim.status, claim.account, claim.method) == ("proven", "BOT_MULTIVIA", method)
        assert claim.before["TExp"] == 2
        assert TramiteTask.objects.get(resource_id=case.pk).case_id == claim.case_id
    assert served.logins == 1, "one session serves the whole visit"


@pytest.mark.chromium
def test_what_a_claim_by_clicking_saw_is_kept(served: Intranet, origin: AddCase) -> None:
    parts.require("a browser")
    case = origin()
    visit(served.organismo("browser"))
    claim = Claim.objects.get(resource_id=case.pk)
    kept = EvidenceFile.objects.filter(object_type="brain.claim", object_id=str(claim.pk))
    assert {file.case_id for file in kept} == {claim.case_id}
    assert claim.screenshot_path in {file.path for file in kept}
    assert default_storage.exists(claim.screenshot_path)


# --- Others are faster, and answers that prove nothing ----------------------------------------


def test_a_person_who_is_faster_keeps_the_case(
    served: Intranet, origin: AddCase, method: str
) -> None:
    stolen = origin()
    faults.set_fault("intranet", "steal", str(stolen.Expedient))
    report = visit(served.organismo(method, attachments=[PDF]))
    assert (report.lost, report.claimed, report.error) == (1, 0, "")
    claim = Claim.objects.get()
    assert claim.status == Claim.Status.LOST
    assert "persona" in claim.message
    assert not TramiteTask.objects.exists()
    assert stored_files() == [], "what was fetched for it is deleted"


def test_an_answer_without_a_claim_is_unproven_and_not_queued(
    served: Intranet, origin: AddCase, method: str
) -> None:
    ignored, other = origin(), origin()
    faults.set_fault("intranet", "ignore_assign", str(ignored.Expedient))
    report = visit(served.organismo(method))
    assert (report.unproven, report.claimed, report.queued) == (1, 1, 1)
    claim = Claim.objects.get(resource_id=ignored.pk)
    assert (claim.status, len(claim.readbacks)) == (Claim.Status.UNPROVEN, 5)
    assert TramiteTask.objects.get().resource_id == other.pk
    ignored.refresh_from_db()
    assert (ignored.TExp, ignored.UsuarioAsignado) == (2, None)


def test_a_claim_whose_answer_is_lost_is_found_by_the_read_back(
    served: Intranet, origin: AddCase
) -> None:
    case = origin()
    faults.set_fault("intranet", "die_after_assign", str(case.Expedient), times=1, value="cut")
    report = visit(served.organismo("portal"))
    assert (report.claimed, report.queued) == (1, 1)


# --- Sessions and credentials -----------------------------------------------------------------


def test_wrong_credentials_are_one_clear_error_and_one_login(
    served: Intranet, origin: AddCase, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_credentials(monkeypatch)
    free = [origin() for _number in range(5)]
    served.organismo(method, attachments=[PDF])
    cycle = cycles.run_cycle()
    assert served.logins == 1
    assert cycle.outcome == Cycle.Outcome.WITH_ERRORS
    assert cycle.sites["xaloc_girona"]["error_kind"] == "ClaimerUnavailable"
    told = cycle.sites["xaloc_girona"]["error"]
    assert "refuse" in told
    assert "password" in told or "credentials" in told
    row = Organismo.objects.get()
    assert row.last_error == cycle.sites["xaloc_girona"]["error"]
    assert row.last_sync_at
    assert not Claim.objects.exists()
    for case in free:
        case.refresh_from_db()
        assert (case.TExp, case.UsuarioAsignado) == (2, None)


def test_refused_credentials_are_not_tried_again_by_other_organismos_and_cycles(
    served: Intranet, origin: AddCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_credentials(monkeypatch)
    origin()
    served.organismo("portal")
    served.organismo("portal", site_id="xaloc_other")
    for _number in range(3):
        cycles.run_cycle()
    assert served.logins == 1
    assert set(Organismo.objects.exclude(last_error="").values_list("site_id", flat=True)) == {
        "xaloc_girona",
        "xaloc_other",
    }


def test_the_error_goes_away_with_the_cause(
    served: Intranet, origin: AddCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin()
    served.organismo("portal")
    faults.set_fault("intranet", "error500")
    cycles.run_cycle()
    assert Organismo.objects.get().last_error
    faults.clear()
    cycles.run_cycle()
    assert Organismo.objects.get().last_error == ""
    assert TramiteTask.objects.count() == 1


def test_an_expired_session_is_renewed_once_for_a_claim(
    served: Intranet, origin: AddCase, method: str
) -> None:
    origin()
    expire = partial(faults.set_fault, "intranet", "expire_sessions", times=1)
    report = visit(served.organismo(method), before_claim=expire)
    assert (report.error, report.claimed) == ("", 1)
    assert served.logins == 2


def test_a_session_that_never_holds_ends_the_visit_without_a_storm(
    served: Intranet, origin: AddCase, method: str
) -> None:
    for _number in range(5):
        origin()
    faults.set_fault("intranet", "expire_sessions")
    report = visit(served.organismo(method))
    assert report.error
    assert report.claimed == 0
    assert served.logins <= 2
    assert not TramiteTask.objects.exists()


def test_credentials_that_end_during_a_visit_end_it(
    served: Intranet, origin: AddCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _number in range(5):
        origin()

    def end() -> None:
        refuse_credentials(monkeypatch)
        faults.set_fault("intranet", "expire_sessions", times=1)

    report = visit(served.organismo("portal"), before_claim=end)
    assert report.error_kind == "ClaimerUnavailable"
    assert report.claimed == 0
    assert served.logins == 2
    assert RecursosExp.objects.filter(TExp=2).count() == 5


def test_an_intranet_that_is_down_is_an_error_and_not_no_work(
    served: Intranet, origin: AddCase
) -> None:
    origin()
    organismo = served.organismo(
        "portal", login_url="http://127.0.0.1:9/login", recursos_url="http://127.0.0.1:9/x"
    )
    report = visit(organismo)
    assert report.error_kind == "ClaimerUnavailable"
    assert report.error
    assert not Claim.objects.exists()


def test_without_a_flow_to_click_nothing_is_tried(served: Intranet, origin: AddCase) -> None:
    case = origin()
    report = visit(served.organismo("browser", login_flow="not_there"))
    assert "not_there" in report.error
    assert served.logins == 0
    case.refresh_from_db()
    assert case.TExp == 2


# --- Attachments and recovery -----------------------------------------------------------------


def test_a_case_whose_document_is_missing_is_not_claimed(
    served: Intranet, origin: AddCase, method: str
) -> None:
    without, complete = origin(notas="sin pdf"), origin()
    report = visit(served.organismo(method, attachments=[PDF]))
    assert (report.incomplete, report.claimed) == (1, 1)
    assert "recurso.pdf" in report.dropped[0]["reason"]
    without.refresh_from_db()
    assert (without.TExp, without.UsuarioAsignado) == (2, None)
    (file,) = TramiteTask.objects.get().attachments
    assert TramiteTask.objects.get().resource_id == complete.pk
    with default_storage.open(file["path"]) as stored:
        assert stored.read().startswith(b"%PDF")


def test_a_case_that_is_ours_without_a_task_is_recovered_by_the_session_s_name(
    served: Intranet, origin: AddCase
) -> None:
    ours = origin(TExp=1, UsuarioAsignado="BOT_MULTIVIA")
    configured = origin(TExp=1, UsuarioAsignado="NOT_THE_SESSION_S")
    report = visit(served.organismo("portal", attachments=[PDF]))
    assert (report.recovered, report.queued, report.claimed) == (1, 1, 0)
    task = TramiteTask.objects.get()
    assert task.resource_id == ours.pk
    assert task.attachments[0]["name"] == "recurso.pdf"
    configured.refresh_from_db()
    assert configured.UsuarioAsignado == "NOT_THE_SESSION_S"


# --- The session's token ----------------------------------------------------------------------


def test_a_link_s_token_is_that_of_a_live_session(served: Intranet) -> None:
    organismo = served.organismo("portal")
    task = TramiteTaskFactory(site_id=organismo.site_id)
    token = session_token(task)
    with store.opened() as database:
        row = database.execute("SELECT name FROM sessions WHERE token = ?", (token,)).fetchone()
    assert row["name"] == "BOT_MULTIVIA"


def test_the_token_is_nowhere_in_what_is_stored(served: Intranet, origin: AddCase) -> None:
    origin()
    template = f"{served.url}/servicio/recursos/telematicos?_token={{token}}&E={{expediente}}"
    visit(served.organismo("portal", url_template=template))
    task = TramiteTask.objects.get()
    assert "_token={token}&E=2026%2F000001-MUL" in task.url_directa
    with store.opened() as database:
        tokens = [row["token"] for row in database.execute("SELECT token FROM sessions")]
    stored = json.dumps([task.payload, task.url_directa, task.script, task.result])
    assert tokens
    assert not any(token in stored for token in tokens)


@pytest.mark.parametrize(
    "login_url",
    ["http://a.example/x/public/login", "http://a.example/x/public/login/"],
)
def test_the_intranet_s_base_is_the_login_url_without_its_end(login_url: str) -> None:
    client: Portal = portal_of(Organismo(login_url=login_url))
    assert client.base_url == "http://a.example/x/public"


def test_every_method_has_a_claimer() -> None:
    for method in Organismo.ClaimMethod.values:
        claimer: Claimer = claimer_for(Organismo(claim_method=method, bot_username="B"))
        assert claimer.account == "B"
        claimer.close()
