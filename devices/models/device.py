"""`devices` and `dev_devices`: what a task is done on, one task at a time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from devices import sentences
from orchestrator_site.models.event import Note
from orchestrator_site.status import StatusModel

FREED: dict[str, Any] = {
    "available": True,
    "current_task": "",
    "task_id": None,
    "task_start_time": None,
    "lease_expires_at": None,
}


class Fleet(models.TextChoices):
    DEVICES = "devices", "devices"
    DEV_DEVICES = "dev_devices", "dev_devices"


class DeviceQuerySet(models.QuerySet["Device"]):
    """Which devices: a pool's, the free, the held, the stuck."""

    def pool(self, fleet: str, process: str) -> Self:
        return self.filter(fleet=fleet, process=process)

    def usable(self, now: datetime) -> Self:
        """In service, or quarantined long enough to be tried with one task."""
        served = Q(status=Device.Status.IN_SERVICE)
        return self.filter(served | Q(status=Device.Status.QUARANTINED, probe_at__lte=now))

    def free(self, now: datetime) -> Self:
        """Those that can take a task now, the longest idle first."""
        return self.usable(now).filter(online=True, available=True).order_by("updated_at", "id")

    def stuck(self, before: datetime) -> Self:
        """Held since before that moment, or held without anybody knowing since when."""
        unknown = Q(task_start_time=None, updated_at__lt=before)
        return self.filter(Q(task_start_time__lt=before) | unknown, available=False)

    def called(self, name: str) -> Self:
        """By key or by name; a name may be in both fleets."""
        named = Q(device=name)
        return self.filter(named | Q(pk=name) if name.isdecimal() else named)

    def silent(self, before: datetime) -> Self:
        """Online by their flag, with a heartbeat that stopped. A device that never sent one keeps
        its flag."""
        return self.filter(online=True, heartbeat_at__lt=before)

    def release(self, task_ids: Collection[int], now: datetime) -> int:
        """Free the devices of these tasks: a device that has passed to another task stays."""
        return self.filter(task_id__in=task_ids).update(**FREED, updated_at=now)


class Device(StatusModel):
    """One device. `available`, `current_task`, `task_id`, `task_start_time` say who holds it."""

    class Status(models.TextChoices):
        IN_SERVICE = "in_service", _("In service")
        DRAINING = "draining", _("Draining: no new task")
        QUARANTINED = "quarantined", _("Quarantined")

    MOVES = {
        Status.IN_SERVICE: frozenset({Status.DRAINING, Status.QUARANTINED}),
        Status.DRAINING: frozenset({Status.IN_SERVICE, Status.QUARANTINED}),
        Status.QUARANTINED: frozenset({Status.IN_SERVICE, Status.DRAINING}),
    }
    TONES = {Status.IN_SERVICE: "ok", Status.DRAINING: "warn", Status.QUARANTINED: "bad"}

    fleet = models.CharField(
        _("fleet"), max_length=16, choices=Fleet.choices, default=Fleet.DEVICES
    )
    device = models.CharField(_("device"), max_length=100)
    device_name = models.CharField(_("name"), max_length=200, blank=True)
    process = models.CharField(_("process"), max_length=32)
    instance = models.CharField(_("instance"), max_length=64, blank=True)
    online = models.BooleanField(_("online"), default=True)
    available = models.BooleanField(_("available"), default=True)
    current_task = models.CharField(_("current task"), max_length=18, blank=True)
    task_id = models.BigIntegerField(_("task"), null=True, blank=True)
    task_start_time = models.DateTimeField(_("task started"), null=True, blank=True)
    lease_expires_at = models.DateTimeField(_("lease until"), null=True, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now)
    status = models.CharField(
        _("service"), max_length=12, choices=Status.choices, default=Status.IN_SERVICE
    )
    status_reason = models.CharField(_("reason"), max_length=300, blank=True)
    heartbeat_at = models.DateTimeField(_("last heartbeat"), null=True, editable=False)
    mirror_online = models.BooleanField(_("online in Mongo"), null=True, editable=False)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0, editable=False)
    probe_at = models.DateTimeField(_("tried again at"), null=True, editable=False)

    objects = DeviceQuerySet.as_manager()

    class Meta:
        db_table = "devices"
        ordering = ["fleet", "process", "device"]
        verbose_name = _("device")
        verbose_name_plural = _("devices")
        permissions = [("operate_device", "Can act on devices")]
        indexes = [
            models.Index(
                fields=["fleet", "process", "updated_at"],
                condition=Q(available=True, online=True),
                name="device_free",
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["fleet", "device"], name="device_one_a_fleet"),
            models.UniqueConstraint(
                fields=["task_id"], condition=Q(task_id__isnull=False), name="device_one_a_task"
            ),
            models.CheckConstraint(
                condition=Q(available=False)
                | Q(current_task="", task_id__isnull=True, task_start_time__isnull=True),
                name="device_available_holds_nothing",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["in_service", "draining", "quarantined"]),
                name="device_status_known",
            ),
            models.CheckConstraint(
                condition=Q(fleet__in=["devices", "dev_devices"]), name="device_fleet_known"
            ),
        ]

    def __str__(self) -> str:
        return self.device

    @property
    def tone(self) -> str:
        return self.TONES[self.Status(self.status)]

    def release(self, reason: str) -> bool:
        """Take the device from the task that holds it now; False where it has passed on."""
        held = Q(available=False, task_id=self.task_id)
        note = Note.of(type(self), "held", "free", reason, {"task_id": self.task_id})
        changes = {**FREED, "updated_at": timezone.now()}
        return bool(self.change_all([self], held, note, **changes))

    def drain(self, reason: str) -> bool:
        """No new task; the one under way goes on."""
        return self._put(self.Status.DRAINING, reason)

    def quarantine(self, reason: str, probe_at: datetime | None = None) -> bool:
        """Out of service: for good, or until one task tries it at `probe_at`."""
        if self.status == self.Status.QUARANTINED:
            return self._try_again(reason, probe_at)
        return self._put(self.Status.QUARANTINED, reason, probe_at=probe_at)

    def restore(self, reason: str) -> bool:
        """Back in service, its failures forgotten, and why it was out of it."""
        return self._put(self.Status.IN_SERVICE, reason, failures=0, status_reason="")

    def _put(self, to: str, reason: str, **changes: Any) -> bool:
        if self.status == to:
            return False
        return self.move(to, reason, **{"probe_at": None, "status_reason": reason[:300], **changes})

    def _try_again(self, reason: str, probe_at: datetime | None) -> bool:
        """Stay in quarantine, with another moment of trial or with none."""
        shut = Q(status=self.Status.QUARANTINED) & ~Q(probe_at=probe_at)
        note = Note.of(type(self), self.status, self.status, reason, {"probe_at": probe_at})
        changes = {"probe_at": probe_at, "status_reason": reason[:300]}
        return bool(self.change_all([self], shut, note, **changes))

    def beat(self, online: bool, now: datetime) -> None:
        """What the device says of itself."""
        type(self).objects.filter(pk=self.pk).update(heartbeat_at=now)
        self.switch(online, sentences.HEARTBEAT)
        self.online, self.heartbeat_at = online, now

    def switch(self, online: bool, reason: str) -> bool:
        """Put it online or offline; False where it was so already."""
        other = Q(online=not online)
        note = Note.of(type(self), _online(not online), _online(online), reason)
        return bool(self.change_all([self], other, note, online=online))

    def note_success(self, reason: str) -> None:
        """A task ended well on it: a quarantined device has passed its trial."""
        if self.failures:
            type(self).objects.filter(pk=self.pk).update(failures=0)
        if self.status == self.Status.QUARANTINED and self.probe_at:
            self.restore(reason)

    def note_failure(self, reason: str, most: int, pause: timedelta, now: datetime) -> bool:
        """A task failed by the device's fault; True where that put it into quarantine.

        `most` failures in a row do, and a trial that fails does again.
        """
        own = type(self).objects.filter(pk=self.pk)
        own.update(failures=F("failures") + 1)
        self.refresh_from_db(fields=["failures", "status", "probe_at"])
        if self.status == self.Status.QUARANTINED and self.probe_at:
            self.quarantine(sentences.TRIAL_FAILED % {"why": reason}, now + pause)
            return False
        if self.failures < most or self.status != self.Status.IN_SERVICE:
            return False
        told = sentences.FAILURES % {"count": self.failures, "why": reason}
        return self.quarantine(told, now + pause)


class DevDeviceManager(models.Manager["DevDevice"]):
    def get_queryset(self) -> models.QuerySet[DevDevice]:
        return super().get_queryset().filter(fleet=Fleet.DEV_DEVICES)


class DevDevice(Device):
    """`dev_devices`: the other fleet, by the same code."""

    objects = DevDeviceManager.from_queryset(DeviceQuerySet)()  # type: ignore[misc, assignment]

    class Meta:
        proxy = True
        verbose_name = _("dev device")
        verbose_name_plural = _("dev devices")
        permissions = [("operate_devdevice", "Can act on dev devices")]

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.fleet = Fleet.DEV_DEVICES
        super().save(*args, **kwargs)


def _online(flag: bool) -> str:
    return "online" if flag else "offline"
