"""What staff can be warned of in claims, and in organisations' flows and sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext_lazy

from brain import sentences
from brain.models import Claim, ConnectedProvider, Flow
from orchestrator_site.measures import Measure, Reading
from orchestrator_site.models import Event
from queues.models import Job

WITHIN = timedelta(hours=1)


def unproven_claims() -> Iterator[Reading]:
    """How many claims of an organismo a person has to settle."""
    unproven = Claim.objects.filter(status=Claim.Status.UNPROVEN).order_by()
    for site, count in unproven.values_list("organismo__site_id").annotate(Count("pk")):
        yield Reading(site, count, sentences.CLAIMS_UNPROVEN % {"count": count, "site": site})


def jobs_without_session() -> Iterator[Reading]:
    """How many jobs wait for each session that is to be renewed by its user."""
    held = Job.objects.filter(status=Job.Status.HELD).order_by()
    keys = held.values_list("organisation__name", "user__username", "provider_name")
    for organisation, user, provider, jobs in keys.annotate(Count("pk")):
        said = sentences.SESSIONS_DEAD % {"jobs": jobs, "user": user, "provider": provider}
        yield Reading(f"{organisation}: {provider} {user}", jobs, said)


def refused_runs() -> Iterator[Reading]:
    """Runs of the last hour whose flow is not what was signed: somebody changed it."""
    kind = Flow._meta.label_lower
    since = timezone.now() - WITHIN
    events = Event.objects.filter(object_type=kind, new=sentences.REFUSED, at__gte=since)
    counts = Counter(events.values_list("object_id", "reason"))
    flows = Flow.objects.in_bulk([int(pk) for pk, _reason in counts])
    for (pk, reason), count in counts.items():
        said = sentences.FLOWS_REFUSED % {"count": count, "why": reason}
        yield Reading(f"{flows.get(int(pk), pk)} ({pk})", count, said)


def unreadable_sessions() -> Iterator[Reading]:
    """Living sessions that the probe could learn nothing of, by provider."""
    rows = ConnectedProvider.objects.filter(status=ConnectedProvider.Status.ACTIVE).order_by()
    failing = rows.exclude(probe_error="").values_list("provider__name")
    for provider, count in failing.annotate(Count("pk")):
        yield Reading(provider, count, sentences.PROBES_FAIL % {"count": count})


MEASURES = (
    Measure(
        "claims_unproven",
        gettext_lazy("Unproven claims"),
        unproven_claims,
        0,
        ">",
        gettext_lazy("claims"),
        gettext_lazy("Claims of an organismo that the origin does not show as ours."),
    ),
    Measure(
        "jobs_without_session",
        gettext_lazy("Jobs that wait for a session"),
        jobs_without_session,
        0,
        ">",
        gettext_lazy("jobs"),
        gettext_lazy("The session of a user at a provider has ended; its user must renew it."),
    ),
    Measure(
        "refused_runs",
        gettext_lazy("Runs refused for a changed script"),
        refused_runs,
        0,
        ">",
        gettext_lazy("runs"),
        gettext_lazy("A flow's script is not what was signed: somebody changed it."),
    ),
    Measure(
        "failing_probes",
        gettext_lazy("Sessions whose probe fails"),
        unreadable_sessions,
        0,
        ">",
        gettext_lazy("sessions"),
        gettext_lazy("Nobody knows whether they live: see the error on the connection."),
        default_for_seconds=3600,
    ),
)
