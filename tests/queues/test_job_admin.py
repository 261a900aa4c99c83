"""Jobs in the admin: listed, opened, their lines as they come, acted on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from queues.browser.runs import REPEATED
from queues.live import Lines
from queues.models import EvidenceFile, Job
from tests.factories import JobFactory

pytestmark = pytest.mark.django_db
SignedIn = Callable[[str], Client]
LIST = "admin:queues_job_changelist"
STEPS = [
    {"do": "navigate", "url": "http://127.0.0.1:8001/sede/"},
    {"do": "fill", "selector": "#month", "value": "{{ payload.month }}"},
    {"do": "fill", "selector": "#password", "value": "{{ secret.password }}"},
]
INPUTS = {"month": "11/2026", "password": "hunter2"}


@pytest.fixture(autouse=True)
def no_lines() -> None:
    cache.clear()


def page_of(client: Client, job: Job) -> str:
    return client.get(reverse("admin:queues_job_change", args=[job.pk])).content.decode()


def pieces(client: Client, job: Job, **query: Any) -> Any:
    return client.get(reverse("admin:queues_job_lines", args=[job.pk]), query)


def write(job: Job, *lines: str) -> None:
    written = Lines(job)
    for line in lines:
        written.add(line)
    written.tell()


def test_jobs_of_every_status_are_listed_with_few_queries(
    signed_in: SignedIn, django_assert_max_num_queries: Any
) -> None:
    for status in Job.Status:
        JobFactory(status=status, error_log="<script>alert", priority=3)
    client = signed_in("viewer")
    client.get(reverse(LIST))
    with django_assert_max_num_queries(16):
        answer = client.get(reverse(LIST))
    text = answer.content.decode()
    assert all(f'title="{status}"' in text for status in Job.Status)
    assert "<script>alert" not in text


def test_a_job_is_found_by_its_id_as_the_api_tells_it(signed_in: SignedIn) -> None:
    jobs = JobFactory.create_batch(3)
    client = signed_in("viewer")
    found = client.get(reverse(LIST), {"q": str(jobs[1].case_id)}).context["cl"].queryset
    assert list(found) == [jobs[1]]
    assert client.get(reverse(LIST), {"q": "no id"}).status_code == 200


def test_what_the_script_takes_for_a_secret_is_not_shown(signed_in: SignedIn) -> None:
    job = JobFactory(steps=STEPS, inputs=INPUTS)
    client = signed_in("admin")
    text = page_of(client, job)
    assert "11/2026" in text and "hunter2" not in text
    Job.objects.update(script="changed behind our back")
    text = page_of(client, job)
    assert "changed behind our back" in text
    assert "11/2026" not in text and "hunter2" not in text


def test_an_input_that_no_step_uses_is_not_shown(signed_in: SignedIn) -> None:
    job = JobFactory(steps=STEPS[:2], inputs=INPUTS)
    text = page_of(signed_in("admin"), job)
    assert "11/2026" in text and "password" in text and "hunter2" not in text


def test_the_lines_of_a_repeated_attempt_stand_under_its_number(signed_in: SignedIn) -> None:
    job = JobFactory(status="running")
    write(job, "01 navigate ok", REPEATED.format(number=2), "01 navigate <ok>")
    text = pieces(signed_in("viewer"), job).content.decode()
    assert "<strong>attempt 2</strong>" in text and "---" not in text
    assert text.index("attempt 2") < text.index("&lt;ok&gt;")


def test_the_pages_show_neither_lease_nor_signature(signed_in: SignedIn) -> None:
    job = JobFactory(lease_token="0190a5a0-0000-7000-8000-00000000beef", status="running")
    text = page_of(signed_in("admin"), job)
    assert "beef" not in text and job.signature not in text


def test_results_are_opened_from_the_page(signed_in: SignedIn) -> None:
    job = JobFactory(status="done", result={"values": {"rows": [{"total": "12,50"}]}})
    names = ("screenshot-0.png", "execution.log")
    for kind, name in zip(("screenshot", "log"), names, strict=True):
        EvidenceFile.objects.create(
            case_id=job.case_id,
            object_type="queues.job",
            object_id=str(job.pk),
            attempt=1,
            kind=kind,
            path=f"{job.folder}/{name}",
            size=1,
            sha256="a" * 64,
        )
    text = page_of(signed_in("viewer"), job)
    for file in EvidenceFile.objects.all():
        assert reverse("evidence", args=[file.pk]) in text
    assert "12,50" in text


# --- Its lines --------------------------------------------------------------------------------


def test_only_new_lines_come_while_it_runs(signed_in: SignedIn) -> None:
    job = JobFactory(status="running", started_at=timezone.now())
    write(job, "first <b>line</b>")
    client = signed_in("viewer")
    text = page_of(client, job)
    assert "first &lt;b&gt;line" in text and "?after=1&amp;status=running" in text
    write(job, "second line")
    answer = pieces(client, job, after=1, status="running")
    assert "second line" in answer.content.decode()
    assert "first" not in answer.content.decode()
    assert "?after=2&amp;status=running" in answer.content.decode()
    assert "HX-Refresh" not in answer


def test_at_its_end_the_page_is_loaded_anew_and_asks_no_more(signed_in: SignedIn) -> None:
    job = JobFactory(status="done")
    client = signed_in("viewer")
    assert pieces(client, job, after=1, status="running")["HX-Refresh"] == "true"
    assert reverse("admin:queues_job_lines", args=[job.pk]) not in page_of(client, job)


@pytest.mark.parametrize("after", ["", "-1", "x", "9" * 30])
def test_a_wrong_place_in_the_lines_is_their_beginning(signed_in: SignedIn, after: str) -> None:
    job = JobFactory(status="running")
    write(job, "first line")
    assert "first line" in pieces(signed_in("viewer"), job, after=after).content.decode()


def test_without_redis_the_page_says_that_the_lines_cannot_be_read(
    signed_in: SignedIn, settings: Any
) -> None:
    job = JobFactory(status="running")
    client = signed_in("viewer")
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    answer = pieces(client, job)
    assert answer.status_code == 200
    assert "Redis does not answer" in answer.content.decode()


def test_lines_are_for_those_who_may_see_jobs(client: Client) -> None:
    job = JobFactory()
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert pieces(client, job).status_code in (403, 404)
    client.force_login(job.user)
    assert pieces(client, job).status_code == 302, "members have the API"


# --- What people do ---------------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_with_a_reason(signed_in: SignedIn) -> None:
    job = JobFactory()
    client = signed_in("operator")
    assert "verb/cancel" in page_of(client, job)
    sure = {"confirmed": "1", "reason": "asked for twice"}
    client.post(reverse("admin:queues_job_verb", args=[job.pk, "cancel"]), sure)
    job.refresh_from_db()
    assert job.status == Job.Status.CANCELLED
    text = page_of(client, job)
    assert "asked for twice" in text and "verb/cancel" not in text


def test_a_running_job_that_is_to_end_says_so(signed_in: SignedIn) -> None:
    job = JobFactory(status="running", cancel_asked_at=timezone.now())
    assert "Cancel asked" in page_of(signed_in("viewer"), job)


def test_a_page_tells_how_jobs_come_in(signed_in: SignedIn) -> None:
    answer = signed_in("admin").get(reverse("admin:queues_job_add"))
    assert answer.status_code == 403
    assert "/api/v1/run" in answer.content.decode()
