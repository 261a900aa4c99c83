"""Pages in a real browser: none is wider than the screen, however long its values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, sync_playwright

from brain.models import Cycle, Reconciliation
from orchestrator_site.models import Event
from queues.browser import launch
from queues.models import EvidenceFile
from tests import parts
from tests.factories import FlowFactory, TramiteTaskFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chromium]
LONG = "X" * 300
DROPPED = {"idRecurso": 1, "expediente": LONG, "verdict": "discarded", "reason": f"“{LONG}”"}
COUNTS = ("found", "claimed", "queued", "held", "lost", "unproven", "recovered")
REPORT = {**dict.fromkeys(COUNTS, 0), "error": LONG, "error_kind": "X", "dropped": [DROPPED]}
DIFFERENCE = {
    "kind": "taken_over",
    "site_id": "xaloc_girona",
    "resource_id": 7,
    "expediente": LONG,
    "claim_id": None,
    "shown": {"UsuarioAsignado": LONG},
}


@pytest.fixture
def paths() -> list[str]:
    """Pages of rows with long values, and their lists."""
    task = TramiteTaskFactory(payload={"expediente": LONG}, url_directa=f"http://x/{LONG}")
    Event.record([task], "", "pending", LONG)
    rows = [
        task,
        FlowFactory(),
        Cycle.objects.create(sites={"xaloc_girona": REPORT}),
        Reconciliation.objects.create(differences=[DIFFERENCE], errors={"madrid": LONG}),
        EvidenceFile.objects.create(
            case_id=task.case_id,
            object_type=task._meta.label_lower,
            object_id=str(task.pk),
            attempt=1,
            kind=EvidenceFile.Kind.LOG,
            path=f"evidence/{LONG}.log",
            size=1,
            sha256="a" * 64,
        ),
    ]
    names = [f"admin:{row._meta.app_label}_{row._meta.model_name}" for row in rows]
    changes = [
        reverse(f"{name}_change", args=[row.pk]) for name, row in zip(names, rows, strict=True)
    ]
    return [reverse("admin:index"), *changes, *(reverse(f"{name}_changelist") for name in names)]


@pytest.fixture
def session(db: None) -> str:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture(params=[390, 1440])
def page(
    request: pytest.FixtureRequest, live_server: Any, paths: list[str], session: str
) -> Iterator[Page]:
    """Signed in, of a width. After all rows are there: the browser's loop forbids queries."""
    parts.require("a browser")
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=launch.find_browser() or None, args=launch.arguments()
        )
        context = browser.new_context(
            viewport={"width": request.param, "height": 844}, base_url=live_server.url
        )
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}
        context.add_cookies([cookie])
        yield context.new_page()
        browser.close()


def test_no_page_is_wider_than_the_screen(page: Page, paths: list[str]) -> None:
    wide = {}
    for path in paths:
        answer = page.goto(path)
        assert answer and answer.status == 200, path
        beyond = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if beyond > 0:
            wide[path] = beyond
    assert wide == {}
