"""Lists that have no end: what they are searched, filtered and sorted by, and how far they go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from brain.models import Claim
from orchestrator_site.admin import lists
from orchestrator_site.models import Event
from queues.models import EvidenceFile, TramiteTask
from tests.factories import OrganismoFactory, TramiteTaskFactory

pytestmark = pytest.mark.django_db
TASKS = "/admin/queues/tramitetask/"
EVENTS = "/admin/orchestrator_site/event/"
Found = Callable[[str], list[Any]]


@pytest.fixture
def found(client: Client) -> Found:
    """The keys of the rows that an address shows."""
    client.force_login(User.objects.create_superuser("root", password="x"))

    def ask(address: str) -> list[Any]:
        answer = client.get(address)
        assert answer.status_code == 200, answer
        return [row.pk for row in answer.context["cl"].result_list]

    return ask


def claim_of(task: TramiteTask, **row: Any) -> Claim:
    return Claim.objects.create(
        organismo=OrganismoFactory(),
        resource_id=task.resource_id,
        expediente=task.expediente,
        method="sql",
        account="BOT",
        before=row,
    )


@pytest.mark.parametrize(
    "text", ["2026/00", "2026/000777-mul", "ana inv", "1234b", "777", '"2026/000777-MUL"']
)
def test_an_old_appeal_is_found_by_what_was_claimed(
    found: Found, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brain.admin.tramites.NEWEST", 0)
    task = TramiteTaskFactory(resource_id=777)
    TramiteTaskFactory(resource_id=778, payload={"expediente": "2025/1-OTR"})
    claim_of(task, SujetoRecurso="Ana Inventada Pérez", matricula="1234BCD")
    assert found(f"{TASKS}?q={text}") == [task.pk]
    assert len(found(f"/admin/brain/claim/?q={text}")) == 1


@pytest.mark.parametrize("text", ["no-such-thing", "9" * 40, "%", "00000000-0000-0000"])
def test_a_search_for_what_is_not_there_finds_nothing(found: Found, text: str) -> None:
    TramiteTaskFactory()
    assert found(f"{TASKS}?q={text}") == []


def test_events_are_found_by_case_by_object_and_by_person(found: Found) -> None:
    task = TramiteTaskFactory()
    Event.record([task], "", "pending")
    Event.objects.create(actor_kind="user", actor="ana", object_type="x.y", object_id="1", new="a")
    Event.objects.create(actor_kind="worker", actor="anaconda", object_type="x.y", object_id="2")
    of_task = Event.objects.filter(case_id=task.case_id).values_list("pk", flat=True)
    assert found(f"{EVENTS}?q={task.case_id}") == list(of_task)
    assert set(of_task) <= set(found(f"{EVENTS}?q={task.pk}"))
    assert [Event.objects.get(pk=pk).actor for pk in found(f"{EVENTS}?q=AN")] == ["ana"]


def test_a_period_is_of_whole_days_and_sorts_by_its_time(found: Found) -> None:
    today = timezone.localtime().replace(hour=12)
    new, old = (TramiteTaskFactory(created_at=today - timedelta(days=days)) for days in (1, 2))
    TramiteTaskFactory(created_at=today - timedelta(days=9))
    Claim.objects.all().delete()
    begin, end = (f"{today - timedelta(days=days):%Y-%m-%d}" for days in (2, 1))
    assert found(f"{TASKS}?created_at_from={begin}&created_at_to={end}") == [new.pk, old.pk]
    assert len(found(f"{TASKS}?created_at_from=rubbish")) == 3


def test_a_long_list_is_sorted_only_by_what_has_an_index(
    found: Found, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = TramiteTaskFactory(attempts=0), TramiteTaskFactory(attempts=1)
    by_attempts = f"{TASKS}?o=5"
    assert found(by_attempts) == [first.pk, second.pk]
    monkeypatch.setattr(lists, "COUNTED", 1)
    assert found(by_attempts) == [second.pk, first.pk]
    assert "created_at" in lists.ordered_by(TramiteTask)
    assert not {"status", "attempts", "worker"} & lists.ordered_by(TramiteTask)


def test_the_rows_of_a_deep_page_are_those_that_a_shallow_one_would_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = [TramiteTaskFactory().pk for _number in range(7)]
    rows = TramiteTask.objects.order_by("-pk")
    pages = [list(lists.CappedPaginator(rows, 3).page(number)) for number in (1, 2, 3)]
    monkeypatch.setattr(lists, "SKIPPED", 1)
    deep = [list(lists.CappedPaginator(rows, 3).page(number)) for number in (1, 2, 3)]
    assert deep == pages
    assert [row.pk for page in deep for row in page] == keys[::-1]


def test_a_list_says_that_there_is_more_than_it_counts(
    found: Found, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    TramiteTaskFactory.create_batch(3)
    assert len(found(TASKS)) == 3
    assert "more than" not in client.get(TASKS).content.decode()
    monkeypatch.setattr(lists, "COUNTED", 2)
    page = client.get(TASKS).content.decode()
    assert "more than 2 appeals in the queue" in page


def test_the_values_of_a_filter_are_found_without_reading_every_row() -> None:
    for number, kind in enumerate("caba"):
        EvidenceFile.objects.create(
            object_type=kind, case_id="0" * 32, object_id="1", attempt=1, path=number, size=1
        )
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert lists.distinct_values(EvidenceFile, "object_type") == ["a", "b", "c"]
    assert len(asked) == 1


def test_an_empty_list_says_what_fills_it_and_a_filtered_one_how_to_see_more(
    found: Found, client: Client
) -> None:
    assert "POST /api/v1/run" in client.get("/admin/queues/job/").content.decode()
    filtered = client.get("/admin/queues/job/?status__exact=done").content.decode()
    assert "POST /api/v1/run" not in filtered
    assert "Clear filters" in filtered
