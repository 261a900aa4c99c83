"""Chromium does each action as an operator or an admin; a viewer is offered none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse

from orchestrator_site import bulk
from orchestrator_site.admin import VerbAdmin
from orchestrator_site.models import BulkAction, Event
from orchestrator_site.verbs import Verb, operate_permission
from queues.models import TramiteTask
from tests import walking
from tests.every_row import every_row as every_row
from tests.factories import TramiteTaskFactory
from tests.orchestrator_site.test_walk import person as person

pytestmark = [
    pytest.mark.long,
    pytest.mark.django_db(transaction=True),
    pytest.mark.chromium,
    pytest.mark.timeout(900),  # a hundred pages each
]
MANY = bulk.AT_MOST + 20
Person = Callable[[str], User]


@contextmanager
def in_a_browser(url: str, session: str) -> Iterator[walking.Walk]:
    with walking.browser() as chromium, walking.walk(chromium, url, session, "en") as walk:
        yield walk


def offered() -> Iterator[tuple[VerbAdmin, Verb]]:
    for model_admin in admin.site._registry.values():
        if isinstance(model_admin, VerbAdmin):
            yield from ((model_admin, verb) for verb in model_admin.verbs)


def address(model_admin: VerbAdmin, verb: Verb) -> str:
    """Of the verb on a row that is in a state for it, or else on any; "" where there is none."""
    rows = list(model_admin.model._default_manager.order_by("pk"))
    if not rows:
        return ""
    row = next((one for one in rows if verb.fits(one)), rows[-1])
    meta = model_admin.opts
    return reverse(
        f"admin:{meta.app_label}_{meta.model_name}_verb",
        kwargs={"object_id": row.pk, "name": verb.name},
    )


def ways(operator: User, admin: User) -> dict[str, list[str]]:
    """The actions that an operator may do, and those that only an admin may, on a row each."""
    found: dict[str, list[str]] = {"operator": [], "admin": []}
    for model_admin, verb in offered():
        may = operator.has_perm(operate_permission(model_admin.model))
        if path := address(model_admin, verb):
            found["operator" if may else "admin"].append(path)
    return found


def act(walk: walking.Walk, path: str) -> bool:
    """Give a reason, and say yes; whether it was done, and not refused for the row's state."""
    walk.go(path)
    walk.page.fill("#reason", "seen on the site")
    with walk.page.expect_navigation():
        walk.page.click("form.verb button[type=submit]")
    walk.look()
    return "Done for 1 row" in (walk.page.text_content("body") or "")


def test_an_operator_does_each_action_that_a_role_of_theirs_may(
    person: Person, live_server: Any
) -> None:
    """Each asks why, says what will happen, and answers; an admin does what is left."""
    operator, chief = person("operator"), person("admin")
    found = ways(operator, chief)
    assert len(found["operator"]) > 40
    assert found["admin"]
    sessions = {"operator": walking.cookie(operator), "admin": walking.cookie(chief)}
    done = 0
    with walking.browser() as chromium:
        for role, paths in found.items():
            with walking.walk(chromium, live_server.url, sessions[role], "en") as walk:
                done += sum(act(walk, path) for path in paths)
                assert not walk.faults, walk.told()
    assert done > 25
    assert Event.objects.filter(actor="operator-person", reason="seen on the site").count() > 15


def test_a_viewer_is_offered_no_action(person: Person, live_server: Any) -> None:
    viewer = person("viewer")
    paths = [address(*one) for one in offered()]
    rows = sorted({path.partition("/verb/")[0] + "/change/" for path in paths})
    session = walking.cookie(viewer)
    with walking.browser() as chromium, walking.walk(chromium, live_server.url, session) as walk:
        refused = {walk.page.request.get(f"{live_server.url}{path}").status for path in paths}
        for row in rows:
            walk.go(row)
            assert walk.page.locator("a[href*='/verb/']").count() == 0, row
        assert not walk.faults, walk.told()
    assert refused == {403}


def test_what_is_done_to_all_that_match_is_told_on_its_page_and_taken_back(
    person: Person, live_server: Any
) -> None:
    """More rows than a page waits for: a process goes on with them, stands in for it here."""
    for number in range(MANY):
        TramiteTaskFactory(resource_id=50_000 + number, site_id="many")
    session = walking.cookie(person("operator"))
    listed = reverse("admin:queues_tramitetask_changelist")
    with in_a_browser(live_server.url, session) as walk:
        walk.go(f"{listed}?q=2026")
        walk.page.check("#action-toggle")
        walk.page.click("text=/Select all/")
        walk.page.select_option("select[name=action]", "hold")
        walk.page.click("button[name=index]")
        assert "background" in (walk.page.text_content("form.verb") or "")
        walk.page.fill("#reason", "the site is down")
        walk.page.click("form.verb button[type=submit]")
        walk.look()
        where = walk.page.url.removeprefix(live_server.url)
        assert not walk.faults, walk.told()
    action = BulkAction.objects.exclude(actor="").latest("pk")
    assert action.total >= MANY
    while bulk.step(lambda: False):
        pass
    held = TramiteTask.objects.filter(site_id="many", status=TramiteTask.Status.HELD)
    assert held.count() == MANY
    with in_a_browser(live_server.url, session) as walk:
        walk.go(where)
        walk.check()
        walk.page.click("a[href*='/verb/undo/']")
        walk.page.fill("#reason", "it is up again")
        walk.page.click("form.verb button[type=submit]")
        walk.look()
        assert not walk.faults, walk.told()
    while bulk.step(lambda: False):
        pass
    assert held.count() == 0
