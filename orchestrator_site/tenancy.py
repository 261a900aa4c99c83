"""Whose rows somebody sees. Every page, address and export of rows with an organisation asks here.

On PostgreSQL the database can be a second wall (`ROW_LEVEL_SECURITY`): policies compare a row's
organisation with what the connection says in `app.organisation`.
"""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


def organisation_of(user: Any) -> UUID | None:
    """The organisation that a user belongs to; None for our own staff."""
    membership = getattr(user, "membership", None) if user and user.is_authenticated else None
    return membership.organisation_id if membership else None


def visible(rows: QuerySet[Row], user: Any, path: str = "organisation") -> QuerySet[Row]:
    """Of these rows those that the user may know of. `path`: from the row to its organisation."""
    organisation = organisation_of(user)
    return rows if organisation is None else rows.filter(**{path: organisation})
