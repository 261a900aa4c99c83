"""What lists show besides Unfold's own: saved filters, and what fills an empty one."""

from __future__ import annotations

from typing import Any

from django.template import Context, Library

from orchestrator_site.saved_filters import shown

register = Library()


@register.inclusion_tag("admin/saved_filters.html", takes_context=True)
def saved_filters(context: Context, changes: Any) -> dict[str, Any]:
    request = context["request"]
    return {**shown(changes, request.user), "request": request}


@register.simple_tag
def filled_by(changes: Any) -> Any:
    """How rows come into this list; empty where people enter them."""
    return getattr(changes.model_admin, "made_by", "")
