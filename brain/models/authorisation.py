"""Clients' authorisations to act for them."""

from __future__ import annotations

from datetime import date

from django.core.validators import FileExtensionValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from orchestrator_site.models.history import History


class AuthorisationQuerySet(models.QuerySet["ClientAuthorisation"]):
    def valid_for(self, numclient: int, on: date) -> ClientAuthorisation | None:
        """The client's authorisation that lasts longest, if any is valid on that day."""
        lasting = Q(valid_until=None) | Q(valid_until__gte=on)
        rows = self.filter(lasting, numclient=numclient, valid_from__lte=on)
        return rows.order_by(models.F("valid_until").desc(nulls_first=True)).first()


class ClientAuthorisation(models.Model):
    """A signed paper of one client."""

    numclient = models.BigIntegerField(_("client"), db_index=True)
    file = models.FileField(
        _("file"), upload_to="authorisations/", validators=[FileExtensionValidator(["pdf"])]
    )
    valid_from = models.DateField(_("valid from"), default=date.today)
    valid_until = models.DateField(_("valid until"), null=True, blank=True)
    notes = models.TextField(_("notes"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    history = History()
    objects = AuthorisationQuerySet.as_manager()

    class Meta:
        ordering = ["numclient", "-valid_from"]
        verbose_name = _("client authorisation")
        verbose_name_plural = _("client authorisations")
        constraints = [
            models.CheckConstraint(
                condition=Q(valid_until=None) | Q(valid_until__gte=models.F("valid_from")),
                name="authorisation_ends_after_it_begins",
            )
        ]

    def __str__(self) -> str:
        return f"{self.numclient} ({self.valid_from} - {self.valid_until or '...'})"
