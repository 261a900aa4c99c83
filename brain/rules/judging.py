"""What becomes of a case, and what an appeal says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _

from brain.rules.attachments import AttachmentDemand
from brain.rules.cases import Case, repair_expediente, text_of
from brain.rules.filters import compile_regex
from brain.rules.links import build_link
from brain.rules.texts import clean, fill, fold, said

EXPEDIENTE_MAX = 300
SOURCE = "brain_orchestrator"
REQUIRED = (
    "idRecurso",
    "idExp",
    "expediente",
    "numclient",
    "sujeto_recurso",
    "fase_procedimiento",
    "motivos",
)
OPTIONAL_COLUMNS = {"matricula": "matricula", "empresa": "Empresa", "cif": "cif"}


@dataclass(frozen=True)
class MotivoText:
    """What an appeal says in the phases that contain `key`."""

    key: str
    asunto: str
    expone: str
    solicita: str


def choose_motivo(phase: str | None, motivos: Sequence[MotivoText]) -> MotivoText | None:
    """The first whose key the phase contains. A blank key fits nothing."""
    folded = fold(phase or "")
    keys = ((fold(motivo.key), motivo) for motivo in motivos)
    return next((motivo for key, motivo in keys if key and key in folded), None)


def fill_motivo(motivo: MotivoText, expediente: str, sujeto_recurso: str) -> dict[str, str]:
    values = {"expediente": expediente, "sujeto_recurso": sujeto_recurso}
    texts = {"asunto": motivo.asunto, "expone": motivo.expone, "solicita": motivo.solicita}
    return {name: fill(text, values) for name, text in texts.items()}


@dataclass(frozen=True)
class SiteRules:
    """What of an organismo decides on its cases. `repair` is off, use or write."""

    site_id: str
    regex: str
    url_template: str | None = None
    repair: str = "off"
    motivos: tuple[MotivoText, ...] = ()
    demands_authorisation: bool = False
    attachments: tuple[AttachmentDemand, ...] = ()


class Verdict(StrEnum):
    ACCEPTED = "accepted"
    DISCARDED = "discarded"  # its number is not one of the organismo's
    INCOMPLETE = "incomplete"  # the payload would lack what the worker needs


@dataclass(frozen=True)
class Judgement:
    """What becomes of a case. A discarded one has a reason and nothing else."""

    case: Case
    verdict: Verdict
    reason: str = ""
    missing: tuple[str, ...] = ()  # names of the payload
    expediente: str = ""  # to be used from here on: repaired where it was wrong
    repaired_from: str = ""
    link: str = ""
    payload: dict[str, Any] = field(default_factory=dict)


def judge(case: Case, site: SiteRules) -> Judgement:
    """Raises ValueError for a regex that `compile_regex` refuses, for no case whatever."""
    number = _usable_number(case.expediente, site)
    if not number:
        return Judgement(case, Verdict.DISCARDED, _why_discarded(case.expediente, site))
    link = build_link(site.url_template, expediente=number, id_recurso=case.id_recurso)
    motivo = choose_motivo(case.fase_procedimiento, site.motivos)
    motivos = fill_motivo(motivo, number, case.sujeto_recurso) if motivo else {}
    payload = build_payload(case, number, link, motivos)
    missing = tuple(name for name in REQUIRED if payload[name] in (None, "", {}))
    return Judgement(
        case,
        Verdict.INCOMPLETE if missing else Verdict.ACCEPTED,
        _why_incomplete(case, missing) if missing else "",
        missing,
        number,
        "" if number == case.expediente else case.expediente,
        link,
        payload,
    )


def build_payload(
    case: Case, expediente: str, link: str, motivos: Mapping[str, str]
) -> dict[str, Any]:
    """What the worker gets; `claimed_at` is None until the claim is queued."""
    optional = {name: text_of(case.row.get(column)) for name, column in OPTIONAL_COLUMNS.items()}
    return {
        "idRecurso": case.id_recurso or None,
        "idExp": case.id_exp,
        "expediente": expediente,
        "numclient": case.numclient,
        "sujeto_recurso": case.sujeto_recurso,
        "fase_procedimiento": case.fase_procedimiento,
        "direct_url": link,
        "source": SOURCE,
        "claimed_at": None,
        "motivos": dict(motivos),
        **{name: text.strip() for name, text in optional.items() if text.strip()},
    }


def _usable_number(number: str, site: SiteRules) -> str:
    """The number as it is, else repaired where the organismo wants that; "" where neither fits."""
    tries = [number] if site.repair == "off" else [number, repair_expediente(number)]
    if len(number) > EXPEDIENTE_MAX:
        return ""
    return next((one for one in tries if _fits(one, site)), "")


def _fits(number: str, site: SiteRules) -> bool:
    has_length = bool(number.strip()) and len(number) <= EXPEDIENTE_MAX
    return has_length and bool(compile_regex(site.regex).search(clean(number)))


def _why_discarded(number: str, site: SiteRules) -> str:
    if not number.strip():
        return _("The case has no number (Expedient). Write it in the origin.")
    values = {"number": number, "format": site.regex, "repaired": repair_expediente(number)}
    if len(number) > EXPEDIENTE_MAX:
        message = _("The number “%(number)s” is longer than 300. Correct it in the origin.")
    elif _fits(values["repaired"], site):
        message = _(
            "The number “%(number)s” is not of the format %(format)s, but “%(repaired)s” is."
            " Correct it in the origin, or turn on the organismo's repair."
        )
    else:
        message = _(
            "The number “%(number)s” is not of the format %(format)s."
            " Correct it in the origin, or the format of the organismo."
        )
    return said(message, **values)


def _why_incomplete(case: Case, missing: Sequence[str]) -> str:
    reasons = []
    if of_origin := [name for name in missing if name != "motivos"]:
        message = _("The case lacks %(names)s. Fill that in in the origin.")
        reasons.append(message % {"names": ", ".join(of_origin)})
    if "motivos" in missing and case.fase_procedimiento:
        message = _("No motivo fits the phase “%(phase)s”. Add one for it.")
        reasons.append(said(message, phase=case.fase_procedimiento))
    return " ".join(reasons)
