"""Configuration that is changed over HTTP."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from rest_framework import mixins

from orchestrator_site import recording


class Recorded(mixins.CreateModelMixin, mixins.UpdateModelMixin):
    """Who changed what is an event. Only what was given is written: workers write into the same
    rows."""

    def perform_create(self, serializer: Any) -> None:
        recording.note(serializer.save(), {})

    def perform_update(self, serializer: Any) -> None:
        row, given = serializer.instance, serializer.validated_data
        before = recording.stored(row)
        for name, value in given.items():
            setattr(row, name, value)
        row.save(update_fields=list(given))
        recording.note(row, before)

    def perform_destroy(self, row: Any) -> None:
        """Of a view set that deletes."""
        with transaction.atomic():
            recording.gone(row, recording.stored(row))
            row.delete()
