"""Jobs on the cluster, without Redis: taken fairly, run as an isolated worker runs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.utils import timezone

from queues import claims, job_upkeep, jobs, live
from queues.browser import scripts, signing
from queues.browser.runs import Artifact, Outcome, Run, StepEvent
from queues.browser.signing import NO_SESSION
from queues.errors import ErrorClass
from queues.job_worker import JobWorker, take_next
from queues.models import EvidenceFile, Job, OrganisationTurn
from tests.factories import ConnectedProviderFactory, JobFactory, MemberFactory, ProviderFactory
from tests.racing import together

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Status = Job.Status
SENDING = [
    {"do": "navigate", "url": "http://127.0.0.1:8001/sede/"},
    {"do": "click", "selector": "#send", "irrevocable": True},
    {"do": "wait", "text": "ok", "confirms": True},
]


class Hand:
    """A browser by hand: what a run is given, and the outcome that it is told to have."""

    def __init__(self) -> None:
        self.outcome = Outcome(ok=True, seconds=1.25)
        self.runs: list[Run] = []
        self.during: Any = lambda: None
        self.sends = False

    def execute(self, run: Run, *, permit: Any, tick: Any, on_event: Any, **_: Any) -> Outcome:
        self.runs.append(run)
        self.during()
        if not tick():
            return Outcome(ok=False, error_class="infrastructure", message=run.when_stopped)
        if self.sends and not permit():
            return Outcome(ok=False, error_class="infrastructure", message=run.when_stopped)
        on_event(StepEvent(1, "navigate", "the page", True, 0.5))
        run.folder.mkdir(parents=True, exist_ok=True)
        (run.folder / "execution.log").write_text("all went well")
        artifact = Artifact("log", run.folder / "execution.log", "execution.log")
        return Outcome(**{**vars(self.outcome), "artifacts": (artifact,)})

    def close(self) -> None:
        pass


@pytest.fixture
def browser() -> Hand:
    return Hand()


@pytest.fixture
def worker(browser: Hand) -> Iterator[JobWorker]:
    found = JobWorker("w1", browser)  # type: ignore[arg-type]
    yield found
    found.close()


def as_stored(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


# --- Fairly -------------------------------------------------------------------------------------


def test_who_has_one_job_does_not_wait_behind_who_has_many() -> None:
    many, one = MemberFactory(), MemberFactory()
    JobFactory.create_batch(5, member=many, priority=9)
    single = JobFactory(member=one)
    taken = [take_next("w") for _ in range(6)]
    assert taken.index(single) <= 1
    assert take_next("w") is None
    assert len(set(taken)) == 6


def test_within_an_organisation_the_best_priority_goes_first() -> None:
    member = MemberFactory()
    later, urgent = JobFactory(member=member), JobFactory(member=member, priority=3)
    assert [take_next("w"), take_next("w")] == [urgent, later]


def test_a_resting_organisations_jobs_wait() -> None:
    job = JobFactory()
    type(job.organisation).objects.update(active=False)
    assert take_next("w") is None


@pytest.mark.django_db(transaction=True)
def test_eight_workers_take_each_job_once_and_the_single_one_soon() -> None:
    many, one = MemberFactory(), MemberFactory()
    template = JobFactory(member=many)
    names = [
        field.name for field in Job._meta.concrete_fields if field.name not in ("id", "case_id")
    ]
    values = {name: getattr(template, name) for name in names}
    Job.objects.bulk_create(Job(**values) for _ in range(60))
    single = JobFactory(member=one)
    order: list[int] = []

    def work(number: int) -> list[int]:
        mine = []
        for _ in range(4):
            if job := take_next(f"w{number}"):
                order.append(job.pk)
                mine.append(job.pk)
        return mine

    taken = [pk for mine in together(8, work) for pk in mine]
    assert len(taken) == len(set(taken))
    assert order.index(single.pk) < 16
    assert Job.objects.filter(status=Status.RUNNING).count() == len(taken)
    assert OrganisationTurn.objects.count() == 2


# --- Run ----------------------------------------------------------------------------------------


def test_a_job_is_run_and_its_results_are_kept(worker: JobWorker, browser: Hand) -> None:
    job = JobFactory(inputs={"invoice": "F-1"})
    assert worker.step()
    done = as_stored(job)
    assert (done.status, done.worker, done.attempts) == (Status.DONE, "w1", 1)
    assert done.result["seconds"] == 1.25
    (run,) = browser.runs
    assert run.inputs["payload"] == {"invoice": "F-1"}
    assert run.hosts == ("127.0.0.1",)
    kept = EvidenceFile.objects.get()
    assert kept.path == f"results/{job.organisation_id}/{job.user_id}/{job.case_id}/execution.log"
    assert default_storage.open(kept.path).read() == b"all went well"
    assert [one["name"] for one in done.result["results"]] == ["execution.log"]
    assert live.lines(job) == ["01 navigate the page 500 ms ok"]
    assert live.lines(job, 1) == []
    assert not worker.step()


def test_the_lines_of_a_repeated_attempt_begin_with_its_number(worker: JobWorker) -> None:
    job = JobFactory(attempts=1)
    assert worker.step()
    assert live.lines(job) == ["--- attempt 2 ---", "01 navigate the page 500 ms ok"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"script": scripts.canonical(SENDING)}, signing.INTEGRITY),
        ({"signature": "0" * 64}, signing.SIGNATURE),
        ({"key_id": "unknown"}, signing.SIGNATURE),
        ({"provider_name": ""}, "Empty field: providerName"),
    ],
)
def test_what_was_not_signed_is_not_run(
    worker: JobWorker, browser: Hand, changes: dict[str, Any], message: str
) -> None:
    job = JobFactory()
    Job.objects.update(**changes)
    worker.step()
    refused = as_stored(job)
    assert (refused.status, refused.error_log) == (Status.ERROR, message)
    assert browser.runs == []


def test_a_session_is_lent_and_without_one_the_job_is_held(
    worker: JobWorker, browser: Hand
) -> None:
    connection = ConnectedProviderFactory(provider=ProviderFactory(name="demo"))
    job = JobFactory(
        organisation=connection.organisation,
        user=connection.user,
        provider_id=str(connection.provider_id),
        needs_session=True,
    )
    stranger = JobFactory(needs_session=True)
    while worker.step():
        pass
    (run,) = browser.runs
    assert run.storage_state and run.storage_state["cookies"][0]["name"] == "sid"
    assert as_stored(job).status == Status.DONE
    held = as_stored(stranger)
    assert (held.status, held.error_log) == (Status.HELD, NO_SESSION)


def test_a_cancelled_run_ends_and_says_so(worker: JobWorker, browser: Hand) -> None:
    job = JobFactory()
    browser.during = lambda: jobs.cancel(as_stored(job), "not needed")
    worker.step()
    assert as_stored(job).status == Status.CANCELLED


def test_what_was_begun_is_not_cancelled_any_more(worker: JobWorker, browser: Hand) -> None:
    job = JobFactory(steps=SENDING)
    answers = []

    def execute(run: Run, *, permit: Any, tick: Any, **_: Any) -> Outcome:
        answers.append(permit())
        jobs.cancel(as_stored(job), "too late")
        answers.append(tick())
        return Outcome(ok=all(answers), irrevocable_begun=True, confirmed=all(answers))

    browser.execute = execute  # type: ignore[method-assign]
    worker.step()
    assert answers == [True, True]
    assert as_stored(job).status == Status.DONE


def test_the_irrevocable_step_is_written_down_first(worker: JobWorker, browser: Hand) -> None:
    job = JobFactory(steps=SENDING)
    browser.sends = True
    browser.outcome = Outcome(
        ok=False, error_class="site", message="nothing came", irrevocable_begun=True
    )
    worker.step()
    doubtful = as_stored(job)
    assert doubtful.intent_at
    assert doubtful.status == Status.IN_DOUBT
    assert jobs.confirm_done(doubtful, "it is there")
    assert as_stored(job).status == Status.DONE


def test_a_worker_whose_lease_was_swept_changes_nothing(worker: JobWorker, browser: Hand) -> None:
    job = JobFactory()

    def stolen() -> None:
        Job.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        assert job_upkeep.lose_orphans() == 1

    browser.during = stolen
    worker.step()
    left = as_stored(job)
    assert (left.status, left.error_class) == (Status.QUEUED, ErrorClass.INFRASTRUCTURE)


def test_a_killed_worker_leaves_what_it_had_begun_to_a_person() -> None:
    begun, other = JobFactory(), JobFactory()
    for _ in range(2):
        take_next("dead")
    assert claims.begin_irrevocable(as_stored(begun))
    Job.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert job_upkeep.sweep() == 2
    assert [as_stored(job).status for job in (begun, other)] == [Status.IN_DOUBT, Status.QUEUED]


def test_a_storage_that_is_down_is_our_failure(
    worker: JobWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = JobFactory()

    def broken(*_: object) -> str:
        raise OSError("no space left")

    monkeypatch.setattr(type(default_storage), "save", broken, raising=False)
    worker.step()
    left = as_stored(job)
    assert (left.status, left.error_class) == (Status.QUEUED, ErrorClass.INFRASTRUCTURE)


@pytest.mark.django_db(transaction=True)
def test_a_foreground_worker_runs_what_is_there_and_ends(capsys: pytest.CaptureFixture) -> None:
    JobFactory(script_hash="0" * 64)
    call_command("runworker", "--jobs", "--drain", "--json")
    assert json.loads(capsys.readouterr().out)["attempts"] == 1
    assert Job.objects.get().error_log == signing.INTEGRITY
