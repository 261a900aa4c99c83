"""Pages in a real browser: none is wider than the screen, however long its values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, sync_playwright

from brain.models import Cycle, Decision, DistributionBatch, Reconciliation
from devices.models import Device
from orchestrator_site.models import Alert, AlertRule, Event
from postprocessing.models import (
    Difference,
    OvAfinia,
    PostProcessingRun,
    S3File,
    SourceFile,
    Verification,
)
from queues.browser import launch
from queues.models import EvidenceFile, NbcRecord, QueueEntry, RegistroWork
from queues.results import Report, take_in
from tests import distribution, parts
from tests.factories import FlowFactory, NbcRecordFactory, TramiteTaskFactory
from tests.postprocessing import rows as pqr

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True), pytest.mark.chromium]
LONG = "X" * 300
BEYOND = """() => {
  const box = document.querySelector("#result_list").closest("[data-simplebar] *:has(> table)");
  return Math.max(box.scrollWidth - box.clientWidth,
                  document.documentElement.scrollWidth - innerWidth);
}"""
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
    pqr.of_every_kind("X" * 200)
    names_of_pages = ("admin:index", "pqr", "queue-appeals", "queue-lookups", "device-board")
    pages = [*map(reverse, names_of_pages), reverse("pqr-company", args=["afinia"])]
    return [*pages, *changes, *(reverse(f"{name}_changelist") for name in names)]


@pytest.fixture
def lists() -> list[str]:
    """Lists of distribution, with the longest values that their rows get in earnest."""
    said = "No answer from the scraper: connection refused by 10.20.30.40:8443 after 3 tries. "
    names = ("G_IAD", "G_MASTER", "G_IAD2", "G_SISEC")
    passed = [[name, "offline"] for name in names]
    blocker = {"kind": "nobody", "passed": [[*one, 100] for one in passed]}
    distribution.pool(3, device_name="A name", status_reason=said)
    distribution.assigned()
    entry = distribution.accepted()
    distribution.assigned()
    assert take_in(entry.document_id, Report(4, said * 5, {}))
    NbcRecordFactory(blocker=blocker, message=said * 5)
    Decision.objects.update(choice={"passed": passed, "contenders": [], "counter": 0})
    Event.record([entry], "Processing", "RETRY_AFTER_MIDNIGHT", said * 5)
    rule = AlertRule.objects.create(name="rule", measure="m", threshold=1)
    now = timezone.now()
    Alert.objects.create(
        rule=rule, subject="devices SISEC", message=said * 5, first_seen_at=now, last_seen_at=now
    )
    pqr.of_every_kind("Lectura que no corresponde al medidor instalado, " * 4)
    models = (
        *(Device, NbcRecord, QueueEntry, RegistroWork, Decision, DistributionBatch, Event),
        *(OvAfinia, PostProcessingRun, S3File, SourceFile, Verification, Difference),
    )
    return [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in (*models, Alert)
    ]


@pytest.fixture
def session(db: None) -> str:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def page(live_server: Any, session: str, width: int) -> Iterator[Page]:
    """Signed in, of a width. After all rows are there: the browser's loop forbids queries."""
    parts.require("a browser")
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=launch.find_browser() or None, args=launch.arguments()
        )
        context = browser.new_context(
            viewport={"width": width, "height": 844}, base_url=live_server.url
        )
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}
        context.add_cookies([cookie])
        yield context.new_page()
        browser.close()


@pytest.mark.parametrize("width", [390, 1440])
def test_no_page_is_wider_than_the_screen(paths: list[str], page: Page) -> None:
    wide = {}
    for path in paths:
        answer = page.goto(path)
        assert answer and answer.status == 200, path
        beyond = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if beyond > 0:
            wide[path] = beyond
    assert wide == {}


@pytest.mark.parametrize("width", [1440])
def test_no_list_of_distribution_is_wider_than_its_box(lists: list[str], page: Page) -> None:
    wide = {}
    for path in lists:
        answer = page.goto(path)
        assert answer and answer.status == 200, path
        beyond = page.evaluate(BEYOND)
        if beyond > 0:
            wide[path] = beyond
    assert wide == {}


@pytest.mark.parametrize("width", [390])
def test_a_card_has_no_line_for_what_is_not_there(lists: list[str], page: Page) -> None:
    page.goto(lists[0])
    free = page.locator("#result_list .data-row", has_not=page.locator(".field-held_by .state"))
    assert free.count() == 2
    assert not free.first.locator(".field-held_by").is_visible()
    assert free.first.locator(".field-service").is_visible()
