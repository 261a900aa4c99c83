"""A field of one of some words, which says which ones where it is given another."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers


class ChoiceField(serializers.ChoiceField):
    default_error_messages = {
        "invalid_choice": _("“{input}” is not a valid choice; known are {known}.")
    }

    def fail(self, key: str, **kwargs: Any) -> Any:
        super().fail(key, known=", ".join(map(str, self.choices)), **kwargs)
