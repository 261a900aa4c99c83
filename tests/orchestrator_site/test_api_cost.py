"""What an answer of the API costs besides its rows: keys, rights, the connection, the JSON."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils.translation import gettext_lazy
from rest_framework.renderers import JSONRenderer

from orchestrator_site import connections as project_connections
from orchestrator_site.api import keys
from orchestrator_site.api.rendering import FastJSONRenderer
from orchestrator_site.models import ApiKey
from tests.callers import Caller, key_of
from tests.factories import TramiteTaskFactory

KEPT = 60.0  # seconds


@pytest.fixture
def kept(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.API_KEY_SECONDS = KEPT
    monkeypatch.setattr(keys, "_kept", {})


@pytest.fixture
def caller(db: None, kept: None, person: Callable[[str], User]) -> Caller:
    return Caller(key_of(person("admin")))


# --- Keys -----------------------------------------------------------------------------------------


def test_who_reads_again_is_not_looked_up_again(caller: Caller) -> None:
    task = TramiteTaskFactory()
    for asked in (5, 1, 1):
        with CaptureQueriesContext(connection) as queries:
            caller.read(f"tramites/{task.pk}/")
        assert len(queries) <= asked, [one["sql"] for one in queries]


def test_a_key_that_is_gone_writes_nothing_and_reads_no_longer_than_it_is_kept(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = TramiteTaskFactory()
    caller.read(f"tramites/{task.pk}/")
    ApiKey.objects.all().delete()
    caller.send(f"tramites/{task.pk}/cancel/", {"reason": "not ours"}, 401)
    caller.read(f"tramites/{task.pk}/")
    later = keys.time.monotonic() + KEPT
    monkeypatch.setattr(keys.time, "monotonic", lambda: later)
    caller.read(f"tramites/{task.pk}/", 401)


def test_another_key_is_another_s(caller: Caller, person: Callable[[str], User]) -> None:
    caller.read("tramites/")
    Caller("x" * 40).read("tramites/", 401)
    Caller(key_of(User.objects.create_user("nobody"))).read("tramites/", 403)


def test_no_more_keys_are_kept_than_there_is_room_for(
    caller: Caller, person: Callable[[str], User], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "MOST", 3)
    viewer = person("viewer")
    for number in range(8):
        Caller(key_of(viewer, name=f"key {number}")).read("tramites/")
        assert len(keys._kept) <= 3


# --- JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        None,
        {"text": 'Ñandú \u2028 \x00 "quoted" \U0001f600', "n": [1, -1.5, None, True]},
        {"at": datetime(2026, 3, 1, 12, 30, 15, 123456, UTC), "day": datetime(2026, 3, 1).date()},
        {"id": uuid.UUID(int=7), "much": Decimal("1.50"), "long": timedelta(seconds=90)},
        {"lazy": gettext_lazy("Cancel"), 7: "a number for a name", "set": {1}},
        {"huge": 2**70, "negative": -(2**64)},
    ],
)
def test_the_bytes_are_drf_s_own(data: Any) -> None:
    ours, theirs = FastJSONRenderer().render(data), JSONRenderer().render(data)
    # DRF escapes what old browsers took for the end of a line of a script.
    assert ours.replace("\u2028".encode(), rb"\u2028") == theirs


def test_whoever_asks_for_lines_gets_them() -> None:
    media_type = "application/json; indent=4"
    ours = FastJSONRenderer().render({"a": [1]}, media_type, {})
    assert ours == JSONRenderer().render({"a": [1]}, media_type, {}) and b"\n" in ours


# --- The connection -------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.database
def test_a_connection_that_the_server_ended_is_made_anew(kept: None) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no server")
    mine = connections["default"]
    mine.ensure_connection()
    assert mine.is_usable(), "it is not asked, it is there"
    with mine.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (lost,) = cursor.fetchone()
    other = mine.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [lost])
    other.close()
    assert not mine.is_usable()
    assert not mine.is_usable(), "now it is known to be closed"
    mine.close_if_unusable_or_obsolete()  # as a request begins
    with mine.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


@pytest.mark.parametrize(("silent", "asked"), [(60.0, 0), (0.0, 1)])
def test_a_connection_that_was_silent_for_long_is_asked(
    monkeypatch: pytest.MonkeyPatch, silent: float, asked: int
) -> None:
    """Who has gone without a word leaves a socket that looks well."""
    monkeypatch.setattr(project_connections, "SILENT", silent)
    ours, theirs = socket.socketpair()
    questions: list[str] = []

    class Wrapper:
        vendor = "postgresql"
        connection = SimpleNamespace(closed=False, fileno=ours.fileno)

        def is_usable(self) -> bool:
            questions.append("SELECT 1")
            return False

    wrapper = Wrapper()
    project_connections.ask_the_socket(wrapper)
    with ours, theirs:
        assert wrapper.is_usable() is (asked == 0)
        assert len(questions) == asked
        theirs.close()
        assert wrapper.is_usable() is False, "it has hung up"
