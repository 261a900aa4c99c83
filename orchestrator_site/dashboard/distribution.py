"""Distribution, live: who gets people, what is stuck, whom nobody can take, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.timezone import localdate
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from brain import sentences, standing
from brain.assigning import DISTRIBUTION
from brain.models import DistributionBatch
from brain.shares import LEVEL_NAMES, LEVEL_TONES
from brain.standing import Standing
from devices.models import Device
from orchestrator_site.clock import db_now, midnight
from orchestrator_site.dashboard import snapshot
from orchestrator_site.dashboard.alerts import banner
from orchestrator_site.models import Pause
from queues import blockers
from queues.models import DistributionConfig, Endpoint, Generator, NbcRecord, QueueEntry

ENDINGS = 20
STUCK = 10
LOOKED_AT = 2000  # of the people who wait, for what they wait for
Person = NbcRecord.Status
Condition = QueueEntry.Condition
# What is counted of the people: those who are not done with, of all time.
SHOWN = (Person.PENDING, Person.P1, Person.AFTER_MIDNIGHT, Person.FAILED)
# And those who are, since midnight, by the condition that their task ended with.
DONE_TODAY = {
    Condition.FOUND: gettext_lazy("Found today"),
    Condition.REFER: gettext_lazy("Referred today"),
    Condition.OTHER: gettext_lazy("Ended otherwise today"),
}
PEOPLE, TASKS = "admin:queues_nbcrecord_changelist", "admin:queues_queueentry_changelist"


@dataclass(frozen=True)
class Line:
    """A generator: how it stands, its tasks, and its part of the open batch."""

    standing: Standing
    queued: int
    active: int
    slots: int
    used: int
    left_alone: list[Endpoint]

    @property
    def level(self) -> Any:
        return LEVEL_NAMES[self.standing.level]

    @property
    def tone(self) -> str:
        return LEVEL_TONES[self.standing.level]


@dataclass(frozen=True)
class People:
    """How many people of a kind there are, and the list that shows them or their tasks."""

    label: Any
    tone: str
    count: int
    url: str


@dataclass(frozen=True)
class Blocked:
    """People who wait for the same."""

    people: int
    text: str


def page(request: HttpRequest) -> HttpResponse:
    """The dashboard; it asks for itself every few seconds."""
    if not request.user.has_perm("queues.view_generator"):
        raise PermissionDenied
    context = {**admin.site.each_context(request), **banner(request), **_context(db_now())}
    return TemplateResponse(request, "admin/distribution/dashboard.html", context)


@require_POST
@permission_required("queues.operate_generator", login_url="admin:login", raise_exception=True)
def switch(request: HttpRequest) -> HttpResponse:
    """Pause and Resume."""
    asked, reason = request.POST.get("do"), sentences.ON_DASHBOARD
    if asked == "pause":
        Pause.begin(DISTRIBUTION, reason)
    elif asked == "resume":
        Pause.end(DISTRIBUTION, reason)
    snapshot.forget()
    return redirect("admin:index" if request.POST.get("from") == "overview" else "distribution")


def _context(now: datetime) -> dict[str, Any]:
    config = DistributionConfig.current()
    stuck = Device.objects.stuck(now - config.minutes("stuck")).order_by("task_start_time", "pk")
    batch = DistributionBatch.objects.filter(is_open=True).first()
    return {
        "title": _("Distribution"),
        "config": config,
        "paused": Pause.of(DISTRIBUTION),
        "batch": batch,
        "lines": lines(config, batch, now),
        "people": people(now),
        "stuck": stuck[:STUCK],
        "more_stuck": max(0, stuck.count() - STUCK),
        "blocked": blocked(now),
        "looked_at": LOOKED_AT,
        "endings": endings(),
    }


def lines(config: DistributionConfig, batch: DistributionBatch | None, now: datetime) -> list[Line]:
    live = QueueEntry.objects.filter(status__in=QueueEntry.LIVE).order_by()
    tasks = {(name, status): n for name, status, n in _counted(live, "generator_id", "status")}
    slots, used = (batch.slots, batch.used) if batch else ({}, {})
    return [
        Line(
            standing=one,
            queued=tasks.get((one.generator.name, QueueEntry.WAITING), 0),
            active=sum(tasks.get((one.generator.name, status), 0) for status in QueueEntry.LIVE),
            slots=slots.get(one.generator.name, 0),
            used=used.get(one.generator.name, 0),
            left_alone=_left_alone(one.generator, now),
        )
        for one in standing.of_all(config, now)
    ]


def people(now: datetime) -> list[People]:
    """Those who are not done with, and those who were since midnight here."""
    return [*_not_done(), *_done(midnight(now))]


def _not_done() -> list[People]:
    rows = NbcRecord.objects.filter(status__in=SHOWN).order_by()
    counted = dict(_counted(rows, "status"))
    url = f"{reverse(PEOPLE)}?status__exact="
    return [
        People(one.label, NbcRecord.TONES[one], counted.get(one, 0), url + one) for one in SHOWN
    ]


def _done(since: datetime) -> list[People]:
    """By the tasks, of which an index has the day's."""
    ended = QueueEntry.objects.filter(status=QueueEntry.Status.COMPLETE, processed_at__gte=since)
    counted = dict(_counted(ended.order_by(), "condition"))
    # As the list's own filter writes today.
    day = dict.fromkeys(("processed_at_from", "processed_at_to"), localdate(since).isoformat())
    return [
        People(label, "ok", counted.get(one, 0), f"{reverse(TASKS)}?{_query(one, day)}")
        for one, label in DONE_TODAY.items()
    ]


def _query(condition: int, day: Mapping[str, Any]) -> str:
    return urlencode({"condition__exact": condition, **day})


def held(config: DistributionConfig, now: datetime) -> dict[str, int]:
    """How many devices a task holds, and how many of them for too long."""
    return {
        "held": Device.objects.filter(available=False).count(),
        "stuck": Device.objects.stuck(now - config.minutes("stuck")).count(),
    }


def blocked(now: datetime) -> list[Blocked]:
    """What the next people wait for, most people first."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for blocker in NbcRecord.objects.due(now).values_list("blocker", flat=True)[:LOOKED_AT]:
        groups.setdefault(_likeness(blocker), []).append(blocker)
    found = [Blocked(len(group), _described(group, now)) for group in groups.values()]
    return sorted([*found, *_not_due(now)], key=lambda one: (-one.people, one.text))


def _not_due(now: datetime) -> list[Blocked]:
    waiting = NbcRecord.objects.filter(status=NbcRecord.Status.PENDING, available_at__gt=now)
    later = waiting.aggregate(people=Count("pk"), first=Min("available_at"))
    return (
        [Blocked(later["people"], blockers.not_before(later["first"], now))]
        if later["people"]
        else []
    )


def endings() -> list[QueueEntry]:
    """The last tasks that ended."""
    # The index has those that have a time.
    ended = QueueEntry.objects.filter(status=QueueEntry.Status.COMPLETE, processed_at__isnull=False)
    return list(ended.order_by("-processed_at").defer("task_data")[:ENDINGS])


def _left_alone(generator: Generator, now: datetime) -> list[Endpoint]:
    """Where its scraper is not asked for a while, since it did not answer."""
    return [one for one in generator.endpoints.all() if one.enabled and not one.is_usable(now)]


def _counted(rows: Any, *names: str) -> Any:
    return rows.values_list(*names).annotate(Count("pk"))


def _likeness(blocker: Mapping[str, Any]) -> str:
    """Equal where people wait for the same; those who rest do, whatever the minute."""
    return json.dumps(blocker) if blocker.get("kind") == "nobody" else blocker.get("kind", "")


def _described(group: list[Mapping[str, Any]], now: datetime) -> str:
    kind = group[0].get("kind")
    if kind is None:
        return _("nobody has looked yet: the next round will")
    if kind == "window":
        return blockers.describe(min(group, key=lambda one: one["until"]), now)
    return blockers.describe(group[0], now)
