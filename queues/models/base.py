"""A leased task: what every kind of queue row has in common."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orchestrator_site.status import StatusModel
from queues.claims import LeasedTaskQuerySet
from queues.errors import ErrorClass
from queues.policy import Next


class LeasedTask(StatusModel):
    """A task that one worker at a time holds by a lease with a token.

    Subclasses declare `status`, `MOVES`, and which statuses mean waiting and running.
    The verbs are in `queues.claims`, written once for every kind.
    """

    WAITING: ClassVar[str]
    RUNNING: ClassVar[str]
    ENDINGS: ClassVar[Mapping[Next, str]]

    priority = models.SmallIntegerField(_("priority"), default=0, help_text=_("Higher goes first."))
    available_at = models.DateTimeField(_("available at"), default=timezone.now)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    max_attempts = models.PositiveSmallIntegerField(_("attempts at most"), default=3)
    lease_token = models.UUIDField(_("lease"), null=True, editable=False)
    lease_expires_at = models.DateTimeField(_("lease until"), null=True, editable=False)
    worker = models.CharField(_("worker"), max_length=150, blank=True)
    error_class = models.CharField(
        _("error class"), max_length=16, choices=ErrorClass.choices, blank=True
    )
    error_log = models.TextField(_("message"), blank=True)
    intent_at = models.DateTimeField(
        _("irrevocable step begun"),
        null=True,
        editable=False,
        help_text=_("From here on the work may have had its effect: it is never repeated blindly."),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, db_index=True)
    started_at = models.DateTimeField(_("started"), null=True)
    processed_at = models.DateTimeField(_("processed"), null=True)

    objects = LeasedTaskQuerySet.as_manager()

    class Meta:
        abstract = True

    @property
    def waits_for(self) -> timedelta:
        """How long since it entered the queue."""
        return timezone.now() - self.created_at
