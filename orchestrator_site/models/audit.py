"""What people did and changed, each entry sealed with the one before it."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils.translation import gettext_lazy as _

from orchestrator_site.actors import ActorKind


class AuditEntry(models.Model):
    """One action of a person's, or one change of configuration. Never changed nor deleted: the
    database refuses a change, and PostgreSQL a deletion.

    Written by the sealer alone (`orchestrator_site.auditing`), out of what happened: an event
    whose actor is a person, a version of a row that keeps its history, a line of the admin's log.
    `hash` is SHA-256 over the entry's fields and `previous`, the hash of the entry before.
    """

    number = models.PositiveBigIntegerField(_("number"), primary_key=True)
    at = models.DateTimeField(_("at"), db_index=True)
    case_id = models.UUIDField(_("case"), null=True, db_index=True)
    actor_kind = models.CharField(_("actor kind"), max_length=16, choices=ActorKind.choices)
    actor = models.CharField(_("actor"), max_length=150, blank=True, db_index=True)
    action = models.CharField(_("action"), max_length=64)
    object_type = models.CharField(_("object type"), max_length=64)
    object_id = models.CharField(_("object"), max_length=64)
    object_name = models.CharField(_("name"), max_length=200, blank=True, db_index=True)
    before = models.JSONField(_("before"), default=dict, encoder=DjangoJSONEncoder)
    after = models.JSONField(_("after"), default=dict, encoder=DjangoJSONEncoder)
    reason = models.TextField(_("reason"), blank=True)
    source = models.CharField(_("source"), max_length=80)  # event | history:app.model | log
    source_id = models.CharField(_("source's id"), max_length=64)
    previous = models.CharField(_("hash before"), max_length=64)
    hash = models.CharField(_("hash"), max_length=64)

    class Meta:
        ordering = ["-number"]
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit")
        indexes = [
            models.Index(fields=["object_id", "object_type"], name="audit_object"),
            # Of the list's filters, in the list's order.
            models.Index(fields=["object_type", "-number"], name="audit_type"),
            models.Index(fields=["action", "-number"], name="audit_action"),
            models.Index(fields=["actor_kind", "-number"], name="audit_actor_kind"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["source", "source_id"], name="audit_one_a_source")
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.actor} {self.action} {self.object_name or self.object_id}"
