"""What staff can be warned of about organisations' jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count
from django.utils.translation import gettext_lazy

from orchestrator_site.clock import db_now
from orchestrator_site.measures import Measure, Reading
from orchestrator_site.models import Event
from queues import job_endings, job_metrics, sentences
from queues.models import Job


def refusals() -> Iterator[Reading]:
    """How many envelopes workers refused in the last hour, by the reason."""
    refused = Event.objects.filter(
        at__gte=db_now() - timedelta(hours=1),
        object_type=Job._meta.label_lower,
        new=job_endings.REFUSED,
    )
    counted = refused.order_by().values_list("reason").annotate(Count("pk"))
    for reason, count in counted:
        said = sentences.ENVELOPES_REFUSED % {"count": count, "why": reason}
        yield Reading(reason[:100], count, said)


def doubtful_jobs() -> Iterator[Reading]:
    count = Job.objects.filter(status=Job.Status.IN_DOUBT).count()
    yield Reading("", count, sentences.JOBS_IN_DOUBT % {"count": count})


def waiting_jobs() -> Iterator[Reading]:
    """How many minutes the job has been due that has waited longest."""
    minutes = job_metrics.longest_wait() / timedelta(minutes=1)
    yield Reading("", round(minutes, 1), sentences.JOB_WAITS % {"minutes": minutes})


MEASURES = (
    Measure(
        "job_refused",
        gettext_lazy("Jobs refused"),
        refusals,
        0,
        ">",
        gettext_lazy("envelopes"),
        gettext_lazy("What workers refused to run in the last hour: changed, replayed, unsigned."),
    ),
    Measure(
        "job_in_doubt",
        gettext_lazy("Jobs in doubt"),
        doubtful_jobs,
        0,
        ">",
        gettext_lazy("jobs"),
        gettext_lazy("Jobs of which a person has to say whether they were done."),
    ),
    Measure(
        "job_wait",
        gettext_lazy("Jobs wait"),
        waiting_jobs,
        30,
        ">",
        gettext_lazy("min"),
        gettext_lazy("How long the job has been due that has waited longest."),
    ),
)
