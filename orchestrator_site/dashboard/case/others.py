"""Cases of what has no way of its own: alerts, devices, runs. Their events tell it."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models import Model
from django.urls import NoReverseMatch
from django.utils.text import capfirst

from orchestrator_site.dashboard.case.facts import Link, State, row_link
from orchestrator_site.dashboard.case.told import Asked, Told


def tell(asked: Asked) -> Told:
    label, keys = next(iter(asked.keys.items()))
    model = apps.get_model(label)
    row: Any = model._base_manager.filter(pk__in=keys[:1]).first()
    title = capfirst(str(model._meta.verbose_name))
    state = State.of(row, getattr(row, "tone", "off")) if hasattr(row, "status") else None
    return Told(label, title, str(row or keys[0]), state, rows=_links(row))


def _links(row: Model | None) -> list[Link]:
    """A model may have no page of its own."""
    try:
        return [row_link(row)] if row else []
    except NoReverseMatch:
        return []
