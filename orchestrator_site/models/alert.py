"""Alerts: rules that staff set, and what they raised."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, validate_email
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from orchestrator_site import measures, sentences
from orchestrator_site.measures import Measure, Reading
from orchestrator_site.models.event import Event
from orchestrator_site.models.history import History
from orchestrator_site.status import StatusModel

SUBJECT_LENGTH = 200
LONGEST_HOLD = 7 * 24 * 3600
LONGEST_COOLDOWN = 30 * 24 * 60


def addresses(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def validate_addresses(text: str) -> None:
    for address in addresses(text):
        validate_email(address)


class AlertRule(models.Model):
    """When a measure is beyond its threshold, for how long, and who is told."""

    class Severity(models.TextChoices):
        WARNING = "warning", _("Warning")
        CRITICAL = "critical", _("Critical")

    TONES = {Severity.WARNING: "warn", Severity.CRITICAL: "bad"}

    name = models.CharField(_("name"), max_length=100, unique=True)
    measure = models.CharField(_("measure"), max_length=64, choices=measures.choices)
    threshold = models.DecimalField(_("threshold"), max_digits=12, decimal_places=2)
    for_seconds = models.PositiveIntegerField(
        _("for seconds"),
        default=0,
        validators=[MaxValueValidator(LONGEST_HOLD)],
        help_text=_("It must be beyond the threshold for this long. 0: raised at once."),
    )
    cooldown_minutes = models.PositiveIntegerField(
        _("cooldown in minutes"),
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_COOLDOWN)],
        help_text=_("Between two e-mails of the same alert, until somebody acknowledges it."),
    )
    severity = models.CharField(
        _("severity"), max_length=8, choices=Severity.choices, default=Severity.WARNING
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    emails = models.TextField(
        _("e-mail addresses"),
        blank=True,
        validators=[validate_addresses],
        help_text=_("With commas between them. Empty: those of ALERT_EMAILS."),
    )

    history = History()

    class Meta:
        ordering = ["name"]
        verbose_name = _("alert rule")
        verbose_name_plural = _("alert rules")

    def __str__(self) -> str:
        return self.name

    @property
    def definition(self) -> Measure | None:
        """The measure itself; None where no app registers it any more."""
        return measures.MEASURES.get(self.measure)

    @property
    def title(self) -> str:
        return str(self.definition.title) if self.definition else self.measure

    @property
    def limit(self) -> str:
        """The threshold as people read it: "> 10 min"."""
        comparison, unit = (
            (self.definition.comparison, self.definition.unit) if self.definition else ("", "")
        )
        return f"{comparison} {Decimal(self.threshold).normalize():f} {unit}".strip()

    @property
    def tone(self) -> str:
        return self.TONES[self.Severity(self.severity)]

    @property
    def hold(self) -> timedelta:
        return timedelta(seconds=self.for_seconds)

    @property
    def cooldown(self) -> timedelta:
        return timedelta(minutes=self.cooldown_minutes)

    @property
    def recipients(self) -> list[str]:
        return addresses(self.emails) or list(settings.ALERT_EMAILS)


class AlertQuerySet(models.QuerySet["Alert"]):
    """Which alerts: live, raised, due for an e-mail."""

    def live(self) -> Self:
        return self.filter(status__in=Alert.LIVE)

    def raised(self) -> Self:
        """What staff should know of."""
        return self.filter(status__in=Alert.RAISED)

    def worst_first(self) -> Self:
        """Those nobody has seen before those that somebody has, critical before warning."""
        unseen = models.Case(models.When(status=Alert.Status.OPEN, then=0), default=1)
        critical = models.Case(
            models.When(rule__severity=AlertRule.Severity.CRITICAL, then=0), default=1
        )
        return self.order_by(unseen, critical, "raised_at", "id")

    def begin(self, rule: AlertRule, subjects: Iterable[str], now: datetime) -> None:
        """A pending row for each subject; where another evaluator was first, its row stays."""
        rows = [
            Alert(rule=rule, subject=subject, first_seen_at=now, last_seen_at=now)
            for subject in subjects
        ]
        Alert.objects.bulk_create(rows, ignore_conflicts=True)

    def due_for_mail(self, rule: AlertRule, now: datetime) -> list[Alert]:
        """Open alerts of whose subject no mail went out within the cooldown."""
        # In this order: a mail that another evaluator takes in between is seen by the second
        # query, or by the guard of `take_mail`.
        waiting = list(self.filter(rule=rule, status=Alert.Status.OPEN).order_by("id"))
        lately = self.filter(rule=rule, notified_at__gt=now - rule.cooldown)
        told = set(lately.values_list("subject", flat=True))
        return [alert for alert in waiting if alert.subject not in told]

    def due_for_hook(self) -> Self:
        """What the webhook does not know yet: those that are raised, and the end of those that it
        was told of. Those that it refused go last."""
        told = Q(hooked_status__in=Alert.RAISED)
        news = Q(status__in=Alert.RAISED) & ~Q(status=models.F("hooked_status"))
        over = Q(status=Alert.Status.RESOLVED) & told
        return self.filter(news | over).select_related("rule").order_by("hook_error", "id")


class Alert(StatusModel):
    """A reading beyond its rule's threshold, from its first sight to its end."""

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")  # not for long enough yet
        OPEN = "open", pgettext_lazy("alert", "Open")
        ACKNOWLEDGED = "acknowledged", _("Acknowledged")
        RESOLVED = "resolved", _("Resolved")

    RAISED = (Status.OPEN, Status.ACKNOWLEDGED)
    LIVE = (Status.PENDING, *RAISED)
    MOVES = {
        Status.PENDING: frozenset({Status.OPEN}),
        Status.OPEN: frozenset({Status.ACKNOWLEDGED, Status.RESOLVED}),
        Status.ACKNOWLEDGED: frozenset({Status.RESOLVED}),
    }
    TONES = {
        Status.PENDING: "wait",
        Status.OPEN: "bad",
        Status.ACKNOWLEDGED: "warn",
        Status.RESOLVED: "ok",
    }

    rule = models.ForeignKey(
        AlertRule, models.PROTECT, related_name="alerts", verbose_name=_("rule")
    )
    subject = models.CharField(_("subject"), max_length=SUBJECT_LENGTH, blank=True)
    status = models.CharField(
        _("status"), max_length=16, choices=Status.choices, default=Status.PENDING
    )
    value = models.FloatField(_("value"), null=True)  # None: the measure could not be read
    message = models.TextField(_("message"), blank=True)
    first_seen_at = models.DateTimeField(_("since"))
    last_seen_at = models.DateTimeField(_("last seen"))
    raised_at = models.DateTimeField(_("raised"), null=True)
    resolved_at = models.DateTimeField(_("resolved"), null=True)
    notified_at = models.DateTimeField(_("last e-mail"), null=True)
    notify_error = models.TextField(_("e-mail that failed"), blank=True)
    # To ALERT_WEBHOOK_URL: the status that it was told last, and when.
    hooked_status = models.CharField(_("told to the webhook"), max_length=16, blank=True)
    hooked_at = models.DateTimeField(_("last webhook"), null=True)
    hook_error = models.TextField(_("webhook that failed"), blank=True)

    in_maintenance = False  # nobody is told of it now: said where alerts are listed

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        permissions = [("operate_alert", "Can act on alerts")]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "subject"],
                condition=Q(status__in=["pending", "open", "acknowledged"]),
                name="alert_one_live",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["pending", "open", "acknowledged", "resolved"]),
                name="alert_status_known",
            ),
        ]
        indexes = [
            # Of which the webhook may still have to be told that they are over.
            models.Index(
                fields=["id"],
                condition=Q(hooked_status__in=["open", "acknowledged"]),
                name="alert_hooked",
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}" if self.subject else str(self.rule)

    @property
    def tone(self) -> str:
        return self.TONES[self.Status(self.status)]

    @property
    def heading(self) -> str:
        """What it is about: the subject, or the measure as a whole."""
        is_whole = not self.subject or self.value is None
        return self.rule.title if is_whole else sentences.told(self.subject)

    @property
    def told(self) -> str:
        """Its message in the reader's language."""
        return sentences.told(self.message)

    @property
    def acknowledgement(self) -> Event | None:
        """Who has seen it, when, and what they said."""
        return Event.objects.filter(
            object_type=self._meta.label_lower,
            object_id=str(self.pk),
            new=self.Status.ACKNOWLEDGED,
        ).first()

    # --- What a person does. Each is False where the alert had moved on already. ----------------

    def acknowledge(self, reason: str) -> bool:
        """Somebody knows of it: no more e-mails."""
        return self.status == self.Status.OPEN and self.move(self.Status.ACKNOWLEDGED, reason)

    def resolve(self, reason: str) -> bool:
        """End it, whatever the measure says."""
        return self.status in self.RAISED and self._end(reason, timezone.now())

    # --- What an evaluation does ----------------------------------------------------------------

    def see(self, reading: Reading, now: datetime) -> bool:
        """Note that it is still beyond; True where this raised the alert."""
        seen: dict[str, Any] = {
            "value": reading.value,
            "message": reading.message,
            "last_seen_at": now,
        }
        if self.status == self.Status.PENDING and now - self.first_seen_at >= self.rule.hold:
            return self.move(self.Status.OPEN, reading.message, raised_at=now, **seen)
        Alert.objects.live().filter(pk=self.pk).update(**seen)
        return False

    def clear(self, reason: str, now: datetime) -> bool:
        """It is over; True where it had been raised. What never was leaves nothing behind."""
        if self.status in self.RAISED:
            return self._end(reason, now)
        Alert.objects.filter(pk=self.pk, status=self.Status.PENDING).delete()
        return False

    def _end(self, reason: str, now: datetime) -> bool:
        return self.move(self.Status.RESOLVED, reason, resolved_at=now)

    # --- Its e-mails ----------------------------------------------------------------------------

    def take_mail(self, now: datetime) -> bool:
        """Win the right to send its e-mail; False where another evaluator sends it."""
        mine = Alert.objects.filter(
            pk=self.pk, status=self.Status.OPEN, notified_at=self.notified_at
        )
        return bool(mine.update(notified_at=now, notify_error=""))

    def give_mail_back(self, error: str) -> None:
        """It could not be sent: it is due again at the next evaluation."""
        Alert.objects.filter(pk=self.pk).update(notified_at=self.notified_at, notify_error=error)

    # --- The webhook ----------------------------------------------------------------------------

    def hooked(self, now: datetime) -> bool:
        """The webhook has taken the state that this copy is in."""
        told = {"hooked_status": self.status, "hooked_at": now, "hook_error": ""}
        return bool(Alert.objects.filter(pk=self.pk).update(**told))

    def hook_failed(self, error: str) -> None:
        """It is told again at the next evaluation."""
        Alert.objects.filter(pk=self.pk).update(hook_error=error)
