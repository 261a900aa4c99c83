"""`jobs`: runs of organisations' flows, asked for over the API."""

from __future__ import annotations

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from orchestrator_site.models import Organisation
from queues.models.base import LeasedTask
from queues.policy import Next


class Job(LeasedTask):
    """One run of a flow. It carries the signed script and all that its worker needs but the
    session. Outside it is known by its case id, which is the envelope's jobId.

    With Redis a queued job is given to the transport (`published_at`, the attempt counted, the
    lease token made), and is running once a worker says so. Without, the cluster takes it.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")
        HELD = "held", _("Waits for its session")
        RUNNING = "running", _("Running")
        IN_DOUBT = "in_doubt", _("In doubt")
        DONE = "done", _("Done")
        ERROR = "error", _("Error")
        CANCELLED = "cancelled", _("Cancelled")

    LIVE = (Status.QUEUED, Status.HELD, Status.RUNNING)
    FINAL = (Status.DONE, Status.ERROR, Status.CANCELLED)
    WAITING = Status.QUEUED
    RUNNING = Status.RUNNING
    ENDINGS = {
        Next.FAILED: Status.ERROR,
        Next.IN_DOUBT: Status.IN_DOUBT,
        Next.SENT: Status.DONE,
    }
    MOVES = {
        # At once at its end: the worker's word that it began was lost, or it never could begin.
        Status.QUEUED: frozenset(
            {
                Status.RUNNING,
                Status.HELD,
                Status.DONE,
                Status.ERROR,
                Status.IN_DOUBT,
                Status.CANCELLED,
            }
        ),
        Status.HELD: frozenset({Status.QUEUED, Status.ERROR, Status.CANCELLED}),
        Status.RUNNING: frozenset(
            {
                Status.QUEUED,
                Status.HELD,
                Status.IN_DOUBT,
                Status.DONE,
                Status.ERROR,
                Status.CANCELLED,
            }
        ),
        # A person decides.
        Status.IN_DOUBT: frozenset({Status.QUEUED, Status.DONE, Status.ERROR}),
        # A person asks for it once more.
        Status.ERROR: frozenset({Status.QUEUED}),
    }
    TONES = {
        Status.QUEUED: "wait",
        Status.HELD: "warn",
        Status.RUNNING: "busy",
        Status.IN_DOUBT: "bad",
        Status.DONE: "ok",
        Status.ERROR: "bad",
        Status.CANCELLED: "off",
    }

    organisation = models.ForeignKey(
        Organisation, models.PROTECT, related_name="jobs", verbose_name=_("organisation")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="jobs",
        verbose_name=_("user"),
        help_text=_("Whose session it runs with."),
    )
    provider_id = models.CharField(_("provider's id"), max_length=64)
    provider_name = models.CharField(_("provider"), max_length=64)
    flow_id = models.CharField(_("flow's id"), max_length=64)
    flow_name = models.CharField(_("flow"), max_length=64)
    flow_version = models.CharField(_("flow version"), max_length=32)
    script = models.TextField(_("script"))
    script_hash = models.CharField(_("script's SHA-256"), max_length=64)
    signature = models.CharField(_("script's signature"), max_length=64)
    key_id = models.CharField(_("signing key"), max_length=64)
    hosts = models.JSONField(_("hosts"), default=list)
    needs_session = models.BooleanField(_("needs a session"), default=True)
    inputs = models.JSONField(_("inputs"), default=dict, encoder=DjangoJSONEncoder)
    metadata = models.JSONField(_("metadata"), default=dict, encoder=DjangoJSONEncoder)
    idempotency_key = models.CharField(
        _("idempotency key"), max_length=200, blank=True, editable=False
    )
    deadline_at = models.DateTimeField(_("deadline"), null=True)
    published_at = models.DateTimeField(_("given to the transport"), null=True, editable=False)
    cancel_asked_at = models.DateTimeField(_("cancel asked"), null=True, editable=False)
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.QUEUED
    )
    result = models.JSONField(_("result"), default=dict, blank=True, encoder=DjangoJSONEncoder)

    class Meta:
        db_table = "jobs"
        ordering = ["-id"]
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        permissions = [("operate_job", "Can act on jobs")]
        indexes = [
            models.Index(
                "organisation",
                F("priority").desc(),
                "available_at",
                "id",
                condition=Q(status="queued"),
                name="job_next",
            ),
            models.Index(fields=["organisation", "-id"], name="job_of_organisation"),
            models.Index(fields=["provider_name", "-id"], name="job_of_provider"),
            models.Index(fields=["flow_name", "-id"], name="job_of_flow"),
            models.Index(fields=["worker", "-id"], condition=~Q(worker=""), name="job_of_worker"),
            # What lists are filtered by, where it is rare.
            models.Index(
                fields=["status", "-id"],
                condition=Q(status__in=["held", "in_doubt", "error", "cancelled"]),
                name="job_not_done",
            ),
            models.Index(
                fields=["error_class", "-id"], condition=~Q(error_class=""), name="job_error"
            ),
            models.Index(fields=["published_at"], condition=Q(status="queued"), name="job_given"),
            models.Index(fields=["created_at"], condition=Q(status="queued"), name="job_waiting"),
            models.Index(
                fields=["processed_at"],
                condition=Q(processed_at__isnull=False),
                name="job_processed",
            ),
            models.Index(
                fields=["lease_expires_at"], condition=Q(status="running"), name="job_run"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["case_id"], name="job_one_a_case"),
            models.UniqueConstraint(
                fields=["organisation", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="job_once_a_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider_name} {self.case_id}"

    @property
    def tone(self) -> str:
        return self.TONES[self.Status(self.status)]

    @property
    def folder(self) -> str:
        """Where the objects of this attempt are: the documented place, and for repeated ones a
        folder in it."""
        place = f"results/{self.organisation_id}/{self.user_id}/{self.case_id}"
        return place if self.attempts <= 1 else f"{place}/attempt-{self.attempts}"


class OrganisationTurn(models.Model):
    """When an organisation's job was last taken by the cluster: who waited longest is next."""

    organisation = models.OneToOneField(Organisation, models.CASCADE, primary_key=True)
    taken_at = models.DateTimeField(_("taken"), db_index=True)

    class Meta:
        verbose_name = _("organisation's turn")
        verbose_name_plural = _("organisations' turns")

    def __str__(self) -> str:
        return str(self.organisation_id)
