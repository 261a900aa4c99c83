"""The second wall between organisations: PostgreSQL's row level security.

A policy on every table whose rows are an organisation's compares them with what the connection
says in `app.organisation`: an organisation's id, `*` for every row, nothing for none. Clusters and
commands say `*`. A request says nothing until somebody is known: then a member's organisation, or
`*` for our own staff. It is said outside of transactions, and to the session: a pool between us and
the database must keep a session to one client.

The tables' owner and superusers pass every wall: the application needs a role that owns nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections, models, transaction
from django.http import HttpRequest, HttpResponse

from orchestrator_site.models import Member, Organisation
from orchestrator_site.tenancy import organisation_of

ALL, NONE = "*", ""
NAME = "app.organisation"
POLICY = "organisation_wall"
SAID = f"(SELECT current_setting('{NAME}', true))"
_seen: ContextVar[str] = ContextVar(NAME, default=ALL)


# --- What a connection says ----------------------------------------------------------------------


def tell(connection: Any, **kwargs: Any) -> None:
    """Say it on a connection that has just been made. A receiver of `connection_created`."""
    if settings.ROW_LEVEL_SECURITY and connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config(%s, %s, false)", [NAME, _seen.get()])


@contextmanager
def seen_as(what: str) -> Iterator[None]:
    """Inside, the rows of one organisation (its id), ALL or NONE are there."""
    token = _seen.set(what)
    try:
        _tell_open()
        yield
    finally:
        _seen.reset(token)
        _tell_open()


def let_in(user: Any) -> None:
    """Somebody is known: to the end of the request their rows are there."""
    if settings.ROW_LEVEL_SECURITY:
        _seen.set(rows_of(user))
        _tell_open()


def rows_of(user: Any) -> str:
    if not user.is_authenticated:
        return NONE
    return str(organisation_of(user) or ALL)


def _tell_open() -> None:
    """Where there is no connection, the next one is told when it is made; so it is where this one
    no longer answers."""
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.connection is None:
        return
    try:
        tell(connection)
    except Error:
        connection.close()


class RowSecurityMiddleware:
    """A request sees no organisation's rows before somebody is known, and nothing of it is left
    for the next one. A key's user is known later: see `ApiKeyAuthentication`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not settings.ROW_LEVEL_SECURITY:
            return self.get_response(request)
        with seen_as(NONE):
            let_in(request.user)
            return self.get_response(request)


# --- The walls -----------------------------------------------------------------------------------


def walls() -> dict[str, str]:
    """By table the condition of the rows that are there. Members are not behind one: whose rows
    somebody sees is read from there."""
    found = {
        model._meta.db_table: f"{SAID} IN ('{ALL}', organisation_id::text)"
        for model in _models()
        if _is_an_organisations(model)
    }
    for model in _models():
        for field in model._meta.concrete_fields:
            above: Any = field.related_model
            is_part = above is not None and not _is_an_organisations(model)
            if is_part and _is_an_organisations(above):
                found[model._meta.db_table] = _with_its(field)
    return found


def build() -> list[str]:
    """Put up the walls, or take them down, as the setting says; returns the tables that were
    changed. Asks for the owner's role only where something is to be changed."""
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.vendor != "postgresql":
        return []
    quote, standing = connection.ops.quote_name, _standing()
    change = _up if settings.ROW_LEVEL_SECURITY else _down
    changed = [
        table for table in walls() if (table in standing) != bool(settings.ROW_LEVEL_SECURITY)
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        for table in changed:
            for statement in change(quote(table), walls()[table]):
                cursor.execute(statement)
    return changed


def holds() -> bool:
    """Whether every wall stands, and stops the role that we connect as."""
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bool_and(row_security_active(name)) FROM unnest(%s::text[]) AS name",
            [[connection.ops.quote_name(table) for table in walls()]],
        )
        (is_active,) = cursor.fetchone()
    return bool(is_active)


def _models() -> list[type[models.Model]]:
    return [one for one in apps.get_models() if one._meta.managed and one is not Member]


def _is_an_organisations(model: type[models.Model]) -> bool:
    return model is not Member and any(
        field.name == "organisation" and field.related_model is Organisation
        for field in model._meta.concrete_fields
    )


def _with_its(field: Any) -> str:
    """A part is there where the whole is there, behind its own wall."""
    quote = connections[DEFAULT_DB_ALIAS].ops.quote_name
    above = field.related_model._meta
    whole, key = quote(above.db_table), quote(above.pk.column)
    part = f"{quote(field.model._meta.db_table)}.{quote(field.column)}"
    return f"EXISTS (SELECT FROM {whole} AS whole WHERE whole.{key} = {part})"


def _standing() -> set[str]:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid"
            " WHERE relrowsecurity AND polname = %s",
            [POLICY],
        )
        return {name for (name,) in cursor.fetchall()}


def _up(table: str, condition: str) -> list[str]:
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"DROP POLICY IF EXISTS {POLICY} ON {table}",
        f"CREATE POLICY {POLICY} ON {table} USING ({condition})",
    ]


def _down(table: str, condition: str) -> list[str]:
    return [
        f"DROP POLICY IF EXISTS {POLICY} ON {table}",
        f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
    ]
