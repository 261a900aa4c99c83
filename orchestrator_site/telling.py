"""What events and permissions hold in the words of the code, told in those of the reader."""

from __future__ import annotations

from django.apps import apps
from django.contrib.auth.models import Permission
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_noop, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from orchestrator_site.models import Event

CAN = {
    "add": _("Can add"),
    "change": _("Can change"),
    "delete": _("Can delete"),
    "view": _("Can view"),
}
# What models declare, where Django wants a plain string.
OWN = (
    gettext_noop("Can act on alerts"),
    gettext_noop("Can stop and undo bulk actions"),
    gettext_noop("Can act on appeals in the queue"),
    gettext_noop("Can act on connected providers"),
    gettext_noop("Can act on dev devices"),
    gettext_noop("Can act on devices"),
    gettext_noop("Can act on changes for Mongo"),
    gettext_noop("Can act on documents set aside"),
    gettext_noop("Can act on generators and their shares"),
    gettext_noop("Can act on IMSS tasks"),
    gettext_noop("Can act on jobs"),
    gettext_noop("Can act on people to look up"),
    gettext_noop("Can act on S3 files"),
    gettext_noop("Can act on webhook messages"),
    gettext_noop("Can act on webhooks"),
    gettext_noop("Can activate flows"),
    gettext_noop("Can pause, resume and run organismos"),
    gettext_noop("Can release and settle claims"),
    gettext_noop("Can report results of IMSS tasks (scrapers)"),
    gettext_noop("Can repair differences"),
    gettext_noop("Can rotate and revoke signing keys"),
    gettext_noop("Can run the post-processing"),
    gettext_noop("Can run, pause and resume the brain"),
)

# What events call rows that have no status, or what happened to them besides.
HAPPENED = {
    "online": _("Online"),
    "offline": _("Offline"),
    "free": _("Free"),
    "held": pgettext_lazy("device", "Held"),
    "running": _("Runs"),
    "paused": _("Paused"),
    "enabled": _("Enabled"),
    "disabled": _("Disabled"),
    "left alone": _("Left alone"),
    "asked again": _("Asked again"),
    "run asked for": _("Run asked for"),
    "endpoints changed": _("Endpoints changed"),
    "shares set": _("Shares set"),
    "made": _("Made"),
    "changed": _("Changed"),
    "silenced": _("Silenced"),
    "deleted": pgettext_lazy("event", "Deleted"),
    "verified": pgettext_lazy("event", "Verified"),
    "broken": pgettext_lazy("event", "Broken"),
    "set aside": _("Set aside"),
    "approved": pgettext_lazy("event", "Approved"),
    "refused": pgettext_lazy("event", "Refused"),
    "rotated": pgettext_lazy("event", "Rotated"),
    "member": _("Member"),
    "removed": pgettext_lazy("event", "Removed"),
    "tried again": _("Tried again"),
    "repair asked for": _("Repair asked for"),
    "repaired": _("Repaired"),
    "not all repaired": _("Not all repaired"),
}


def kind(object_type: str) -> str:
    """The kind of row that an event is of."""
    model = _model(object_type)
    return capfirst(str(model._meta.verbose_name)) if model else object_type


def state(object_type: str, value: str) -> str:
    """A state of such a row, or what became of it; any other word stays as it is."""
    model = _model(object_type)
    return str({**HAPPENED, **_labels(model)}.get(value, value)) if model else value


def change(event: Event) -> str:
    new = state(event.object_type, event.new)
    return f"{state(event.object_type, event.old)} → {new}" if event.old else new


def permission(row: Permission) -> str:
    """`Brain | claim | Can view`; what models declare besides is translated as it stands."""
    model = row.content_type.model_class()
    what, _separator, name = row.codename.partition("_")
    is_usual = model is not None and name == model._meta.model_name and what in CAN
    told = str(CAN[what]) if is_usual else gettext(row.name)
    return f"{row.content_type.app_labeled_name} | {told}"


def _model(object_type: str) -> type[Model] | None:
    """None for a model that is no more."""
    try:
        return apps.get_model(object_type)
    except (LookupError, ValueError):
        return None


def _labels(model: type[Model]) -> dict[str, object]:
    try:
        return dict(model._meta.get_field("status").flatchoices)  # type: ignore[union-attr]
    except FieldDoesNotExist:
        return {}
