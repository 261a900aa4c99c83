"""Filters of lists under a name: who sees which, who may share, what of an address is kept."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.apps import apps
from django.contrib.admin.options import IS_FACETS_VAR, IS_POPUP_VAR
from django.contrib.admin.views.main import ERROR_FLAG, PAGE_VAR
from django.db.models import Model, Q, QuerySet

from orchestrator_site.models import SavedFilter

MOST = 100  # of a person
QUERY_LENGTH = 2000
# What of a list's address is no filter and no order.
PASSING = (PAGE_VAR, ERROR_FLAG, IS_POPUP_VAR, IS_FACETS_VAR, "all", "_to_field")


class TooMany(Exception):
    """The person has as many as there may be."""


class TooLong(Exception):
    """The filter does not fit in."""


def visible(user: Any) -> QuerySet[SavedFilter]:
    """One's own, and everybody's."""
    return SavedFilter.objects.filter(Q(user=user.pk) | Q(is_shared=True)).select_related("user")


def on_page(user: Any, page: str) -> QuerySet[SavedFilter]:
    return visible(user).filter(page=page).order_by("name", "pk")


def may_share(user: Any) -> bool:
    """For whoever acts on something: what everybody sees is the work's, not a matter of taste."""
    return user.is_superuser or any(".operate_" in name for name in user.get_all_permissions())


def may_delete(user: Any, row: SavedFilter) -> bool:
    """One's own; what is everybody's also who configures."""
    return row.user_id == user.pk or (
        row.is_shared and user.has_perm("orchestrator_site.delete_savedfilter")
    )


def model_of(page: str) -> type[Model] | None:
    """What a list (`app_label.model_name`) is of."""
    try:
        return apps.get_model(page)
    except (LookupError, ValueError):
        return None


def may_see(user: Any, page: str) -> bool:
    """Whether there is such a list, for this person."""
    model = model_of(page)
    if model is None:
        return False
    meta = model._meta
    return user.has_perm(f"{meta.app_label}.view_{meta.model_name}")


def kept(query: str) -> str:
    """The filter and the order of a list's address, in one order: so that the same is the same.
    Raises TooLong."""
    pairs = parse_qsl(query.removeprefix("?"), keep_blank_values=True, max_num_fields=100)
    text = urlencode(sorted((name, value) for name, value in pairs if name not in PASSING))
    if len(text) > QUERY_LENGTH:
        raise TooLong
    return text


def keep(user: Any, page: str, name: str, query: str, is_shared: bool) -> SavedFilter:
    """One's own of this name, which is changed where there is one. Raises TooLong, TooMany."""
    values = {"query": kept(query), "is_shared": is_shared}
    own = SavedFilter.objects.filter(user=user.pk)
    if not own.filter(page=page, name=name).exists() and own.count() >= MOST:
        raise TooMany
    row, _made = SavedFilter.objects.update_or_create(
        user_id=user.pk, page=page, name=name, defaults=values
    )
    return row


def shown(changes: Any, user: Any) -> dict[str, Any]:
    """For the chips above a list: those of it, and what it is filtered by now."""
    page = changes.opts.label_lower
    query = _query(changes)
    rows = list(on_page(user, page))
    return {
        "page": page,
        "query": query,
        "chips": [_chip(row, user, query) for row in rows],
        "is_new": bool(query) and query not in {row.query for row in rows},
        "may_share": may_share(user),
    }


def _chip(row: SavedFilter, user: Any, query: str) -> dict[str, Any]:
    return {
        "row": row,
        "is_current": row.query == query,
        "by": "" if row.user_id == user.pk else row.user.get_username(),
        "may_delete": may_delete(user, row),
    }


def _query(changes: Any) -> str:
    """Empty where it cannot be kept."""
    try:
        return kept(changes.get_query_string())
    except (TooLong, ValueError):
        return ""
