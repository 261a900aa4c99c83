"""Filling the demo: organismos, flows, authorisations, the origin's cases, the world's faults."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.utils import timezone

from brain.models import ClientAuthorisation, Flow, Organismo, RecursosExp
from devices.models import Device
from orchestrator_site import roles
from orchestrator_site.demo import cases, controlling
from orchestrator_site.demo.flows import FLOWS
from orchestrator_site.demo.origin import create_origin
from orchestrator_site.demo.people import PEOPLE, DemoPerson
from orchestrator_site.demo.world import faults, reporting, scraper_books, scrapers
from orchestrator_site.demo.world.pdf import pdf
from orchestrator_site.demo.world.store import opened
from orchestrator_site.models import ApiKey
from postprocessing import asking
from postprocessing.models import PostProcessingRun
from queues import doorbell
from queues.models import Endpoint, Generator, NbcRecord

INTRANET = "/intranet/xvia-grupoeuropa/public"
CASE_PDF = {
    "name": "recurso.pdf",
    "source": "intranet",
    "path": "/servicio/recursos/{idRecurso}/pdf",
}
# The instances of each generator's devices, and where their scraper listens in the world.
MASTERS = ("MASTER-01", "MASTER-02")
POOLS = {
    "G_IAD": {"IAD-01": "iad/01", "IAD-02": "iad/02"},
    "G_IAD2": {"IAD2-01": "iad2/01", "IAD2-02": "iad2/02"},
    "G_MASTER": {"": "master/01"},
    "G_SISEC": {"SISEC-OM": "sisec/om", "SISEC-GDL": "sisec/gdl", "SISEC-MTY": "sisec/mty"},
}
DEVICES_EACH = 6
SCRAPER = "demo-scraper"
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
    controlling.seed()
    _authorisations()
    present = set(RecursosExp.objects.values_list("idRecurso", flat=True))
    missing = [case for case in cases.CASES if case.pk not in present]
    RecursosExp.objects.bulk_create([RecursosExp(**cases.row_of(case)) for case in missing])
    with opened():
        pass
    for case in missing:
        _set_fault(case)


def seed_distribution(web: str) -> None:
    """The pools, their endpoints, and whom the scrapers report to: `web`, http://host:port."""
    for name, instances in POOLS.items():
        generator = Generator.objects.get(name=name)
        for instance, place in instances.items():
            url = f"{settings.DEMO_WORLD_URL}/scrapers/{place}/"
            Endpoint.objects.get_or_create(generator=generator, url=url, instance=instance)
        _devices(generator, [instance for instance in instances if instance] or [*MASTERS])
    known = reporting.recipient()
    if known is None or known.url != web or ApiKey.of(known.key) is None:
        reporting.report_to(reporting.Recipient(web, _scraper_key()))


def seed_people(people: Sequence[DemoPerson] = PEOPLE) -> None:
    """People to look up, and what the scrapers will do with each."""
    present = set(NbcRecord.objects.values_list("nbc_id", flat=True))
    missing = [person for person in people if person.nbc_id not in present]
    scrapers.declare([scraper_books.Person(one.curp, one.behaviour) for one in missing])
    for person in missing:
        data = {"curp": person.curp, "nombre": "Inventada", "story": person.story}
        NbcRecord.objects.create(nbc_id=person.nbc_id, curp=person.curp, data=data)


def seed_complaints() -> None:
    """Have the companies' complaints extracted and processed, where nobody has done so yet."""
    if not PostProcessingRun.objects.exists():
        doorbell.ring(asking.CLUSTER, asking.EXTRACT)


def _devices(generator: Generator, instances: list[str]) -> None:
    for number in range(DEVICES_EACH):
        instance = instances[number % len(instances)]
        device = f"{instance}-{number + 1:03d}"
        Device.objects.get_or_create(
            fleet=generator.fleet,
            device=device,
            defaults={
                "device_name": f"{generator.short_name} {number + 1}",
                "process": generator.process,
                "instance": instance,
            },
        )


def _scraper_key() -> str:
    """A new key for the scrapers, in place of the old ones."""
    user, _created = User.objects.get_or_create(username=SCRAPER)
    user.groups.add(Group.objects.get(name=roles.SCRAPER))
    ApiKey.objects.filter(user=user).delete()
    row = ApiKey(name="demo scrapers", user=user, scope=ApiKey.Scope.OPERATE)
    key = row.issue()
    row.save()
    return key


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
