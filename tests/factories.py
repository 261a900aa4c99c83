"""Rows for tests. People, plates and numbers are invented."""

from __future__ import annotations

import base64
import json
from datetime import date, timedelta
from typing import Any

import factory
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.utils import timezone
from factory.django import DjangoModelFactory

from brain.models import ConnectedProvider, Flow, Motivo, Organismo, Provider, SigningKey
from brain.surveying import case_id_for
from devices.models import Device
from orchestrator_site.encryption import fernet
from orchestrator_site.models import Member, Organisation
from queues.browser import scripts, signing
from queues.curp import with_digit
from queues.models import (
    Endpoint,
    Generator,
    Job,
    NbcRecord,
    TramiteTask,
    WebhookEndpoint,
)

STEPS = [
    {"do": "navigate", "url": "{{ direct_url }}"},
    {"do": "fill", "selector": "#expediente", "value": "{{ payload.expediente }}"},
    {"do": "click", "selector": "#send", "irrevocable": True},
    {"do": "wait", "text": "Registrado", "confirms": True},
    {"do": "download", "selector": "#receipt", "name": "justificante.pdf", "receipt": True},
]


class FlowFactory(DjangoModelFactory[Flow]):
    class Meta:
        model = Flow

    name = "file_demo"

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Flow:
        flow = Flow.add_version(kwargs["name"], kwargs.get("steps", STEPS), by="tests")
        flow.activate()
        return flow


class OrganismoFactory(DjangoModelFactory[Organismo]):
    class Meta:
        model = Organismo

    site_id = "xaloc_girona"
    query_organisme = "%XALOC%"
    filtro_texp = "2,3"
    regex_expediente = r"^\d{4}/\d{6}-MUL$"
    url_template = "http://127.0.0.1:8001/sede/xaloc/?Expedient={expediente}"
    bot_username = "BOT_MULTIVIA"
    active = True
    claims_per_cycle = 1000
    target_queue_depth = 2000


class MotivoFactory(DjangoModelFactory[Motivo]):
    class Meta:
        model = Motivo
        django_get_or_create = ("organismo", "key")

    organismo = None
    key = "denuncia"
    asunto = "Recurso {expediente}"
    expone = "Que {sujeto_recurso} no está conforme."
    solicita = "El archivo del expediente {expediente}."


class TramiteTaskFactory(DjangoModelFactory[TramiteTask]):
    class Meta:
        model = TramiteTask

    site_id = "xaloc_girona"
    resource_id = factory.Sequence(lambda n: n + 1)
    case_id = factory.LazyAttribute(lambda task: case_id_for(task.resource_id))
    payload = factory.LazyAttribute(
        lambda task: {"expediente": f"2026/{task.resource_id:06d}-MUL", "numclient": 500}
    )
    script = scripts.canonical(STEPS)
    script_hash = factory.LazyAttribute(lambda task: scripts.sha256(task.script))
    key_id = factory.LazyFunction(lambda: SigningKey.current().key_id)
    signature = factory.LazyAttribute(
        lambda task: signing.sign_script(task.script, SigningKey.current().key)
    )
    flow_name = "file_demo"
    flow_version = 1


class DeviceFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Device

    fleet = "dev_devices"
    process = "SISEC"
    instance = "SISEC-OM"
    device = factory.Sequence(lambda number: f"SISEC-OM-{number:03d}")
    device_name = factory.LazyAttribute(lambda row: f"Device {row.device}")


class EndpointFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Endpoint

    generator = factory.LazyFunction(lambda: Generator.objects.get(name="G_SISEC"))
    url = factory.Sequence(lambda number: f"http://127.0.0.1:9/scrapers/sisec/{number}/")


class NbcRecordFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = NbcRecord

    # A day of birth each, from 1950 on; nobody is born in no state.
    curp = factory.Sequence(
        lambda number: with_digit(
            f"XEXX{date(1950, 1, 1) + timedelta(number % 18_000):%y%m%d}HNEXXX{number // 18_000}"
        )
    )
    data = factory.LazyAttribute(lambda row: {"curp": row.curp, "nombre": "Ana Inventada"})


# --- The control plane: what is another's is made with it, unless it is given --------------------

SITE_STEPS = [
    {"do": "navigate", "url": "http://127.0.0.1:8001/sede/"},
    {"do": "screenshot", "name": "home"},
]
COOKIE = {
    "name": "sid",
    "value": "an-invented-session",
    "domain": "127.0.0.1",
    "path": "/",
    "expires": -1,
    "httpOnly": True,
    "secure": False,
    "sameSite": "Lax",
}


class OrganisationFactory(DjangoModelFactory[Organisation]):
    class Meta:
        model = Organisation

    name = factory.Sequence(lambda number: f"Organisation {number}")


class MemberFactory(DjangoModelFactory[Member]):
    """Its user signs in with its address and the password "x"."""

    class Meta:
        model = Member

    organisation = factory.SubFactory(OrganisationFactory)
    user = factory.Sequence(lambda number: f"person-{number}@example.com")
    role = Member.Role.OWNER

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Member:
        if isinstance(address := kwargs["user"], str):
            kwargs["user"] = User.objects.create_user(address, email=address, password="x")
        member: Member = super()._create(model_class, *args, **kwargs)
        member.user.groups.add(*Group.objects.filter(name="member"))
        return member


class ProviderFactory(DjangoModelFactory[Provider]):
    class Meta:
        model = Provider

    name = factory.Sequence(lambda number: f"provider-{number}")
    title = factory.LazyAttribute(lambda row: row.name.title())
    url = "http://127.0.0.1:8001/sede/"


class ConnectedProviderFactory(DjangoModelFactory[ConnectedProvider]):
    """`cookies`: of the session."""

    class Meta:
        model = ConnectedProvider

    class Params:
        member = factory.SubFactory(MemberFactory)
        cookies = (COOKIE,)

    organisation = factory.LazyAttribute(lambda row: row.member.organisation)
    user = factory.LazyAttribute(lambda row: row.member.user)
    provider = factory.SubFactory(ProviderFactory)
    session = factory.LazyAttribute(lambda row: session_token(*row.cookies))
    expires_at = factory.LazyFunction(lambda: timezone.now() + timedelta(days=7))


class OrganisationFlowFactory(DjangoModelFactory[Flow]):
    """An active version of an organisation's flow; `is_active=False` for one that is not."""

    class Meta:
        model = Flow

    organisation = factory.SubFactory(OrganisationFactory)
    provider = factory.SubFactory(ProviderFactory)
    name = factory.LazyAttribute(lambda row: f"flow-{row.provider.name}")
    label = "1.0.0"

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Flow:
        is_active = kwargs.pop("is_active", True)
        name, steps = kwargs.pop("name"), kwargs.pop("steps", SITE_STEPS)
        flow = Flow.add_version(name, steps, by=kwargs.pop("by", "tests"), **kwargs)
        if is_active:
            flow.activate()
        return flow


class JobFactory(DjangoModelFactory[Job]):
    """A signed job of a member. `steps`: what its script does."""

    class Meta:
        model = Job

    class Params:
        member = factory.SubFactory(MemberFactory)
        steps = SITE_STEPS

    organisation = factory.LazyAttribute(lambda row: row.member.organisation)
    user = factory.LazyAttribute(lambda row: row.member.user)
    provider_id = "1"
    provider_name = "demo"
    flow_id = "1"
    flow_name = "flow-demo"
    flow_version = "1.0.0"
    script = factory.LazyAttribute(lambda row: scripts.canonical(row.steps))
    script_hash = factory.LazyAttribute(lambda row: scripts.sha256(row.script))
    key_id = factory.LazyFunction(lambda: SigningKey.current().key_id)
    signature = factory.LazyAttribute(
        lambda row: signing.sign_script(row.script, SigningKey.current().key)
    )
    hosts = factory.LazyFunction(lambda: ["127.0.0.1"])
    needs_session = False


class WebhookEndpointFactory(DjangoModelFactory[WebhookEndpoint]):
    class Meta:
        model = WebhookEndpoint

    organisation = factory.SubFactory(OrganisationFactory)
    url = "http://127.0.0.1:9/hook"
    secret = "whsec_" + base64.b64encode(b"an invented secret of 32 bytes!!").decode()


def session_token(*cookies: dict[str, Any]) -> str:
    """What is stored of a session, in the database and in Redis."""
    connected = int(timezone.now().timestamp() * 1000)
    content = json.dumps({"cookies": list(cookies), "connectedAt": connected})
    return fernet(settings.SESSION_KEYS).encrypt(content.encode()).decode()
