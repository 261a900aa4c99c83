"""Parts of pages that renew themselves, in Chromium: when they ask, when they do not, what is kept.

The browser's clock is the test's: a minute of looking takes no time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.urls import reverse
from playwright.sync_api import Browser, Page, Request, Route, expect

from orchestrator_site.dashboard import live, snapshot
from tests import walking
from tests.factories import TramiteTaskFactory
from tests.walking import Walk

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chromium]
PART = "/admin/live/overview/"
EVERY, STEP = 3000, 500  # milliseconds; the overview's, and of the clock at a time
HIDDEN = """hidden => {
  Object.defineProperty(document, "visibilityState",
    {configurable: true, get: () => hidden ? "hidden" : "visible"});
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def chromium() -> Iterator[Browser]:
    with walking.browser() as found:
        yield found


@pytest.fixture
def session(db: None) -> str:
    live.DOOR.__init__()  # type: ignore[misc]
    snapshot.forget()
    user = User.objects.create_user("viewer-person", is_staff=True)
    user.groups.add(Group.objects.get_or_create(name="viewer")[0])
    TramiteTaskFactory(status="held")
    return walking.cookie(user)


class Overview:
    """The overview on somebody's screen."""

    def __init__(self, walk: Walk) -> None:
        self.walk, self.page = walk, walk.page
        self.answers: list[int] = []
        self.pending: set[Request] = set()
        self.page.on("request", lambda request: self.pending.add(request))
        self.page.on("requestfinished", self._ended)
        self.page.on("requestfailed", self._ended)
        self.page.clock.install()
        self.walk.go(reverse("admin:index"))

    def _ended(self, request: Request) -> None:
        self.pending.discard(request)
        if request.url.endswith(PART) and request.existing_response:
            self.answers.append(request.existing_response.status)

    def after(self, milliseconds: int) -> list[int]:
        """What it was answered in that time."""
        before = len(self.answers)
        for _second in range(0, milliseconds, STEP):
            self.page.clock.run_for(STEP)
            self._settle()
        return self.answers[before:]

    def _settle(self) -> None:
        """Until nothing is under way, and what came has been put in."""
        self.page.wait_for_timeout(20)
        while self.pending:
            self.page.wait_for_timeout(20)
        self.page.clock.run_for(100)

    @property
    def switch(self) -> Any:
        return self.page.locator("[data-live-switch]")


@pytest.fixture
def overview(session: str, chromium: Browser, live_server: Any) -> Iterator[Overview]:
    with walking.walk(chromium, live_server.url, session, "en") as walk:
        yield Overview(walk)
        assert not walk.faults, walk.told()


def hold_another() -> None:
    """Not in the browser's thread, which Django keeps from the database."""

    def make() -> None:
        try:
            TramiteTaskFactory(status="held")
        finally:
            connection.close()

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()


def held(page: Page) -> str:
    return page.locator("#overview a", has_text="Held").first.inner_text()


def test_what_is_unchanged_is_not_sent_and_what_changes_is_put_in(overview: Overview) -> None:
    assert "1" in held(overview.page)
    overview.page.evaluate("document.querySelector('#overview').dataset.same = 'yes'")
    assert overview.after(EVERY + 1000)[:1] == [200], "the page itself has no tag"
    overview.page.evaluate("document.querySelector('#overview').dataset.same = 'yes'")
    assert set(overview.after(2 * EVERY + 1000)) == {304}
    assert overview.page.locator("#overview[data-same]").count() == 1, "it was not touched"
    hold_another()
    assert 200 in overview.after(EVERY + 1000)
    assert "2" in held(overview.page)
    assert overview.page.locator("#overview").count() == 1


def test_it_stands_still_when_switched_off_and_goes_on_when_on(overview: Overview) -> None:
    overview.switch.click()
    assert overview.switch.get_attribute("aria-pressed") == "false"
    assert overview.after(5 * EVERY) == []
    expect(overview.page.locator("[data-live-refresh]")).to_be_visible()
    overview.page.reload()
    assert overview.switch.get_attribute("aria-pressed") == "false", "it is remembered"
    assert overview.after(5 * EVERY) == []
    overview.switch.click()
    assert overview.after(STEP) == [200], "at once"


def test_nobody_asks_for_a_tab_that_is_hidden(overview: Overview) -> None:
    overview.page.evaluate(HIDDEN, True)
    assert overview.after(5 * EVERY) == []
    overview.page.evaluate(HIDDEN, False)
    assert overview.after(STEP) == [200], "what is shown again is renewed at once"


def test_text_that_is_being_selected_is_left_alone(overview: Overview) -> None:
    overview.page.evaluate("getSelection().selectAllChildren(document.querySelector('#overview'))")
    hold_another()
    assert 200 in overview.after(EVERY + 1000)
    assert "1" in held(overview.page)
    overview.page.evaluate("getSelection().removeAllRanges()")
    overview.after(EVERY + 1000)
    assert "2" in held(overview.page)


def test_a_server_that_is_away_is_told_and_comes_back(overview: Overview) -> None:
    lost = overview.page.locator("[data-live-lost]")
    expect(lost).to_be_hidden()

    def away(route: Route) -> None:
        route.abort()

    overview.page.route(f"**{PART}", away)
    overview.after(EVERY + 1000)
    expect(lost).to_be_visible()
    assert "1" in held(overview.page), "what was there stays"
    overview.page.unroute(f"**{PART}", away)
    hold_another()
    assert 200 in overview.after(3 * EVERY + 1000), "it asks less often meanwhile"
    expect(lost).to_be_hidden()
    assert "2" in held(overview.page)
    # The browser itself complains of each request that fails.
    overview.walk.faults.clear()


def test_the_ages_of_things_go_on(overview: Overview) -> None:
    overview.switch.click()
    at = overview.page.locator(".live-at time")
    before = at.inner_text()
    overview.page.clock.fast_forward(10 * 60_000)
    overview.after(2 * STEP)
    assert at.inner_text() != before and "min" in at.inner_text()


def test_the_keyboard_stays_where_it_was(overview: Overview) -> None:
    link = overview.page.locator("#overview a").first
    link.focus()
    address = link.get_attribute("href")
    hold_another()
    assert 200 in overview.after(EVERY + 1000)
    focused = overview.page.evaluate("document.activeElement.getAttribute('href')")
    assert focused == address


# --- Without JavaScript ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["admin:index", "queue-appeals", "device-board", "distribution"])
def test_a_page_stands_without_javascript(
    session: str, chromium: Browser, live_server: Any, name: str
) -> None:
    context = chromium.new_context(java_script_enabled=False, viewport=walking.NARROW)  # type: ignore[arg-type]
    cookie = {"name": "sessionid", "value": session, "url": live_server.url}
    context.add_cookies([cookie])  # type: ignore[list-item]
    try:
        page = context.new_page()
        answer = page.goto(f"{live_server.url}{reverse(name)}")
        assert answer and answer.status == 200
        assert page.locator(".room").first.is_visible()
        assert page.locator(".room").first.inner_text().strip()
        assert page.evaluate(walking.BEYOND) <= 0
    finally:
        context.close()
