"""The preview: which cases a rule would take, filter by filter, changing nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from brain import origin as origin_module
from brain import previewing
from brain.claimers import SqlClaimer
from brain.claiming import ClaimRound
from brain.models import Claim, Organismo, RecursosExp
from queues.models import TramiteTask
from tests.factories import OrganismoFactory, TramiteTaskFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
AddCase = Callable[..., RecursosExp]


def test_each_filter_tells_how_many_it_leaves(origin: AddCase, organismo: Organismo) -> None:
    origin(Organisme="OTRO")
    origin(TExp=9)
    origin(Estado=1)
    origin(Expedient=None)
    origin(Expedient="SIN-NUMERO")
    origin(SujetoRecurso=None)
    origin()
    shown = previewing.preview(organismo)
    assert [(step.name, step.kept) for step in shown.steps] == [
        ("Organisme", 6),
        ("TExp", 5),
        ("Estado", 4),
        ("Expedient", 3),
        ("Format", 2),
        ("Payload and attachments", 1),
    ]
    assert shown.error == ""
    assert [found.judgement.case.id_recurso for found in shown.kept] == [7]
    assert {found.verdict for found in shown.dropped} == {"discarded", "incomplete"}
    assert all(found.reason for found in shown.dropped)
    assert [found for found, _name in shown.left_alone] == shown.dropped
    assert {name for _found, name in shown.left_alone} == {"discarded", "incomplete"}


def test_it_promises_what_the_next_cycle_does(origin: AddCase, organismo: Organismo) -> None:
    for _number in range(5):
        origin()
    origin(Expedient="SIN-NUMERO")
    TramiteTaskFactory(resource_id=1, status=TramiteTask.Status.COMPLETED)
    organismo.claims_per_cycle = 3
    organismo.save()
    shown = previewing.preview(organismo)
    assert (shown.wanted, shown.next_cycle) == (4, 3)
    quota = shown.quota
    report = ClaimRound(organismo, SqlClaimer(organismo), sleep=lambda s: None).run(quota)
    assert report.claimed == shown.next_cycle


def test_it_changes_nothing(origin: AddCase, organismo: Organismo) -> None:
    origin(), origin()
    before = list(RecursosExp.objects.values())
    previewing.preview(organismo)
    assert list(RecursosExp.objects.values()) == before
    assert not Claim.objects.exists()
    assert not TramiteTask.objects.exists()


def test_an_origin_that_does_not_answer_is_told(
    origin: AddCase, organismo: Organismo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: Any) -> int:
        raise origin_module.OriginUnreachable("no route to host")

    monkeypatch.setattr(origin_module, "count", gone)
    shown = previewing.preview(organismo)
    assert (shown.error_kind, shown.error) == ("OriginUnreachable", "no route to host")
    assert shown.as_dict()["error"]


@pytest.mark.parametrize(
    "values",
    [{"query_organisme": "%%"}, {"regex_expediente": "("}, {"attachments": "x"}],
)
def test_a_rule_that_is_wrong_is_told_and_not_raised(
    origin: AddCase, organismo: Organismo, values: dict[str, Any]
) -> None:
    origin()
    for name, value in values.items():
        setattr(organismo, name, value)
    shown = previewing.preview(organismo)
    assert shown.error_kind == "ValueError"
    assert shown.error


def test_a_portal_that_does_not_answer_is_told(origin: AddCase, flow: Any) -> None:
    origin()
    demand = {"name": "a.pdf", "source": "intranet", "path": "/a"}
    organismo = OrganismoFactory(
        flow_name=flow.name, login_url="http://127.0.0.1:9/login", attachments=[demand]
    )
    assert previewing.preview(organismo).error_kind == "PortalUnreachable"


def test_a_file_that_is_missing_is_told(
    origin: AddCase, flow: Any, tmp_path: Any, settings: Any
) -> None:
    settings.ATTACHMENTS_DIR = tmp_path
    origin(idRecurso=1), origin(idRecurso=2)
    (tmp_path / "2.pdf").write_bytes(b"%PDF")
    demand = {"name": "a.pdf", "source": "folder", "path": "{idRecurso}.pdf"}
    shown = previewing.preview(OrganismoFactory(flow_name=flow.name, attachments=[demand]))
    assert shown.counts == {"missing_attachments": 1, "accepted": 1}
    assert shown.kept[0].judgement.case.id_recurso == 2
    assert "a.pdf" in shown.dropped[0].reason


def test_it_looks_at_so_many_rows_and_says_so(
    origin: AddCase, organismo: Organismo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previewing, "LOOKED_AT", 3)
    monkeypatch.setattr(previewing, "SHOWN", 2)
    for _number in range(5):
        origin()
    shown = previewing.preview(organismo)
    assert shown.is_cut
    assert (len(shown.kept), shown.wanted) == (2, 3)
    for _number in range(2):
        RecursosExp.objects.order_by("pk")[0].delete()
    assert not previewing.preview(organismo).is_cut
