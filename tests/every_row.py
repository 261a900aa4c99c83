"""A row of every model that the admin shows, of every status where it has one, with text from
outside that must not become code."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.auth.models import User
from django.utils import timezone

from brain import shares
from brain.models import Claim, ClientAuthorisation, ConnectedProvider, Cycle, Reconciliation
from devices.models import Worker
from orchestrator_site.models import (
    Alert,
    AlertRule,
    ApiKey,
    AuditEntry,
    BulkAction,
    BulkPart,
    Event,
    Lease,
    MaintenanceWindow,
    Pause,
    SavedFilter,
)
from queues.doorbell import Q_MODELS
from queues.models import (
    DistributionConfig,
    Endpoint,
    EvidenceFile,
    Job,
    MirrorChange,
    NbcRecord,
    SetAside,
    ShareChange,
    TramiteTask,
    WebhookAttempt,
    WebhookDelivery,
)
from queues.results import Report, take_in
from tests import distribution
from tests.factories import (
    ConnectedProviderFactory,
    DeviceFactory,
    FlowFactory,
    JobFactory,
    MotivoFactory,
    NbcRecordFactory,
    OrganisationFlowFactory,
    OrganismoFactory,
    TramiteTaskFactory,
    WebhookEndpointFactory,
)
from tests.postprocessing import rows as pqr

REPORT = {"found": 3, "claimed": 1, "queued": 1, "held": 0, "lost": 1, "unproven": 0}
DROPPED = {"idRecurso": 9, "expediente": "X", "verdict": "discarded", "reason": "no number"}
SITES = {
    "xaloc_girona": {**REPORT, "recovered": 0, "error": "", "error_kind": "", "dropped": [DROPPED]},
    "madrid": {
        **REPORT,
        "recovered": 0,
        "error": "no answer",
        "error_kind": "OriginUnreachable",
        "dropped": [],
    },
}
DIFFERENCE = {
    "kind": "ours_there_not_here",
    "site_id": "xaloc_girona",
    "resource_id": 7,
    "expediente": "2026/000007-MUL",
    "claim_id": None,
    "shown": {"TExp": 1},
}


def distribution_rows() -> None:
    """Somebody found, somebody with a scraper, and somebody of every other status."""
    distribution.pool(2, instance="<script>alert")
    distribution.assigned()
    take_in(distribution.accepted().document_id, Report(1, "<script>alert", {"a": 1}))
    distribution.assigned()
    for status in NbcRecord.Status:
        NbcRecordFactory(status=status, message="<script>alert", blocker={"kind": "<script>alert"})
    DeviceFactory(fleet="devices", status="quarantined", status_reason="<script>alert")
    Endpoint.objects.update(last_error="<script>alert", open_until=timezone.now())
    DistributionConfig.current()
    ShareChange.objects.create(shares=shares.current(), reason="<script>alert")
    rule = AlertRule.objects.create(name="rule", measure="m", threshold=1)
    now = timezone.now()
    seen = {"rule": rule, "message": "<script>alert", "first_seen_at": now, "last_seen_at": now}
    for alert_status in Alert.Status:
        Alert.objects.create(subject=alert_status, status=alert_status, **seen)


def control_plane_rows() -> None:
    """A job and a session of every status, of organisations with a flow and a webhook."""
    flow = OrganisationFlowFactory(title="<script>alert")
    hook = WebhookEndpointFactory(organisation=flow.organisation, disabled_because="<script>alert")
    for status in Job.Status:
        job = JobFactory(
            member__organisation=flow.organisation,
            status=status,
            error_log="<script>alert",
            worker="<script>alert",
            inputs={"a": "<script>alert"},
            result={"values": {"a": ["<script>alert"]}},
        )
    for connection_status in ConnectedProvider.Status:
        ConnectedProviderFactory(status=connection_status, probe_error="<script>alert")
    message = WebhookDelivery.objects.create(
        endpoint=hook,
        organisation=flow.organisation,
        event="job.done",
        payload={"a": "<script>alert"},
        case_id=job.case_id,
    )
    call = {"number": 1, "at": timezone.now(), "seconds": 0.1, "body": "<script>alert"}
    WebhookAttempt.objects.create(delivery=message, **call)


@pytest.fixture
def every_row(db: None) -> None:
    """At least one row of every registered model, of every status where it has one."""
    organismo = OrganismoFactory(flow_name=FlowFactory().name, last_error="<b>broken</b>")
    OrganismoFactory(site_id="madrid", query_organisme="%MADRID%", active=False, paused=True)
    MotivoFactory(organismo=organismo)
    MotivoFactory()
    ClientAuthorisation.objects.create(numclient=501, file="authorisations/a.pdf")
    cycle = Cycle.objects.create(sites=SITES, outcome=Cycle.Outcome.WITH_ERRORS)
    Cycle.objects.create()
    Reconciliation.objects.create(differences=[DIFFERENCE], errors={"madrid": "no answer"})
    lease = {"lease_token": uuid.uuid4(), "worker": "worker-1"}
    for status in TramiteTask.Status:
        task = TramiteTaskFactory(
            status=status,
            error_class="site",
            error_log="<script>alert",
            hold_reason="no paper",
            **lease,
        )
        Event.record([task], "", status, "queued")
    for number, claim_status in enumerate(Claim.Status, start=100):
        Claim.objects.create(
            organismo=organismo,
            cycle=cycle,
            status=claim_status,
            method="sql",
            resource_id=number,
            expediente=f"2026/{number:06d}-MUL",
        )
    for kind, name in [("screenshot", "step_1.png"), ("log", "run.log"), ("trace", "trace.zip")]:
        EvidenceFile.objects.create(
            case_id=task.case_id,
            object_type="queues.tramitetask",
            object_id=str(task.pk),
            attempt=1,
            kind=kind,
            path=f"evidence/{name}",
            size=3,
            sha256="a" * 64,
        )
    distribution_rows()
    control_plane_rows()
    bad = {"error": "<script>alert", "set_aside_at": timezone.now()}
    MirrorChange.objects.create(kind="nbc", key="<script>alert", **bad)
    MirrorChange.objects.create(kind="device", key="devices/one")
    told = {"reason": "<script>alert", "excerpt": "<script>alert"}
    SetAside.objects.create(collection="Nueva_Base_Central", document='{"_id": "1"}', **told)
    pqr.of_every_kind("<script>alert")
    Worker.objects.create(name="worker-1", kind="tramite", host="here", pid=1)
    long_ago = timezone.now() - timedelta(hours=1)
    Worker.objects.create(name="worker-2", kind="brain", host="here", pid=2, heartbeat_at=long_ago)
    Lease.acquire("brain", "host:1", timedelta(seconds=5))
    Pause.begin("brain", "maintenance")
    key = ApiKey(name="reports", user=User.objects.create_user("script"))
    key.issue()
    key.save()
    who = {"username": "somebody", "ip_address": "127.0.0.1"}
    AccessAttempt.objects.create(**who, failures_since_start=1)
    AccessFailureLog.objects.create(**who)
    AccessLog.objects.create(**who)
    schedule, success, failure, queued = Q_MODELS
    schedule.objects.create(func="brain.tasks.run", name="brain")
    for task_model, passed in ((success, True), (failure, False)):
        task_model.objects.create(
            id=uuid.uuid4().hex,
            name=f"{passed}",
            func="brain.tasks.run",
            started=timezone.now(),
            stopped=timezone.now(),
            success=passed,
        )
    queued.objects.create(key="brain", payload="", lock=timezone.now())
    control_room_rows()


def control_room_rows() -> None:
    """A bulk action of every status, what the audit tells of it, a window, a filter."""
    for status in BulkAction.Status:
        bulk = BulkAction.objects.create(
            kind="person",
            verb="cancel",
            reason="<script>alert",
            actor_kind="user",
            status=status,
            total=2,
        )
        BulkPart.objects.create(
            bulk=bulk, position=0, keys=["1"], outcome={"refused": [["1", "<script>alert"]]}
        )
    AuditEntry.objects.create(
        number=1,
        at=timezone.now(),
        actor_kind="user",
        actor="root",
        action="cancel",
        object_type="queues.nbcrecord",
        object_id="1",
        object_name="<script>alert",
        before={"status": "<script>alert"},
        source="event",
        source_id="1",
        hash="a" * 64,
    )
    now = timezone.now()
    MaintenanceWindow.objects.create(
        name="<script>alert", starts_at=now, ends_at=now + timedelta(hours=1)
    )
    SavedFilter.objects.create(
        user=User.objects.get(username="script"),
        page="queues.nbcrecord",
        name="<script>alert",
        query="status__exact=failed",
        is_shared=True,
    )
