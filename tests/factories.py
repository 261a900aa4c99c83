"""Rows for tests. People, plates and numbers are invented."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import factory
from factory.django import DjangoModelFactory

from brain.models import Flow, Motivo, Organismo
from brain.surveying import case_id_for
from devices.models import Device
from queues.browser import scripts
from queues.curp import with_digit
from queues.models import Endpoint, Generator, NbcRecord, TramiteTask

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
    script_hash = scripts.sha256(scripts.canonical(STEPS))
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
