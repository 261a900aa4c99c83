"""Fields of the brain's forms."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget


class HostsField(forms.CharField):
    """A list of hosts, one a line."""

    def __init__(self, **options: Any) -> None:
        asked = {
            "label": _("Hosts"),
            "required": False,
            "widget": UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false"}),
        }
        super().__init__(**{**asked, **options})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return (super().to_python(value) or "").replace(",", " ").split()
