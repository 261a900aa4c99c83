"""A flow's steps, to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from orchestrator_site.cells import plain_table

TARGETS = ("selector", "url", "text", "file", "name")  # what a step is done on


def steps_table(steps: Sequence[Mapping[str, Any]]) -> SafeString:
    lines = [(number, *step_cells(step)) for number, step in enumerate(steps, start=1)]
    return plain_table(("#", _("step"), _("on what"), _("besides")), lines)


def step_cells(step: Mapping[str, Any]) -> tuple[SafeString, SafeString, str]:
    """What the step does, on what, and all else that it says."""
    target = next((name for name in TARGETS if step.get(name)), "")
    besides = (
        f"{name}={told(value)}" for name, value in step.items() if name not in ("do", target)
    )
    shown = format_html("<code>{}</code>", told(step[target])) if target else SafeString("-")
    does = format_html('<span class="nowrap">{}</span>', step.get("do"))
    return does, shown, " ".join(besides) or "-"


def told(value: Any) -> str:
    """A text as it is, all else as JSON has it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
