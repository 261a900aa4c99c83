"""Webhooks: what organisations are told, how it is signed, and what becomes of their addresses.

After the Standard Webhooks specification: a message has one id for all its attempts, and its
receiver verifies the signature over id, time and body. The calls are `queues/webhook_sending.py`.
"""

from __future__ import annotations

import base64
import json
import logging
import random
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from standardwebhooks import Webhook

from orchestrator_site import addresses, waking
from orchestrator_site.addresses import AddressRefused
from orchestrator_site.clock import db_now
from orchestrator_site.logs import redact
from orchestrator_site.models import Event
from orchestrator_site.verbs import Refused
from queues import sentences
from queues.claims import DatabaseNow
from queues.models import Job, WebhookAttempt, WebhookDelivery, WebhookEndpoint

logger = logging.getLogger(__name__)
PING = "ping"
TOLD: Mapping[str, str] = {
    Job.Status.DONE: WebhookEndpoint.Event.DONE,
    Job.Status.ERROR: WebhookEndpoint.Event.ERROR,
}
# The wait after each failed attempt: three days in all. Up to a tenth is added by chance.
WAITS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
ATTEMPTS = len(WAITS) + 1
LARGEST = 20 * 1024  # bytes of a body
LONGEST_MESSAGE = 2000
OLD_SECRET_LIVES = timedelta(hours=24)
# An address that answered nothing well for so long, or to so many calls over so long, is dead.
PATIENCE = timedelta(days=3)
CALLS, CALLS_OVER = 50, timedelta(days=1)
AT_ONCE = 500  # rows in one statement
SECRET_PREFIX = "whsec_"
Status = WebhookDelivery.Status
ENDED = (Status.DELIVERED, Status.FAILED, Status.CANCELLED)


# --- What is told -------------------------------------------------------------------------------


def announce(job: Job) -> int:
    """Write the messages that tell of the job's end, in the transaction of the move to it; the
    number of them. A cancelled job is not told of: whoever cancelled it knows."""
    return announce_all([job])


def announce_all(jobs: Iterable[Job]) -> int:
    """As `announce`, of many in a few statements."""
    ended = [job for job in jobs if job.status in TOLD]
    if not ended:
        return 0
    listening = WebhookEndpoint.objects.filter(
        organisation__in={job.organisation_id for job in ended}, enabled=True
    ).only("organisation", "events")
    by_organisation: dict[Any, list[WebhookEndpoint]] = {}
    for endpoint in listening:
        by_organisation.setdefault(endpoint.organisation_id, []).append(endpoint)
    messages = [
        _message(endpoint, TOLD[job.status], _of_job(job), case_id=job.case_id)
        for job in ended
        for endpoint in by_organisation.get(job.organisation_id, ())
        if not endpoint.events or TOLD[job.status] in endpoint.events
    ]
    _queue(messages)
    return len(messages)


def ping(endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Queue a message to try the address with: one attempt. Raises Refused."""
    _expect_enabled(endpoint)
    data = {"webhookId": str(endpoint.pk), "test": True}
    message = _message(endpoint, PING, data, max_attempts=1)
    _queue([message])
    return message


def body(delivery: WebhookDelivery) -> bytes:
    """The same bytes at every attempt."""
    return _written(delivery.payload)


def _message(
    endpoint: WebhookEndpoint, event: str, data: Mapping[str, Any], **values: Any
) -> WebhookDelivery:
    payload = {"type": event, "timestamp": _iso(timezone.now()), "data": data}
    return WebhookDelivery(
        organisation_id=endpoint.organisation_id,
        endpoint=endpoint,
        event=event,
        payload=payload,
        **{"max_attempts": ATTEMPTS, **values},
    )


def _queue(messages: Sequence[WebhookDelivery]) -> None:
    if messages:
        WebhookDelivery.objects.bulk_create(messages, AT_ONCE)
        waking.notify(WebhookDelivery._meta.db_table)


def _of_job(job: Job) -> dict[str, Any]:
    """Of a job what its owner may be told anywhere: neither inputs nor results, only their names,
    as many as there is room for."""
    results = job.result.get("results", []) if isinstance(job.result, dict) else []
    data: dict[str, Any] = {
        "jobId": str(job.case_id),
        "orgId": str(job.organisation_id),
        "providerId": job.provider_id,
        "flowId": job.flow_id,
        "status": str(job.status),
        "message": redact(job.error_log)[:LONGEST_MESSAGE],
        "errorClass": str(job.error_class),
        "results": [str(one["name"]) for one in results],
        "finishedAt": _iso(job.processed_at or timezone.now()),
    }
    while data["results"] and len(_written(data)) > LARGEST - 200:  # the rest is type and time
        data["results"] = data["results"][: len(data["results"]) // 2]
    return data


def _written(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), sort_keys=True).encode()


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- Secrets and signatures ---------------------------------------------------------------------


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def rotate_secret(endpoint: WebhookEndpoint, reason: str) -> str:
    """The new secret. Messages are signed with the one before too, for a day."""
    made = new_secret()
    with transaction.atomic():
        row = WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)
        row.old_secret, row.secret = row.secret, made
        row.old_secret_until = timezone.now() + OLD_SECRET_LIVES
        row.save(update_fields=["secret", "old_secret", "old_secret_until"])
        Event.record([row], "", "rotated", reason)
    return made


def headers(delivery: WebhookDelivery, endpoint: WebhookEndpoint, now: datetime) -> dict[str, str]:
    """The signed headers of an attempt at `now`. Raises what a damaged secret raises."""
    keys = [endpoint.secret]
    if endpoint.old_secret and endpoint.old_secret_until and now < endpoint.old_secret_until:
        keys.append(endpoint.old_secret)
    name, text, at = str(delivery.message_id), body(delivery).decode(), now.astimezone(UTC)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(name, at, text) for key in keys),
    }


# --- Addresses ----------------------------------------------------------------------------------


def resolve(url: str) -> list[str]:
    """The IP addresses of a webhook's host, each of which may be called: whoever calls connects
    to these. Raises AddressRefused."""
    networks: tuple[addresses.Network, ...] = settings.WEBHOOK_ALLOWED_NETWORKS
    if url[:6].lower() == "https:":
        networks = (*networks, addresses.PUBLIC)
    try:
        return addresses.resolve(url, networks=networks, hosts=())
    except (addresses.NameUnknown, addresses.OutsideNetworks) as error:
        # Neither where it leads to nor whether anything is called so: whoever asks may want to
        # know just that of our network.
        logger.warning("a webhook's address is refused: %s", error)
        raise AddressRefused(_(sentences.WEBHOOK_OUTSIDE)) from error


def enable(endpoint: WebhookEndpoint, reason: str) -> bool:
    """False where it is enabled already."""
    disabled = WebhookEndpoint.objects.filter(pk=endpoint.pk, enabled=False)
    with transaction.atomic():
        done = disabled.update(enabled=True, disabled_because="", failing_since=None)
        if done:
            Event.record([endpoint], "disabled", "enabled", reason)
    return bool(done)


def disable(endpoint: WebhookEndpoint, reason: str) -> bool:
    """A person's doing. What waits for it is cancelled, and can be resent."""
    return _disable(endpoint, reason, failing_since=None)


def _disable(endpoint: WebhookEndpoint, reason: str, **changes: Any) -> bool:
    enabled = WebhookEndpoint.objects.filter(pk=endpoint.pk, enabled=True)
    with transaction.atomic():
        done = enabled.update(enabled=False, disabled_because=reason, **changes)
        if done:
            Event.record([endpoint], "enabled", "disabled", reason)
    cancel_undeliverable()
    return bool(done)


def cancel_undeliverable() -> int:
    """What waits for addresses that are disabled."""
    waiting = WebhookDelivery.objects.waiting().filter(endpoint__enabled=False).order_by("id")
    return _move_all(
        waiting, Status.CANCELLED, sentences.WEBHOOK_DISABLED, processed_at=DatabaseNow()
    )


def work(endpoint_ids: Collection[Any]) -> None:
    """Addresses answered well: they are not failing (any more)."""
    failing = WebhookEndpoint.objects.filter(pk__in=endpoint_ids, failing_since__isnull=False)
    failing.update(failing_since=None)


def fails(endpoint_id: Any, status_code: int | None) -> bool:
    """Note an attempt that failed; False where the address is disabled (now)."""
    now = db_now()
    rows = WebhookEndpoint.objects.filter(pk=endpoint_id, enabled=True)
    rows.filter(failing_since__isnull=True).update(failing_since=now)
    endpoint = rows.defer("secret", "old_secret").first()
    if endpoint is None:
        return False
    why = _is_dead(endpoint, status_code, now)
    if why:
        _disable(endpoint, why)
    return not why


def _is_dead(endpoint: WebhookEndpoint, status_code: int | None, now: datetime) -> str:
    """Why nothing more is sent there; "" where it goes on."""
    if status_code == 410:
        return sentences.WEBHOOK_GONE
    since = endpoint.failing_since or now
    if now - since >= PATIENCE:
        return sentences.WEBHOOK_FAILED_DAYS % {"days": PATIENCE.days}
    calls = WebhookAttempt.objects.filter(delivery__endpoint=endpoint, at__gte=since)
    if now - since >= CALLS_OVER and calls.count() >= CALLS:
        return sentences.WEBHOOK_FAILED_CALLS % {"count": CALLS}
    return ""


# --- Attempts -----------------------------------------------------------------------------------


def wait_after(attempts: int, max_attempts: int) -> timedelta | None:
    """How long until the next attempt; None: there is none. What is resent begins anew, with as
    many attempts again."""
    left = max_attempts - attempts
    if left <= 0:
        return None
    wait = WAITS[max(ATTEMPTS - left - 1, 0)]
    return wait * random.uniform(1, 1.1) * settings.TASK_RETRY_FACTOR


def resend(delivery: WebhookDelivery, reason: str) -> bool:
    """Send it once more, under its id. False where it is waiting or being sent. Raises Refused."""
    _expect_enabled(delivery.endpoint)
    return bool(_move_again([delivery], reason))


def resend_failed(endpoint: WebhookEndpoint, since: datetime, reason: str) -> int:
    """All that were written since then and did not arrive. Raises Refused."""
    _expect_enabled(endpoint)
    missed = WebhookDelivery.objects.filter(endpoint=endpoint, created_at__gte=since)
    count = 0
    for status in (Status.FAILED, Status.CANCELLED):
        while rows := list(missed.filter(status=status).order_by("id")[:AT_ONCE]):
            count += len(_move_again(rows, reason))
    return count


def _move_again(rows: Sequence[WebhookDelivery], reason: str) -> list[WebhookDelivery]:
    if rows[0].status not in ENDED:
        return []
    moved = WebhookDelivery.move_all(
        rows,
        Status.PENDING,
        reason,
        available_at=DatabaseNow(),
        max_attempts=F("attempts") + ATTEMPTS,
        error_class="",
        error_log="",
        processed_at=None,
    )
    waking.notify(WebhookDelivery._meta.db_table)
    return moved


def _move_all(rows: QuerySet[WebhookDelivery], to: str, reason: str, **changes: Any) -> int:
    count = 0
    while some := list(rows[:AT_ONCE]):
        count += len(WebhookDelivery.move_all(some, to, reason, **changes))
    return count


def forget_old() -> int:
    """Delete the messages that ended longer ago than they are kept, with their calls; returns how
    many. From the first on, as far as they are old: those of today are not looked at."""
    before, last, count = db_now() - settings.WEBHOOK_KEEP, 0, 0
    while True:
        rows = WebhookDelivery.objects.filter(pk__gt=last).order_by("pk")
        old = dict(rows.values_list("pk", "created_at")[:AT_ONCE])
        keys = [pk for pk, created_at in old.items() if created_at < before]
        if keys:
            count += _forget(keys, before)
        if len(keys) < AT_ONCE:
            return count
        last = keys[-1]


def _forget(keys: Sequence[int], before: datetime) -> int:
    """Of these what ended before then. One that is resent at this moment stays."""
    ended = WebhookDelivery.objects.filter(pk__in=keys, status__in=ENDED)
    ended = ended.alias(over_at=Coalesce("processed_at", "created_at"))
    with transaction.atomic():
        over = list(ended.filter(over_at__lt=before).select_for_update().values_list("pk"))
        WebhookAttempt.objects.filter(delivery__in=[pk for (pk,) in over]).delete()
        WebhookDelivery.objects.filter(pk__in=[pk for (pk,) in over]).delete()
    return len(over)


def _expect_enabled(endpoint: WebhookEndpoint) -> None:
    if not endpoint.enabled:
        raise Refused(_("The webhook is disabled: enable it first."))
