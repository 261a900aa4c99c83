"""What is asked of the database for the overview.

Every number has the meaning of the list that the page links it to, and is counted up to
`together.Counted.most`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.db.models.fields.json import KT

from brain import cycles
from brain.models import Claim, ConnectedProvider, Cycle, DistributionBatch, Organismo
from devices.models import Device, Worker
from orchestrator_site.clock import midnight
from orchestrator_site.dashboard.together import Asked, Counted
from orchestrator_site.models import Alert, MaintenanceWindow, Pause
from postprocessing.models import PostProcessingRun, S3File, Verification, companies
from queues.mirror.publishing import open_changes
from queues.mirror.standing import COUNTED as CHANGES_COUNTED
from queues.models import (
    DistributionConfig,
    Endpoint,
    Generator,
    Job,
    MirrorChange,
    MirrorState,
    NbcRecord,
    QueueEntry,
    SetAside,
    TramiteTask,
    WebhookDelivery,
)

ALERTS, WORKERS, RECENT = 5, 200, 8
Found = Mapping[str, Any]
Appeal, Person = TramiteTask.Status, NbcRecord.Status
# Of each queue: what is there now, and what came out of it since midnight.
APPEALS = (Appeal.HELD, Appeal.PENDING, Appeal.PROCESSING, Appeal.IN_DOUBT)
APPEALS_TODAY = (Appeal.COMPLETED, Appeal.COMPLETED_WITH_ERRORS, Appeal.FAILED)
PEOPLE = (Person.PENDING, Person.P1, Person.AFTER_MIDNIGHT, Person.FAILED)
PEOPLE_TODAY = QueueEntry.SUCCESSFUL  # by the condition that their task ended with
JOBS = (Job.Status.QUEUED, Job.Status.HELD, Job.Status.RUNNING, Job.Status.IN_DOUBT)
JOBS_TODAY = (Job.Status.DONE, Job.Status.ERROR)
MESSAGES = (WebhookDelivery.Status.PENDING, WebhookDelivery.Status.FAILED)


FILES = (S3File.Status.PENDING.value, S3File.Status.ERROR.value)


def of_now(now: datetime) -> dict[str, Asked]:
    return {
        **_counted("appeal", TramiteTask.objects, "status", APPEALS),
        **_counted("person", NbcRecord.objects, "status", PEOPLE),
        **_counted("job", Job.objects, "status", JOBS),
        **_counted("message", WebhookDelivery.objects, "status", MESSAGES),
        "appeal_oldest": _oldest(TramiteTask.objects.waiting()),
        "person_oldest": _oldest(NbcRecord.objects.filter(status=Person.PENDING)),
        "job_oldest": _oldest(Job.objects.filter(status=Job.WAITING)),
        "pauses": Pause.objects.values("name", "since", "by", "reason"),
        "cycle": Cycle.objects.order_by("-id").values("id", "outcome", "started_at", "finished_at")[
            :1
        ],
        "unproven_claims": Counted(Claim.objects.filter(status=Claim.Status.UNPROVEN)),
        "undecided_claims": Counted(cycles.undecided_claims()),
        "unqueued_claims": Counted(cycles.unqueued_claims()),
        "expired_sessions": Counted(
            ConnectedProvider.objects.filter(status=ConnectedProvider.Status.EXPIRED)
        ),
        "configs": DistributionConfig.objects.values(
            "stuck_minutes", "high_threshold", "low_threshold", "window_hours"
        )[:1],
        "batch": DistributionBatch.objects.filter(is_open=True).values(
            "id", "size", "used", "opened_at"
        ),
        "generators": Generator.objects.order_by("rotation_order").values(
            *("id", "name", "fleet", "process", "enabled", "status", "worked_by", "last_failure"),
            *("share_good", "share_normal", "share_bad", "takes_remainder"),
        ),
        "endpoints": Endpoint.objects.order_by("id").values(
            "generator_id", "url", "instance", "enabled", "open_until", "last_error"
        ),
        "tasks": QueueEntry.objects.filter(status__in=QueueEntry.LIVE)
        .order_by()
        .values("generator_id", "status")
        .annotate(n=Count("pk")),
        "pools": _pools_counted(),
        "held": Device.objects.filter(available=False)
        .order_by()
        .values("fleet", "process", "task_start_time", "updated_at"),
        "organismos": Organismo.objects.filter(active=True).values(
            *("id", "site_id", "target_queue_depth", "last_sync_at", "last_error", "paused"),
        ),
        "workers": Worker.objects.order_by("heartbeat_at").values(
            "id", "name", "kind", "host", "doing", "heartbeat_at"
        )[:WORKERS],
        "raised": Counted(Alert.objects.raised()),
        "open_alerts": Counted(Alert.objects.filter(status=Alert.Status.OPEN)),
        "alerts": Alert.objects.raised()
        .worst_first()
        .values(
            *("id", "rule_id", "subject", "status", "value", "message", "first_seen_at"),
            *("rule__name", "rule__measure", "rule__threshold", "rule__severity"),
        )[:ALERTS],
        "silenced": MaintenanceWindow.silenced(now).order_by().values("id"),
        "recent": TramiteTask.objects.order_by("-id")
        .annotate(told=KT("payload__expediente"))
        .values("id", "site_id", "status", "resource_id", "told", "created_at")[:RECENT],
        **{f"run_{one.name}": _last_run(one.name) for one in companies()},
        **{f"verification_{one.name}": _last_verification(one.name) for one in companies()},
        **_asked_of_the_mirror(),
    }


def of_the_day(now: datetime, window_hours: int) -> dict[str, Asked]:
    since = midnight(now)
    # Named, since the index of what is finished begins with them.
    named = Generator.objects.order_by().values("name")
    finished = QueueEntry.objects.filter(generator__in=named, status=QueueEntry.Status.COMPLETE)
    window = finished.filter(processed_at__gte=now - timedelta(hours=window_hours))
    ours = Claim.objects.filter(started_at__gte=since, status__in=Claim.OURS).order_by()
    files = S3File.objects.order_by()
    return {
        **_counted(
            "appeal",
            TramiteTask.objects.filter(processed_at__gte=since),
            "status",
            APPEALS_TODAY,
        ),
        **_counted("person", finished.filter(processed_at__gte=since), "condition", PEOPLE_TODAY),
        **_counted("job", Job.objects.filter(processed_at__gte=since), "status", JOBS_TODAY),
        "rates": window.order_by()
        .values("generator_id")
        .annotate(done=Count("pk"), well=Count("pk", filter=Q(success=True))),
        "waiting": TramiteTask.objects.waiting()
        .order_by()
        .values("site_id")
        .annotate(n=Count("pk")),
        "claimed": ours.values("organismo_id").annotate(n=Count("pk")),
        **{
            f"{status}_{one.name}": Counted(files.filter(empresa=one.name, status=status))
            for one in companies()
            for status in FILES
        },
    }


def _counted(name: str, rows: Any, field: str, values: Sequence[Any]) -> dict[str, Asked]:
    return {f"{name}_{one}": Counted(rows.filter(**{field: one})) for one in values}


def _oldest(waiting: QuerySet[Any]) -> Asked:
    return waiting.order_by("created_at").values("created_at")[:1]


def _pools_counted() -> Asked:
    serves = Q(status=Device.Status.IN_SERVICE)
    return (
        Device.objects.order_by("fleet", "process")
        .values("fleet", "process")
        .annotate(
            total=Count("pk"),
            free=Count("pk", filter=serves & Q(online=True, available=True)),
            offline=Count("pk", filter=Q(online=False)),
            quarantined=Count("pk", filter=Q(status=Device.Status.QUARANTINED)),
            draining=Count("pk", filter=Q(status=Device.Status.DRAINING)),
            # Out of the way of the others: what a strip of the pool shows last.
            idle=Count("pk", filter=Q(available=True) & ~(serves & Q(online=True))),
        )
    )


def _last_run(company: str) -> Asked:
    rows = PostProcessingRun.objects.filter(empresa=company)
    begun = rows.exclude(status__in=PostProcessingRun.NOT_BEGUN).order_by("-id")
    return begun.values("id", "status", "started_at", "finished_at", "error")[:1]


def _last_verification(company: str) -> Asked:
    return (
        Verification.objects.filter(empresa=company)
        .order_by("-id")
        .values(
            *("id", "at", "is_simulated", "files", "json_files", "files_loaded"),
            *("objects_there", "found", "error"),
        )[:1]
    )


def _asked_of_the_mirror() -> dict[str, Asked]:
    return {
        "mirror_state": MirrorState.objects.values(
            "is_on", "error", "error_at", "published_at", "read_at"
        )[:1],
        "mirror_oldest": open_changes().values("at")[:1],
        "mirror_depth": Counted(open_changes(), CHANGES_COUNTED),
        "mirror_out": Counted(MirrorChange.objects.filter(set_aside_at__isnull=False)),
        "mirror_into": Counted(SetAside.objects.all()),
    }
