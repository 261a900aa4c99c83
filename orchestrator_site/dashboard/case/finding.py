"""What a text may be the name of: a case, a number, a CURP, a device, a file, a message.

Everything is asked in one statement. Each part of it asks an index for that very text, or for what
begins with it, and the whole is content with a few rows: the search does not grow with the tables.
Tables that stay small are looked through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db.models import Model, Q, QuerySet, TextField, UUIDField, Value
from django.db.models.functions import Cast
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from brain.models import Claim, Organismo
from devices.models import Device, Worker
from orchestrator_site import telling
from orchestrator_site.dashboard.case.facts import State, row_link
from orchestrator_site.dashboard.case.story import keys_of
from orchestrator_site.models import Event
from postprocessing.models import S3File, SourceFile
from postprocessing.models.complaint import companies, models_of_all
from queues.models import (
    EvidenceFile,
    Generator,
    NbcRecord,
    QueueEntry,
    TramiteTask,
    WebhookDelivery,
)

May = Callable[[str], bool]
LONGEST = 1024  # characters of a text: keys of objects have no more
MOST = 40  # rows that are found
BEGINNING = 4  # characters of a CURP, or of a small table's name, that are enough
LARGEST = 2**63  # from here on no number is a key
SEE_EVENTS = "orchestrator_site.view_event"
ICONS = {
    "tramitetask": "outgoing_mail",
    "claim": "front_hand",
    "nbcrecord": "person_search",
    "queueentry": "assignment",
    "job": "play_circle",
    "webhookdelivery": "outbox",
    "s3file": "cloud",
    "sourcefile": "data_object",
    "evidencefile": "photo_library",
    "device": "devices",
    "generator": "precision_manufacturing",
    "organismo": "account_balance",
    "worker": "memory",
}
# What can be searched, with an example, and who may.
SEARCHABLE = (
    (gettext_lazy("a case number of an appeal"), "2026/101001-MUL", "brain.view_claim"),
    (gettext_lazy("an idRecurso"), "40012", "queues.view_tramitetask"),
    (gettext_lazy("a CURP, or its beginning"), "XEXX500101", "queues.view_nbcrecord"),
    (gettext_lazy("an NBC id, an rw_id"), "IMSS_65a…_17…", "queues.view_nbcrecord"),
    (gettext_lazy("a task's number or document"), "1234", "queues.view_queueentry"),
    (gettext_lazy("a job's id, any case's id"), "0193a0c2-…", "queues.view_job"),
    (gettext_lazy("the id of a webhook's message"), "0193a0c2-…", "queues.view_webhookdelivery"),
    (gettext_lazy("a radicado, an sgc"), "RE3160202512345", "postprocessing.view_ovafinia"),
    (
        gettext_lazy("a file's name, key or SHA-256"),
        "123_acta.pdf",
        "postprocessing.view_s3file",
    ),
    (gettext_lazy("a device, a generator, a worker"), "SISEC-OM-001", "devices.view_device"),
    (gettext_lazy("a page of the menu"), gettext_lazy("Shares"), ""),
)


@dataclass(frozen=True)
class Found:
    """A row that the text names. `case_id`: whose page is at `url`; None: the row's own page."""

    kind: str
    kind_title: str
    title: str
    state: State | None
    url: str
    case_id: UUID | None
    icon: str = "search"

    @property
    def description(self) -> str:
        return f"{self.kind_title} · {self.state.text}" if self.state else self.kind_title


def searchable(may: May) -> list[tuple[Any, Any]]:
    """What the reader can search for, each with an example."""
    return [(what, example) for what, example, right in SEARCHABLE if not right or may(right)]


def find(text: str, may: May) -> list[Found]:
    """The rows that a text names, of those that the reader may see; at most MOST."""
    text = text.replace("\0", "").strip()[:LONGEST]
    if not text:
        return []
    parts = [part for part in _parts(text) if may(_view(part.model))]
    asked = [_columns(part) for part in parts]
    rows = asked[0].union(*asked[1:], all=True)[:MOST] if asked else []
    found = [*_of_case(text, may), *(_found(*row) for row in rows)]
    return list({one.url: one for one in reversed(found)}.values())[::-1]


@dataclass(frozen=True)
class _Part:
    """Rows of a model that the text may name, what they are called, and their case."""

    rows: QuerySet[Any]
    title: str
    case: str = "case_id"

    @property
    def model(self) -> type[Model]:
        return self.rows.model


def _parts(text: str) -> Iterator[_Part]:
    yield from _of_numbers(text)
    yield from _of_keys(text)
    if len(text) >= BEGINNING:
        yield from _of_names(text)
        yield _Part(NbcRecord.objects.filter(curp__startswith=text.upper()), "curp")


def _of_numbers(text: str) -> Iterator[_Part]:
    """What people write down: numbers of cases, of tasks and of complaints."""
    spelled = {text, text.upper()}
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else LARGEST
    claims, entries = Q(expediente__in=spelled), Q(rw_id=text) | Q(document_id=text.lower())
    if number < LARGEST:
        yield _Part(TramiteTask.objects.filter(resource_id=number), "resource_id")
        claims, entries = claims | Q(resource_id=number), entries | Q(pk=number)
    yield _Part(Claim.objects.filter(claims), "expediente")
    yield _Part(QueueEntry.objects.filter(entries), "curp")
    nbc_id = text[5:].rpartition("_")[0] if text[:5].upper() == "IMSS_" else text
    yield _Part(NbcRecord.objects.filter(nbc_id=nbc_id), "curp")
    for model in models_of_all():
        rows: Any = model._default_manager
        known = Q(numero_radicado__in=spelled) | Q(numero_reclamo_sgc=text)
        yield _Part(rows.filter(known), "numero_radicado")


def _of_keys(text: str) -> Iterator[_Part]:
    """Files, by whatever they are called."""
    names = [one.name for one in companies()]
    options: Any = settings.STORAGES["pqr"]["OPTIONS"]
    buckets = ["", options.get("bucket_name") or ""]
    file = Q(empresa__in=names, filename=text) | Q(numero_reclamo_sgc=text) | Q(file_hash=text)
    file |= Q(s3_bucket__in=set(buckets), s3_key=text)
    yield _Part(S3File.objects.filter(file), "filename")
    yield _Part(SourceFile.objects.filter(empresa__in=names, filename=text), "filename", "")
    yield _Part(EvidenceFile.objects.filter(path=text), "path")
    with suppress(ValueError):
        yield _Part(WebhookDelivery.objects.filter(message_id=UUID(text)), "event")


def _of_names(text: str) -> Iterator[_Part]:
    """Small tables: a part of a name will do."""
    yield _Part(Device.objects.filter(device__icontains=text), "device", "")
    yield _Part(Generator.objects.filter(name__icontains=text), "name", "")
    yield _Part(Organismo.objects.filter(site_id__icontains=text), "site_id", "")
    yield _Part(Worker.objects.filter(name__icontains=text), "name", "")


def _columns(part: _Part) -> QuerySet[Any, Any]:
    """Label, key, title, case and status of each row: the same columns of every model."""
    names = {field.name for field in part.model._meta.concrete_fields}
    status = Cast("status", TextField()) if "status" in names else Value("", TextField())
    case = part.case or Cast(Value(None), UUIDField())
    return part.rows.order_by().values_list(
        Value(part.model._meta.label_lower, TextField()),
        Cast("pk", TextField()),
        Cast(part.title, TextField()),
        case,
        status,
    )


def _found(label: str, key: str, title: str, case: Any, status: str) -> Found:
    model = apps.get_model(label)
    state = None
    if status:
        tone = getattr(model, "TONES", {}).get(status, "off")
        state = State(status, telling.state(label, status), tone)
    row = model(pk=model._meta.pk.to_python(key))
    return Found(
        kind=label,
        kind_title=_kind(model),
        title=title or key,
        state=state,
        url=reverse("case", args=[case]) if case else row_link(row, key).url,
        case_id=case,
        icon=ICONS.get(label.rpartition(".")[2], "description"),
    )


def _of_case(text: str, may: May) -> list[Found]:
    """A case by its id: whose it is, or at least that something happened to it."""
    try:
        case_id = UUID(text)
    except ValueError:
        return []
    keys = keys_of(case_id)
    label = next((one for one in keys if may(_view(apps.get_model(one)))), "")
    if not label and (keys or not may(SEE_EVENTS)):
        return []
    if not keys and not Event.objects.filter(case_id=case_id).exists():
        return []
    kind = _kind(apps.get_model(label)) if label else _("Case")
    url = reverse("case", args=[case_id])
    icon = ICONS.get(label.rpartition(".")[2], "timeline")
    return [Found(label or "case", kind, str(case_id), None, url, case_id, icon)]


def _kind(model: type[Model]) -> str:
    return capfirst(str(model._meta.verbose_name))


def _view(model: type[Model]) -> str:
    return f"{model._meta.app_label}.view_{model._meta.model_name}"
