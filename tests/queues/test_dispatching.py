"""The dispatcher on a real Redis: what is given, what comes back, what gets lost."""

# ruff: noqa: F811 (fixtures are imported by name)

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from orchestrator_site.models import Event
from queues import intake, jobs
from queues.browser import signing
from queues.browser.reports import Report
from queues.browser.signing import EnvelopeRefused
from queues.browser.transport import Transport
from queues.dispatching import Dispatcher
from queues.models import EvidenceFile, Job, WebhookDelivery
from queues.registered import registered
from tests.factories import (
    JobFactory,
    MemberFactory,
    WebhookEndpointFactory,
)
from tests.queues.hands import (  # noqa: F401 (fixtures)
    AT_ONCE,
    SENDING,
    Hand,
    Status,
    as_stored,
    dispatcher,
    redis_setting,
    way,
    worker,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]

# --- Given --------------------------------------------------------------------------------------


def test_a_job_is_given_run_and_settled(dispatcher: Dispatcher, worker: Hand) -> None:
    job = JobFactory(inputs={"invoice": "F-1"})
    assert dispatcher.give() == 1
    given = as_stored(job)
    assert (given.status, given.attempts) == (Status.QUEUED, 1)
    assert given.lease_token and given.published_at
    envelope = worker.start()
    assert (envelope.job_id, envelope.inputs) == (str(job.case_id), {"invoice": "F-1"})
    assert (envelope.attempt, envelope.lease) == (1, str(given.lease_token))
    assert dispatcher.take_in() == 1
    running = as_stored(job)
    assert (running.status, running.worker) == (Status.RUNNING, "w1")
    worker.finish(envelope, seconds=2.5, values={"total": "12"})
    dispatcher.take_in()
    done = as_stored(job)
    assert (done.status, done.lease_token, done.published_at) == (Status.DONE, None, None)
    assert done.processed_at
    assert (done.result["seconds"], done.result["values"]) == (2.5, {"total": "12"})
    moves = Event.objects.filter(case_id=job.case_id).order_by("id")
    assert list(moves.values_list("old", "new")) == [("queued", "running"), ("running", "done")]


def test_what_began_and_ended_in_one_batch_moves_once(
    dispatcher: Dispatcher, worker: Hand, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    member = MemberFactory()
    given = JobFactory.create_batch(20, member=member)
    dispatcher.give()
    for _job in given:
        worker.finish(worker.start())
    with django_assert_max_num_queries(12):
        assert dispatcher.take_in() == 40
    assert set(Job.objects.values_list("status", "worker", "attempts")) == {("done", "w1", 1)}
    assert Job.objects.filter(started_at=None).count() == 0
    assert Event.objects.filter(old="queued", new="done").count() == 20


def test_an_organisation_gets_no_more_ahead_than_its_room(
    dispatcher: Dispatcher, settings: Any, way: Transport
) -> None:
    settings.JOBS_AHEAD = 3
    member, other = MemberFactory(), MemberFactory()
    JobFactory.create_batch(8, member=member)
    JobFactory(member=other)
    assert dispatcher.give() == 4
    assert dispatcher.give() == 0
    assert way.waiting(str(member.organisation_id)) == 3
    assert way.waiting(str(other.organisation_id)) == 1


def test_the_best_priority_goes_first_and_past_what_waits(
    dispatcher: Dispatcher, settings: Any, worker: Hand
) -> None:
    settings.JOBS_AHEAD = 2
    member = MemberFactory()
    slow = JobFactory.create_batch(3, member=member)
    quick = JobFactory(member=member, priority=1)
    dispatcher.give()
    late = JobFactory.create_batch(2, member=member, priority=5)
    assert dispatcher.give() == 2
    order = [*late, quick, slow[0]]
    assert [worker.start().job_id for _job in order] == [str(job.case_id) for job in order]


def test_neither_a_resting_organisation_nor_a_job_not_due_is_given(dispatcher: Dispatcher) -> None:
    resting = JobFactory()
    resting.organisation.active = False
    resting.organisation.save(update_fields=["active"])
    JobFactory(available_at=timezone.now() + timedelta(minutes=1))
    assert dispatcher.give() == 0


# --- Reports ------------------------------------------------------------------------------------


def test_an_error_is_tried_again_under_another_lease(dispatcher: Dispatcher, worker: Hand) -> None:
    job = JobFactory()
    dispatcher.give()
    first = worker.start()
    worker.finish(first, "error", error_class="site", message="the page changed")
    dispatcher.take_in()
    again = as_stored(job)
    assert (again.status, again.attempts, again.error_class) == (Status.QUEUED, 1, "site")
    assert (again.lease_token, again.published_at) == (None, None)
    dispatcher.give()
    second = worker.start()
    assert second.attempt == 2 and second.lease != first.lease


def test_a_final_error_ends_the_job_and_the_outside_is_told(
    dispatcher: Dispatcher, worker: Hand, way: Transport
) -> None:
    job = JobFactory()
    WebhookEndpointFactory(organisation=job.organisation)
    channel = way.client.pubsub()
    channel.subscribe(f"sri:org:{job.organisation_id}:done")
    dispatcher.give()
    worker.finish(worker.start(), "error", error_class="business", message="no such invoice")
    dispatcher.take_in()
    assert (as_stored(job).status, as_stored(job).error_log) == (Status.ERROR, "no such invoice")
    assert WebhookDelivery.objects.get().event == "job.error"
    assert '"error"' in str(way.client.get(f"sri:job:{job.case_id}:status"))
    heard = [channel.get_message(timeout=1) for _ in range(2)]
    assert str(job.case_id) in str(heard[-1])


def test_a_report_that_comes_twice_or_late_changes_nothing(
    dispatcher: Dispatcher, worker: Hand
) -> None:
    job = JobFactory()
    dispatcher.give()
    envelope = worker.start()
    worker.finish(envelope)
    entries = dispatcher.way.reports("other")
    jobs.settle(as_stored(job), entries[-1][1])
    before = Job.objects.values().get()
    for _entry, report in entries:
        stored = as_stored(job)
        assert not jobs.settle(stored, report)
        assert not jobs.settle(stored, replace(report, status="error", error_class="site"))
        assert not jobs.settle(stored, replace(report, lease=str(uuid4())))
    assert Job.objects.values().get() == before
    assert Event.objects.filter(case_id=job.case_id).count() == 1


def test_a_report_that_no_database_takes_holds_up_no_other(
    dispatcher: Dispatcher, worker: Hand
) -> None:
    first, second = JobFactory.create_batch(2)
    dispatcher.give()
    results = [{"name": "a", "kind": "log", "path": f"{first.folder}/a", "sha256": ""}]
    for _job in (first, second):
        envelope = worker.start()
        worker.finish(envelope, results=results if envelope.job_id == str(first.case_id) else [])
    dispatcher.take_in()
    assert as_stored(second).status == Status.DONE
    assert as_stored(first).status != Status.DONE


@pytest.mark.parametrize("more", [{"seconds": float("inf")}, {"results": [{"path": 5}]}])
def test_a_report_of_nonsense_holds_up_no_other(
    dispatcher: Dispatcher, worker: Hand, more: dict[str, Any]
) -> None:
    first, second = JobFactory.create_batch(2)
    dispatcher.give()
    for _job in (first, second):
        envelope = worker.start()
        worker.finish(envelope, **(more if envelope.job_id == str(first.case_id) else {}))
    assert dispatcher.take_in() == 4
    assert as_stored(second).status == Status.DONE
    assert as_stored(first).status == Status.RUNNING
    assert dispatcher.take_in() == 0


def test_a_report_without_a_lease_ends_no_job_that_waits() -> None:
    job = JobFactory()
    names = {"job_id": str(job.case_id), "org_id": str(job.organisation_id), "worker": "w1"}
    forged = Report("finished", lease="None", status="error", error_class="payload", **names)
    assert intake.take_in([forged]) == 0
    assert as_stored(job).status == Status.QUEUED


def test_files_are_kept_but_not_those_of_another_folder(
    dispatcher: Dispatcher, worker: Hand
) -> None:
    job, other = JobFactory.create_batch(2)
    Job.objects.filter(pk=other.pk).update(status=Status.DONE)
    dispatcher.give()
    envelope = worker.start()
    good = {"name": "a.log", "kind": "log", "size": 3, "sha256": "0" * 64}
    paths = [f"{job.folder}/a.log", f"{other.folder}/a.log", f"{job.folder}/../x", "/etc/passwd"]
    worker.finish(envelope, results=[{**good, "path": path} for path in paths])
    dispatcher.take_in()
    kept = EvidenceFile.objects.get()
    assert (kept.path, kept.case_id, kept.attempt) == (paths[0], job.case_id, 1)


def test_a_changed_script_is_refused_and_told(
    dispatcher: Dispatcher, worker: Hand, way: Transport
) -> None:
    job = JobFactory()
    Job.objects.filter(pk=job.pk).update(script=job.script.replace("sede", "abcd"))
    dispatcher.give()
    with pytest.raises(EnvelopeRefused) as refusal:
        worker.start()
    way.refused("w1", worker.raw, str(refusal.value))
    dispatcher.take_in()
    refused = as_stored(job)
    assert (refused.status, refused.error_class) == (Status.ERROR, "payload")
    assert refused.error_log == signing.INTEGRITY
    assert Event.objects.get(case_id=job.case_id, new="refused").reason == signing.INTEGRITY


def test_a_second_copy_of_an_envelope_is_told_and_the_job_goes_on(
    dispatcher: Dispatcher, worker: Hand, way: Transport
) -> None:
    job = JobFactory()
    dispatcher.give()
    envelope = worker.start()
    first = worker.raw
    way.client.lpush(f"sri:org:{job.organisation_id}:jobs", worker.raw)
    way.client.rpush("sri:ring", str(job.organisation_id))
    other = Hand(way, "w2")
    with pytest.raises(EnvelopeRefused) as refusal:
        other.start()
    way.refused("w2", other.raw, str(refusal.value))
    dispatcher.take_in()
    assert as_stored(job).status == Status.RUNNING
    assert Event.objects.filter(case_id=job.case_id, new="refused").exists()
    worker.raw = first
    worker.finish(envelope)
    dispatcher.take_in()
    assert as_stored(job).status == Status.DONE


def test_a_job_that_nobody_ordered_is_told(dispatcher: Dispatcher, way: Transport) -> None:
    forged = {"jobId": "7" * 32, "orgId": "1"}
    way.client.lpush("sri:org:1:jobs", str(forged).replace("'", '"'))
    way.client.rpush("sri:ring", "1")
    hand = Hand(way)
    (raw,) = way.take(hand.name, 1)
    with pytest.raises(EnvelopeRefused) as refusal:
        signing.opened(raw, registered.keyring(), 60)
    way.refused(hand.name, raw, str(refusal.value))
    assert dispatcher.take_in() == 1
    told = Event.objects.get(new="refused")
    assert (told.object_id, told.object_type) == ("7" * 32, "queues.job")
    assert told.reason.startswith("Missing field")


# --- Workers that stop and die ------------------------------------------------------------------


def test_what_a_stopping_worker_gives_back_is_given_at_once(
    dispatcher: Dispatcher, worker: Hand, way: Transport
) -> None:
    job = JobFactory(max_attempts=1)
    dispatcher.give()
    worker.start()
    way.returned("w1", worker.raw)
    dispatcher.take_in()
    assert dispatcher.give() == 1
    worker.finish(worker.start())
    dispatcher.take_in()
    assert as_stored(job).status == Status.DONE


def test_a_dead_workers_job_is_tried_again_and_its_late_word_changes_nothing(
    dispatcher: Dispatcher, worker: Hand
) -> None:
    job = JobFactory()
    dispatcher.give()
    envelope = worker.start()
    worker.die()
    dispatcher.take_in()
    lost = as_stored(job)
    assert (lost.status, lost.error_class) == (Status.QUEUED, "infrastructure")
    assert not worker.finish(envelope)
    dispatcher.take_in()
    assert as_stored(job).status == Status.QUEUED


def test_what_a_dead_worker_had_begun_goes_to_a_person(
    dispatcher: Dispatcher, worker: Hand, way: Transport
) -> None:
    job = JobFactory(steps=SENDING)
    dispatcher.give()
    envelope = worker.start()
    assert way.begun("w1", envelope)
    dispatcher.take_in()
    assert as_stored(job).intent_at
    worker.die()
    dispatcher.take_in()
    assert as_stored(job).status == Status.IN_DOUBT
    assert jobs.confirm_not_done(as_stored(job), "looked")
    assert dispatcher.give() == 1
    assert worker.start().attempt == 2


# --- Redis that forgets -------------------------------------------------------------------------


def test_what_a_flushed_redis_forgot_is_given_again_as_it_was(
    dispatcher: Dispatcher, worker: Hand, way: Transport
) -> None:
    job = JobFactory()
    dispatcher.give()
    lease = as_stored(job).lease_token
    assert dispatcher.look_for_missing(AT_ONCE) == 0
    way.client.flushall()
    assert dispatcher.look_for_missing() == 0  # not yet
    assert dispatcher.look_for_missing(AT_ONCE) == 1
    assert dispatcher.look_for_missing(AT_ONCE) == 0
    envelope = worker.start()
    assert (envelope.attempt, envelope.lease) == (1, str(lease))
    worker.finish(envelope)
    dispatcher.take_in()
    assert as_stored(job).status == Status.DONE


@pytest.mark.parametrize(("steps", "then"), [(None, Status.QUEUED), (SENDING, Status.IN_DOUBT)])
def test_a_run_that_a_flushed_redis_forgot_is_lost(
    dispatcher: Dispatcher, worker: Hand, way: Transport, steps: Any, then: str
) -> None:
    job = JobFactory(steps=steps) if steps else JobFactory()
    dispatcher.give()
    envelope = worker.start()
    dispatcher.take_in()
    way.client.flushall()
    assert dispatcher.look_for_missing(AT_ONCE) == 1
    assert as_stored(job).status == then
    assert not way.begun("w1", envelope)
    assert not worker.finish(envelope)


@pytest.mark.parametrize(("steps", "then"), [(None, Status.QUEUED), (SENDING, Status.IN_DOUBT)])
def test_a_run_whose_every_report_is_lost_leaves_no_job_waiting_for_ever(
    dispatcher: Dispatcher, worker: Hand, way: Transport, steps: Any, then: str
) -> None:
    job = JobFactory(steps=steps) if steps else JobFactory()
    dispatcher.give()
    first = worker.start()
    worker.finish(first)
    way.client.delete("sri:results", "sri:jobs")
    assert dispatcher.look_for_missing(AT_ONCE) == 1
    assert as_stored(job).status == then
    if then == Status.QUEUED:
        dispatcher.give()
        assert worker.start().lease != first.lease


def test_what_was_written_down_and_never_given_is_given(
    dispatcher: Dispatcher, worker: Hand
) -> None:
    job = JobFactory()
    Job.objects.filter(published_at=None).hand_over(1)
    assert dispatcher.give() == 0
    assert dispatcher.look_for_missing(AT_ONCE) == 1
    assert worker.start().job_id == str(job.case_id)


def test_a_redis_that_is_away_is_survived(way: Transport) -> None:
    away = Dispatcher("d", way)

    def refuse(*_: object) -> Any:
        raise redis.ConnectionError("away")

    way_on, away.way.reports = away.way.reports, refuse  # type: ignore[method-assign]
    assert (away.step(), away.is_away, away.turn(bool)) == (False, True, False)
    away.way.reports = way_on  # type: ignore[method-assign]
    assert (away.step(), away.is_away, away.turn(bool)) == (False, False, True)
