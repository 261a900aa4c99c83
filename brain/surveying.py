"""Looking at the origin: which cases each filter keeps and drops, and why. Changes nothing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from django.db.models import Count, Q
from django.utils.translation import gettext as _

from brain import origin, rules, sentences
from brain.attachments import Gathered, Gatherer
from brain.models import Claim, Motivo, Organismo
from queues.models import TramiteTask

T = TypeVar("T")
CASES = uuid.UUID("5c0f7a53-6c53-5d3c-9b34-0e6f2a1c7d10")
PAGE = 500
TRIES = 3  # claims of one case that stay unproven
NOTHING = Gathered()


@dataclass(frozen=True)
class Found:
    """A candidate of the origin with what would become of it.

    `verdict`: accepted, discarded, incomplete, already_queued, missing_attachments, held.
    """

    judgement: rules.Judgement
    verdict: str
    reason: str = ""
    gathered: Gathered = NOTHING

    @property
    def is_wanted(self) -> bool:
        return self.verdict in ("accepted", "held")

    @property
    def pretty(self) -> str:
        return json.dumps(self.judgement.payload, ensure_ascii=False, indent=2, default=str)

    def as_dict(self) -> dict[str, Any]:
        judged = self.judgement
        return {
            "idRecurso": judged.case.id_recurso,
            "expediente": judged.expediente or judged.case.expediente,
            "repaired_from": judged.repaired_from,
            "verdict": self.verdict,
            "reason": self.reason,
            "missing": [*judged.missing, *self.gathered.missing],
            "link": judged.link,
            "payload": judged.payload,
        }


def case_id_for(id_recurso: int) -> uuid.UUID:
    """The case's thread: the same for every attempt, on every host, without asking anybody."""
    return uuid.uuid5(CASES, f"recurso:{id_recurso}")


def site_rules(organismo: Organismo) -> rules.SiteRules:
    """What the pure rules need of the organismo; its own motivos come before the general ones."""
    own = Q(organismo=organismo) | Q(organismo=None)
    motivos = sorted(
        Motivo.objects.filter(own), key=lambda row: (row.organismo_id is None, row.position)
    )
    return rules.SiteRules(
        site_id=organismo.site_id,
        regex=organismo.regex_expediente,
        url_template=organismo.url_template,
        repair=organismo.repair,
        motivos=tuple(row.template for row in motivos),
        demands_authorisation=organismo.demands_authorisation,
        attachments=tuple(rules.parse_attachments(organismo.attachments)),
    )


def survey(organismo: Organismo, gatherer: Gatherer | None = None) -> Iterator[Found]:
    """Every candidate with its verdict, in the order of the ids, a page in memory at a time.

    With a gatherer it is also looked whether the attachments could be had.
    """
    judged_by = site_rules(organismo)
    rows = origin.stream(origin.discovery(organismo.patterns, organismo.texp_values))
    for page in batched(rows, PAGE):
        excluded = left_to_staff([row["idRecurso"] for row in page])
        for row in page:
            judgement = rules.judge(rules.Case.from_row(row), judged_by)
            found = verdict_on(judgement, excluded)
            if gatherer is not None and found.is_wanted:
                found = weigh(judgement, gatherer.check(judgement.case))
            yield found


def verdict_on(judgement: rules.Judgement, excluded: Mapping[int, str]) -> Found:
    """The verdict on a judged case; `excluded` are the cases left to staff, with the reason."""
    if judgement.verdict != rules.Verdict.ACCEPTED:
        return Found(judgement, judgement.verdict.value, judgement.reason)
    if reason := excluded.get(judgement.case.id_recurso):
        return Found(judgement, "already_queued", reason)
    return Found(judgement, "accepted")


def left_to_staff(ids: Sequence[int]) -> dict[int, str]:
    """The cases that the brain does not touch (again) without a person, each with the reason."""
    unproven = Claim.objects.filter(resource_id__in=ids, status=Claim.Status.UNPROVEN)
    often = unproven.values("resource_id").annotate(times=Count("id")).filter(times__gte=TRIES)
    closed = Claim.objects.filter(
        resource_id__in=ids, status__in=(Claim.Status.RELEASED, Claim.Status.TAKEN_OVER)
    )
    return (
        dict.fromkeys(
            often.values_list("resource_id", flat=True), _("claimed again and again, unproven")
        )
        | dict.fromkeys(
            closed.values_list("resource_id", flat=True),
            _("given back or taken over before: claimresource takes it again"),
        )
        | dict.fromkeys(queued_ids(ids), _("a task exists: only a person reruns it"))
    )


def weigh(judgement: rules.Judgement, gathered: Gathered) -> Found:
    """The verdict on an acceptable case, by its attachments."""
    if gathered.missing:
        reason = sentences.MISSING % {"names": ", ".join(gathered.missing)}
        return Found(judgement, "missing_attachments", reason, gathered)
    if gathered.hold_reason:
        return Found(judgement, "held", gathered.hold_reason, gathered)
    return Found(judgement, "accepted", "", gathered)


def candidate(organismo: Organismo, id_recurso: int) -> origin.Row | None:
    """One case's row, where the organismo takes it as it is now."""
    rows = origin.discovery(organismo.patterns, organismo.texp_values).filter(pk=id_recurso)
    return next(origin.stream(rows), None)


def queued_ids(ids: Iterable[int]) -> set[int]:
    """Which of these cases have a task, of any status and on any site."""
    tasks = TramiteTask.objects.filter(resource_id__in=list(ids))
    return set(tasks.values_list("resource_id", flat=True))


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most `size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
