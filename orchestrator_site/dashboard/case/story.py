"""The whole story of a case: what it is, its way, its parts, its events and files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any
from uuid import UUID

from django.apps import apps
from django.core.exceptions import PermissionDenied
from django.db.models import CharField, Model, Value
from django.db.models.functions import Cast
from django.urls import reverse
from django.utils.translation import gettext as _

from orchestrator_site.dashboard.case import appeals, complaints, jobs, others, people
from orchestrator_site.dashboard.case.events import Page, page_of
from orchestrator_site.dashboard.case.hops import Hop, missing
from orchestrator_site.dashboard.case.told import Asked, StoredFile, Teller, Told
from orchestrator_site.logs import redact
from orchestrator_site.models import Event
from queues.browser.redaction import Redactor
from queues.models import EvidenceFile

SEE_EVENTS, SEE_EVIDENCE = "orchestrator_site.view_event", "queues.view_evidencefile"
MOST_ROWS = 200  # of one case
MOST_FILES = 500
SHORTEST = 4  # characters of a secret that is looked for: a shorter one would be found everywhere
# Whose case it is, by the rows that it has: the first that fits.
TELLERS: Mapping[str, Teller] = {
    "queues.tramitetask": appeals.tell,
    "brain.claim": appeals.tell,
    "queues.nbcrecord": people.tell,
    "queues.job": jobs.tell,
    **dict.fromkeys(complaints.LABELS, complaints.tell),
    "postprocessing.s3file": complaints.tell_file,
}


class NoSuchCase(Exception):
    """Nothing is known of this case."""


def anything(permission: str) -> bool:
    """The permissions of who reads by a command: this machine's own people."""
    return True


@dataclass(frozen=True)
class Story:
    """`events`: a page of them, None where the reader may see none."""

    case_id: UUID
    told: Told
    events: Page | None
    files: Sequence[StoredFile] = ()
    may: Callable[[str], bool] = field(default=anything, repr=False)

    @property
    def pictures(self) -> list[StoredFile]:
        return [file for file in self.files if file.is_picture]

    @property
    def other_files(self) -> list[StoredFile]:
        return [file for file in self.files if not file.is_picture]

    @property
    def gone(self) -> Hop | None:
        """The hop that is missing, where that is all there is to say."""
        return None if self.told.waits else missing(self.told.hops)

    @property
    def summary(self) -> str:
        """Why it is where it is, in one sentence."""
        if self.gone:
            return _("“%(hop)s” is missing.") % {"hop": self.gone.title}
        return self.told.waits

    def as_dict(self) -> dict[str, Any]:
        """As JSON, without any secret."""
        told = self.told
        found = {
            "id": str(self.case_id),
            "kind": told.kind,
            "kind_title": told.kind_title,
            "title": told.title,
            "state": told.state.value if told.state else "",
            "state_title": told.state.text if told.state else "",
            "waits": self.summary,
            "hops": [hop.as_dict() for hop in told.hops],
            "sections": [section.as_dict() for section in told.sections if not section.is_empty],
            "files": [file.as_dict() for file in self.files],
            "events": self.events.as_list() if self.events else [],
            "has_more_events": bool(self.events and self.events.more),
        }
        return dict(self.clean(found))

    def clean(self, value: Any) -> Any:
        """The value without what may be shown to nobody, in whatever text it turns up."""
        if isinstance(value, str):
            return redact(self._redactor.text(value))
        if isinstance(value, Mapping):
            return {key: self.clean(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.clean(one) for one in value]
        return value

    @cached_property
    def _redactor(self) -> Redactor:
        return Redactor([one for one in self.told.secrets if len(one) >= SHORTEST])


def read(
    case_id: UUID,
    may: Callable[[str], bool] = anything,
    *,
    oldest_first: bool = False,
    past: int | None = None,
    most: int = 100,
) -> Story:
    """What a reader may know of a case, with the `most` events past the one with that id.

    Raises NoSuchCase, and PermissionDenied where the reader may not see this kind of case.
    """
    keys = keys_of(case_id)
    if not keys and not Event.objects.filter(case_id=case_id).exists():
        raise NoSuchCase
    may_see = [label for label in keys if may(_view(label))]
    if keys and not may_see:
        raise PermissionDenied
    files = _files(case_id) if may(SEE_EVIDENCE) else []
    asked = Asked(case_id, {label: keys[label] for label in may_see}, may, files)
    told = _teller(may_see)(asked)
    events = None
    if may(SEE_EVENTS):
        events = page_of(case_id, oldest_first=oldest_first, past=past, most=most)
    elif not keys:
        raise PermissionDenied
    return Story(case_id, told, events, [*map(_stored, files), *told.files], may)


def keys_of(case_id: UUID) -> dict[str, list[str]]:
    """The keys of the rows of a case by their models' labels: one statement over all models that
    have cases, each by its index."""
    parts = [
        model._base_manager.filter(case_id=case_id)
        .order_by()
        .values_list(
            Value(model._meta.label_lower, output_field=CharField()),
            Cast("pk", CharField()),
        )
        for model in _with_cases()
    ]
    found: dict[str, list[str]] = {}
    for label, key in parts[0].union(*parts[1:], all=True)[:MOST_ROWS]:
        found.setdefault(label, []).append(key)
    return {label: found[label] for label in [*TELLERS, *found] if label in found}


@cache
def _with_cases() -> list[type[Model]]:
    """Of which tables the rows have cases. Proxies are rows of another's table."""
    beside: Iterable[str] = (Event._meta.label_lower, EvidenceFile._meta.label_lower)
    return [
        model
        for model in apps.get_models()
        if any(field.name == "case_id" for field in model._meta.concrete_fields)
        and not model._meta.proxy
        and model._meta.label_lower not in beside
        and not model._meta.label_lower.partition(".")[2].startswith("historical")
    ]


def _view(label: str) -> str:
    app, _dot, model = label.partition(".")
    return f"{app}.view_{model}"


def _teller(labels: Sequence[str]) -> Teller:
    if not labels:
        return _of_events
    return next((TELLERS[label] for label in labels if label in TELLERS), others.tell)


def _of_events(asked: Asked) -> Told:
    """Of a row that is no more, its events still tell."""
    return Told("gone", _("Case"), str(asked.case_id), None)


def _files(case_id: UUID) -> list[EvidenceFile]:
    return list(EvidenceFile.objects.filter(case_id=case_id).order_by("id")[:MOST_FILES])


def _stored(file: EvidenceFile) -> StoredFile:
    name = file.path.rpartition("/")[2]
    owner = f"{file.object_type.rpartition('.')[2]}-{file.object_id}"
    return StoredFile(
        name=f"evidence/{owner}/attempt-{file.attempt}/{file.pk}-{name}",
        path=file.path,
        sha256=file.sha256,
        size=file.size,
        kind=file.kind,
        url=reverse("evidence", args=[file.pk]),
        is_picture=file.kind == EvidenceFile.Kind.SCREENSHOT,
        attempt=file.attempt,
    )
