"""Alerting: measures are read, what is beyond its threshold becomes an alert, staff are told."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps as installed
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import DEFAULT_DB_ALIAS, transaction
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext_lazy

from orchestrator_site import alert_telling
from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.logs import redact
from orchestrator_site.measures import MEASURES, Measure, Reading, register
from orchestrator_site.models import Alert, AlertRule, Event, Lease, MaintenanceWindow
from orchestrator_site.models.alert import SUBJECT_LENGTH
from orchestrator_site.sentences import gettext_noop
from orchestrator_site.sessions import me
from orchestrator_site.verbs import Verb

__all__ = ["ALERT_VERBS", "Evaluation", "Measure", "Reading", "evaluate", "register", "tick"]

logger = logging.getLogger(__name__)
EVALUATOR = "alerts"
LEASE = timedelta(minutes=1)
UNREADABLE = "(measure)"  # the subject of the alert that a measure cannot be read
CANNOT_BE_READ = gettext_noop("measure %(name)s cannot be read: %(error)s")
IN_NO_APP = gettext_noop("no app has it")
SILENCE = timedelta(hours=1)
SILENCED = "silenced"
BACK_WITHIN = gettext_noop("The measure is back within its threshold.")
SWITCHED_OFF = gettext_noop("The rule is switched off.")


def silence(alert: Alert, reason: str) -> bool:
    """Nobody is told of the rule's alerts for an hour."""
    now = timezone.now()
    with transaction.atomic():
        window = MaintenanceWindow.objects.create(
            name=alert.rule.name, starts_at=now, ends_at=now + SILENCE, reason=reason
        )
        window.rules.add(alert.rule)
        Event.record([alert], "", SILENCED, reason, {"until": window.ends_at})
    return True


ALERT_VERBS = (
    Verb(
        "acknowledge",
        gettext_lazy("Acknowledge"),
        gettext_lazy("No more e-mails are sent of it. It stays in sight until it is over."),
        Alert.acknowledge,
        lambda alert: alert.status == Alert.Status.OPEN,
        icon="visibility",
    ),
    Verb(
        "resolve",
        gettext_lazy("Resolve"),
        gettext_lazy("The alert ends. Where the measure is still beyond, a new one is raised."),
        Alert.resolve,
        lambda alert: alert.status in Alert.RAISED,
        icon="check_circle",
    ),
    Verb(
        "silence",
        gettext_lazy("Silence for an hour"),
        gettext_lazy("Nobody is told of any alert of its rule for an hour. They stay in sight."),
        silence,
        lambda alert: alert.status in Alert.RAISED,
        icon="notifications_off",
    ),
)


@dataclass(frozen=True)
class Evaluation:
    """What one look at all the rules did."""

    rules: int
    opened: int
    resolved: int
    mailed: int
    hooked: int
    unreadable: tuple[str, ...]  # measures


@dataclass(frozen=True)
class _Look:
    """What a measure said, by subject; or why it could not be read."""

    readings: Mapping[str, Reading]
    problem: str = ""


@dataclass(frozen=True)
class _Change:
    """What became of one rule's alerts."""

    opened: int
    resolved: int


def tick() -> Evaluation | None:
    """Evaluate; None where another process does it at this moment."""
    lease = Lease.acquire(EVALUATOR, me(EVALUATOR), LEASE)
    if lease is None:
        return None
    try:
        with acting_as(ActorKind.SYSTEM, EVALUATOR):
            evaluation = evaluate(timezone.now())
            alert_telling.ping()
            return evaluation
    finally:
        lease.release()


def evaluate(now: datetime) -> Evaluation:
    """Read each enabled rule's measure; raise, renew and resolve alerts; tell of them whom it is
    due to tell, but in maintenance.

    Harmless where two run at once: one of them raises an alert, and one sends its e-mail.
    """
    rules = list(AlertRule.objects.filter(enabled=True))
    looks = {name: _look(name) for name in sorted({rule.measure for rule in rules})}
    changes = [_apply(rule, looks[rule.measure], now) for rule in rules]
    switched_off = _end_of_disabled_rules(now)
    silenced = MaintenanceWindow.silenced_keys(now)
    return Evaluation(
        rules=len(rules),
        opened=sum(change.opened for change in changes),
        resolved=sum(change.resolved for change in changes) + switched_off,
        mailed=sum(_mail(rule, now) for rule in rules if rule.pk not in silenced),
        hooked=alert_telling.tell(silenced, now),
        unreadable=tuple(name for name, look in looks.items() if look.problem),
    )


def _look(name: str) -> _Look:
    """Read a measure; whatever it raises is told, and stops no other."""
    try:
        readings = [_stored(reading) for reading in MEASURES[name].function()]
    except Exception as error:
        logger.exception("measure %s cannot be read", name)
        told = IN_NO_APP if name not in MEASURES else f"{type(error).__name__}: {error}"
        return _Look({}, redact(CANNOT_BE_READ % {"name": name, "error": told}))
    return _Look({reading.subject: reading for reading in readings})


def _stored(reading: Reading) -> Reading:
    """The reading as a row can hold it. Raises ValueError where its value is no number."""
    value = float("nan" if reading.value is None else reading.value)
    if not math.isfinite(value):
        raise ValueError(f"{reading.subject}: {reading.value} is not a number")
    return replace(reading, subject=reading.subject[:SUBJECT_LENGTH], value=value)


def _apply(rule: AlertRule, look: _Look, now: datetime) -> _Change:
    beyond = _beyond(rule, look)
    live = Alert.objects.live().filter(rule=rule)
    known = set(live.values_list("subject", flat=True))
    Alert.objects.begin(rule, [subject for subject in beyond if subject not in known], now)
    opened = resolved = 0
    for alert in live.select_related("rule").order_by("id"):
        if alert.subject in beyond:
            opened += alert.see(beyond[alert.subject], now)
        elif not look.problem:  # else nobody knows whether it is over
            resolved += alert.clear(BACK_WITHIN, now)
    return _Change(opened, resolved)


def _beyond(rule: AlertRule, look: _Look) -> dict[str, Reading]:
    """What speaks for an alert of the rule, by subject."""
    if look.problem:
        return {UNREADABLE: Reading(UNREADABLE, None, look.problem)}
    measure = MEASURES[rule.measure]
    return {
        subject: reading
        for subject, reading in look.readings.items()
        if reading.value is not None and measure.is_beyond(reading.value, rule.threshold)
    }


def _end_of_disabled_rules(now: datetime) -> int:
    ended = Alert.objects.live().filter(rule__enabled=False)
    return sum(alert.clear(SWITCHED_OFF, now) for alert in ended)


def _mail(rule: AlertRule, now: datetime) -> int:
    """Tell of what is due, in one e-mail; what cannot be sent is due again next time."""
    if not rule.recipients:
        return 0
    alerts = [one for one in Alert.objects.due_for_mail(rule, now) if one.take_mail(now)]
    if not alerts:
        return 0
    try:
        _letter(rule, alerts).send()
    except Exception as error:  # each mail server has errors of its own
        logger.exception("no e-mail of alert rule %s", rule)
        for alert in alerts:
            alert.give_mail_back(redact(f"{type(error).__name__}: {error}"))
        return 0
    return len(alerts)


def _letter(rule: AlertRule, alerts: list[Alert]) -> EmailMessage:
    subjects = ", ".join(alert.subject for alert in alerts if alert.subject)
    title = f"[{rule.get_severity_display()}] {rule.title}: {subjects}".removesuffix(": ")
    context = {"rule": rule, "alerts": alerts, "site": settings.SITE_URL}
    return EmailMessage(
        subject=" ".join(title.split())[:200],  # a line break would be refused
        body=render_to_string("alerts/mail.txt", context),
        to=rule.recipients,
    )


def make_rules(using: str = DEFAULT_DB_ALIAS, apps: Any = installed, **kwargs: Any) -> None:
    """A rule for each measure that has none, after each migration. What is there stays as it is."""
    if using != DEFAULT_DB_ALIAS or "alertrule" not in apps.all_models["orchestrator_site"]:
        return
    known = set(AlertRule.objects.values_list("measure", flat=True))
    for measure in MEASURES.values():
        if measure.name not in known:
            AlertRule.objects.get_or_create(
                name=measure.name,
                defaults={
                    "measure": measure.name,
                    "threshold": measure.default_threshold,
                    "for_seconds": measure.default_for_seconds,
                    "severity": measure.default_severity,
                },
            )
