"""The control plane's side of no-op jobs: rows and events on PostgreSQL, given and taken in."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings

from orchestrator_site.models import Event, Member
from queues import live
from queues.dispatching import Dispatcher
from queues.models import Job
from tests import redis as redis_server
from tests.bench.support import crew, job_workers, tasks
from tests.factories import JobFactory, MemberFactory

BATCH = 500


def rate(count: int) -> float:
    """Jobs a second, from rows that are due to rows that are done: two workers, one dispatcher."""
    redis_server.empty(settings.REDIS_URL)
    add(count)
    workers = [["working", f"w{number}"] for number in range(job_workers.PROCESSES)]
    seconds, _answers = crew.at_work(__name__, "role", [*workers, ["dispatching", "d"]])
    done = Job.objects.filter(status=Job.Status.DONE).count()
    assert done == count, done
    moves = Event.objects.filter(object_type=Job._meta.label_lower).count()
    assert moves >= count, moves
    return count / seconds


def add(count: int) -> None:
    """Due jobs of ten organisations, and nothing else."""
    tasks.empty(Job._meta.db_table, Event._meta.db_table)
    samples = [JobFactory(member=member) for member in _members()]
    missing = count - len(samples)
    copies = (_copy(samples[number % len(samples)]) for number in range(missing))
    Job.objects.bulk_create(copies, batch_size=BATCH)
    tasks.settle()


def _members() -> list[Member]:
    known = list(Member.objects.select_related("organisation", "user"))
    return known or MemberFactory.create_batch(job_workers.ORGANISATIONS)


def _copy(job: Job) -> Job:
    """Another of the same organisation, script and signature."""
    own = ("id", "case_id", "created_at", "updated_at")
    fields = [field.attname for field in Job._meta.concrete_fields if field.attname not in own]
    return Job(**{name: getattr(job, name) for name in fields})


def role(kind: str, name: str) -> Callable[[], object]:
    if kind == "dispatching":
        return _dispatching(name)
    return job_workers.working(settings.REDIS_URL, name, settings.SCRIPT_SIGNING_SECRET)


def _dispatching(name: str) -> Callable[[], None]:
    way = live.transport()
    assert way
    dispatcher = Dispatcher(name, way)

    def dispatch() -> None:
        while Job.objects.filter(status__in=Job.LIVE).exists():
            dispatcher.step()
        way.client.set(job_workers.OVER, 1)

    return dispatch
