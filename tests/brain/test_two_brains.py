"""Two brains at once, and twenty claimers of one case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction

from brain import origin as origin_module
from brain.claimers import SqlClaimer
from brain.claiming import ClaimRound
from brain.models import Claim, Organismo, RecursosExp
from orchestrator_site.models import Lease
from queues.models import TramiteTask
from tests.racing import together

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]
CASES = 1000


def fill(count: int) -> None:
    RecursosExp.objects.bulk_create(
        RecursosExp(
            idRecurso=pk,
            idExp=pk,
            Expedient=f"2026/{pk:06d}-MUL",
            Organisme="XALOC GIRONA",
            TExp=2,
            Estado=0,
            numclient=pk,
            SujetoRecurso="Ana Inventada",
            FaseProcedimiento="Denuncia",
        )
        for pk in range(1, count + 1)
    )


def test_two_brains_on_a_thousand_cases_make_a_thousand_claims(
    origin: Callable[..., RecursosExp], organismo: Organismo, motivos: None
) -> None:
    fill(CASES)

    def brain(number: int) -> Any:
        mine = Organismo.objects.get(pk=organismo.pk)
        return ClaimRound(mine, SqlClaimer(mine), sleep=lambda seconds: None).run(CASES)

    reports = together(2, brain)
    assert [report.error for report in reports] == ["", ""]
    assert sum(report.claimed for report in reports) == CASES
    assert sum(report.queued for report in reports) == CASES
    proven = Claim.objects.filter(status=Claim.Status.PROVEN)
    assert proven.values("resource_id").distinct().count() == proven.count() == CASES
    assert TramiteTask.objects.values("resource_id").distinct().count() == CASES
    assert not Claim.objects.filter(status=Claim.Status.STARTED).exists()
    assert RecursosExp.objects.filter(TExp=1, UsuarioAsignado="BOT_MULTIVIA").count() == CASES


def test_twenty_claimers_of_one_case_have_one_winner(
    origin: Callable[..., RecursosExp],
) -> None:
    case = origin()
    won = together(
        20, lambda number: origin_module.claim([case.pk], f"BOT_{number}", {"TExp": 1}, [2, 3])
    )
    assert sum(len(ids) for ids in won) == 1
    (winner,) = [number for number, ids in enumerate(won) if ids]
    case.refresh_from_db()
    assert case.UsuarioAsignado == f"BOT_{winner}"


def test_without_the_guard_in_the_statement_there_would_be_twenty(
    origin: Callable[..., RecursosExp],
) -> None:
    """What the guard is for: the same statement without it changes the row for everybody."""
    case = origin()

    def unguarded(number: int) -> int:
        sql, params = origin_module.claim_statement(
            "sqlite", [case.pk], f"BOT_{number}", {"TExp": 1}, [2, 3]
        )
        bare = sql.replace(' AND "Estado" = 0 AND "TExp" IN (%s, %s)', "")
        assert bare != sql
        with connections["recursos"].cursor() as cursor:
            cursor.execute(bare, params[:-2])
            return len(cursor.fetchall())

    assert sum(together(20, unguarded)) == 20


def test_the_database_allows_one_claim_in_force_a_case(organismo: Organismo) -> None:
    def claim(status: str) -> Claim:
        return Claim.objects.create(organismo=organismo, resource_id=7, account="B", status=status)

    claim(Claim.Status.PROVEN)
    for status in Claim.HELD:
        with pytest.raises(IntegrityError), transaction.atomic():
            claim(status)
    for status in (Claim.Status.LOST, Claim.Status.UNPROVEN, Claim.Status.RELEASED):
        claim(status)


def test_one_holder_a_lease(db: None) -> None:
    from datetime import timedelta

    minute = timedelta(minutes=1)
    leases = together(8, lambda number: Lease.acquire("brain", f"b{number}", minute))
    (held,) = [lease for lease in leases if lease]
    assert held.renew(minute)
    assert Lease.acquire("brain", "late", minute) is None
    Lease.objects.update(expires_at=held.expires_at - timedelta(hours=1))
    successor = Lease.acquire("brain", "late", minute)
    assert successor is not None
    assert successor.epoch == held.epoch + 1
    assert not held.renew(minute), "the old holder notices"
    held.release()
    assert Lease.objects.get().holder == "late"
