"""Complaints (PQR), a table a company: `data_general.ov_{company}` on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Left
from django.db.models.lookups import In, IStartsWith
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from postprocessing.companies import Company
from postprocessing.fields import RADICADO_LENGTH

INDEXED = 100  # letters of a text: it may be longer than what an index takes


class Complaint(models.Model):
    """One complaint. Its dates are in UTC; in the files they are its company's. Its fields are
    called as on the companies' pages, in any language."""

    company: ClassVar[Company]

    case_id = models.UUIDField(_("case"), default=uuid7, db_index=True, editable=False)
    # Null: none. Any number of complaints may have none, and no two the same.
    numero_radicado = models.CharField(  # noqa: DJ001
        "número de radicado", max_length=RADICADO_LENGTH, null=True
    )
    fecha = models.DateTimeField("fecha", null=True, db_index=True)
    extraction_timestamp = models.DateTimeField("fecha de extracción", null=True)
    record_number = models.TextField("número de registro", default="", blank=True)
    sgc_number = models.TextField("número SGC", default="", blank=True)
    page_url = models.TextField("dirección de la página", default="", blank=True)
    page_title = models.TextField("título de la página", default="", blank=True)
    nic = models.TextField("NIC", default="", blank=True)
    documento_identidad = models.TextField("documento de identidad", default="", blank=True)
    nombres_apellidos = models.TextField("nombres y apellidos", default="", blank=True)
    lectura = models.TextField("lectura", default="", blank=True)
    correo_electronico = models.TextField("correo electrónico", default="", blank=True)
    telefono = models.TextField("teléfono", default="", blank=True)
    celular = models.TextField("celular", default="", blank=True)
    tipo_pqr = models.TextField("tipo de PQR", default="", blank=True)
    canal_respuesta = models.TextField("canal de respuesta", default="", blank=True)
    documento_prueba = models.TextField("documento de prueba", default="", blank=True)
    cuerpo_reclamacion = models.TextField("cuerpo de la reclamación", default="", blank=True)
    estado_solicitud = models.TextField("estado de la solicitud", default="", blank=True)
    finalizar = models.TextField("finalizar", default="", blank=True)
    adjuntar_archivo = models.TextField("archivos adjuntos", default="", blank=True)
    numero_reclamo_sgc = models.TextField("número de reclamo SGC", default="", blank=True)
    comentarios = models.TextField("comentarios", default="", blank=True)
    extra = models.JSONField(
        _("other keys"), default=dict, blank=True, help_text=_("What else stood in the file.")
    )
    hash_registro = models.CharField("hash_registro", max_length=64)
    content_hash = models.CharField(
        _("hash of the content"),
        max_length=64,
        help_text=_("Over all that the company says; not over how it was extracted."),
    )
    file_name = models.CharField(_("file"), max_length=255)  # that it was last loaded from
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now)

    class Meta:
        abstract = True
        ordering = ["-id"]
        # Not on the fields: those would get a second index each, for LIKE.
        indexes = [
            models.Index(fields=["numero_reclamo_sgc"], name="%(class)s_sgc"),
            models.Index(Left("nic", INDEXED), name="%(class)s_nic"),
            models.Index(Left("documento_identidad", INDEXED), name="%(class)s_documento"),
            models.Index(Left("estado_solicitud", INDEXED), name="%(class)s_estado"),
            models.Index(Left("tipo_pqr", INDEXED), name="%(class)s_tipo"),
            # On PostgreSQL there is one for how names begin as well: see migration 0005.
        ]
        constraints = [
            models.UniqueConstraint(fields=["numero_radicado"], name="%(class)s_radicado_once"),
            models.UniqueConstraint(fields=["hash_registro"], name="%(class)s_hash_once"),
        ]

    def __str__(self) -> str:
        return self.numero_radicado or self.hash_registro[:12]


class OvAfinia(Complaint):
    company = Company("afinia", "Afinia")

    class Meta(Complaint.Meta):
        db_table = "ov_afinia"
        verbose_name = _("Afinia complaint")
        verbose_name_plural = _("Afinia complaints")


class OvAire(Complaint):
    company = Company("aire", "Air-e")

    class Meta(Complaint.Meta):
        db_table = "ov_aire"
        verbose_name = _("Air-e complaint")
        verbose_name_plural = _("Air-e complaints")


class UnknownCompany(Exception):
    """There is no company of that name; the message says which there are."""


def models_of_all() -> list[type[Complaint]]:
    return list(Complaint.__subclasses__())


def companies() -> list[Company]:
    return [model.company for model in models_of_all()]


def company_called(name: str) -> Company:
    """Raises UnknownCompany."""
    for company in companies():
        if company.name == name:
            return company
    text = _("There is no company “%(name)s”. There are: %(names)s.")
    names = ", ".join(one.name for one in companies())
    raise UnknownCompany(text % {"name": name, "names": names})


def model_of(company: Company) -> Any:
    return next(model for model in models_of_all() if model.company == company)


def is_one_of(field: str, texts: Collection[str]) -> Q:
    """A text of a complaint is one of these. By its index, which holds how texts begin."""
    begins: Any = In(Left(field, INDEXED), sorted({one[:INDEXED] for one in texts}))
    return Q(begins, **{f"{field}__in": sorted(texts)})


def begins_with(field: str, text: str) -> Q:
    """In capitals or small letters. By its index; of a longer text the first letters count."""
    begins: Any = IStartsWith(Left(field, INDEXED), text[:INDEXED])
    return Q(begins)
