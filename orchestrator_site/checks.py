"""System checks: what production needs, each with an id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import Error
from django.utils.translation import gettext as _

from orchestrator_site import row_security


@register(Tags.security, deploy=True)
def production(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What works on one machine but should not carry a production load."""
    found: list[CheckMessage] = []
    if settings.SECRET_KEY_IS_EMBEDDED:
        text = _("SECRET_KEY is the one this machine made for itself.")
        hint = _("Set SECRET_KEY, the same on every host.")
        found.append(Warning(text, hint=hint, id="orchestrator.W001"))
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        text = _("The database is the embedded SQLite file.")
        hint = _("Set DATABASE_URL to a PostgreSQL database.")
        found.append(Warning(text, hint=hint, id="orchestrator.W002"))
    if settings.ORIGIN_IS_EMBEDDED:
        text = _("The origin is the embedded demo file.")
        hint = _("Set SQLSERVER_CONNECTION_STRING, or SQLSERVER_SERVER and its companions.")
        found.append(Warning(text, hint=hint, id="orchestrator.W003"))
    if settings.DEMO:
        text = _("The demo world is switched on.")
        found.append(Warning(text, hint=_("Set DEMO=false."), id="orchestrator.W004"))
    if not settings.AWS_ACCESS_KEY_ID:
        text = _("Evidence is kept on this machine's disk.")
        hint = _("Set AWS_ACCESS_KEY_ID and its companions.")
        found.append(Warning(text, hint=hint, id="orchestrator.W005"))
    if settings.EMBEDDED_SECRETS:
        names = ", ".join(settings.EMBEDDED_SECRETS)
        text = _("%(names)s: each host makes its own.") % {"names": names}
        hint = _("Set them, the same on every host; the last two also for isolated workers.")
        found.append(Warning(text, hint=hint, id="orchestrator.W007"))
    return [*found, *_row_security()]


def _row_security() -> Iterator[CheckMessage]:
    """A wall that is asked for and stops nobody is worse than none."""
    if not settings.ROW_LEVEL_SECURITY:
        return
    try:
        if row_security.holds():
            return
    except Error:
        return  # what keeps the database from answering is told elsewhere
    text = _("ROW_LEVEL_SECURITY is on, and the database keeps organisations' rows from nobody.")
    hint = _(
        "It takes PostgreSQL, tables that `manage.py prepare` has seen with their owner's role,"
        " and for the application a role that owns none of them and is no superuser."
    )
    yield Warning(text, hint=hint, id="orchestrator.W006")
