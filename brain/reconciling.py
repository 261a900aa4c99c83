"""The ledger against the origin: what is ours there, here, or with a person by now."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from brain import origin, portal, surveying
from brain.claimers import ClaimerUnavailable, claimer_for
from brain.claiming import ClaimRound
from brain.enqueuing import check_flow
from brain.models import Claim, Organismo, Reconciliation
from brain.proving import is_anothers, is_ours, name_in
from orchestrator_site.verbs import Refused
from queues.models import TramiteTask

logger = logging.getLogger(__name__)


class Kind(StrEnum):
    """The three lists. Each has one repair."""

    # Queue it, as the next cycle would.
    OURS_THERE_NOT_HERE = "ours_there_not_here"
    # Close the claim and cancel its task: the case is free again.
    HERE_NOT_OURS_THERE = "here_not_ours_there"
    # Close the claim and cancel its task: the person has it.
    TAKEN_OVER = "taken_over"


@dataclass(frozen=True)
class Difference:
    kind: str
    site_id: str
    resource_id: int
    expediente: str
    claim_id: int | None
    shown: dict[str, Any]


def run(sites: Iterable[str] = ()) -> Reconciliation:
    """Compare every active organismo (or just `sites`, active or not); store what differs."""
    found: list[dict[str, Any]] = []
    errors: dict[str, str] = {}
    wanted = set(sites)
    rows = Organismo.objects.all()
    for organismo in rows.filter(site_id__in=wanted) if wanted else rows.filter(active=True):
        try:
            found += [asdict(one) for one in differences(organismo)]
        except (origin.OriginError, portal.PortalError, ClaimerUnavailable) as error:
            errors[organismo.site_id] = f"{type(error).__name__}: {error}"
    return Reconciliation.objects.create(differences=found, errors=errors)


def differences(organismo: Organismo) -> Iterator[Difference]:
    """What the ledger and the origin say differently of one organismo's cases."""
    yield from _ours_there(organismo)
    yield from _ours_here(organismo)


def _ours_there(organismo: Organismo) -> Iterator[Difference]:
    """Without a task, or given back here while the origin still shows them as ours."""
    account = account_of(organismo)
    rule = organismo.claimed_rule
    for page in surveying.batched(
        origin.stream(origin.ours(organismo.patterns, account, rule)), origin.PAGE
    ):
        ids = [row["idRecurso"] for row in page if is_ours(row, account, rule)]
        unknown = set(ids) - surveying.queued_ids(ids) | _given_back(ids)
        for row in page:
            if row["idRecurso"] in unknown:
                yield _difference(Kind.OURS_THERE_NOT_HERE, organismo, row["idRecurso"], row, None)


def _given_back(ids: list[int]) -> set[int]:
    """Those whose last claim was given back."""
    claims = Claim.objects.filter(resource_id__in=ids).order_by("id")
    last = dict(claims.values_list("resource_id", "status"))  # the later one stays
    return {pk for pk, status in last.items() if status == Claim.Status.RELEASED}


def _ours_here(organismo: Organismo) -> Iterator[Difference]:
    """Claims in force whose appeal is not sent yet: once it is, the case goes its own way."""
    claims = Claim.objects.filter(organismo=organismo, status__in=Claim.OURS).order_by("id")
    for page in surveying.batched(claims.iterator(chunk_size=origin.PAGE), origin.PAGE):
        sent = _sent([claim.resource_id for claim in page])
        waiting = [claim for claim in page if claim.resource_id not in sent]
        shown = origin.read_back([claim.resource_id for claim in waiting])
        for claim in waiting:
            row = shown.get(claim.resource_id)
            if not is_ours(row, claim.account, organismo.claimed_rule):
                theirs = is_anothers(row, claim.account)
                kind = Kind.TAKEN_OVER if theirs else Kind.HERE_NOT_OURS_THERE
                yield _difference(kind, organismo, claim.resource_id, row, claim)


def _sent(ids: list[int]) -> set[int]:
    tasks = TramiteTask.objects.filter(resource_id__in=ids, status__in=TramiteTask.SENT)
    return set(tasks.values_list("resource_id", flat=True))


def _difference(
    kind: Kind, organismo: Organismo, pk: int, row: dict[str, Any] | None, claim: Claim | None
) -> Difference:
    shown = {name: (row or {}).get(name) for name in ("TExp", "Estado", "UsuarioAsignado")}
    number = claim.expediente if claim else str((row or {}).get("Expedient") or "")
    return Difference(
        kind, organismo.site_id, pk, number, claim.pk if claim else None, shown if row else {}
    )


def account_of(organismo: Organismo) -> str:
    """Our name on this organismo: what the last claim's session showed, else the configured one."""
    last = Claim.objects.filter(organismo=organismo, status__in=Claim.OURS).first()
    configured = organismo.configured_account
    if organismo.claim_method == Organismo.ClaimMethod.SQL or last is None:
        return configured
    return last.account


def repair(difference: Difference, reason: str) -> bool:
    """Mend one difference as its kind says; False where it is gone by now."""
    organismo = Organismo.objects.get(site_id=difference.site_id)
    if difference.kind == Kind.OURS_THERE_NOT_HERE:
        return _queue(organismo, difference.resource_id)
    claim = Claim.objects.filter(pk=difference.claim_id or 0, status__in=Claim.OURS).first()
    row = origin.read_back([difference.resource_id]).get(difference.resource_id)
    if claim is None or is_ours(row, claim.account, organismo.claimed_rule):
        return False
    over = is_anothers(row, claim.account)
    return close(claim, Claim.Status.TAKEN_OVER if over else Claim.Status.RELEASED, reason)


def release(claim: Claim, reason: str) -> bool:
    """Give a case back to the origin as it was, and end its waiting task; False where a worker
    has it, it was sent, or the claim was closed already. Raises Refused where the origin cannot
    be asked: then it can be tried again."""
    if claim.status not in (*Claim.OURS, Claim.Status.UNPROVEN):
        return False
    others = Claim.objects.filter(resource_id=claim.resource_id, status__in=Claim.HELD)
    if others.exclude(pk=claim.pk).exists():
        raise Refused(_("Another claim of this case is in force: give that one back."))
    if not _end_tasks(claim, reason):
        return False
    try:
        freed = origin.release(claim.resource_id, claim.account, _free(claim))
    except origin.OriginError as error:
        raise Refused(_("The origin could not be asked: %(why)s") % {"why": error}) from error
    if not freed:
        logger.warning("claim %s released here; in the origin it was not ours", claim.pk)
    return close(claim, Claim.Status.RELEASED, reason)


def close(claim: Claim, to: str, reason: str) -> bool:
    """End a claim and what waits of its task; False where a worker has it or it was sent."""
    with transaction.atomic():
        # A rerun locks the claim too: what it queued before us is ended here, else it is refused.
        list(Claim.objects.select_for_update().filter(resource_id=claim.resource_id))
        closed = _end_tasks(claim, reason) and claim.move(to, reason, message=reason)
        if not closed or _has_task(claim, *TramiteTask.LIVE, *TramiteTask.SENT):
            transaction.set_rollback(True)
            return False
    return True


def _end_tasks(claim: Claim, reason: str) -> bool:
    """Cancel what waits; False where something runs, is in doubt or was sent."""
    for task in TramiteTask.objects.filter(resource_id=claim.resource_id):
        if task.status in (task.Status.PENDING, task.Status.HELD):
            task.cancel(reason) or task.reject(reason)
    return _may_close(claim)


def _free(claim: Claim) -> dict[str, Any]:
    """The row as it was before the claim; one that was found as ours is made free."""
    if name_in(claim.before) != claim.account:
        return claim.before
    free = claim.organismo.texp_values
    before = claim.before.get("TExp")
    texp = before if before in free else free[0]
    return {"TExp": texp, "Estado": 0, "UsuarioAsignado": None}


def _may_close(claim: Claim) -> bool:
    """No task of the case is running, in doubt or sent."""
    status = TramiteTask.Status
    return not _has_task(claim, status.PROCESSING, status.IN_DOUBT, *TramiteTask.SENT)


def _has_task(claim: Claim, *statuses: str) -> bool:
    tasks = TramiteTask.objects.filter(resource_id=claim.resource_id)
    return tasks.filter(status__in=statuses).exists()


def _queue(organismo: Organismo, pk: int) -> bool:
    """Queue a case of ours; one that was given back here is freed in the origin instead."""
    account = account_of(organismo)
    row = origin.read(pk)
    if row is None or not is_ours(row, account, organismo.claimed_rule):
        return False
    last = Claim.objects.filter(resource_id=pk).order_by("-id").first()
    if last is not None and last.status == Claim.Status.RELEASED:
        return origin.release(pk, last.account, _free(last))
    if surveying.queued_ids([pk]):
        return False
    check_flow(organismo)
    visit = ClaimRound(organismo, claimer_for(organismo))
    visit.recovery().recover(row, account)
    return visit.report.queued == 1
