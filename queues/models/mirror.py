"""What the mirror in Mongo still has to be told, what it could not take, and how it fares."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orchestrator_site.clock import db_now


class MirrorState(models.Model):
    """One row. While it is on, the database writes down each change of a mirrored row."""

    name = models.CharField(max_length=16, default="mirror", unique=True, editable=False)
    is_on = models.BooleanField(_("on"), default=False)
    published_at = models.DateTimeField(_("last published"), null=True)
    read_at = models.DateTimeField(_("last read"), null=True)
    error = models.TextField(_("error"), blank=True)
    error_at = models.DateTimeField(_("error since"), null=True)

    class Meta:
        db_table = "mirror_state"
        verbose_name = _("mirror")
        verbose_name_plural = _("mirror")

    def __str__(self) -> str:
        return self.name

    @classmethod
    def current(cls) -> MirrorState:
        row, _created = cls.objects.get_or_create(name="mirror")
        return row

    @classmethod
    def switch(cls, on: bool) -> bool:
        """Begin or stop to write changes down; False where it was so already."""
        cls.current()
        return bool(cls.objects.filter(is_on=not on).update(is_on=on))

    @classmethod
    def went_well(cls, **moments: datetime) -> None:
        """Something was published or read: what failed before is over."""
        cls.objects.update(**moments, error="", error_at=None)

    @classmethod
    def failed(cls, error: str) -> None:
        now = db_now()
        cls.objects.filter(error_at=None).update(error_at=now)
        cls.objects.update(error=error)


class MirrorChange(models.Model):
    """A mirrored row that changed: written by the database in the transaction that changed it.

    Which row, not what: the publisher sends each row as it stands when it looks.
    """

    kind = models.CharField(_("kind"), max_length=16)
    key = models.CharField(_("document"), max_length=128)
    at = models.DateTimeField(_("changed"), default=timezone.now)
    error = models.TextField(_("error"), blank=True)
    set_aside_at = models.DateTimeField(_("set aside"), null=True)

    class Meta:
        db_table = "mirror_outbox"
        ordering = ["id"]
        verbose_name = _("change for Mongo")
        verbose_name_plural = _("changes for Mongo")
        permissions = [("operate_mirrorchange", "Can act on changes for Mongo")]
        indexes = [
            models.Index(
                fields=["-set_aside_at"],
                condition=Q(set_aside_at__isnull=False),
                name="mirror_change_set_aside",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    def retry(self, reason: str) -> bool:
        """Publish it once more."""
        aside = type(self).objects.filter(pk=self.pk, set_aside_at__isnull=False)
        return bool(aside.update(set_aside_at=None, error=""))


class SetAside(models.Model):
    """A document of Mongo that could not be taken in, and why. It delays nothing else."""

    collection = models.CharField(_("collection"), max_length=64)
    document = models.CharField(
        _("document"), max_length=200, help_text=_("Its `_id`, as extended JSON.")
    )
    reason = models.TextField(_("reason"))
    excerpt = models.TextField(_("excerpt"), blank=True)
    is_marked = models.BooleanField(
        _("marked in Mongo"), default=True, help_text=_("Else it is left out by its `_id`.")
    )
    first_seen_at = models.DateTimeField(_("first seen"), default=timezone.now)
    last_seen_at = models.DateTimeField(_("last seen"), default=timezone.now)

    class Meta:
        db_table = "mirror_set_aside"
        ordering = ["-last_seen_at", "-id"]
        verbose_name = _("document set aside")
        verbose_name_plural = _("documents set aside")
        permissions = [("operate_setaside", "Can act on documents set aside")]
        constraints = [
            models.UniqueConstraint(
                fields=["collection", "document"], name="set_aside_once_a_document"
            )
        ]

    def __str__(self) -> str:
        return f"{self.collection} {self.document}"

    @classmethod
    def note(cls, collection: str, document: str, reason: str, **more: Any) -> None:
        """Again for the same document: the newer reason counts."""
        now = db_now()
        cls.objects.update_or_create(
            collection=collection,
            document=document[:200],
            defaults={"reason": reason, "last_seen_at": now, **more},
            create_defaults={"reason": reason, "first_seen_at": now, "last_seen_at": now, **more},
        )
