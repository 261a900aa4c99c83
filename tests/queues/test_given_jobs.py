"""Jobs that are with the isolated workers: their sessions, and what people and time do to them."""

# ruff: noqa: F811 (fixtures are imported by name)

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from queues import job_upkeep, jobs
from queues.browser.signing import NO_SESSION
from queues.browser.transport import Transport
from queues.dispatching import Dispatcher
from queues.models import Job
from tests.factories import (
    ConnectedProviderFactory,
    JobFactory,
    MemberFactory,
    ProviderFactory,
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

# --- Sessions -----------------------------------------------------------------------------------


@pytest.fixture
def of_a_session() -> Callable[[], tuple[Job, Any]]:
    """A job that needs a session, and the connection that has it."""

    def made() -> tuple[Job, Any]:
        connection = ConnectedProviderFactory(provider=ProviderFactory(name="demo"))
        job = JobFactory(
            organisation=connection.organisation,
            user=connection.user,
            provider_id=str(connection.provider_id),
            needs_session=True,
        )
        return job, connection

    return made


def test_a_dead_session_holds_the_job_until_it_is_renewed(
    dispatcher: Dispatcher, worker: Hand, of_a_session: Any
) -> None:
    job, connection = of_a_session()
    dispatcher.give()
    worker.finish(worker.start(), "error", error_class="session", message="the login page")
    dispatcher.take_in()
    assert as_stored(job).status == Status.HELD
    connection.refresh_from_db()
    assert connection.status == "expired"
    assert dispatcher.give() == 0
    place = (job.organisation_id, job.user_id, job.provider_id)
    assert jobs.resume(*place) == 1
    assert dispatcher.give() == 1


def test_a_session_that_redis_lost_is_lent_again(
    dispatcher: Dispatcher, worker: Hand, way: Transport, of_a_session: Any
) -> None:
    job, connection = of_a_session()
    dispatcher.give()
    worker.take()
    way.refused("w1", worker.raw, NO_SESSION)
    dispatcher.take_in()
    assert as_stored(job).status == Status.QUEUED
    assert way.session(str(job.organisation_id), str(job.user_id), "demo") == connection.session
    connection.refresh_from_db()
    assert connection.status == "active"


def test_without_a_session_the_job_is_held_and_no_attempt_used(
    dispatcher: Dispatcher, worker: Hand, way: Transport, of_a_session: Any
) -> None:
    job, connection = of_a_session()
    type(connection).objects.update(expires_at=timezone.now())
    dispatcher.give()
    worker.take()
    way.refused("w1", worker.raw, NO_SESSION)
    dispatcher.take_in()
    held = as_stored(job)
    assert (held.status, held.error_log) == (Status.HELD, NO_SESSION)
    assert held.max_attempts - held.attempts == 3
    assert job_upkeep.revive() == 0
    later = timezone.now() + timedelta(days=1)
    type(connection).objects.update(expires_at=later, status="active", session=connection.session)
    assert job_upkeep.revive() == 1


def test_a_session_that_no_worker_can_read_is_not_lent_for_ever(
    dispatcher: Dispatcher, worker: Hand, way: Transport, of_a_session: Any
) -> None:
    job, connection = of_a_session()
    for _attempt in range(job.max_attempts):
        assert dispatcher.give() == 1
        worker.take()
        way.refused("w1", worker.raw, NO_SESSION)
        dispatcher.take_in()
    assert (as_stored(job).status, as_stored(job).error_log) == (Status.ERROR, NO_SESSION)
    connection.refresh_from_db()
    assert connection.status == "active"


@pytest.mark.parametrize("is_over", [False, True])
def test_a_cancelled_job_without_a_session_does_not_wait_for_one(
    dispatcher: Dispatcher, worker: Hand, way: Transport, of_a_session: Any, is_over: bool
) -> None:
    job, connection = of_a_session()
    if is_over:
        type(connection).objects.update(expires_at=timezone.now())
    dispatcher.give()
    worker.take()
    assert jobs.cancel(as_stored(job), "not needed")
    way.refused("w1", worker.raw, NO_SESSION)
    dispatcher.take_in()
    assert as_stored(job).status == Status.CANCELLED


# --- What people do -----------------------------------------------------------------------------


def test_a_given_job_is_cancelled_before_a_worker_has_it(
    dispatcher: Dispatcher, worker: Hand, way: Transport
) -> None:
    job = JobFactory()
    dispatcher.give()
    assert jobs.cancel(as_stored(job), "not needed")
    assert as_stored(job).status == Status.CANCELLED
    assert worker.take() is None
    assert '"cancelled"' in str(way.client.get(f"sri:job:{job.case_id}:status"))


def test_a_running_job_is_cancelled_by_its_workers_word(
    dispatcher: Dispatcher, worker: Hand, way: Transport
) -> None:
    job = JobFactory()
    dispatcher.give()
    envelope = worker.start()
    assert jobs.cancel(as_stored(job), "not needed")  # before its beginning was taken in
    dispatcher.take_in()
    assert as_stored(job).status == Status.RUNNING
    assert way.is_cancelled([envelope.job_id]) == {envelope.job_id}
    worker.finish(envelope, "cancelled")
    dispatcher.take_in()
    assert as_stored(job).status == Status.CANCELLED


@pytest.mark.parametrize(("steps", "then"), [(None, Status.CANCELLED), (SENDING, Status.IN_DOUBT)])
def test_a_cancellation_that_no_worker_confirms_is_ended(
    dispatcher: Dispatcher, worker: Hand, way: Transport, steps: Any, then: str
) -> None:
    job = JobFactory(steps=steps) if steps else JobFactory()
    dispatcher.give()
    envelope = worker.start()
    dispatcher.take_in()
    jobs.cancel(as_stored(job), "not needed")
    assert job_upkeep.end_unanswered() == 0
    Job.objects.update(cancel_asked_at=timezone.now() - timedelta(seconds=91))
    assert job_upkeep.end_unanswered() == 1
    assert as_stored(job).status == then
    worker.finish(envelope)
    dispatcher.take_in()
    assert as_stored(job).status == then


@pytest.mark.parametrize(("steps", "then"), [(None, Status.CANCELLED), (SENDING, Status.IN_DOUBT)])
def test_a_cancelled_job_of_which_nothing_was_heard_may_have_begun(
    dispatcher: Dispatcher, worker: Hand, way: Transport, steps: Any, then: str
) -> None:
    job = JobFactory(steps=steps) if steps else JobFactory()
    dispatcher.give()
    assert way.begun("w1", worker.start())
    jobs.cancel(as_stored(job), "not needed")  # while no report is taken in
    Job.objects.update(cancel_asked_at=timezone.now() - timedelta(seconds=91))
    assert job_upkeep.end_unanswered() == 1
    assert as_stored(job).status == then


def test_a_cancelled_job_whose_worker_dies_is_not_tried_again(
    dispatcher: Dispatcher, worker: Hand
) -> None:
    job = JobFactory()
    dispatcher.give()
    worker.start()
    jobs.cancel(as_stored(job), "not needed")
    worker.die()
    dispatcher.take_in()
    assert as_stored(job).status == Status.CANCELLED


def test_a_given_job_can_be_put_before_the_others(dispatcher: Dispatcher, worker: Hand) -> None:
    member = MemberFactory()
    first, second, third = JobFactory.create_batch(3, member=member)
    dispatcher.give()
    assert jobs.prioritise(as_stored(third), "the customer waits")
    order = [third, first, second]
    assert [worker.start().job_id for _job in order] == [str(job.case_id) for job in order]


def test_a_deadline_ends_what_waits_with_the_workers(dispatcher: Dispatcher, worker: Hand) -> None:
    job = JobFactory(deadline_at=timezone.now() + timedelta(hours=1))
    dispatcher.give()
    assert job_upkeep.expire_late() == 0
    Job.objects.update(deadline_at=timezone.now())
    assert job_upkeep.expire_late() == 1
    assert as_stored(job).error_log == "The job's deadline is over"
    assert worker.take() is None


def test_what_waited_long_is_signed_anew(dispatcher: Dispatcher, worker: Hand) -> None:
    job = JobFactory()
    dispatcher.give()
    old = as_stored(job).lease_token
    assert job_upkeep.recall_old() == 0
    Job.objects.update(published_at=timezone.now() - timedelta(hours=13))
    assert job_upkeep.recall_old() == 1
    assert dispatcher.give() == 1
    envelope = worker.start()
    assert envelope.attempt == 1 and envelope.lease != str(old)


def test_what_waits_with_the_workers_comes_back_when_its_organisation_is_switched_off(
    dispatcher: Dispatcher, worker: Hand
) -> None:
    job, other = JobFactory(), JobFactory()
    dispatcher.give()
    job.organisation.active = False
    job.organisation.save(update_fields=["active"])
    assert job_upkeep.recall_resting() == 1
    back = as_stored(job)
    assert (back.published_at, back.lease_token, back.attempts) == (None, None, 0)
    assert worker.start().job_id == str(other.case_id)
    assert worker.take() is None
    job.organisation.active = True
    job.organisation.save(update_fields=["active"])
    assert dispatcher.give() == 1
