"""Changes to configuration, as events: what it was, what it is, and who did it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Model

from orchestrator_site.models import Event

Values = Mapping[str, Any]


def stored(row: Model) -> Values:
    """What people can set on the row, as the database has it; empty where it is new."""
    names = [field.attname for field in row._meta.concrete_fields if field.editable]
    return type(row)._base_manager.filter(pk=row.pk).values(*names).first() or {}


def note(row: Model, before: Values) -> None:
    """Write down how the row differs from what `stored` said of it before."""
    after = stored(row)
    changes = {
        name: [before.get(name), value]
        for name, value in after.items()
        if before.get(name) != value
    }
    if changes:
        Event.record([row], "", "changed" if before else "made", data=changes)
