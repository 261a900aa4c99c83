"""The overview for scripts: the same snapshot that the front page shows."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brain.distribution import Level
from brain.models import Cycle
from orchestrator_site.dashboard import snapshot
from orchestrator_site.models import Alert, AlertRule
from postprocessing.models import PostProcessingRun
from queues.models import Generator, TramiteTask

Serializer = serializers.Serializer[Any]
# Whoever sees all of it: a viewer does.
NEEDED = (
    *("brain.view_cycle", "brain.view_claim", "brain.view_organismo"),
    *("devices.view_device", "devices.view_worker", "orchestrator_site.view_alert"),
    *("postprocessing.view_postprocessingrun", "queues.view_generator", "queues.view_job"),
    *("queues.view_tramitetask", "queues.view_webhookdelivery"),
)


def _counts() -> serializers.DictField:
    return serializers.DictField(child=serializers.IntegerField(min_value=0))


def _time(**options: Any) -> serializers.DateTimeField:
    return serializers.DateTimeField(allow_null=True, **options)


class OverviewAlertSerializer(Serializer):
    id = serializers.IntegerField()
    subject = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(Alert.RAISED)
    value = serializers.FloatField(allow_null=True)
    message = serializers.CharField(allow_blank=True)
    first_seen_at = serializers.DateTimeField()
    in_maintenance = serializers.BooleanField()
    rule = serializers.CharField(source="rule__name")
    severity = serializers.ChoiceField(AlertRule.Severity.values, source="rule__severity")


class OverviewAlertsSerializer(Serializer):
    raised = serializers.IntegerField()
    open = serializers.IntegerField()
    worst = OverviewAlertSerializer(many=True)


class OverviewQueueSerializer(Serializer):
    """`counts`: by status, counted up to 10,000; `today`: what ended since midnight, by status (of
    people: by condition); `oldest_at`: since when the first one waits."""

    counts = _counts()
    today = _counts()
    oldest_at = _time()


class OverviewPauseSerializer(Serializer):
    paused = serializers.BooleanField()
    paused_by = serializers.CharField(allow_blank=True)
    paused_at = _time()
    pause_reason = serializers.CharField(allow_blank=True)


class OverviewBrainSerializer(OverviewPauseSerializer):
    """`next_at`: null where the next cycle is due, or none will be."""

    last_cycle = serializers.IntegerField(allow_null=True)
    last_outcome = serializers.ChoiceField(Cycle.Outcome.values, allow_null=True)
    last_started_at = _time()
    last_finished_at = _time()
    next_at = _time()


class OverviewBatchSerializer(Serializer):
    id = serializers.IntegerField()
    size = serializers.IntegerField()
    assigned = serializers.IntegerField()
    opened_at = serializers.DateTimeField()


class OverviewDistributionSerializer(OverviewPauseSerializer):
    window_hours = serializers.IntegerField()
    batch = OverviewBatchSerializer(allow_null=True)


class OverviewControlSerializer(Serializer):
    expired_sessions = serializers.IntegerField()
    messages = _counts()


class OverviewGeneratorSerializer(Serializer):
    """`rate`: per cent of its tasks of the window that ended well; `tasks`: by status."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    fleet = serializers.CharField()
    process = serializers.CharField()
    enabled = serializers.BooleanField()
    status = serializers.ChoiceField(Generator.Status.values)
    is_reachable = serializers.BooleanField()
    level = serializers.ChoiceField([one.value for one in Level])
    share = serializers.IntegerField()
    takes_remainder = serializers.BooleanField()
    rate = serializers.FloatField(allow_null=True)
    tasks = _counts()


class OverviewPoolSerializer(Serializer):
    """A device may be in two of the counts: held, and stuck."""

    fleet = serializers.CharField()
    process = serializers.CharField()
    generator = serializers.CharField(allow_null=True)
    total = serializers.IntegerField()
    free = serializers.IntegerField()
    held = serializers.IntegerField()
    stuck = serializers.IntegerField()
    offline = serializers.IntegerField()
    quarantined = serializers.IntegerField()
    draining = serializers.IntegerField()


class OverviewOrganismoSerializer(Serializer):
    id = serializers.IntegerField()
    site_id = serializers.CharField()
    target_queue_depth = serializers.IntegerField()
    waiting = serializers.IntegerField()
    claimed_today = serializers.IntegerField()
    last_sync_at = _time()
    last_error = serializers.CharField(allow_blank=True)
    paused = serializers.BooleanField()


class OverviewRunSerializer(Serializer):
    id = serializers.IntegerField()
    status = serializers.ChoiceField(PostProcessingRun.Status.values)
    started_at = serializers.DateTimeField()
    finished_at = _time()
    error = serializers.CharField(allow_blank=True)


class OverviewVerificationSerializer(Serializer):
    """`coverage_*`: per cent; null where there is nothing to be covered."""

    id = serializers.IntegerField()
    seen_at = serializers.DateTimeField()
    coverage_database = serializers.FloatField(allow_null=True)
    coverage_s3 = serializers.FloatField(allow_null=True)
    differences = serializers.IntegerField()
    error = serializers.CharField(allow_blank=True)


class OverviewCompanySerializer(Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    is_simulated = serializers.BooleanField()
    files = _counts()
    run = OverviewRunSerializer(allow_null=True)
    verification = OverviewVerificationSerializer(allow_null=True)


class OverviewWorkerSerializer(Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.CharField()
    host = serializers.CharField()
    doing = serializers.CharField(allow_blank=True)
    heartbeat_at = serializers.DateTimeField()
    is_alive = serializers.BooleanField()


class OverviewAppealSerializer(Serializer):
    id = serializers.IntegerField()
    site_id = serializers.CharField()
    status = serializers.ChoiceField(TramiteTask.Status.values)
    resource_id = serializers.IntegerField()
    expediente = serializers.CharField(allow_null=True, allow_blank=True)
    created_at = serializers.DateTimeField()


class OverviewSerializer(Serializer):
    """The running state. `version` changes with what it says; `attention`: what a person should
    look at."""

    version = serializers.CharField()
    alerts = OverviewAlertsSerializer()
    attention = _counts()
    brain = OverviewBrainSerializer()
    appeals = OverviewQueueSerializer()
    people = OverviewQueueSerializer()
    jobs = OverviewQueueSerializer()
    control = OverviewControlSerializer()
    distribution = OverviewDistributionSerializer()
    generators = OverviewGeneratorSerializer(many=True)
    pools = OverviewPoolSerializer(many=True)
    organismos = OverviewOrganismoSerializer(many=True)
    companies = OverviewCompanySerializer(many=True)
    workers = OverviewWorkerSerializer(many=True)
    recent = OverviewAppealSerializer(many=True)


def told() -> dict[str, Any]:
    """The snapshot as the API and the command tell it."""
    taken = snapshot.current()
    data = snapshot.with_times({**taken.data, "version": taken.version})
    return dict(OverviewSerializer(data).data)


class OverviewView(APIView):
    """The running state in one look."""

    required_permission = " ".join(NEEDED)

    @extend_schema(responses=OverviewSerializer)
    def get(self, request: Request) -> Response:
        return Response(told())
