"""Changes to configuration, as events: what it was, what it is, and who did it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Model

from orchestrator_site.audit_sources import CHANGED, DELETED, MADE, SECRET
from orchestrator_site.models import Event

Values = Mapping[str, Any]


def stored(row: Model, *names: str) -> Values:
    """What people can set on the row, as the database has it; empty where it is new. `names`: of
    those fields alone, of which some may be rows of others: then their names."""
    fields = [field.attname for field in row._meta.concrete_fields if field.editable]
    columns = [name for name in names or fields if not _is_many(row, name)]
    values = type(row)._base_manager.filter(pk=row.pk).values(*columns).first() or {}
    if not values:
        return {}
    many = {name: _called(row, name) for name in names if _is_many(row, name)}
    return {**values, **many}


def note(row: Model, before: Values, *names: str) -> None:
    """Write down how the row differs from what `stored` said of it before."""
    after = stored(row, *names)
    changes = {
        name: ["", "*"] if SECRET.search(name) else [before.get(name), value]
        for name, value in after.items()
        if before.get(name) != value
    }
    if changes:
        Event.record([row], "", CHANGED if before else MADE, data=changes)


def gone(row: Model, before: Values) -> None:
    """Write down that the row is deleted, and what it was; before it is."""
    data = {"before": {**before, "name": str(row)}, "after": {}}
    Event.record([row], "", DELETED, data=data)


def _is_many(row: Model, name: str) -> bool:
    return bool(row._meta.get_field(name).many_to_many)


def _called(row: Model, name: str) -> list[str]:
    related = getattr(type(row)._base_manager.get(pk=row.pk), name)
    return sorted(str(one) for one in related.select_related())
