"""People to look up (`Nueva_Base_Central`), their tasks (`imss_queue_*`) and `Registro_works`."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from bson import ObjectId
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orchestrator_site.status import StatusModel
from queues.models.base import LeasedTask
from queues.models.generator import Generator
from queues.policy import Next


def new_object_id() -> str:
    """What Mongo would call a new document: 24 hexadecimal digits."""
    return str(ObjectId())


class NbcQuerySet(models.QuerySet["NbcRecord"]):
    """Which people: those whose turn it is."""

    def due(self, now: datetime) -> NbcQuerySet:
        """Waiting people whose time has come, in the order in which they go."""
        waiting = self.filter(status=NbcRecord.Status.PENDING, available_at__lte=now)
        return waiting.order_by(F("priority").desc(), "available_at", "id")

    def called(self, text: str) -> NbcQuerySet:
        """Those that a person means by it: an NBC id, a CURP or its beginning, a case, an rw_id."""
        nbc_id = text.removeprefix("IMSS_").rpartition("_")[0] if text[:5] == "IMSS_" else text
        meant = Q(nbc_id=nbc_id) | Q(curp__startswith=text.upper())
        with suppress(ValueError):
            meant |= Q(case_id=UUID(text))
        return self.filter(meant)


class NbcRecord(StatusModel):
    """`Nueva_Base_Central`: one person to look up."""

    class Status(models.TextChoices):
        PENDING = "pending", _("Waiting")
        P1 = "p1", _("Assigned")
        FOUND = "s", _("Found")
        SUBDELEGACION = "subdelegacion", _("Referred to the subdelegación")
        NOT_FOUND = "nf", _("Ended otherwise")
        AFTER_MIDNIGHT = "RETRY_AFTER_MIDNIGHT", _("Again after midnight")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    DONE = (Status.FOUND, Status.SUBDELEGACION, Status.NOT_FOUND)
    FINAL = (*DONE, Status.FAILED, Status.CANCELLED)
    CANCELLABLE = (Status.PENDING, Status.P1, Status.AFTER_MIDNIGHT)
    MOVES = {
        Status.PENDING: frozenset({Status.P1, Status.CANCELLED}),
        Status.P1: frozenset(
            {
                Status.PENDING,
                Status.FOUND,
                Status.SUBDELEGACION,
                Status.NOT_FOUND,
                Status.AFTER_MIDNIGHT,
                Status.FAILED,
                Status.CANCELLED,
            }
        ),
        Status.AFTER_MIDNIGHT: frozenset({Status.PENDING, Status.CANCELLED}),
        **dict.fromkeys(DONE, frozenset({Status.PENDING})),
        Status.FAILED: frozenset({Status.PENDING}),
        Status.CANCELLED: frozenset({Status.PENDING}),
    }
    TONES = {
        Status.PENDING: "wait",
        Status.P1: "busy",
        Status.FOUND: "ok",
        Status.SUBDELEGACION: "ok",
        Status.NOT_FOUND: "ok",
        Status.AFTER_MIDNIGHT: "wait",
        Status.FAILED: "bad",
        Status.CANCELLED: "off",
    }

    nbc_id = models.CharField(_("NBC id"), max_length=64, unique=True, default=new_object_id)
    curp = models.CharField("CURP", max_length=18, db_index=True)
    data = models.JSONField(
        _("record"),
        default=dict,
        blank=True,
        encoder=DjangoJSONEncoder,
        help_text=_("The whole document, handed to the task."),
    )
    status = models.CharField(
        _("status"), max_length=24, choices=Status.choices, default=Status.PENDING
    )
    priority = models.SmallIntegerField(_("priority"), default=0, help_text=_("Higher goes first."))
    available_at = models.DateTimeField(_("not before"), default=timezone.now)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    bad_requests = models.PositiveSmallIntegerField(_("refused as bad request"), default=0)
    rw_id = models.CharField(_("work record"), max_length=100, blank=True)
    wanted = models.CharField(
        _("generator wanted"),
        max_length=32,
        blank=True,
        help_text=_("Staff moved the person to it: it takes no other one. Empty: any of them."),
    )
    blocker = models.JSONField(
        _("waits for"), default=dict, blank=True, help_text=_("Why it was not assigned.")
    )
    result = models.JSONField(_("result"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    message = models.TextField(_("message"), blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = NbcQuerySet.as_manager()

    class Meta:
        db_table = "nueva_base_central"
        ordering = ["-id"]
        verbose_name = _("person to look up")
        verbose_name_plural = _("people to look up")
        permissions = [("operate_nbcrecord", "Can act on people to look up")]
        indexes = [
            models.Index(
                F("priority").desc(),
                "available_at",
                "id",
                condition=Q(status="pending"),
                name="nbc_next",
            ),
            models.Index(fields=["status", "-id"], name="nbc_status"),
            models.Index(fields=["created_at"], condition=Q(status="pending"), name="nbc_waiting"),
            models.Index(
                fields=["wanted"], condition=Q(status="pending") & ~Q(wanted=""), name="nbc_wanted"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        "pending",
                        "p1",
                        "s",
                        "subdelegacion",
                        "nf",
                        "RETRY_AFTER_MIDNIGHT",
                        "failed",
                        "cancelled",
                    ]
                ),
                name="nbc_status_known",
            ),
        ]

    def __str__(self) -> str:
        return self.nbc_id

    @property
    def tone(self) -> str:
        return self.TONES[self.Status(self.status)]

    # --- What a person does. Each is False where the record had moved on already. ----------------

    def cancel(self, reason: str) -> bool:
        """Look nobody up. A task under way ends by itself, and its result does not count."""
        return self.status in self.CANCELLABLE and self.move(self.Status.CANCELLED, reason)

    def retry(self, reason: str) -> bool:
        """Begin anew, with all attempts."""
        may = self.status in (self.Status.FAILED, self.Status.CANCELLED)
        return may and self.come_back(reason)

    def come_back(self, reason: str) -> bool:
        """The same for who was looked up already: there is news of them."""
        return self.status in self.FINAL and self.move(
            self.Status.PENDING,
            reason,
            attempts=0,
            bad_requests=0,
            blocker={},
            available_at=timezone.now(),
        )

    def hurry(self, reason: str) -> bool:
        """Do not wait for midnight."""
        return self.status == self.Status.AFTER_MIDNIGHT and self.move(
            self.Status.PENDING, reason, available_at=timezone.now()
        )


class RegistroWork(models.Model):
    """`Registro_works`: one attempt at a person, as the scrapers' reports know it."""

    rw_id = models.CharField(_("work record"), max_length=100, unique=True)
    nbc = models.ForeignKey(
        NbcRecord, models.CASCADE, related_name="works", verbose_name=_("person")
    )
    condition = models.PositiveSmallIntegerField(_("condition"), null=True)
    message = models.TextField(_("message"), blank=True)
    i_date = models.DateTimeField(_("began"), default=timezone.now)
    f_date = models.DateTimeField(_("ended"), null=True)

    class Meta:
        db_table = "registro_works"
        ordering = ["-id"]
        verbose_name = _("work record")
        verbose_name_plural = _("work records")
        indexes = [
            models.Index(fields=["-id"], condition=Q(f_date=None), name="work_open"),
            models.Index(
                fields=["condition", "-id"],
                condition=Q(condition__isnull=False),
                name="work_condition",
            ),
        ]
        permissions = [("report_registrowork", "Can report results of IMSS tasks (scrapers)")]

    def __str__(self) -> str:
        return self.rw_id

    @property
    def status(self) -> str:
        """`Status` of its document."""
        return "Complete" if self.f_date else "Assigned"


class QueueEntry(LeasedTask):
    """`imss_queue_*`: one person on one device, for one generator's worker."""

    class Status(models.TextChoices):
        ASSIGNED = "Assigned", _("Assigned")
        PROCESSING = "Processing", _("Being posted")
        ACCEPTED = "Accepted", _("With the scraper")
        COMPLETE = "Complete", _("Complete")

    LIVE = (Status.ASSIGNED, Status.PROCESSING, Status.ACCEPTED)
    WAITING = Status.ASSIGNED
    RUNNING = Status.PROCESSING
    # What was posted may have been heard: its result is waited for.
    ENDINGS = {
        Next.FAILED: Status.COMPLETE,
        Next.IN_DOUBT: Status.ACCEPTED,
        Next.SENT: Status.ACCEPTED,
    }
    MOVES = {
        # At once accepted: an old worker took it.
        Status.ASSIGNED: frozenset({Status.PROCESSING, Status.ACCEPTED, Status.COMPLETE}),
        Status.PROCESSING: frozenset({Status.ASSIGNED, Status.ACCEPTED, Status.COMPLETE}),
        Status.ACCEPTED: frozenset({Status.COMPLETE}),
    }

    class Condition(models.IntegerChoices):
        FOUND = 1, _("Found")
        REFER = 2, _("Refer to the subdelegación")
        OTHER = 3, _("Other, final")
        ERROR = 4, _("Error, again")

    SUCCESSFUL = (Condition.FOUND, Condition.REFER, Condition.OTHER)

    document_id = models.CharField(
        _("document"), max_length=24, unique=True, default=new_object_id, editable=False
    )
    generator = models.ForeignKey(
        Generator,
        models.PROTECT,
        to_field="name",
        db_column="generator",
        related_name="entries",
        verbose_name=_("generator"),
    )
    nbc = models.ForeignKey(
        NbcRecord, models.PROTECT, related_name="entries", verbose_name=_("person")
    )
    curp = models.CharField("CURP", max_length=18)
    task_data = models.JSONField(_("record"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    rw_id = models.CharField(_("work record"), max_length=100)
    device = models.CharField(_("device"), max_length=100)
    device_name = models.CharField(_("device's name"), max_length=200, blank=True)
    device_instance = models.CharField(_("device's instance"), max_length=64, blank=True)
    status = models.CharField(
        _("status"), max_length=12, choices=Status.choices, default=Status.ASSIGNED
    )
    success = models.BooleanField(_("success"), null=True)
    condition = models.PositiveSmallIntegerField(
        _("condition"), choices=Condition.choices, null=True
    )
    message = models.TextField(_("message"), blank=True)
    result = models.JSONField(_("result"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    called_at = models.DateTimeField(_("called"), null=True)
    answered_at = models.DateTimeField(_("call answered"), null=True)
    endpoint = models.CharField(_("endpoint"), max_length=500, blank=True)
    result_due_at = models.DateTimeField(_("result due"), null=True)

    class Meta:
        db_table = "imss_queue"
        ordering = ["-id"]
        verbose_name = _("IMSS task")
        verbose_name_plural = _("IMSS tasks")
        permissions = [("operate_queueentry", "Can act on IMSS tasks")]
        indexes = [
            models.Index(
                "generator",
                F("priority").desc(),
                "available_at",
                "id",
                condition=Q(status="Assigned"),
                name="imss_next",
            ),
            models.Index(fields=["result_due_at"], condition=Q(status="Accepted"), name="imss_due"),
            models.Index(
                fields=["generator", "processed_at"],
                condition=Q(status="Complete"),
                name="imss_finished",
            ),
            # What lists are filtered by. Of what has ended: no move before it writes to them.
            models.Index(
                fields=["processed_at"],
                condition=Q(processed_at__isnull=False),
                name="imss_processed",
            ),
            models.Index(
                fields=["condition", "-id"],
                condition=Q(condition__isnull=False),
                name="imss_condition",
            ),
            models.Index(fields=["-id"], condition=Q(success=False), name="imss_unsuccessful"),
            models.Index(
                fields=["error_class", "-id"], condition=~Q(error_class=""), name="imss_error"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["generator", "device"],
                condition=Q(status__in=["Assigned", "Processing", "Accepted"]),
                name="imss_one_live_task_a_device",
            ),
            models.UniqueConstraint(
                fields=["curp"],
                condition=Q(status__in=["Assigned", "Processing", "Accepted"]),
                name="imss_one_live_task_a_person",
            ),
            models.UniqueConstraint(fields=["rw_id"], name="imss_one_task_a_work"),
            models.CheckConstraint(
                condition=Q(status__in=["Assigned", "Processing", "Accepted", "Complete"]),
                name="imss_status_known",
            ),
            models.CheckConstraint(
                condition=~Q(status="Processing") | Q(lease_token__isnull=False),
                name="imss_processing_is_leased",
            ),
            models.CheckConstraint(
                condition=~Q(status="Accepted") | Q(result_due_at__isnull=False),
                name="imss_accepted_is_due",
            ),
            models.CheckConstraint(
                condition=~Q(status="Complete") | Q(success__isnull=False),
                name="imss_complete_says_how",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.generator_id} {self.pk}"

    @property
    def taskid(self) -> int:
        """The number that device, scraper and reports know the task by."""
        return int(self.pk)

    @property
    def tone(self) -> str:
        tones: dict[Any, str] = {
            self.Status.ASSIGNED: "wait",
            self.Status.PROCESSING: "busy",
            self.Status.ACCEPTED: "busy",
        }
        return tones.get(self.status, "ok" if self.success else "off")
