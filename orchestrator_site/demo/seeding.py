"""Filling the demo: organismos, flows, authorisations, the origin's cases, the world's faults."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.utils import timezone

from brain.models import ClientAuthorisation, Flow, Organismo, RecursosExp
from orchestrator_site.demo import cases
from orchestrator_site.demo.flows import FLOWS
from orchestrator_site.demo.origin import create_origin
from orchestrator_site.demo.world import faults
from orchestrator_site.demo.world.pdf import pdf
from orchestrator_site.demo.world.store import opened

INTRANET = "/intranet/xvia-grupoeuropa/public"
CASE_PDF = {
    "name": "recurso.pdf",
    "source": "intranet",
    "path": "/servicio/recursos/{idRecurso}/pdf",
}
AUTHORISATION = {"name": "autorizacion.pdf", "source": "authorisation"}


def organismos() -> dict[str, dict[str, Any]]:
    """The demo's organismo_config, one a claim method."""
    world = settings.DEMO_WORLD_URL
    common = {
        "filtro_texp": "2,3",
        "active": True,
        "bot_username": cases.BOT,
        "login_url": f"{world}{INTRANET}/login",
        "recursos_url": f"{world}{INTRANET}/servicio/recursos/telematicos",
        "attachments": [CASE_PDF],
    }
    return {
        cases.XALOC: {
            **common,
            "query_organisme": "%XALOC%",
            "regex_expediente": r"^\d{4}/\d{6}-MUL$",
            "url_template": f"{world}/sede/xaloc/?Expedient={{expediente}}",
            "claim_method": Organismo.ClaimMethod.SQL,
            "repair": Organismo.Repair.USE,
            "flow_name": "xaloc_girona",
            "priority": 10,
            "notes": "XALOC Girona - Multas de tráfico",
        },
        cases.MADRID: {
            **common,
            "query_organisme": "%GESTION% %MULTAS% %MADRID%",
            "regex_expediente": r"^\d{4}/\d{5}-MUL$",
            "url_template": f"{world}/sede/madrid/?Expedient={{expediente}}",
            "claim_method": Organismo.ClaimMethod.PORTAL,
            "repair": Organismo.Repair.WRITE,
            "flow_name": "madrid",
            "notes": "Madrid - Gestión de multas",
        },
        cases.BASE: {
            **common,
            "query_organisme": "BASE - %",
            "regex_expediente": r"^\d{4}/\d{6}-MUL$",
            "url_template": f"{world}/sede/xaloc/?Expedient={{expediente}}",
            "claim_method": Organismo.ClaimMethod.BROWSER,
            "login_flow": "intranet_login",
            "claim_flow": "intranet_claim",
            "flow_name": "xaloc_girona",
            "demands_authorisation": True,
            "attachments": [CASE_PDF, AUTHORISATION],
            "notes": "BASE online: asks for the client's authorisation",
        },
    }


def seed() -> None:
    """Put everything there that is not there yet; harmless to repeat."""
    if not settings.ORIGIN_IS_EMBEDDED:
        raise ImproperlyConfigured("The demo writes cases: it stays away from a real origin.")
    create_origin(settings.ORIGIN_PATH)
    for name, steps in FLOWS.items():
        if Flow.active_version(name) is None:
            Flow.add_version(name, steps, by="demo").activate("demo")
    for site_id, values in organismos().items():
        Organismo.objects.get_or_create(site_id=site_id, defaults=values)
    _authorisations()
    present = set(RecursosExp.objects.values_list("idRecurso", flat=True))
    missing = [case for case in cases.CASES if case.pk not in present]
    RecursosExp.objects.bulk_create([RecursosExp(**cases.row_of(case)) for case in missing])
    with opened():
        pass
    for case in missing:
        _set_fault(case)


def _set_fault(case: cases.DemoCase) -> None:
    if case.fault is None:
        return
    number = cases.row_of(case)["Expedient"]
    fault = case.fault
    faults.set_fault(fault.site, fault.name, number, fault.times, fault.value)


def _authorisations() -> None:
    today = timezone.localdate()
    for numclient in (*cases.AUTHORISED, cases.ENDED):
        if ClientAuthorisation.objects.filter(numclient=numclient).exists():
            continue
        ended = numclient == cases.ENDED
        paper = pdf((f"Autorización del cliente {numclient}",))
        ClientAuthorisation.objects.create(
            numclient=numclient,
            file=ContentFile(paper, name=f"autorizacion_{numclient}.pdf"),
            valid_from=today - timedelta(days=400),
            valid_until=today - timedelta(days=10) if ended else None,
        )
