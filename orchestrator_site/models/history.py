"""Versions of configuration: each says who made it, through which way."""

from __future__ import annotations

from typing import Any

from django.db import models
from simple_history.models import HistoricalRecords

from orchestrator_site.actors import ActorKind, current_actor

ACTOR_LENGTH = 150


def acting_kind() -> str:
    return str(current_actor().kind)


def acting_name() -> str:
    return current_actor().name[:ACTOR_LENGTH]


class Acted(models.Model):
    """Of a version: the actor, as an event names it. Older versions know their user alone."""

    actor_kind = models.CharField(
        max_length=16, choices=ActorKind.choices, blank=True, default=acting_kind
    )
    actor = models.CharField(max_length=ACTOR_LENGTH, blank=True, default=acting_name)

    class Meta:
        abstract = True


class History(HistoricalRecords):
    """`history` of a model whose changes are audited (`orchestrator_site.auditing`)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(bases=(Acted, models.Model), **options)

    def create_historical_record(self, instance: Any, history_type: str, using: Any = None) -> None:
        """A row may say that it is no configuration: `has_history`."""
        if getattr(instance, "has_history", True):
            super().create_historical_record(instance, history_type, using)
