"""The texts of an appeal, by phase of the procedure."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from brain import rules
from orchestrator_site.models.history import History


class Motivo(models.Model):
    """What an appeal in one phase says. May use {expediente} and {sujeto_recurso}."""

    organismo = models.ForeignKey(
        "brain.Organismo",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="motivos",
        verbose_name=_("organismo"),
        help_text=_("Empty: for all that have no text of their own for the phase."),
    )
    key = models.CharField(
        _("phase contains"),
        max_length=100,
        help_text=_("Compared without accents and in lower case."),
    )
    position = models.PositiveSmallIntegerField(
        _("order"), default=0, help_text=_("The first that fits is taken.")
    )
    asunto = models.TextField(_("asunto"))
    expone = models.TextField(_("expone"))
    solicita = models.TextField(_("solicita"))

    history = History()

    class Meta:
        ordering = ["position", "id"]
        verbose_name = _("motivo")
        verbose_name_plural = _("motivos")
        constraints = [
            models.UniqueConstraint(fields=["organismo", "key"], name="motivo_one_a_phase"),
            models.UniqueConstraint(
                fields=["key"], condition=Q(organismo=None), name="motivo_one_default_a_phase"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.organismo or '*'}: {self.key}"

    @property
    def template(self) -> rules.MotivoText:
        return rules.MotivoText(self.key, self.asunto, self.expone, self.solicita)
