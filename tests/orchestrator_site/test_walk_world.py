"""Chromium walks each page and does each action as viewer, operator and admin, in a control room at
work: its clusters run, and the demo world answers them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import Browser

from orchestrator_site.management.commands.screenshots import room, wait_until_filled
from tests import parts, walking
from tests.bench.support import inside
from tests.orchestrator_site.test_walk import pages
from tests.orchestrator_site.test_walk_actions import act, ways

pytestmark = [pytest.mark.long, pytest.mark.chromium, pytest.mark.timeout(900)]
ROLES = ("viewer", "operator", "admin")
LANGUAGES = {"viewer": "en", "operator": "en", "admin": "es"}


class Room(NamedTuple):
    url: str
    environment: dict[str, str]

    def ask(self, function: str, *values: Any) -> Any:
        """Of a process of the room's own."""
        return inside.call(__name__, function, *values, environment=self.environment)


@pytest.fixture(scope="module")
def at_work() -> Iterator[Room]:
    parts.require("a browser")
    with room() as (url, environment):
        wait_until_filled(url, Path(environment["DATA_DIR"]))
        yield Room(url, environment)


@pytest.fixture(scope="module")
def chromium(at_work: Room) -> Iterator[Browser]:
    with walking.browser() as found:
        yield found


# --- Called in the room ---------------------------------------------------------------------------


def session_of(role: str) -> str:
    user, _is_new = User.objects.get_or_create(username=f"{role}-person", is_staff=True)
    user.groups.set([Group.objects.get(name=role)])
    return walking.cookie(user)


def pages_of(role: str) -> list[str]:
    return list(dict.fromkeys(pages(User.objects.get(username=f"{role}-person"))))


def ways_of(role: str) -> list[str]:
    """The actions that the role may do; of an admin's those that an operator may not."""
    people = {name: User.objects.get(username=f"{name}-person") for name in ("operator", "admin")}
    return ways(**people)[role]


# --- The walks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_each_page_of_a_role_is_sound(at_work: Room, chromium: Browser, role: str) -> None:
    session, language = at_work.ask("session_of", role), LANGUAGES[role]
    paths = at_work.ask("pages_of", role)
    assert len(paths) > 40
    with walking.walk(chromium, at_work.url, session, language) as walk:
        for path in paths:
            walk.go(path)
    assert not walk.faults, walk.told()


def test_each_action_is_done(at_work: Room, chromium: Browser) -> None:
    sessions = {role: at_work.ask("session_of", role) for role in ("operator", "admin")}
    done = 0
    for role, session in sessions.items():
        with walking.walk(chromium, at_work.url, session, "en") as walk:
            done += sum(act(walk, path) for path in at_work.ask("ways_of", role))
        assert not walk.faults, walk.told()
    assert done > 12
