"""`imss_generators`, their endpoints, and `main_config`: what distribution goes by."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from devices.models import Fleet
from orchestrator_site import addresses
from orchestrator_site.models import Event
from orchestrator_site.status import StatusModel

PERCENT = [MinValueValidator(0), MaxValueValidator(100)]


class Generator(StatusModel):
    """A scraper's side of distribution: its pool of devices, its shares, how it fares."""

    class Status(models.TextChoices):
        RUNNING = "running", _("Running")
        FAILING = "fallando", _("Failing")

    class WorkedBy(models.TextChoices):
        OURS = "ours", _("Our workers")
        MONGO = "mongo", _("Old workers, from Mongo")

    MOVES = {
        Status.RUNNING: frozenset({Status.FAILING}),
        Status.FAILING: frozenset({Status.RUNNING}),
    }

    name = models.CharField(
        _("name"),
        max_length=32,
        unique=True,
        validators=[RegexValidator(r"^G_[A-Z0-9_]+\Z", _("G_ and capitals: G_SISEC."))],
    )
    short_name = models.CharField(
        _("short name"), max_length=32, help_text=_("`instance` of its document: SISEC.")
    )
    handler = models.CharField(_("handler"), max_length=64)
    instance = models.CharField(_("handler's instance"), max_length=64)
    fleet = models.CharField(_("fleet"), max_length=16, choices=Fleet.choices)
    process = models.CharField(_("process"), max_length=32)
    queue_collection = models.CharField(_("queue collection"), max_length=64, unique=True)
    rotation_order = models.PositiveSmallIntegerField(_("place in rotation"), unique=True)
    array_position = models.PositiveSmallIntegerField(
        _("place in the arrays"), unique=True, help_text=_("In `distribution_good` and the others.")
    )
    takes_remainder = models.BooleanField(
        _("takes the remainder"),
        default=False,
        help_text=_("What others' shares leave of a batch."),
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    worked_by = models.CharField(
        _("worked by"),
        max_length=8,
        choices=WorkedBy.choices,
        default=WorkedBy.OURS,
        help_text=_("Who takes its tasks: never both."),
    )
    share_good = models.PositiveSmallIntegerField(_("share, good"), default=0, validators=PERCENT)
    share_normal = models.PositiveSmallIntegerField(
        _("share, normal"), default=0, validators=PERCENT
    )
    share_bad = models.PositiveSmallIntegerField(_("share, bad"), default=0, validators=PERCENT)
    status = models.CharField(
        _("status"), max_length=8, choices=Status.choices, default=Status.RUNNING, editable=False
    )
    available_devices = models.PositiveIntegerField(_("free devices"), default=0, editable=False)
    total_devices = models.PositiveIntegerField(_("devices online"), default=0, editable=False)
    available_capacity = models.PositiveIntegerField(_("capacity"), default=0, editable=False)
    current_active_tasks = models.PositiveIntegerField(_("active tasks"), default=0, editable=False)
    last_update = models.DateTimeField(_("last report"), null=True, editable=False)
    last_failure_date = models.DateTimeField(_("last failure"), null=True, editable=False)
    last_failure = models.TextField(_("what failed"), blank=True, editable=False)

    class Meta:
        db_table = "imss_generators"
        ordering = ["rotation_order"]
        verbose_name = _("generator")
        verbose_name_plural = _("generators")
        permissions = [("operate_generator", "Can act on generators and their shares")]
        constraints = [
            models.UniqueConstraint(
                fields=["takes_remainder"],
                condition=Q(takes_remainder=True),
                name="generator_one_takes_the_remainder",
            ),
            # A pool belongs to one generator: its free devices are counted once.
            models.UniqueConstraint(fields=["fleet", "process"], name="generator_one_a_pool"),
            models.CheckConstraint(
                condition=Q(share_good__lte=100, share_normal__lte=100, share_bad__lte=100),
                name="generator_shares_are_percentages",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_worked_from_mongo(self) -> bool:
        return self.worked_by == self.WorkedBy.MONGO

    def served_instances(self, now: datetime) -> set[str] | None:
        """The devices' instances that an endpoint can be asked for now; None: all of them."""
        if self.is_worked_from_mongo:  # its workers know their own endpoints
            return None
        usable = {one.instance for one in self.endpoints.all() if one.is_usable(now)}
        return None if "" in usable else usable

    @property
    def shares(self) -> dict[str, int]:
        """By level."""
        return {"good": self.share_good, "normal": self.share_normal, "bad": self.share_bad}


class Endpoint(models.Model):
    """Where a generator's scraper listens."""

    generator = models.ForeignKey(
        Generator, models.CASCADE, related_name="endpoints", verbose_name=_("generator")
    )
    url = models.URLField(_("address"), max_length=500)
    instance = models.CharField(
        _("devices' instance"),
        max_length=64,
        blank=True,
        help_text=_("It serves the devices of this instance. Empty: any."),
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0, editable=False)
    open_until = models.DateTimeField(_("left alone until"), null=True, editable=False)
    last_error = models.CharField(_("last error"), max_length=500, blank=True, editable=False)
    last_answer_at = models.DateTimeField(_("last answer"), null=True, editable=False)

    class Meta:
        ordering = ["generator", "instance", "id"]
        verbose_name = _("endpoint")
        verbose_name_plural = _("endpoints")
        constraints = [
            models.UniqueConstraint(fields=["generator", "url"], name="endpoint_one_an_address")
        ]

    def __str__(self) -> str:
        return self.url

    def is_usable(self, now: datetime) -> bool:
        """Not left alone by its breaker."""
        return self.enabled and (self.open_until is None or self.open_until <= now)

    def close_breaker(self, reason: str) -> bool:
        """Ask it again from now on; False where it was not left alone."""
        left_alone = type(self).objects.filter(pk=self.pk, open_until__isnull=False)
        if not left_alone.update(failures=0, open_until=None):
            return False
        Event.record([self], "left alone", "asked again", reason)
        return True

    def clean(self) -> None:
        try:
            addresses.check(self.url)
        except addresses.AddressRefused as error:
            raise ValidationError({"url": str(error)}) from error


class DistributionConfig(models.Model):
    """`imss_config` / `main_config`: one row."""

    name = models.CharField(max_length=32, default="main_config", unique=True, editable=False)
    batch_size = models.PositiveIntegerField(
        _("batch"), default=100, validators=[MinValueValidator(1), MaxValueValidator(10_000)]
    )
    batch_minutes = models.PositiveIntegerField(
        _("a batch lasts at most"),
        default=10,
        validators=[MinValueValidator(1)],
        help_text=_("Minutes. Then a new one begins, with new limits."),
    )
    high_threshold = models.PositiveSmallIntegerField(
        _("good from"), default=80, validators=PERCENT, help_text=_("Success rate, per cent.")
    )
    low_threshold = models.PositiveSmallIntegerField(
        _("normal from"), default=50, validators=PERCENT, help_text=_("Success rate, per cent.")
    )
    window_hours = models.PositiveIntegerField(
        _("window of the rate"),
        default=24,
        validators=[MinValueValidator(1)],
        help_text=_("Hours."),
    )
    person_window_minutes = models.PositiveIntegerField(
        _("a person rests for"), default=18, help_text=_("Minutes from taking a device.")
    )
    result_minutes = models.PositiveIntegerField(
        _("a result is waited for"),
        default=15,
        validators=[MinValueValidator(1)],
        help_text=_("Minutes from the call."),
    )
    stuck_minutes = models.PositiveIntegerField(
        _("a device is stuck after"),
        default=20,
        validators=[MinValueValidator(1)],
        help_text=_("Minutes."),
    )
    silence_minutes = models.PositiveIntegerField(
        _("a device is offline after"),
        default=5,
        validators=[MinValueValidator(1)],
        help_text=_("Minutes without a heartbeat, where it ever sent one."),
    )
    quarantine_failures = models.PositiveIntegerField(
        _("failures until quarantine"),
        default=5,
        validators=[MinValueValidator(1)],
        help_text=_("In a row, by the device's fault."),
    )
    probe_minutes = models.PositiveIntegerField(
        _("tried again after"), default=15, help_text=_("Minutes in quarantine.")
    )
    max_attempts = models.PositiveSmallIntegerField(
        _("attempts of a person"), default=3, validators=[MinValueValidator(1)]
    )
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        db_table = "imss_config"
        verbose_name = _("distribution's configuration")
        verbose_name_plural = _("distribution's configuration")
        constraints = [
            models.CheckConstraint(
                condition=Q(low_threshold__lte=models.F("high_threshold")),
                name="config_thresholds_in_order",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def current(cls) -> DistributionConfig:
        """The row; its defaults where nobody changed anything."""
        row, _created = cls.objects.get_or_create(name="main_config")
        return row

    def minutes(self, name: str) -> timedelta:
        """One of the spans, by its field's first word: `person_window`, `stuck`."""
        value: Any = getattr(self, f"{name}_minutes")
        return timedelta(minutes=value)


class ShareChange(models.Model):
    """Shares as they were set, each time that they were."""

    at = models.DateTimeField(_("at"), default=timezone.now)
    by = models.CharField(_("by"), max_length=150, blank=True)
    reason = models.TextField(_("reason"), blank=True)
    shares = models.JSONField(_("shares"), help_text=_("By level and generator."))

    class Meta:
        ordering = ["-id"]
        verbose_name = _("change of shares")
        verbose_name_plural = _("changes of shares")

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.by}"
