"""Who acts: the user, key, worker or loop that a status move is written down under."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.db import models
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _


class ActorKind(models.TextChoices):
    SYSTEM = "system", _("System")
    USER = "user", _("User")
    API_KEY = "api_key", _("API key")
    WORKER = "worker", _("Worker")
    BRAIN = "brain", _("Brain")
    COMMAND = "command", _("Command")


@dataclass(frozen=True)
class Actor:
    """`person`: the user name of whose key it is; its name is that one's and the key's."""

    kind: str = ActorKind.SYSTEM
    name: str = ""
    person: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


_SYSTEM = Actor()
_current: ContextVar[Actor] = ContextVar("actor", default=_SYSTEM)


def current_actor() -> Actor:
    return _current.get()


@contextmanager
def acting_as(kind: str, name: str) -> Iterator[Actor]:
    """Everything moved inside the block is written down under this actor."""
    actor = Actor(kind, name)
    token = _current.set(actor)
    try:
        yield actor
    finally:
        _current.reset(token)


def act_as(kind: str, name: str, person: str = "") -> None:
    """As `acting_as`, to the end of the block or request that this is called in."""
    _current.set(Actor(kind, name, person))


class ActorMiddleware:
    """The signed-in user acts for the length of the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        kind = ActorKind.USER if request.user.is_authenticated else ActorKind.SYSTEM
        with acting_as(kind, request.user.get_username()):
            return self.get_response(request)
