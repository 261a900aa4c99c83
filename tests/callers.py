"""Who asks the API, in JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from orchestrator_site.models import ApiKey, Member
from tests.factories import MemberFactory

API = "/api/v1/"


class Caller(Client):
    """Speaks JSON, with a bearer token or without."""

    def __init__(self, token: str = "") -> None:
        super().__init__(headers={"Authorization": f"Bearer {token}"} if token else {})

    def ask(self, method: str, path: str, data: Any = None, status: int = 200) -> Any:
        body = "" if data is None else json.dumps(data)
        answer = self.generic(method, f"{API}{path}", body, "application/json")
        assert answer.status_code == status, answer.content
        return answer.json() if answer.content else None

    def read(self, path: str, status: int = 200) -> Any:
        return self.ask("GET", path, status=status)

    def send(self, path: str, data: Any = None, status: int = 200) -> Any:
        return self.ask("POST", path, data, status)


def problem(body: Any) -> tuple[str, list[str]]:
    """The code, and the fields that are wrong."""
    return body["error"]["code"], list(body["error"].get("fields", ()))


def key_of(user: User, scope: str = "admin", name: str = "script") -> str:
    row = ApiKey(name=name, user=user, scope=scope)
    key = row.issue()
    row.save()
    return key


# --- Fixtures, imported by name -------------------------------------------------------------------


@pytest.fixture(autouse=True)
def nobody_has_asked_yet() -> None:
    """The throttle counts in a cache that outlives a test, by ids that come again."""
    cache.clear()


@pytest.fixture
def stranger() -> Caller:
    return Caller()


@pytest.fixture
def member(db: None) -> Member:
    return MemberFactory()


@pytest.fixture
def caller(member: Member) -> Caller:
    return Caller(key_of(member.user))
