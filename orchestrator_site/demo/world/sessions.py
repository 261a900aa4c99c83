"""Sessions of the sites that have a login: a cookie here, a row there."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse

from orchestrator_site.demo.world import store

COOKIE = "xvia_session"


@dataclass(frozen=True)
class Session:
    """A browser that a site knows; `name` is empty until somebody logs in."""

    id: str
    token: str
    name: str = ""


def begin(name: str = "") -> Session:
    session = Session(secrets.token_urlsafe(30), secrets.token_urlsafe(30), name)
    with store.opened() as database:
        database.execute(
            "INSERT INTO sessions (id, token, name) VALUES (:id, :token, :name)", vars(session)
        )
    return session


def of(request: HttpRequest, cookie: str = COOKIE) -> Session | None:
    with store.opened() as database:
        row = database.execute(
            "SELECT id, token, name FROM sessions WHERE id = ?", (request.COOKIES.get(cookie, ""),)
        ).fetchone()
    return Session(**row) if row else None


def end(session: Session) -> None:
    with store.opened() as database:
        database.execute("DELETE FROM sessions WHERE id = ?", (session.id,))


def expire_all() -> None:
    with store.opened() as database:
        database.execute("DELETE FROM sessions")


def remembered(response: HttpResponse, session: Session, cookie: str = COOKIE) -> HttpResponse:
    """The answer with the session's cookie on it."""
    response.set_cookie(cookie, session.id, httponly=True, samesite="Lax")
    return response
