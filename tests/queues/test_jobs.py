"""Jobs as people and time meet them, without Redis."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from orchestrator_site.models import Event
from orchestrator_site.verbs import apply
from queues import job_alerts, job_metrics, job_upkeep, jobs, live
from queues.browser.reports import Report
from queues.claims import NO_LEASE
from queues.job_worker import take_next
from queues.jobs import JobOrder, JobRefused
from queues.models import Job, WebhookDelivery
from queues.verbs import JOB_VERBS
from tests.factories import (
    ConnectedProviderFactory,
    JobFactory,
    MemberFactory,
    WebhookEndpointFactory,
)
from tests.racing import together

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Status = Job.Status


def order(**values: Any) -> JobOrder:
    member = values.pop("member", None) or MemberFactory()
    known: dict[str, Any] = {
        "organisation_id": member.organisation_id,
        "user_id": member.user_id,
        "provider_id": "1",
        "provider_name": "demo",
        "flow_id": "1",
        "flow_name": "flow-demo",
        "flow_version": "1.0.0",
        "script": "[]",
        "script_hash": "0" * 64,
        "signature": "0" * 64,
        "key_id": "k",
        "hosts": ["127.0.0.1"],
    }
    return JobOrder(**{**known, **values})


def as_stored(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def in_doubt() -> Job:
    return JobFactory(status=Status.IN_DOUBT, attempts=1, intent_at=timezone.now())


# --- Asked for -----------------------------------------------------------------------------------


def test_an_order_becomes_a_queued_job_with_an_event() -> None:
    job, is_new = jobs.enqueue(order(inputs={"a": 1}, priority=3))
    stored = as_stored(job)
    assert is_new
    assert (stored.status, stored.inputs, stored.priority) == (Status.QUEUED, {"a": 1}, 3)
    assert Event.objects.get(case_id=job.case_id).new == Status.QUEUED


def test_a_repeated_key_is_the_same_job_in_one_organisation_alone() -> None:
    first = order(idempotency_key="k1")
    job, _new = jobs.enqueue(first)
    assert jobs.enqueue(replace(first, inputs={"other": 1})) == (job, False)
    other, is_new = jobs.enqueue(order(idempotency_key="k1"))
    assert is_new and other != job
    assert jobs.enqueue(replace(first, idempotency_key=""))[1]
    assert jobs.enqueue(replace(first, idempotency_key=""))[1]


@pytest.mark.django_db(transaction=True)
def test_the_same_key_ten_times_at_once_is_one_job() -> None:
    twin = order(idempotency_key="k1")
    found = together(10, lambda _number: jobs.enqueue(twin))
    assert len({job.pk for job, _new in found}) == 1
    assert sum(is_new for _job, is_new in found) == 1


@pytest.mark.parametrize(
    "inputs",
    [
        {"text": "x" * (256 * 1024)},
        {"text": "ñ" * (129 * 1024)},
        {"text": "a\x00b"},
        {"text": "\ud800"},
        {"number": float("nan")},
        {"thing": object()},
    ],
)
def test_a_payload_that_is_too_large_or_cannot_be_stored_is_refused(inputs: Any) -> None:
    with pytest.raises(JobRefused):
        jobs.enqueue(order(inputs=inputs))
    assert not Job.objects.exists()


# --- Sessions ------------------------------------------------------------------------------------


def test_held_jobs_of_a_session_alone_go_on() -> None:
    job, _new = jobs.enqueue(order(is_held=True))
    other, _new = jobs.enqueue(order(is_held=True))
    assert take_next("w") is None
    assert jobs.resume(job.organisation_id, job.user_id, "2") == 0
    assert jobs.resume(job.organisation_id, job.user_id, "1") == 1
    assert take_next("w") == job
    assert as_stored(other).status == Status.HELD


def test_a_job_that_was_held_as_its_session_was_renewed_goes_on() -> None:
    connection = ConnectedProviderFactory()
    whose = {"organisation": connection.organisation, "user": connection.user}
    place = str(connection.provider_id)
    job = JobFactory(**whose, provider_id=place, needs_session=True, status=Status.HELD)
    stranger = JobFactory(status=Status.HELD, needs_session=True)
    assert job_upkeep.revive() == 1
    assert as_stored(job).status == Status.QUEUED
    assert as_stored(stranger).status == Status.HELD


# --- What people do ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.QUEUED, Status.HELD])
def test_what_waits_is_cancelled_at_once(status: str) -> None:
    job = JobFactory(status=status)
    assert jobs.cancel(job, "not needed")
    assert as_stored(job).status == Status.CANCELLED
    assert not jobs.cancel(as_stored(job), "again")


def test_a_stale_copy_cancels_the_job_that_was_taken_meanwhile() -> None:
    copy = JobFactory()
    take_next("w")
    assert jobs.cancel(copy, "not needed")
    stored = as_stored(copy)
    assert stored.status == Status.RUNNING and stored.cancel_asked_at
    assert Event.objects.filter(case_id=copy.case_id, reason="not needed").exists()


def test_a_failed_job_is_tried_again_with_attempts_of_its_own() -> None:
    job = JobFactory(
        status=Status.ERROR,
        attempts=3,
        error_class="site",
        error_log="down",
        deadline_at=timezone.now() - timedelta(hours=1),
    )
    assert jobs.retry(job, "the site is up")
    assert not jobs.retry(job, "twice")
    taken = take_next("w")
    assert taken == job
    assert (taken.attempts, taken.max_attempts, taken.deadline_at) == (4, 6, None)
    assert "/attempt-4" in taken.folder


def test_a_person_decides_a_doubt() -> None:
    first, second = in_doubt(), in_doubt()
    WebhookEndpointFactory(organisation=first.organisation)
    assert jobs.confirm_done(first, "it is on the site")
    assert not jobs.confirm_not_done(first, "too late")
    assert (first.status, WebhookDelivery.objects.get().event) == (Status.DONE, "job.done")
    assert jobs.confirm_not_done(second, "it is not there")
    assert (as_stored(second).status, as_stored(second).intent_at) == (Status.QUEUED, None)


def test_a_job_is_put_before_the_organisations_others() -> None:
    member = MemberFactory()
    JobFactory(member=member, priority=7)
    late = JobFactory(member=member)
    assert jobs.prioritise(late, "the customer waits")
    assert take_next("w") == late


def test_the_verbs_fit_the_states_that_they_are_for() -> None:
    fitting = {
        status: {verb.name for verb in JOB_VERBS if verb.fits(Job(status=status))}
        for status in Status
    }
    assert fitting == {
        Status.QUEUED: {"cancel", "prioritise", "priority"},
        Status.HELD: {"cancel", "prioritise", "priority"},
        Status.RUNNING: {"cancel"},
        Status.IN_DOUBT: {"confirm_done", "confirm_not_done"},
        Status.DONE: set(),
        Status.ERROR: {"retry"},
        Status.CANCELLED: set(),
    }
    tally = apply(JOB_VERBS[0], [JobFactory(), in_doubt()], "not needed")
    assert (tally.done, tally.moved_on, tally.refused) == (1, 1, [])


# --- What time does ------------------------------------------------------------------------------


def test_a_deadline_ends_what_waits_and_not_what_runs() -> None:
    WebhookEndpointFactory(organisation=(first := JobFactory()).organisation)
    held, running = JobFactory(status=Status.HELD), JobFactory(status=Status.RUNNING)
    Job.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    later = JobFactory(deadline_at=timezone.now() + timedelta(hours=1))
    assert job_upkeep.sweep() == 2
    found = [as_stored(job).status for job in (first, held, running, later)]
    assert found == [Status.ERROR, Status.ERROR, Status.RUNNING, Status.QUEUED]
    assert as_stored(first).error_log == "The job's deadline is over"
    assert WebhookDelivery.objects.get().case_id == first.case_id


def test_what_was_given_over_redis_is_not_forgotten_without_it() -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    waiting, running = JobFactory(), JobFactory()
    Job.objects.filter(published_at=None).hand_over(2)
    Job.objects.filter(pk=running.pk).update(status=Status.RUNNING)
    assert take_next("w") is None
    assert job_upkeep.sweep() == 0
    Job.objects.update(published_at=long_ago)
    assert job_upkeep.sweep() == 2
    assert {take_next("w"), take_next("w")} == {waiting, running}


def test_an_attempt_counts_no_more_than_its_errors_class_says() -> None:
    job = JobFactory(max_attempts=2)
    for _attempt in range(2):
        taken = take_next("w")
        assert taken
        report = Report(
            "finished",
            str(job.case_id),
            str(job.organisation_id),
            lease=str(taken.lease_token),
            worker="w",
            status="error",
            error_class="site",
            message="down",
        )
        assert jobs.settle(taken, report)
    ended = as_stored(job)
    assert (ended.status, ended.attempts, ended.lease_token) == (Status.ERROR, 2, None)


def test_the_lines_of_a_run_are_read_from_where_one_stopped() -> None:
    job = JobFactory()
    lines = live.Lines(job)
    for number in range(live.MOST_LINES + 5):
        lines.add(f"line {number}")
    assert live.lines(job) == []
    lines.tell()
    assert live.lines(job, 1)[:2] == ["line 1", "line 2"]
    assert len(live.lines(job)) == live.MOST_LINES


def test_alerts_and_figures_tell_of_doubts_and_of_waiting() -> None:
    JobFactory(available_at=timezone.now() - timedelta(minutes=40))
    resting = JobFactory(available_at=timezone.now() - timedelta(hours=9))
    type(resting.organisation).objects.filter(pk=resting.organisation_id).update(active=False)
    doubtful = in_doubt()
    Event.record([doubtful], "queued", "refused", "Script integrity check failed")
    read = {
        one.name: [(reading.subject, int(reading.value)) for reading in one.function()]
        for one in job_alerts.MEASURES
    }
    assert read == {
        "job_refused": [("Script integrity check failed", 1)],
        "job_in_doubt": [("", 1)],
        "job_wait": [("", 40)],
    }
    (counts, wait) = job_metrics.collect()
    assert {one.labels["status"]: one.value for one in counts.samples}["queued"] == 2
    assert 2399 < wait.samples[0].value < 2500


def test_no_lease_is_left_on_what_ended() -> None:
    job = JobFactory()
    take_next("w")
    Job.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1), max_attempts=1)
    assert job_upkeep.sweep() == 1
    ended = as_stored(job)
    assert ended.status == Status.ERROR
    assert {name: getattr(ended, name) for name in NO_LEASE} == NO_LEASE
