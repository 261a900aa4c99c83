"""The demo's cases, each with what is expected of it, written down by hand.

Nothing here is computed by the code that the demo tries. People, clients and numbers are invented.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

XALOC, MADRID, BASE = "xaloc_girona", "madrid", "base_online"
BOT = "BOT_MULTIVIA"


@dataclass(frozen=True)
class Expected:
    """The end of a case. Empty means: there is none (no claim, no task, no filing)."""

    verdict: str
    claim: str = ""
    task: str = ""
    filings: int = 0  # by the organism's own books
    receipt: bool = False
    attempts: int = 0
    reason: str = ""  # a part of the text that staff read
    origin: dict[str, Any] = field(default_factory=dict)  # columns of the origin afterwards


@dataclass(frozen=True)
class Fault:
    """What goes wrong in the world for this case, the first `times` times (None: always)."""

    site: str
    name: str
    times: int | None = None
    value: str = ""


@dataclass(frozen=True)
class DemoCase:
    pk: int
    site: str
    story: str
    expected: Expected
    row: dict[str, Any] = field(default_factory=dict)
    fault: Fault | None = None
    put_back: bool = False  # a person frees it in the origin after the first cycle


FILED = Expected("claimed", "proven", "completed", 1, True, 1, origin={"UsuarioAsignado": BOT})
HELD = Expected("held", "proven", "held", reason="no authorisation")
NOT_FOUND = Expected("not_found")
UNPROVEN = Expected("claimed", "unproven", reason="never showed it", origin={"TExp": 2})
LOST = Expected("claimed", "lost", reason="persona", origin={"UsuarioAsignado": "persona"})


def _phase(pk: int, site: str, phase: str) -> DemoCase:
    return DemoCase(pk, site, f"an ordinary case: {phase}", FILED, {"FaseProcedimiento": phase})


ORDINARY = (
    _phase(1001, XALOC, "Identificación del conductor"),
    _phase(1002, XALOC, "DENUNCIA"),
    _phase(1003, XALOC, "Propuesta de resolución"),
    _phase(1004, XALOC, "Recurso extraordinario de revisión"),
    _phase(1005, XALOC, "Subsanación"),
    _phase(1006, XALOC, "Reclamaciones económicas"),
    _phase(1007, XALOC, "Requerimiento embargo"),
    _phase(1008, XALOC, "Sanción"),
    _phase(1009, XALOC, "Providencia de apremio"),
    _phase(1010, XALOC, "Embargo"),
    _phase(2001, MADRID, "Denuncia"),
    _phase(2002, MADRID, "Sanción"),
    _phase(2003, MADRID, "Apremio"),
    _phase(2004, MADRID, "Identificación"),
    _phase(2005, MADRID, "Propuesta de resolución"),
    _phase(2006, MADRID, "Embargo"),
    _phase(3001, BASE, "Denuncia"),
    _phase(3002, BASE, "Sanción"),
    _phase(3003, BASE, "Apremio"),
)

XALOC_CASES = (
    DemoCase(
        1011,
        XALOC,
        "accents, quotes and markup in a name",
        FILED,
        {"SujetoRecurso": "Íñigo O'Donnell <b>& Núñez</b>", "TExp": 3},
    ),
    DemoCase(
        1012,
        XALOC,
        "a number with - for / and without its L",
        Expected(
            "claimed",
            "proven",
            "completed",
            1,
            True,
            1,
            reason="2026/101012-MUL",
            origin={"Expedient": "2026-101012-MU"},
        ),
        {"Expedient": "2026-101012-MU"},
    ),
    DemoCase(
        1013,
        XALOC,
        "a number in small letters, with blanks",
        Expected("claimed", "proven", "completed", 1, True, 1, reason="2026/101013-MUL"),
        {"Expedient": " 2026/101013-mul "},
    ),
    DemoCase(
        1014,
        XALOC,
        "a number in no format",
        Expected("discarded", reason="SIN-NUMERO", origin={"TExp": 2, "UsuarioAsignado": None}),
        {"Expedient": "SIN-NUMERO"},
    ),
    DemoCase(
        1015,
        XALOC,
        "a number of 300 letters",
        Expected("discarded", reason="XXXX"),
        {"Expedient": "X" * 300},
    ),
    DemoCase(
        1016,
        XALOC,
        "nobody appeals",
        Expected("incomplete", reason="sujeto_recurso"),
        {"SujetoRecurso": None},
    ),
    DemoCase(
        1017,
        XALOC,
        "a phase that no motivo fits",
        Expected("incomplete", reason="Recurso de alzada"),
        {"FaseProcedimiento": "Recurso de alzada"},
    ),
    DemoCase(
        1018,
        XALOC,
        "ours in the origin, and no task: a crash between claim and queue",
        Expected("recovered", "recovered", "completed", 1, True, 1),
        {"TExp": 1, "UsuarioAsignado": BOT},
    ),
    DemoCase(
        1019,
        XALOC,
        "a person has it",
        Expected("not_found", origin={"TExp": 1, "UsuarioAsignado": "persona"}),
        {"TExp": 1, "UsuarioAsignado": "persona"},
    ),
    DemoCase(1020, XALOC, "not free: Estado 1", NOT_FOUND, {"Estado": 1}),
    DemoCase(1021, XALOC, "another kind: TExp 4", NOT_FOUND, {"TExp": 4}),
    DemoCase(1022, XALOC, "no number", NOT_FOUND, {"Expedient": None}),
    DemoCase(
        1023,
        XALOC,
        "sent, and the receipt cannot be had",
        Expected("claimed", "proven", "completed_with_errors", 1, False, 1),
        fault=Fault("xaloc", "lost_receipt"),
    ),
    DemoCase(
        1024,
        XALOC,
        "the site fails once",
        Expected("claimed", "proven", "completed", 1, True, 2),
        fault=Fault("xaloc", "error500", times=1),
    ),
    DemoCase(
        1025,
        XALOC,
        "the site says: too late",
        Expected("claimed", "proven", "failed", 0, False, 1, reason="refuses"),
        {"notas": "fuera de plazo"},
    ),
    DemoCase(
        1026,
        XALOC,
        "the site dies while it takes it in: nobody knows",
        Expected("claimed", "proven", "in_doubt", 1, False, 1),
        fault=Fault("xaloc", "die_after_send"),
    ),
    DemoCase(
        1027,
        XALOC,
        "the page was changed",
        Expected("claimed", "proven", "failed", 0, False, 3),
        fault=Fault("xaloc", "changed_page"),
    ),
    DemoCase(
        1028,
        XALOC,
        "the site logs us out once",
        Expected("claimed", "proven", "completed", 1, True, 2),
        fault=Fault("xaloc", "logged_out", times=1),
    ),
    DemoCase(1029, XALOC, "a slow site", FILED, fault=Fault("xaloc", "slow", times=3, value="0.5")),
    DemoCase(
        1030,
        XALOC,
        "filed, then freed in the origin by a person: not sent twice",
        Expected("already_queued", "proven", "completed", 1, True, 1, origin={"TExp": 2}),
        put_back=True,
    ),
)

MADRID_CASES = (
    DemoCase(
        2007,
        MADRID,
        "a number to repair, also in the origin",
        Expected(
            "claimed",
            "proven",
            "completed",
            1,
            True,
            1,
            reason="2026/12007-MUL",
            origin={"Expedient": "2026/12007-MUL"},
        ),
        {"Expedient": "2026-12007-MUL"},
    ),
    DemoCase(2008, MADRID, "a person is faster", LOST, fault=Fault("intranet", "steal")),
    DemoCase(
        2009,
        MADRID,
        "the intranet says yes and does nothing",
        UNPROVEN,
        fault=Fault("intranet", "ignore_assign"),
    ),
    DemoCase(
        2010,
        MADRID,
        "its PDF is missing",
        Expected("missing_attachments", reason="recurso.pdf", origin={"TExp": 2}),
        {"notas": "sin pdf"},
    ),
    DemoCase(
        2011,
        MADRID,
        "the registry refuses after Send: a person looks",
        Expected("claimed", "proven", "in_doubt", 0, False, 1),
        fault=Fault("madrid", "refused"),
    ),
    DemoCase(
        2012,
        MADRID,
        "another organism of Madrid",
        NOT_FOUND,
        {"Organisme": "AGENCIA TRIBUTARIA DE MADRID"},
    ),
)

BASE_CASES = (
    DemoCase(3004, BASE, "a client without authorisation", HELD, {"numclient": 7001}),
    DemoCase(
        3005,
        BASE,
        "a client whose authorisation ended",
        replace(HELD, reason="expired on"),
        {"numclient": 7002},
    ),
    DemoCase(3006, BASE, "a person is faster (browser)", LOST, fault=Fault("intranet", "steal")),
    DemoCase(
        3007,
        BASE,
        "the click does nothing",
        UNPROVEN,
        fault=Fault("intranet", "ignore_assign"),
    ),
)

CASES = (*ORDINARY, *XALOC_CASES, *MADRID_CASES, *BASE_CASES)
# The clients whose authorisation is on file, and the one whose has ended.
AUTHORISED = (3001, 3002, 3003, 3006, 3007)
ENDED = 7002
METHODS = {XALOC: "sql", MADRID: "portal", BASE: "browser"}
ORGANISMS = {
    XALOC: "XALOC - CONSORCI DE GIRONA",
    MADRID: "SUBDIRECCION GENERAL DE GESTION DE MULTAS DE MADRID",
    BASE: "BASE - GESTIO D'INGRESSOS",
}
PEOPLE = (
    "Ana Inventada Pérez",
    "Bruno Ficticio López",
    "Clara Supuesta Gil",
    "Transportes Imaginarios SL",
    "Núria Figurada Soler",
)


def row_of(case: DemoCase) -> dict[str, Any]:
    """The case as a row of the origin."""
    number = (
        f"2026/{case.pk + 10_000:05d}-MUL" if case.site == MADRID else f"2026/1{case.pk:05d}-MUL"
    )
    return {
        "idRecurso": case.pk,
        "idExp": 90_000 + case.pk,
        "Expedient": number,
        "Organisme": ORGANISMS[case.site],
        "TExp": 2,
        "Estado": 0,
        "numclient": case.pk,
        "SujetoRecurso": PEOPLE[case.pk % len(PEOPLE)],
        "FaseProcedimiento": "Denuncia",
        "UsuarioAsignado": None,
        "matricula": f"{case.pk:04d}BCD",
        "notas": None,
        **case.row,
    }
