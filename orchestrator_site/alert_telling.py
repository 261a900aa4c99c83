"""Alerts told to machines: a webhook for chats and pagers, and a ping that says that we watch.

The webhook is told of each alert when it is raised, acknowledged and over: JSON with the `text`
that chats show, signed after Standard Webhooks where there is a secret. What it does not take is
sent again at the next evaluation, under the same id. The addresses can hold a secret themselves:
they are in no log and on no page.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.urls import reverse
from standardwebhooks import Webhook

from orchestrator_site.logs import redact
from orchestrator_site.models import Alert
from orchestrator_site.sentences import gettext_noop

logger = logging.getLogger(__name__)
SECONDS = 30.0  # of an evaluation, for all calls
FAILURES = 3  # then the others wait for the next evaluation
DEADMAN_SECONDS = 5.0
TYPES = {
    Alert.Status.OPEN: "alert.raised",
    Alert.Status.ACKNOWLEDGED: "alert.acknowledged",
    Alert.Status.RESOLVED: "alert.resolved",
}
NO_SENDER = gettext_noop("no app sends webhooks")
BAD_SECRET = gettext_noop("ALERT_WEBHOOK_SECRET cannot sign: it must be whsec_ and base64")


class Answer(Protocol):
    """What a call came to; `told` is stored, in English."""

    @property
    def is_good(self) -> bool: ...

    @property
    def told(self) -> str: ...


# The URL, the body, signed headers, the moment. Checks where the address leads to.
Send = Callable[[str, bytes, Mapping[str, str], datetime], Answer]
_SENDERS: list[Send] = []


def send_by(send: Send) -> None:
    """An app says how a webhook is sent; done when the app is ready."""
    _SENDERS[:] = [send]


# --- The webhook ----------------------------------------------------------------------------------


def tell(silenced: set[int], now: datetime) -> int:
    """Tell the webhook of what it does not know yet, but of no rule (by key) that is silenced;
    returns of how many alerts it was told."""
    if not settings.ALERT_WEBHOOK_URL:
        return 0
    told = failures = 0
    until = time.monotonic() + SECONDS
    for alert in Alert.objects.due_for_hook().exclude(rule__in=silenced):
        if failures == FAILURES or time.monotonic() > until:
            break
        problem = _send(f"{alert.case_id}-{alert.status}", _message(alert, now), now)
        if problem:
            logger.warning("the webhook was not told of alert %s: %s", alert.pk, problem)
            alert.hook_failed(problem)
            failures += 1
        else:
            told += alert.hooked(now)
    return told


def send_test(now: datetime) -> str:
    """Send a test message; returns what went wrong, or ""."""
    text = "Test: alerts of the control room arrive here."
    message = {"type": "alert.test", "timestamp": now, "text": text, "data": {}}
    return _send(f"test-{int(now.timestamp())}", message, now)


def _message(alert: Alert, now: datetime) -> dict[str, Any]:
    rule, page = alert.rule, reverse("admin:orchestrator_site_alert_change", args=[alert.pk])
    seen = alert.acknowledgement if alert.status == Alert.Status.ACKNOWLEDGED else None
    return {
        "type": TYPES[Alert.Status(alert.status)],
        "timestamp": now,
        "text": _text(alert, f"{settings.SITE_URL}{page}"),
        "data": {
            "id": alert.pk,
            "caseId": alert.case_id,
            "status": alert.status,
            "severity": rule.severity,
            "rule": rule.name,
            "measure": rule.measure,
            "limit": rule.limit,
            "subject": alert.subject,
            "value": alert.value,
            "message": alert.message,
            "since": alert.first_seen_at,
            "raisedAt": alert.raised_at,
            "acknowledgedBy": seen.actor if seen else None,
            "reason": seen.reason if seen else None,
            "resolvedAt": alert.resolved_at,
            "url": f"{settings.SITE_URL}{page}",
        },
    }


def _text(alert: Alert, url: str) -> str:
    """One line for a chat."""
    state = alert.get_status_display()
    severity = alert.rule.get_severity_display()
    about = f"{alert.rule.title}: {alert.heading}" if alert.subject else alert.rule.title
    return f"[{severity}] {state}: {about}. {alert.told} {url}".replace("  ", " ")


def _send(name: str, message: Mapping[str, Any], now: datetime) -> str:
    """What went wrong, or ""."""
    if not _SENDERS:
        return NO_SENDER
    body = json.dumps(message, cls=DjangoJSONEncoder, ensure_ascii=False)
    try:
        headers = _signed(name, body, now)
    except Exception:  # what it says may hold the secret
        return BAD_SECRET
    answer = _SENDERS[0](settings.ALERT_WEBHOOK_URL, body.encode(), headers, now)
    return "" if answer.is_good else _without_address(answer.told)


def _signed(name: str, body: str, now: datetime) -> dict[str, str]:
    at = now.astimezone(UTC)
    headers = {"webhook-id": name, "webhook-timestamp": str(int(at.timestamp()))}
    if secret := settings.ALERT_WEBHOOK_SECRET:
        headers["webhook-signature"] = Webhook(secret).sign(name, at, body)
    return headers


def _without_address(text: str) -> str:
    text, parts = redact(text), urlsplit(settings.ALERT_WEBHOOK_URL)
    for part in (settings.ALERT_WEBHOOK_URL, parts.netloc, parts.hostname):
        text = text.replace(part, "…") if part else text
    return text


# --- The dead-man's ping --------------------------------------------------------------------------


def ping() -> str:
    """Tell the one who waits for it that alerts are evaluated; returns what went wrong, or "". Who
    hears nothing for a while raises the alarm that we cannot raise."""
    if not settings.DEADMAN_URL:
        return ""
    try:
        with requests.get(settings.DEADMAN_URL, timeout=DEADMAN_SECONDS, stream=True) as answer:
            problem = "" if answer.ok else f"answered with status {answer.status_code}"
    except (requests.RequestException, ValueError) as error:
        problem = type(error).__name__  # its text holds the address
    if problem:
        logger.warning("the dead-man's ping did not arrive: %s", problem)
    return problem
