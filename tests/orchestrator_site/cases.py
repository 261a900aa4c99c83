"""Cases of every kind, each with all of its hops. All in them is invented."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from brain.models import Claim, Decision, DistributionBatch, Organismo
from orchestrator_site.models import Event
from postprocessing.models import OvAfinia, S3File, SourceFile, Verification
from queues.browser import scripts
from queues.models import EvidenceFile, Job, NbcRecord, QueueEntry, TramiteTask, WebhookDelivery
from tests.factories import (
    DeviceFactory,
    JobFactory,
    NbcRecordFactory,
    TramiteTaskFactory,
    WebhookEndpointFactory,
)
from tests.postprocessing import rows

SECRET = "s3cret-of-the-portal"


def appeal(organismo: Organismo, **values: Any) -> TramiteTask:
    """Claimed, filed and confirmed, with its receipt."""
    now = timezone.now()
    task: TramiteTask = TramiteTaskFactory(
        **{
            "status": "completed",
            "started_at": now,
            "intent_at": now,
            "processed_at": now,
            "worker": "tramite@here:1",
            "result": {"confirmed": True, "receipt": True},
            **values,
        }
    )
    claim(organismo, task)
    Event.record([task], "processing", task.status, "filed")
    return task


def claim(organismo: Organismo, task: TramiteTask, **values: Any) -> Claim:
    now = timezone.now()
    seen = {"at": now.isoformat(), "TExp": 2, "Estado": 1, "UsuarioAsignado": "BOT"}
    found = {
        "organismo": organismo,
        "case_id": task.case_id,
        "resource_id": task.resource_id,
        "expediente": task.expediente,
        "method": "sql",
        "account": "BOT",
        "status": "proven",
        "readbacks": [seen],
        "settled_at": now,
        "queued_at": now,
    }
    return Claim.objects.create(**{**found, **values})


def evidence(row: Any, name: str, content: bytes, kind: str = "log", **values: Any) -> EvidenceFile:
    """A stored file of the row, with its true hash unless told otherwise."""
    path = default_storage.save(f"evidence/tests/{row.case_id}/{name}", ContentFile(content))
    found = {
        "case_id": row.case_id,
        "object_type": row._meta.label_lower,
        "object_id": str(row.pk),
        "attempt": 1,
        "kind": kind,
        "path": path,
        "size": len(content),
        "sha256": scripts.sha256(content.decode()),
    }
    return EvidenceFile.objects.create(**{**found, **values})


def person(**values: Any) -> NbcRecord:
    """Found by a scraper, on a device that a batch gave it."""
    now = timezone.now()
    found: NbcRecord = NbcRecordFactory(**{"status": "s", "message": "found", **values})
    device = DeviceFactory()
    entry = QueueEntry.objects.create(
        generator_id="G_SISEC",
        nbc=found,
        case_id=found.case_id,
        curp=found.curp,
        rw_id=f"IMSS_{found.nbc_id}_1",
        device=device.device,
        status="Complete",
        success=True,
        condition=1,
        called_at=now,
        answered_at=now + timedelta(seconds=1),
        endpoint="http://127.0.0.1:9/scrapers/",
        worker="scrapers@here:1",
        processed_at=now,
        result={"condition": 1},
    )
    Decision.objects.create(
        batch=DistributionBatch.objects.create(size=10, is_open=False),
        nbc=found,
        entry=entry,
        generator_id="G_SISEC",
        device=device.device,
        choice={
            "contenders": [{"name": "G_IAD", "slots": 3}],
            "chosen": "G_SISEC",
            "passed": [["G_IAD", "busy"]],
        },
    )
    Event.record([found], "p1", "s", "found")
    return found


def job(**values: Any) -> Job:
    """Done, with a result and a webhook that was told. One of its inputs is a secret."""
    now = timezone.now()
    steps = [{"do": "fill", "selector": "#p", "value": "{{ secret.password }}"}]
    found: Job = JobFactory(
        **{
            "status": "done",
            "steps": steps,
            "inputs": {"password": SECRET, "month": "2026-01"},
            "attempts": 1,
            "started_at": now,
            "processed_at": now,
            "worker": "jobs@here:1",
            "error_log": f"the page said {SECRET}",
            **values,
        }
    )
    kept = evidence(found, "invoice.txt", b"an invoice", "download")
    Job.objects.filter(pk=found.pk).update(
        result={"results": [{"name": "invoice.txt", "path": kept.path}]}
    )
    endpoint = WebhookEndpointFactory(
        organisation=found.organisation, url=f"https://user:{SECRET}@hooks.example/in"
    )
    WebhookDelivery.objects.create(
        case_id=found.case_id,
        organisation=found.organisation,
        endpoint=endpoint,
        event="job.done",
        payload={"type": "job.done"},
        status="delivered",
        attempts=1,
        processed_at=now,
    )
    Event.record([found], "running", "done", f"done with {SECRET}")
    return found


def complaint(**values: Any) -> OvAfinia:
    """Loaded from a file that is in the (simulated) bucket, and verified since."""
    row: OvAfinia = rows.complaint(**values)
    now = timezone.now()
    SourceFile.objects.create(
        empresa="afinia", filename=row.file_name, size=10, mtime_ns=0, loaded_at=now
    )
    S3File.objects.create(
        empresa="afinia",
        filename=row.file_name,
        s3_key=f"oficina-virtual/{row.file_name}",
        numero_reclamo_sgc=row.numero_reclamo_sgc,
        file_size=10,
        content_type="application/json",
        status="simulated",
        file_hash="0" * 64,
        mtime_ns=0,
        uploaded_at=now,
    )
    Verification.objects.create(empresa="afinia", at=timezone.now() + timedelta(seconds=1))
    return row
