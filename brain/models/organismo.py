"""`organismo_config`: which cases of the origin are ours to take, and how."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from brain import rules
from brain.validators import ParsedBy, validate_time_zone
from orchestrator_site.models.history import History


class OrganismoQuerySet(models.QuerySet["Organismo"]):
    def in_force(self) -> OrganismoQuerySet:
        """Active rows that the environment lets run, in the order that the brain visits them."""
        rows = self.filter(active=True, paused=False)
        if settings.BRAIN_ENABLED_SITES:
            rows = rows.filter(site_id__in=settings.BRAIN_ENABLED_SITES)
        return rows.order_by("-priority", "site_id")


class Organismo(models.Model):
    """One organism's site: the filters on the origin, the claim, the link, the flow."""

    class ClaimMethod(models.TextChoices):
        SQL = "sql", _("SQL: a guarded UPDATE")
        PORTAL = "portal", _("Portal: the intranet over HTTP")
        BROWSER = "browser", _("Browser: the intranet by clicking")

    class Repair(models.TextChoices):
        OFF = "off", _("Off: list as discarded")
        USE = "use", _("Use the repaired number, leave the origin alone")
        WRITE = "write", _("Use it, and correct it in the origin")

    site_id = models.CharField(
        _("site"),
        max_length=64,
        unique=True,
        validators=[RegexValidator(r"^[a-z0-9_]+$", _("Lower-case letters, digits, _ only."))],
    )
    query_organisme = models.CharField(
        _("organism matches"),
        max_length=200,
        validators=[ParsedBy("split_patterns")],
        help_text=_("LIKE patterns, all must match: %GESTION% %MADRID% is two."),
    )
    filtro_texp = models.CharField(
        _("TExp in"), max_length=50, default="2,3", validators=[ParsedBy("parse_texp")]
    )
    regex_expediente = models.CharField(
        _("case number's format"),
        max_length=200,
        validators=[ParsedBy("compile_regex")],
        help_text=_("A regular expression (RE2)."),
    )
    url_template = models.TextField(  # noqa: DJ001  the documents' null: no direct link
        _("link template"),
        blank=True,
        null=True,
        validators=[ParsedBy("check_template")],
        help_text=_("May use {expediente}, {idRecurso}, {token}. Empty: no direct link."),
    )
    bot_username = models.CharField(_("our name in the origin"), max_length=100, blank=True)
    active = models.BooleanField(_("active"), default=False)
    paused = models.BooleanField(_("paused"), default=False, editable=False)
    last_sync_at = models.DateTimeField(_("last sync"), null=True, editable=False)
    last_error = models.TextField(_("last error"), blank=True, editable=False)
    login_url = models.TextField(_("login URL"), blank=True, validators=[ParsedBy("check_url")])
    recursos_url = models.TextField(_("cases' URL"), blank=True, validators=[ParsedBy("check_url")])
    claim_method = models.CharField(
        _("claim method"), max_length=8, choices=ClaimMethod.choices, default=ClaimMethod.SQL
    )
    claimed_when = models.CharField(
        _("claimed when"),
        max_length=50,
        default="TExp=1",
        validators=[ParsedBy("parse_claimed_when")],
        help_text=_("What the origin shows, besides our name: TExp=1, Estado=1 or both."),
    )
    repair = models.CharField(
        _("repair of case numbers"), max_length=8, choices=Repair.choices, default=Repair.OFF
    )
    priority = models.SmallIntegerField(_("priority"), default=0)
    target_queue_depth = models.PositiveIntegerField(_("target queue depth"), default=100)
    claims_per_cycle = models.PositiveIntegerField(_("claims per cycle"), default=50)
    flow_name = models.CharField(
        _("flow"), max_length=64, blank=True, help_text=_("What the worker runs on the site.")
    )
    claim_flow = models.CharField(
        _("claim flow"), max_length=64, blank=True, help_text=_("For the browser method.")
    )
    login_flow = models.CharField(
        _("login flow"), max_length=64, blank=True, help_text=_("For the browser method.")
    )
    demands_authorisation = models.BooleanField(
        _("demands the client's authorisation"), default=False
    )
    attachments = models.JSONField(
        _("attachments"),
        default=list,
        blank=True,
        validators=[ParsedBy("parse_attachments")],
        help_text=_(
            "For each: name, source (intranet, authorisation, folder) and path, such as "
            '{"name": "recurso.pdf", "source": "intranet", '
            '"path": "/servicio/recursos/{idRecurso}/pdf"}.'
        ),
    )
    time_zone = models.CharField(
        _("time zone"), max_length=50, default="Europe/Madrid", validators=[validate_time_zone]
    )
    notes = models.TextField(_("notes"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = OrganismoQuerySet.as_manager()
    history = History(excluded_fields=["last_sync_at", "last_error", "updated_at"])

    class Meta:
        db_table = "organismo_config"
        ordering = ["-priority", "site_id"]
        verbose_name = _("organismo")
        verbose_name_plural = _("organismos")
        permissions = [("operate_organismo", "Can pause, resume and run organismos")]

    def __str__(self) -> str:
        return self.site_id

    def clean(self) -> None:
        """A claimed case must not look free: the guard would take it from whoever has it."""
        try:
            rule, texp = self.claimed_rule, self.texp_values
        except ValueError:
            return  # the fields' own validators tell
        if not rule.get("Estado") and rule.get("TExp") in texp:
            text = _("TExp in must not hold the value that “claimed when” sets.")
            raise ValidationError({"filtro_texp": text})

    @property
    def patterns(self) -> list[str]:
        return rules.split_patterns(self.query_organisme)

    @property
    def texp_values(self) -> list[int]:
        return rules.parse_texp(self.filtro_texp)

    @property
    def claimed_rule(self) -> dict[str, int]:
        return rules.parse_claimed_when(self.claimed_when)

    @property
    def configured_account(self) -> str:
        """Our name where no session shows one."""
        return self.bot_username or settings.BOT_USERNAME
