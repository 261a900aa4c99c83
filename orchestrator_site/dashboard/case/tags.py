"""`{% fact value %}`: a fact of a case as HTML; `{{ at|moment }}`: a time, and how long ago."""

from __future__ import annotations

from typing import Any

from django.template import Context, Library

from orchestrator_site.dashboard.case import facts

register = Library()
register.filter("moment", facts.moment)


@register.simple_tag(takes_context=True)
def fact(context: Context, value: Any) -> str:
    """Of the context's `story`, without its secrets; `may` says which links lead on."""
    return facts.shown(context["story"].clean(value), context["may"])
