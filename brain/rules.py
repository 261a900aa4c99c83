"""What makes a case ours, and what becomes of it: decisions from data already in hand."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

import re2
from django.utils.translation import gettext as _

EXPEDIENTE_MAX = 300
SHOWN_MAX = 80
SOURCE = "brain_orchestrator"
LINK_PLACEHOLDERS = ("expediente", "idRecurso", "token")
PATH_PLACEHOLDERS = ("expediente", "idRecurso", "idExp", "numclient")
ATTACHMENT_SOURCES = ("intranet", "authorisation", "folder")
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
CLAIM_COLUMNS = {"texp": "TExp", "estado": "Estado"}

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_BETWEEN_PATTERNS = re.compile(r"(?<=%)\s+(?=%)")
_SMALL_NUMBER = re.compile(r"[0-9]{1,9}")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")
_CLAIMED = re.compile(r"(texp|estado)\s*=\s*1", re.IGNORECASE)
_SEPARATOR = re.compile(r"\s*([/-])\s*")
_YEAR_DASH = re.compile(r"^([0-9]{4})-")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?")
_PLAIN_NAME = re.compile(r"""[^.\s/\\:*?"<>|{}][^/\\:*?"<>|{}]{0,99}""")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNSAFE_IN_FILE_NAME = re.compile('[\x00-\x1f\x7f/\\\\:*?"<>|\ud800-\udfff]')
_DECIMAL_DIGITS = 38  # as many as a decimal of SQL Server has


# --- Texts ----------------------------------------------------------------------------------------


def fold(text: str) -> str:
    """Without accents, in lower case, single spaces: what phases and keys are compared by."""
    bare = (char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return " ".join("".join(bare).lower().split())


def _shown(text: str) -> str:
    """A value as a message may carry it: printable, at most SHOWN_MAX characters."""
    printable = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return printable if len(printable) <= SHOWN_MAX else f"{printable[: SHOWN_MAX - 1]}…"


def _said(message: str, **values: object) -> str:
    return message % {name: _shown(str(value)) for name, value in values.items()}


def _refusal(message: str, **values: object) -> ValueError:
    """A parser's error; its message stands beside the field that is wrong."""
    return ValueError(_said(message, **values))


def _clean(text: str) -> str:
    """Without what JSON or a database cannot hold: NULs and halves of surrogate pairs."""
    return _SURROGATE.sub("\ufffd", text.replace("\0", ""))


def _fill(template: str, values: Mapping[str, str]) -> str:
    """Replace the known placeholders in one pass, so that no value is read as a placeholder."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)


def _check_placeholders(text: str, allowed: Collection[str]) -> None:
    for name in _PLACEHOLDER.findall(text):
        if name not in allowed:
            known = ", ".join(f"{{{one}}}" for one in allowed)
            message = _("There is no placeholder {%(name)s}. Use %(known)s.")
            raise _refusal(message, name=name, known=known)
    if {"{", "}"} & set(_PLACEHOLDER.sub("", text)):
        raise _refusal(_("A brace has no partner, or is doubled. Write placeholders as {name}."))


# --- The filters on the origin --------------------------------------------------------------------


def split_patterns(text: str) -> list[str]:
    """LIKE patterns, all of which must match, split where one's closing % meets the next one's.

    Raises ValueError, also for a pattern that would match everything.
    """
    patterns = _BETWEEN_PATTERNS.split(text.strip())
    for pattern in patterns:
        _check_pattern(pattern)
    return patterns


def _check_pattern(pattern: str) -> None:
    if all(char in "%_" or char.isspace() for char in pattern):
        message = _("“%(pattern)s” matches everything. Write a part of a name, as %%XALOC%%.")
        raise _refusal(message, pattern=pattern)
    # A character class on SQL Server, two plain characters elsewhere.
    if "[" in pattern or "]" in pattern:
        message = _("“%(pattern)s” has a square bracket. Write _ instead: it is any character.")
        raise _refusal(message, pattern=pattern)


def parse_texp(text: str) -> list[int]:
    """The values of TExp, as `2,3`, each once. Raises ValueError."""
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not _SMALL_NUMBER.fullmatch(part):
            message = _("“%(part)s” is not a TExp. Write whole numbers with commas: 2,3.")
            raise _refusal(message, part=part)
    return list(dict.fromkeys(int(part) for part in parts))


@lru_cache(maxsize=256)
def compile_regex(text: str) -> Any:
    """An RE2 pattern: its time grows with the text alone. Raises ValueError with RE2's reason."""
    if not text.strip():
        raise _refusal(_("An empty expression accepts everything. Write the number's format."))
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(_clean(text), options)
    except re2.error as error:
        message = _("Invalid: %(reason)s. Change it; RE2 has no lookaheads or backreferences.")
        raise _refusal(message, reason=_re2_reason(error)) from error


def _re2_reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


def parse_claimed_when(text: str) -> dict[str, int]:
    """What the origin shows of a claimed case: TExp = 1, Estado = 1 or both. Raises ValueError."""
    found = [_CLAIMED.fullmatch(part.strip()) for part in text.split(",")]
    names = [CLAIM_COLUMNS[one[1].lower()] for one in found if one]
    if len(set(names)) < len(found):
        message = _("“%(text)s” is not a rule. Write TExp=1, Estado=1 or TExp=1,Estado=1.")
        raise _refusal(message, text=text)
    return dict.fromkeys(names, 1)


# --- Links ----------------------------------------------------------------------------------------


def check_template(text: str | None) -> None:
    """None or "" is no link. Raises ValueError where a case could break or redirect the link."""
    if text:
        _check_placeholders(text, LINK_PLACEHOLDERS)
        check_url(text)


def check_url(text: str) -> None:
    """An http(s) URL with a fixed host and no credentials, or "". Raises ValueError.

    The messages leave the text out: what is refused may be a password.
    """
    if not text:
        return
    # urlsplit drops line ends in silence, and a browser reads a backslash as a slash.
    if any(char.isspace() or char == "\\" or not char.isprintable() for char in text):
        raise _refusal(_("The URL has a space, backslash or invisible character. Remove it."))
    try:
        parts = urlsplit(text)
    except ValueError:
        raise _refusal(_("This is not a URL. Write one as https://example.org/.")) from None
    _check_host(parts.netloc)
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.netloc):
        raise _refusal(_("The URL must start with http:// or https:// and name a host."))


def _check_host(netloc: str) -> None:
    if "@" in netloc:
        raise _refusal(_("The URL has a user or password. Remove it: it would be stored here."))
    if "{" in netloc or "}" in netloc:
        raise _refusal(_("The host must be fixed. Move the placeholder to after the host."))


def build_link(template: str | None, *, expediente: str, id_recurso: int) -> str:
    """The case's direct link, "" without a template. `{token}` stays: it is a session's secret."""
    values = {"expediente": _url_part(expediente), "idRecurso": str(id_recurso)}
    return _fill(template or "", values)


def _url_part(text: str) -> str:
    return quote(text, safe="", errors="replace")


# --- Rows of the origin ---------------------------------------------------------------------------


def normalise(value: Any) -> Any:
    """A value of a database row as JSON can hold it; whole Decimals as int, other ones as str."""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, Decimal):
        return int(value) if _is_whole(value) else str(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (int, float)) else _clean(str(value))


def normalise_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: normalise(value) for name, value in row.items()}


def _is_whole(value: Decimal) -> bool:
    return (
        value.is_finite()
        and value.adjusted() < _DECIMAL_DIGITS
        and value == value.to_integral_value()
    )


def _integer(value: Any) -> int | None:
    """A whole number of at most 64 bits, also from text; None for anything else."""
    plain = normalise(value)
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    if isinstance(plain, str) and _WHOLE_NUMBER.fullmatch(plain.strip()):
        plain = int(plain)
    is_whole = isinstance(plain, int) and not isinstance(plain, bool)
    return plain if is_whole and abs(plain) < 2**63 else None


def _text(value: Any) -> str:
    return "" if value is None else str(normalise(value))


@dataclass(frozen=True)
class Case:
    """A row of RecursosExp, safe to store. Texts are trimmed, but for `expediente`."""

    id_recurso: int  # 0 where the row has none
    id_exp: int | None
    expediente: str  # as in the origin, blanks and all; "" for null
    organisme: str
    texp: int | None
    estado: int | None
    numclient: int | None
    sujeto_recurso: str
    fase_procedimiento: str
    usuario_asignado: str
    row: dict[str, Any]  # all columns, normalised

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Case:
        """Never raises: a value that does not fit its column is read as null."""
        return cls(
            id_recurso=_integer(row.get("idRecurso")) or 0,
            id_exp=_integer(row.get("idExp")),
            expediente=_text(row.get("Expedient")),
            organisme=_text(row.get("Organisme")).strip(),
            texp=_integer(row.get("TExp")),
            estado=_integer(row.get("Estado")),
            numclient=_integer(row.get("numclient")),
            sujeto_recurso=_text(row.get("SujetoRecurso")).strip(),
            fase_procedimiento=_text(row.get("FaseProcedimiento")).strip(),
            usuario_asignado=_text(row.get("UsuarioAsignado")).strip(),
            row=normalise_row(row),
        )


def repair_expediente(text: str) -> str:
    """The number as it was probably meant: `2026-11504-MU` is `2026/11504-MUL`. Idempotent."""
    number = _SEPARATOR.sub(r"\1", text.strip().upper())
    number = _YEAR_DASH.sub(r"\1/", number)
    return f"{number}L" if number.endswith("-MU") else number


# --- Attachments ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class AttachmentDemand:
    """A file that goes with each appeal; `source` is one of ATTACHMENT_SOURCES."""

    name: str
    source: str
    path: str = ""  # of the intranet, or inside the folder; "" for an authorisation

    def path_for(self, case: Case) -> str:
        """The path with the case's values in it; none of them can add or leave a directory."""
        as_part = _url_part if self.source == "intranet" else _file_part
        values = {
            "expediente": case.expediente.strip(),
            "idRecurso": str(case.id_recurso),
            "idExp": "" if case.id_exp is None else str(case.id_exp),
            "numclient": "" if case.numclient is None else str(case.numclient),
        }
        # Nothing, or dots alone, would make a part of the path vanish or climb.
        parts = {
            name: as_part(value) if value.strip(".") else "-" for name, value in values.items()
        }
        return _fill(self.path, parts)


def _file_part(text: str) -> str:
    return _UNSAFE_IN_FILE_NAME.sub("-", text)


def parse_attachments(value: Any) -> list[AttachmentDemand]:
    """The demands of an organismo's JSON. Raises ValueError with the position, from 1."""
    if not isinstance(value, list):
        raise _refusal(_("The attachments must be a list of objects. Write [] for none."))
    demands: list[AttachmentDemand] = []
    for position, item in enumerate(value, start=1):
        try:
            demands.append(_demand(item, demands))
        except ValueError as error:
            message = _("Attachment %(position)s: %(fault)s")
            raise ValueError(message % {"position": position, "fault": error}) from error
    return demands


def _demand(item: Any, others: Sequence[AttachmentDemand]) -> AttachmentDemand:
    if not isinstance(item, dict) or not all(isinstance(text, str) for text in item.values()):
        raise _refusal(_("Write an object with the texts name, source and path."))
    if unknown := sorted(set(map(str, item)) - {"name", "source", "path"}):
        message = _("There is no setting “%(name)s”. Use name, source and path.")
        raise _refusal(message, name=unknown[0])
    demand = AttachmentDemand(item.get("name", ""), item.get("source", ""), item.get("path", ""))
    _check_name(demand.name)
    _check_source(demand)
    _check_not_there(demand, others)
    return demand


def _check_name(name: str) -> None:
    if not _PLAIN_NAME.fullmatch(name) or not name.isprintable() or name != name.strip():
        message = _("“%(name)s” is not a plain file name. Write one such as recurso.pdf.")
        raise _refusal(message, name=name)


def _check_source(demand: AttachmentDemand) -> None:
    if demand.source not in ATTACHMENT_SOURCES:
        message = _("There is no source “%(source)s”. Use %(known)s.")
        raise _refusal(message, source=demand.source, known=", ".join(ATTACHMENT_SOURCES))
    if demand.source != "authorisation":
        _check_path(demand.path)
    elif demand.path:
        raise _refusal(_("An authorisation is found by its client. Remove the path."))
    if demand.source == "intranet" and not demand.path.startswith("/"):
        raise _refusal(_("The path of an intranet document starts with /. Add it."))
    if demand.source == "folder" and (demand.path.startswith("/") or ":" in demand.path):
        raise _refusal(_("The path must stay inside the folder. Remove the leading / or drive."))


def _check_path(path: str) -> None:
    if not path.strip():
        raise _refusal(_("The path is missing. Write where the file is found."))
    if "\\" in path or not path.isprintable():
        raise _refusal(_("The path has a backslash or invisible character. Use / instead."))
    if ".." in re.split("[/?#]", path):
        raise _refusal(_("The path must not climb with “..”. Write it from the top."))
    _check_placeholders(path, PATH_PLACEHOLDERS)


def _check_not_there(demand: AttachmentDemand, others: Sequence[AttachmentDemand]) -> None:
    if any(other.name.casefold() == demand.name.casefold() for other in others):
        raise _refusal(_("The name “%(name)s” is taken. Use another."), name=demand.name)
    if demand.source == "authorisation" and any(other.source == demand.source for other in others):
        raise _refusal(_("The client's authorisation is demanded already. Remove this one."))


# --- Motivos --------------------------------------------------------------------------------------


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
    return {name: _fill(text, values) for name, text in texts.items()}


# --- The judgement --------------------------------------------------------------------------------


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
    optional = {name: _text(case.row.get(column)) for name, column in OPTIONAL_COLUMNS.items()}
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
    return has_length and bool(compile_regex(site.regex).search(_clean(number)))


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
    return _said(message, **values)


def _why_incomplete(case: Case, missing: Sequence[str]) -> str:
    reasons = []
    if of_origin := [name for name in missing if name != "motivos"]:
        message = _("The case lacks %(names)s. Fill that in in the origin.")
        reasons.append(message % {"names": ", ".join(of_origin)})
    if "motivos" in missing and case.fase_procedimiento:
        message = _("No motivo fits the phase “%(phase)s”. Add one for it.")
        reasons.append(_said(message, phase=case.fase_procedimiento))
    return " ".join(reasons)
