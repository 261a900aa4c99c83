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


def is_welcome(user: Any) -> bool:
    """Whether the user may come in: it is active, and so is its organisation where it has one."""
    membership = getattr(user, "membership", None)
    return user.is_active and (membership is None or membership.organisation.active)


def visible(rows: QuerySet[Row], user: Any, path: str = "organisation") -> QuerySet[Row]:
    """Of these rows those that the user may know of. `path`: from the row to its organisation.

    A member who has lost its place is not our staff: it sees nothing.
    """
    organisation = organisation_of(user)
    if organisation is not None:
        return rows.filter(**{path: organisation})
    return rows if getattr(user, "is_staff", False) else rows.none()
