"""Rows by filters that a person or a script writes: `status=failed`, `created_at__lt=2026-01-01`.

Only columns of the row itself, and none that holds a secret or a long text: what a filter finds
would tell what stands there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator_site.verbs import Refused

Field = models.Field
LOOKUPS = ("exact", "in", "lt", "lte", "gt", "gte", "startswith", "isnull")
HIDDEN = (models.TextField, models.JSONField, models.BinaryField)  # secrets are texts
TRUTHS = {"true": True, "1": True, "false": False, "0": False}


class NoSuchFilter(Refused):
    """A filter of a field that the rows do not have, or with a value that it cannot have."""


def narrowed(model: type[models.Model], filters: Mapping[str, str]) -> models.QuerySet[Any]:
    """The rows of which all filters hold. Raises NoSuchFilter."""
    found = dict(_condition(model, name, value) for name, value in filters.items())
    return model._default_manager.filter(**found)


def parsed(texts: Iterable[str]) -> dict[str, str]:
    """Filters as they stand on a command line. Raises NoSuchFilter."""
    pairs = [text.partition("=") for text in texts]
    for name, equals, _value in pairs:
        if not equals:
            raise NoSuchFilter(_("A filter is written field=value, not %(text)s.") % {"text": name})
    return {name.strip(): value for name, _equals, value in pairs}


def fields_of(model: type[models.Model]) -> dict[str, Field]:
    fields = (one for one in model._meta.concrete_fields if not isinstance(one, HIDDEN))
    return {one.name: one for one in fields}


def _condition(model: type[models.Model], name: str, value: str) -> tuple[str, Any]:
    fields = fields_of(model)
    of, _two, lookup = name.partition("__")
    lookup = lookup or "exact"
    if of not in fields or lookup not in LOOKUPS:
        told = _(
            "There is no filter %(name)s. Fields: %(fields)s. After a field may stand: %(ends)s."
        )
        ends = ", ".join(f"__{one}" for one in LOOKUPS)
        raise NoSuchFilter(told % {"name": name, "fields": ", ".join(fields), "ends": ends})
    return f"{of}__{lookup}", _value(fields[of], name, lookup, value)


def _value(field: Field, name: str, lookup: str, text: str) -> Any:
    if lookup == "isnull":
        return _truth(name, text)
    if lookup == "startswith" and not isinstance(field, models.CharField):
        raise NoSuchFilter(_("%(name)s: only of texts is there a beginning.") % {"name": name})
    if lookup == "startswith":
        return text.replace("\0", "")
    if lookup == "in":
        return [_stored(field, name, one.strip()) for one in text.split(",")]
    return _stored(field, name, text)


def _truth(name: str, text: str) -> bool:
    if text.lower() not in TRUTHS:
        raise NoSuchFilter(_("%(name)s is true or false.") % {"name": name})
    return TRUTHS[text.lower()]


def _stored(field: Field, name: str, text: str) -> Any:
    """The text as the field has it."""
    target: Field = field.target_field if isinstance(field, models.ForeignKey) else field
    known = [str(value) for value, _label in target.flatchoices]
    if known and text not in known:
        told = _("%(name)s is one of: %(known)s.")
        raise NoSuchFilter(told % {"name": name, "known": ", ".join(known)})
    try:
        if isinstance(target, models.BooleanField):
            return _truth(name, text)
        value = target.to_python(text.replace("\0", ""))
        if isinstance(target, models.IntegerField):
            target.run_validators(value)  # its range
        is_naive = isinstance(value, datetime) and timezone.is_naive(value)
        return timezone.make_aware(value) if is_naive else value
    except (ValidationError, ValueError, OverflowError) as error:
        told = _("%(name)s cannot be %(value)s.")
        raise NoSuchFilter(told % {"name": name, "value": text}) from error
