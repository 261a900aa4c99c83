"""Fields that take only what every database can keep."""

from __future__ import annotations

import math
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiTypes, extend_schema_field
from rest_framework import serializers


@extend_schema_field(OpenApiTypes.OBJECT)
class ObjectField(serializers.JSONField):
    """A JSON object."""

    default_error_messages = {
        "object": _("This must be an object."),
        "unstorable": _("It holds a character or a number that cannot be stored."),
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("object")
        if not is_storable(data):
            self.fail("unstorable")
        return data


def is_storable(value: Any) -> bool:
    """Without what PostgreSQL's JSON does not know: NUL, half a character, endless numbers."""
    if isinstance(value, dict):
        return all(is_storable(key) and is_storable(one) for key, one in value.items())
    if isinstance(value, list):
        return all(map(is_storable, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, str) or _is_text(value)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value
