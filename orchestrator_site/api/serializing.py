"""Serializers that read fast: what DRF works out for each row is worked out once a process."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from functools import cached_property
from operator import attrgetter
from typing import Any

from django.utils import timezone
from rest_framework import serializers

Reader = Callable[[Any], Any]
Readers = Sequence[tuple[str, Reader]]
# Whose values are in the row as they are told.
AS_THEY_ARE = (
    serializers.BooleanField,
    serializers.ChoiceField,
    serializers.FloatField,
    serializers.IntegerField,
    serializers.JSONField,
)
TEXTS = (serializers.CharField, serializers.EmailField, serializers.UUIDField)


_prepared: dict[tuple[type, tzinfo], Readers] = {}


class Prepared(serializers.ModelSerializer[Any]):
    """A model's serializer that reads rows fast. Its answers are DRF's own.

    Nothing that it tells may depend on the request: it is prepared once for all of them.
    """

    def get_fields(self) -> dict[str, Any]:
        """Of each class once: to ask the model for them takes longer than to read a row."""
        kind = type(self)
        if "_fields_made" not in vars(kind):
            kind._fields_made = super().get_fields()  # type: ignore[attr-defined]
        made: dict[str, Any] = copy.deepcopy(kind._fields_made)  # type: ignore[attr-defined]
        return made

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return {name: read(instance) for name, read in self._readers}

    @cached_property
    def _readers(self) -> Readers:
        key = type(self), timezone.get_current_timezone()
        found = _prepared.get(key)
        if found is None:
            fields = type(self)()._readable_fields
            found = [(str(field.field_name), _reader(field)) for field in fields]
            _prepared[key] = found
        return found


def _reader(field: Any) -> Reader:
    kind = type(field)
    if field.source_attrs and "." not in field.source:
        if kind in AS_THEY_ARE:
            return attrgetter(field.source)
        if kind in TEXTS:
            return _text_of(field.source)
        if kind is serializers.DateTimeField:
            return _moment_of(field.source)
    return _slowly(field)


def _text_of(name: str) -> Reader:
    def read(row: Any) -> str | None:
        value = getattr(row, name)
        return None if value is None else str(value)

    return read


def _moment_of(name: str) -> Reader:
    zone = timezone.get_current_timezone()

    def read(row: Any) -> str | None:
        value: datetime | None = getattr(row, name)
        if value is None:
            return None
        told = value.astimezone(zone).isoformat()
        return f"{told[:-6]}Z" if told.endswith("+00:00") else told

    return read


def _slowly(field: Any) -> Reader:
    def read(row: Any) -> Any:
        value = field.get_attribute(row)
        # A related row may be known by its key alone.
        is_none = getattr(value, "pk", None) is None if hasattr(value, "pk") else value is None
        return None if is_none else field.to_representation(value)

    return read
