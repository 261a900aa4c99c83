"""What staff can be warned of in the distribution and its mirror in Mongo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.db.models import Max
from django.utils.translation import gettext_lazy

from devices.models import Device
from orchestrator_site.clock import db_now
from orchestrator_site.measures import Measure, Reading
from orchestrator_site.models import Event
from queues import doorbell, sentences
from queues.metrics import finished_by_generator
from queues.mirror import standing
from queues.models import DistributionConfig, Generator, NbcRecord

ENOUGH = 5  # ended tasks: a rate of fewer says nothing


def unavailable_pools() -> Iterator[Reading]:
    """For how many minutes no device of an enabled generator's pool could be taken. Not whether
    one is free at this moment: under a full load none ever is."""
    now = db_now()
    for row in Generator.objects.filter(enabled=True):
        devices = list(Device.objects.pool(row.fleet, row.process))
        if devices:
            minutes = (now - _unavailable_since(devices, now)) / timedelta(minutes=1)
            said = sentences.POOL_UNAVAILABLE % {"name": row.name, "minutes": minutes}
            yield Reading(row.name, round(minutes, 1), said)


def _unavailable_since(devices: Iterable[Device], now: datetime) -> datetime:
    """When the last of the devices became so; now, while one can be taken."""
    pks = [one.pk for one in devices]
    if Device.objects.filter(pk__in=pks).free(now).exists():
        return now
    changed = _last_events([one for one in devices if one.available])
    return max(one.task_start_time or changed.get(str(one.pk)) or one.updated_at for one in devices)


def _last_events(devices: Iterable[Device]) -> dict[str, datetime]:
    """When devices that hold no task went offline, or out of service."""
    pks = [str(one.pk) for one in devices]
    events = Event.objects.filter(object_type=Device._meta.label_lower, object_id__in=pks)
    return dict(events.order_by().values_list("object_id").annotate(Max("at")))


def success_rates() -> Iterator[Reading]:
    """Per cent, of the tasks that ended within the window that levels are chosen by."""
    hours = DistributionConfig.current().window_hours
    for row in finished_by_generator(db_now() - timedelta(hours=hours)):
        if row["done"] >= ENOUGH:
            facts = {**row, "name": row["generator_id"], "hours": hours}
            said = sentences.SUCCESS_RATE % facts
            yield Reading(row["generator_id"], round(100 * row["well"] / row["done"], 1), said)


def waiting_people() -> Iterator[Reading]:
    """Those whose time has come, and who have no task."""
    waiting = NbcRecord.objects.due(db_now()).order_by().count()
    yield Reading("", waiting, sentences.PEOPLE_WAIT % {"count": waiting})


def failing_generators() -> Iterator[Reading]:
    for row in Generator.objects.filter(enabled=True):
        is_failing = row.status == Generator.Status.FAILING
        said = sentences.GENERATOR_FAILS % {"name": row.name, "why": row.last_failure}
        yield Reading(row.name, is_failing, said)


def quarantined_devices() -> Iterator[Reading]:
    """Failures in a row of each device that was put there by itself: a person's has no trial."""
    by_itself = Device.objects.filter(status=Device.Status.QUARANTINED, probe_at__isnull=False)
    for row in by_itself:
        said = sentences.QUARANTINED % {"device": row, "why": row.status_reason}
        yield Reading(f"{row.fleet} {row.device}", row.failures, said)


def mirror_lags() -> Iterator[Reading]:
    """In seconds, both ways: how long Mongo has not been told, and how long it was not read."""
    found = standing.current()
    if found is None:
        return
    why = found.state.error
    yield _lag(sentences.OUT, found.lag, sentences.NOT_TOLD_WHY if why else sentences.NOT_TOLD, why)
    if found.since_read is not None:
        text = sentences.NOT_READ_WHY if why else sentences.NOT_READ
        yield _lag(sentences.IN, found.since_read, text, why)


def _lag(subject: str, lag: timedelta, text: str, why: str) -> Reading:
    seconds = lag.total_seconds()
    return Reading(subject, round(seconds, 1), text % {"seconds": seconds, "why": why})


def documents_set_aside() -> Iterator[Reading]:
    """How many, by the way that they could not go."""
    found = standing.current()
    if found is not None:
        out = sentences.NOT_WRITTEN % {"count": found.out}
        yield Reading(sentences.OUT, found.out, out)
        into = sentences.NOT_TAKEN_IN % {"count": found.into}
        yield Reading(sentences.IN, found.into, into)


def forsaken_generators() -> Iterator[Reading]:
    for name in standing.forsaken():
        yield Reading(name, 1, sentences.FORSAKEN % {"name": name})


def late_schedules() -> Iterator[Reading]:
    """By how many minutes those are overdue that are. A cluster that works asks for a schedule
    within seconds, even where it has no process to spare."""
    for name, late in doorbell.overdue(db_now()):
        minutes = late / timedelta(minutes=1)
        said = sentences.SCHEDULE_LATE % {"name": name, "minutes": minutes}
        yield Reading(name, round(minutes, 1), said)


MEASURES = (
    Measure(
        "imss_pool_unavailable",
        gettext_lazy("Pool without a device"),
        unavailable_pools,
        10,
        ">",
        gettext_lazy("min"),
        gettext_lazy("How long no device of a generator's pool could be taken."),
    ),
    Measure(
        "imss_success_rate",
        gettext_lazy("Success rate"),
        success_rates,
        50,
        "<",
        "%",
        gettext_lazy("Of a generator's tasks in the window of the rate, from five tasks on."),
    ),
    Measure(
        "imss_queue",
        gettext_lazy("People waiting"),
        waiting_people,
        100,
        ">",
        gettext_lazy("people"),
        gettext_lazy("People whose time has come and who are not assigned."),
    ),
    Measure(
        "imss_generator_failing",
        gettext_lazy("Generator failing"),
        failing_generators,
        0,
        ">",
        "",
        gettext_lazy("1 while the generator's capacity report fails (fallando)."),
    ),
    Measure(
        "imss_device_quarantined",
        gettext_lazy("Device quarantined"),
        quarantined_devices,
        0,
        ">",
        gettext_lazy("failures"),
        gettext_lazy("Failures in a row of a device that was quarantined by itself."),
    ),
    Measure(
        "mirror_lag",
        gettext_lazy("Mirror behind"),
        mirror_lags,
        300,
        ">",
        gettext_lazy("s"),
        gettext_lazy("How long Mongo has not been told of a change, or was not read."),
    ),
    Measure(
        "mirror_set_aside",
        gettext_lazy("Documents set aside"),
        documents_set_aside,
        0,
        ">",
        gettext_lazy("documents"),
        gettext_lazy("What could not be written to Mongo, or taken in from it."),
    ),
    Measure(
        "mirror_forsaken",
        gettext_lazy("Generator without workers"),
        forsaken_generators,
        0,
        ">",
        "",
        gettext_lazy("1 while a generator is worked from Mongo and there is no mirror."),
    ),
    Measure(
        "schedule_late",
        gettext_lazy("Schedule that did not run"),
        late_schedules,
        30,
        ">",
        gettext_lazy("min"),
        gettext_lazy("How long ago a schedule should have run that no cluster has taken up."),
    ),
)
