"""Tables as they are after years: rows made by the database out of one of each kind."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import connection, models
from django.utils import timezone

from brain.models import Claim, Cycle, Decision, DistributionBatch
from orchestrator_site.models import Alert, AlertRule, AuditEntry, Event
from postprocessing.models import (
    Difference,
    OvAfinia,
    PostProcessingRun,
    S3File,
    SourceFile,
    Verification,
)
from queues.models import (
    EvidenceFile,
    MirrorChange,
    QueueEntry,
    RegistroWork,
    SetAside,
    WebhookAttempt,
    WebhookDelivery,
)
from tests.bench.support import tasks
from tests.factories import (
    JobFactory,
    NbcRecordFactory,
    OrganismoFactory,
    TramiteTaskFactory,
    WebhookEndpointFactory,
)

FIRST = 1000  # the keys before it are those of the samples
LEAST = 1000  # rows of each: several pages, so that pages are compared with full ones
WAITING = 1000  # of what is told or looked at soon
ADMIN = "bench"
SITES, GENERATORS = "{xaloc_girona,madrid,granos}", "{G_SISEC,G_IAD,G_IAD2,G_MASTER}"
CASE = "md5('case' || n)::uuid"
PAST = "now() - (%(total)s - n) * interval '20 seconds'"
EXPEDIENTE = "'2024/' || lpad(n::text, 6, '0') || '-MUL'"
CURP = "'XEXX' || lpad((n %% 1000000)::text, 6, '0') || 'HNEXXX0' || n / 1000000"
NAME = "'Persona ' || n || ' Inventada'"
STATUSES = "CASE n %% 20 WHEN 1 THEN 'failed' WHEN 2 THEN 'cancelled' ELSE 'completed' END"
OUTCOMES = "CASE n %% 50 WHEN 1 THEN 'lost' WHEN 2 THEN 'released' ELSE 'proven' END"
ACTOR_KINDS = (
    "CASE WHEN n %% 500 = 0 THEN 'user' WHEN n %% 9 = 0 THEN 'brain'"
    " WHEN n %% 10 = 1 THEN 'system' ELSE 'worker' END"
)
FAILED_SOME = "CASE WHEN n %% 20 = 1 THEN 'site' ELSE '' END"

Expressions = Mapping[str, str]


def fill(total: int) -> None:
    """`total` appeals, claims, people and tasks of them, five times as many events, and a fifth as
    many of what is rarer; and who may look at all of it."""
    User.objects.create_superuser(ADMIN, password="x")
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no triggers, no checks of keys
    few = max(total // 5, LEAST)
    _appeals(total)
    _lookups(total)
    _jobs(few)
    _post_processing(few)
    _ground(total, few)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = DEFAULT")
    tasks.settle()


def multiply(sample: models.Model, total: int, **expressions: str) -> None:
    """`total` rows like the sample, but for the columns that are told as SQL of n, from 1 on."""
    model = type(sample)
    fields = list(model._meta.concrete_fields)
    quote = connection.ops.quote_name
    unknown = set(expressions) - {field.attname for field in fields}
    assert not unknown, unknown
    chosen = {model._meta.pk.attname: f"{FIRST} + n", **expressions}
    values = [chosen.get(field.attname, f"s.{quote(field.column)}") for field in fields]
    table = quote(model._meta.db_table)
    statement = (
        f"INSERT INTO {table} ({', '.join(quote(field.column) for field in fields)})"
        f" SELECT {', '.join(values)} FROM generate_series(1, %(total)s) AS n, {table} AS s"
        f" WHERE s.{quote(model._meta.pk.column)} = %(sample)s ORDER BY n"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, {"total": total, "sample": sample.pk})


def _appeals(total: int) -> None:
    task = TramiteTaskFactory(case_id=uuid.uuid4(), attempts=1, worker="w1")
    multiply(
        task,
        total,
        case_id=CASE,
        resource_id=f"{FIRST} + n",
        site_id=f"('{SITES}'::text[])[1 + n %% 3]",
        status=STATUSES,
        error_class=FAILED_SOME,
        created_at=PAST,
        available_at=PAST,
        processed_at=PAST,
        payload=f"jsonb_build_object('expediente', {EXPEDIENTE}, 'sujeto_recurso', {NAME})",
    )
    organismo = OrganismoFactory(active=False)
    claim = Claim.objects.create(
        organismo=organismo, resource_id=1, method="sql", account="BOT", case_id=task.case_id
    )
    multiply(
        claim,
        total,
        case_id=CASE,
        resource_id=f"{FIRST} + n",
        expediente=EXPEDIENTE,
        status=OUTCOMES,
        before=f"jsonb_build_object('Expedient', {EXPEDIENTE}, 'SujetoRecurso', {NAME})",
        started_at=PAST,
        settled_at=PAST,
        queued_at=PAST,
    )
    evidence = EvidenceFile.objects.create(
        case_id=task.case_id,
        object_type="queues.tramitetask",
        object_id=str(task.pk),
        attempt=1,
        kind="log",
        path="bench/0",
        size=1000,
        sha256="0" * 64,
    )
    multiply(
        evidence,
        total,
        case_id=CASE,
        object_id=f"({FIRST} + n)::text",
        kind="(ARRAY['log', 'screenshot', 'trace', 'receipt'])[1 + n %% 4]",
        path="'cases/' || n || '/log.txt'",
        sha256="md5(n::text) || md5(n::text)",
        created_at=PAST,
    )
    cycle = Cycle.objects.create(started_at=timezone.now(), outcome="done", runner="bench")
    multiply(cycle, max(total // 20, LEAST), started_at=PAST)


def _lookups(total: int) -> None:
    person = NbcRecordFactory(status="s")
    multiply(
        person,
        total,
        case_id=CASE,
        nbc_id="lpad(to_hex(n), 24, '0')",
        curp=CURP,
        status="(ARRAY['s', 'nf', 'subdelegacion', 'failed', 's'])[1 + n %% 5]",
        created_at=PAST,
        updated_at=PAST,
    )
    work = RegistroWork.objects.create(rw_id="rw-0", nbc=person, condition=1, f_date=timezone.now())
    multiply(
        work, total, rw_id="'rw-' || n", nbc_id=f"{FIRST} + n", condition="1 + n %% 4", i_date=PAST
    )
    entry = QueueEntry.objects.create(
        generator_id="G_SISEC",
        nbc=person,
        curp=person.curp,
        rw_id="rw-0",
        device="D-0",
        status="Complete",
        success=True,
        condition=1,
        processed_at=timezone.now(),
    )
    multiply(
        entry,
        total,
        case_id=CASE,
        document_id="lpad(to_hex(n + 16777216), 24, 'a')",
        generator_id=f"('{GENERATORS}'::text[])[1 + n %% 4]",
        nbc_id=f"{FIRST} + n",
        curp=CURP,
        rw_id="'rw-' || n",
        device="'D-' || n %% 500",
        condition="1 + n %% 4",
        success="n %% 4 < 3",
        error_class=FAILED_SOME,
        created_at=PAST,
        processed_at=PAST,
    )
    batch = DistributionBatch.objects.create(size=100, is_open=False)
    multiply(batch, max(total // 100, LEAST), opened_at=PAST, closed_at=PAST)
    decision = Decision.objects.create(
        batch=batch, nbc=person, entry=entry, generator_id="G_SISEC", device="D-0", choice={}
    )
    multiply(
        decision,
        total,
        batch_id=f"{FIRST} + 1 + (n - 1) / 100",
        nbc_id=f"{FIRST} + n",
        entry_id=f"{FIRST} + n",
        generator_id=f"('{GENERATORS}'::text[])[1 + n %% 4]",
        device="'D-' || n %% 500",
        created_at=PAST,
    )
    change = MirrorChange.objects.create(kind="nbc", key="0")
    multiply(change, min(total, WAITING), key="lpad(to_hex(n), 24, '0')", at=PAST)
    aside = SetAside.objects.create(collection="imss_queue", document="0", reason="bench")
    multiply(aside, min(total, WAITING), document="n::text", last_seen_at=PAST)


def _jobs(total: int) -> None:
    job = JobFactory()
    multiply(
        job,
        total,
        case_id=CASE,
        status="(ARRAY['done', 'done', 'error', 'cancelled'])[1 + n %% 4]",
        error_class=FAILED_SOME,
        created_at=PAST,
        processed_at=PAST,
    )
    endpoint = WebhookEndpointFactory(organisation=job.organisation)
    delivery = WebhookDelivery.objects.create(
        organisation=job.organisation,
        endpoint=endpoint,
        event="job.done",
        payload={},
        case_id=job.case_id,
        status="delivered",
    )
    multiply(
        delivery,
        total,
        case_id=CASE,
        message_id="md5('message' || n)::uuid",
        status="(ARRAY['delivered', 'failed'])[1 + (n %% 20) / 19]",
        created_at=PAST,
    )
    call = WebhookAttempt.objects.create(
        delivery=delivery, number=1, at=timezone.now(), seconds=0.1, status_code=200
    )
    multiply(
        call,
        total,
        delivery_id=f"{FIRST} + n",
        at=PAST,
        status_code="CASE WHEN n %% 20 = 19 THEN 500 ELSE 200 END",
    )


def _post_processing(total: int) -> None:
    complaint = OvAfinia.objects.create(
        hash_registro="0" * 64, content_hash="0" * 64, file_name="0.json", tipo_pqr="Queja"
    )
    multiply(
        complaint,
        total,
        case_id=CASE,
        numero_radicado="'RE' || lpad(n::text, 12, '0')",
        numero_reclamo_sgc="n::text",
        nic="n::text",
        documento_identidad="(n + 10000000)::text",
        nombres_apellidos=NAME,
        estado_solicitud="(ARRAY['Abierta', 'Cerrada'])[1 + n %% 2]",
        hash_registro="md5(n::text) || md5(n::text)",
        file_name="n || '.json'",
        fecha=PAST,
        updated_at=PAST,
    )
    source = SourceFile.objects.create(
        empresa="afinia", filename="0.json", size=1, mtime_ns=1, loaded_at=timezone.now()
    )
    multiply(source, total, filename="n || '.json'", loaded_at=PAST, sha256="md5(n::text)")
    kept = S3File.objects.create(
        empresa="afinia",
        filename="0.json",
        s3_bucket="bench",
        s3_key="0.json",
        file_size=1,
        content_type="application/json",
        file_hash="0" * 64,
        mtime_ns=1,
        status="uploaded",
    )
    multiply(
        kept,
        total,
        case_id=CASE,
        filename="n || '.json'",
        s3_key="'afinia/' || n || '.json'",
        numero_reclamo_sgc="n::text",
        file_hash="md5(n::text) || md5(n::text)",
        status="CASE WHEN n %% 100 = 1 THEN 'error' ELSE 'uploaded' END",
        created_at=PAST,
        uploaded_at=PAST,
    )
    run = PostProcessingRun.objects.create(empresa="afinia", status="done")
    multiply(run, max(total // 50, LEAST), case_id=CASE, started_at=PAST)
    verification = Verification.objects.create(empresa="afinia")
    multiply(verification, max(total // 50, LEAST), at=PAST)
    difference = Difference.objects.create(
        verification=verification, kind=Difference.Kind.values[0]
    )
    multiply(difference, max(total // 5, LEAST), filename="n || '.json'")


def _ground(total: int, few: int) -> None:
    rule = AlertRule.objects.first() or AlertRule.objects.create(name="bench", threshold=1)
    now = timezone.now()
    alert = Alert.objects.create(
        rule=rule, status="resolved", first_seen_at=now, last_seen_at=now, subject="bench"
    )
    multiply(alert, max(few // 10, LEAST), case_id=CASE, first_seen_at=PAST, last_seen_at=PAST)
    entry = AuditEntry.objects.create(
        number=1,
        at=now - timedelta(days=1),
        actor_kind="user",
        actor="ana",
        action="bench",
        object_type="brain.organismo",
        object_id="1",
        source="log",
        source_id="0",
        previous="",
        hash="",
    )
    multiply(entry, few, at=PAST, source_id="n::text", object_id="n::text")
    Event.objects.all().delete()
    Event.record([rule], "", "made")
    event = Event.objects.get()
    kinds = "{queues.tramitetask,queues.queueentry,queues.nbcrecord,queues.job,brain.claim}"
    states = "{pending,processing,completed,Complete,p1,s,Assigned,Accepted,proven,failed}"
    multiply(
        event,
        5 * total,
        at="now() - (%(total)s - n) * interval '4 seconds'",
        case_id=f"md5('case' || 1 + n %% {total})::uuid",
        actor_kind=ACTOR_KINDS,
        actor="CASE WHEN n %% 500 = 0 THEN 'ana' ELSE 'worker-' || n %% 20 END",
        object_type=f"('{kinds}'::text[])[1 + n %% 5]",
        object_id=f"({FIRST} + 1 + n %% {total})::text",
        new=f"('{states}'::text[])[1 + n %% 10]",
    )
