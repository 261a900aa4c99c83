"""What staff can be warned of in the queues of all three kinds: who waits too long, what fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q, QuerySet
from django.utils.translation import gettext_lazy

from orchestrator_site.clock import db_now
from orchestrator_site.measures import Measure, Reading
from queues import sentences
from queues.metrics import finished_by_generator
from queues.models import Job, NbcRecord, TramiteTask

ENOUGH = 5  # ended ones: a rate of fewer says nothing
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
Filed = TramiteTask.Status
Ran = Job.Status


def waiting_appeal() -> Iterator[Reading]:
    """How many minutes the appeal has been due that has waited longest."""
    now = db_now()
    due = TramiteTask.objects.filter(status=Filed.PENDING, available_at__lte=now)
    yield _oldest(due, now, sentences.APPEAL_WAITS)


def waiting_person() -> Iterator[Reading]:
    """The same of people; who has a task does not wait any more."""
    now = db_now()
    yield _oldest(NbcRecord.objects.due(now), now, sentences.PERSON_WAITS)


def _oldest(due: QuerySet[Any], now: datetime, text: str) -> Reading:
    oldest = due.order_by().aggregate(oldest=Min("available_at"))["oldest"]
    minutes = (now - oldest) / MINUTE if oldest else 0
    return Reading("", round(minutes, 1), text % {"minutes": minutes})


def failing_sites() -> Iterator[Reading]:
    """Per cent of an organismo's appeals of the last hour that failed, or nobody knows of."""
    bad = Q(status__in=(Filed.FAILED, Filed.IN_DOUBT))
    ended = _ended(TramiteTask, bad | Q(status__in=TramiteTask.SENT))
    for site, done, failed in _counted(ended.values_list("site_id"), bad):
        yield from _rate(site, done, failed)


def failing_generators() -> Iterator[Reading]:
    """The same of a generator's tasks."""
    for row in finished_by_generator(db_now() - HOUR):
        yield from _rate(row["generator_id"], row["done"], row["done"] - row["well"])


def failing_flows() -> Iterator[Reading]:
    """The same of the runs of an organisation's flow."""
    bad = Q(status__in=(Ran.ERROR, Ran.IN_DOUBT))
    ended = _ended(Job, bad | Q(status=Ran.DONE)).values_list("organisation__name", "flow_name")
    for name, flow, done, failed in _counted(ended, bad):
        yield from _rate(f"{name}: {flow}", done, failed)


def _ended(model: type[TramiteTask | Job], how: Q) -> QuerySet[Any]:
    return model.objects.filter(how, processed_at__gte=db_now() - HOUR).order_by()


def _counted(groups: QuerySet[Any], bad: Q) -> QuerySet[Any]:
    return groups.annotate(done=Count("pk"), failed=Count("pk", filter=bad))


def _rate(name: str, done: int, failed: int) -> Iterator[Reading]:
    if done >= ENOUGH:
        said = sentences.FAILED_OF % {"failed": failed, "done": done, "name": name}
        yield Reading(name, round(100 * failed / done, 1), said)


MEASURES = (
    Measure(
        "tramite_wait",
        gettext_lazy("Appeals wait"),
        waiting_appeal,
        30,
        ">",
        gettext_lazy("min"),
        gettext_lazy("How long the appeal has been due that has waited longest."),
    ),
    Measure(
        "imss_wait",
        gettext_lazy("People wait"),
        waiting_person,
        120,
        ">",
        gettext_lazy("min"),
        gettext_lazy("How long the person has been due that has waited longest."),
    ),
    Measure(
        "tramite_failures",
        gettext_lazy("Appeals fail"),
        failing_sites,
        50,
        ">",
        "%",
        gettext_lazy("Of an organismo's appeals of the last hour, from five on."),
        default_severity="critical",
    ),
    Measure(
        "imss_failures",
        gettext_lazy("Lookups fail"),
        failing_generators,
        80,
        ">",
        "%",
        gettext_lazy("Of a generator's tasks of the last hour, from five on."),
    ),
    Measure(
        "job_failures",
        gettext_lazy("Jobs fail"),
        failing_flows,
        50,
        ">",
        "%",
        gettext_lazy("Of the runs of an organisation's flow in the last hour, from five on."),
    ),
)
