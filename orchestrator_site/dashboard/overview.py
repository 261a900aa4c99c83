"""The front page: is anything wrong, and is work flowing? One snapshot, told to each reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from brain.models import Cycle
from orchestrator_site.dashboard import asking, live, snapshot
from orchestrator_site.dashboard.live import Rights, Snapshot
from orchestrator_site.dashboard.numbers import Number, listed, moment
from orchestrator_site.dashboard.pools import lines
from orchestrator_site.dashboard.snapshot import with_times
from orchestrator_site.dashboard.worries import worries
from orchestrator_site.models import Alert, AlertRule
from postprocessing.models import PostProcessingRun
from queues.mirror.standing import Standing
from queues.models import Job, MirrorState, NbcRecord, TramiteTask, WebhookDelivery

WORKERS = 8
TASKS, PEOPLE = "queues_tramitetask", "queues_nbcrecord"
ENTRIES, JOBS, MESSAGES = "queues_queueentry", "queues_job", "queues_webhookdelivery"


class Perms:
    """A reader's rights as templates ask for them: `perms.queues.view_job`."""

    def __init__(self, may: Rights, app: str = "") -> None:
        self._may, self._app = may, app

    def __getitem__(self, name: str) -> Any:
        return f"{self._app}.{name}" in self._may if self._app else Perms(self._may, name)

    def __iter__(self) -> Any:  # templates ask for keys, never for all
        raise TypeError("not iterable")


def environment(request: HttpRequest) -> list[Any] | None:
    """The badge beside the title."""
    return [_("Demo"), "warning"] if settings.DEMO else None


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the front page shows."""
    fragment = live.fragment(PART, snapshot.current(), live.rights_of(request.user, PART))
    return context | {"title": _("Overview"), "overview": fragment, "now": timezone.now()}


def render(taken: Snapshot, may: Rights) -> str:
    data, now = taken.data, timezone.now()
    since = datetime.fromisoformat(data["day"]["since_at"])
    day = {"processed_at__gte": since, "processed_at__lt": since + timedelta(days=1)}
    shown = {
        "perms": Perms(may),
        **_alerts(data["alerts"], may),
        "worries": worries(data, may),
        "brain": _brain(data["brain"]),
        "distribution": with_times(data["distribution"]),
        "appeals": _appeals(data["appeals"], day),
        "people": _people(data["people"], day),
        "jobs": _jobs(data["jobs"], day),
        "messages": _messages(data["control"]["messages"]),
        "expired": Number(
            _("expired sessions"),
            "warn",
            data["control"]["expired_sessions"],
            listed("brain_connectedprovider", status__exact="expired"),
        ),
        "generators": lines(data),
        "organismos": _organismos(data["organismos"], since),
        "companies": [_company(one) for one in data["companies"]],
        "workers": _workers(data["workers"])[:WORKERS],
        "more_workers": max(0, len(data["workers"]) - WORKERS),
        "recent": [_appeal(one) for one in data["recent"]],
        "mirror": _mirror(data["mirror"], now),
    }
    return render_to_string("admin/overview/live.html", shown)


PART = live.offer(
    live.Part(
        name="overview",
        permissions=(
            *("brain.view_cycle", "brain.operate_cycle", "brain.view_claim"),
            *("brain.view_organismo", "brain.view_connectedprovider"),
            *("brain.view_distributionbatch", "brain.view_sharechange", "devices.view_device"),
            *("devices.view_worker", "orchestrator_site.operate_alert"),
            *("orchestrator_site.view_alert", "postprocessing.view_postprocessingrun"),
            *("postprocessing.view_s3file", "postprocessing.view_difference"),
            *("queues.operate_generator", "queues.view_generator", "queues.view_job"),
            *("queues.view_mirrorchange", "queues.view_nbcrecord", "queues.view_queueentry"),
            *("queues.view_setaside", "queues.view_sharechange", "queues.view_tramitetask"),
            "queues.view_webhookdelivery",
        ),
        current=snapshot.current,
        render=render,
    )
)


# --- The queues ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Queue:
    """Its states as they are, what came out of it today, since when the first one waits."""

    states: Sequence[Number]
    today: Sequence[Number]
    oldest_at: datetime | None


def _queue(data: Mapping[str, Any], states: list[Number], today: list[Number]) -> Queue:
    return Queue(states, today, moment(data["oldest_at"]))


def _appeals(data: Mapping[str, Any], day: Mapping[str, Any]) -> Queue:
    tones = TramiteTask.TONES
    return _queue(
        data,
        _states(data["counts"], asking.APPEALS, tones, TASKS, {}),
        _states(data["today"], asking.APPEALS_TODAY, tones, TASKS, day),
    )


def _people(data: Mapping[str, Any], day: Mapping[str, Any]) -> Queue:
    ended = [
        Number(one.label, "ok", data["today"][str(one.value)], _ended(one, day))
        for one in asking.PEOPLE_TODAY
    ]
    tones: Mapping[Any, str] = NbcRecord.TONES
    return _queue(data, _states(data["counts"], asking.PEOPLE, tones, PEOPLE, {}), ended)


def _ended(condition: Any, day: Mapping[str, Any]) -> str:
    return listed(ENTRIES, condition__exact=condition.value, status__exact="Complete", **day)


def _jobs(data: Mapping[str, Any], day: Mapping[str, Any]) -> Queue:
    tones: Mapping[Any, str] = Job.TONES
    return _queue(
        data,
        _states(data["counts"], asking.JOBS, tones, JOBS, {}),
        _states(data["today"], asking.JOBS_TODAY, tones, JOBS, day),
    )


def _messages(counts: Mapping[str, int]) -> list[Number]:
    tones: Mapping[Any, str] = WebhookDelivery.TONES
    return _states(counts, asking.MESSAGES, tones, MESSAGES, {})


def _states(
    counts: Mapping[str, int],
    statuses: Sequence[Any],
    tones: Mapping[Any, str],
    model: str,
    day: Mapping[str, Any],
) -> list[Number]:
    return [
        Number(
            status.label,
            tones[status],
            counts[status.value],
            listed(model, status__exact=status.value, **day),
        )
        for status in statuses
    ]


# --- The rest ------------------------------------------------------------------------------------


def _alerts(data: Mapping[str, Any], may: Rights) -> dict[str, Any]:
    if "orchestrator_site.view_alert" not in may:
        return {}
    shown = [_alert(row) for row in data["worst"]]
    return {"alerts": shown, "more_alerts": max(0, data["raised"] - len(shown))}


def _alert(row: Mapping[str, Any]) -> Alert:
    """The row, which knows how it is told."""
    of_rule = {name[6:]: value for name, value in row.items() if name.startswith("rule__")}
    own = {name: row[name] for name in ("id", "subject", "status", "value", "message")}
    seen = with_times({"first_seen_at": row["first_seen_at"]})
    alert = Alert(rule=AlertRule(**of_rule), **own, **seen)
    alert.in_maintenance = row["in_maintenance"]
    return alert


def _brain(data: Mapping[str, Any]) -> dict[str, Any]:
    outcome = data["last_outcome"]
    label = Cycle.Outcome(outcome).label if outcome else ""
    return {**with_times(data), "outcome": label, "is_trouble": outcome in ("with_errors",)}


def _organismos(rows: Sequence[Mapping[str, Any]], since: datetime) -> list[dict[str, Any]]:
    return [
        {
            **with_times(row),
            "url": reverse("admin:brain_organismo_change", args=[row["id"]]),
            "percent": min(100, 100 * row["waiting"] // (row["target_queue_depth"] or 1)),
            "queue": Number(
                "",
                "wait",
                row["waiting"],
                listed(TASKS, status__exact="pending", site_id__exact=row["site_id"]),
            ),
            "claims": Number(
                "",
                "ok",
                row["claimed_today"],
                listed(
                    "brain_claim",
                    organismo__id__exact=row["id"],
                    started_at__gte=since,
                    status__in="proven,recovered",
                ),
            ),
        }
        for row in rows
    ]


def _company(row: Mapping[str, Any]) -> dict[str, Any]:
    run, seen = row["run"], row["verification"]
    status = PostProcessingRun.Status(run["status"]) if run else None
    return {
        **row,
        "url": reverse("pqr-company", args=[row["name"]]),
        "run": with_times(run) if run else None,
        "run_label": status.label if status else "",
        "run_tone": PostProcessingRun.TONES[status] if status else "off",
        "verification": with_times(seen) if seen else None,
        "failed": Number(
            _("not uploaded"),
            "bad",
            row["files"]["error"],
            listed("postprocessing_s3file", empresa=row["name"], status__exact="error"),
        ),
        "differences": Number(
            _("differences"),
            "warn",
            seen["differences"] if seen else 0,
            listed("postprocessing_difference", verification__id__exact=seen["id"]) if seen else "",
        ),
    }


def _workers(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The silent ones first."""
    shown = sorted(rows, key=lambda row: (row["is_alive"], row["name"]))
    return [with_times(row) for row in shown]


def _appeal(row: Mapping[str, Any]) -> dict[str, Any]:
    status = TramiteTask.Status(row["status"])
    return {
        **with_times(row),
        "title": row["expediente"] or row["resource_id"],
        "url": reverse(f"admin:{TASKS}_change", args=[row["id"]]),
        "label": status.label,
        "tone": TramiteTask.TONES[status],
    }


def _mirror(data: Mapping[str, Any] | None, now: datetime) -> Standing | None:
    if data is None:
        return None
    known = with_times(data)
    names = ("is_on", "error", "error_at", "published_at", "read_at")
    return Standing(
        state=MirrorState(**{name: known[name] for name in names}),
        now=now,
        depth=known["depth"],
        lag=max(now - known["oldest_at"], timedelta(0)) if known["oldest_at"] else timedelta(0),
        out=known["set_aside_out"],
        into=known["set_aside_into"],
    )
