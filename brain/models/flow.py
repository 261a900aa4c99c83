"""Flows: what a browser does on a site, as versioned data."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from brain import rules
from brain.models.provider import Provider
from brain.models.signing_key import SigningKey
from orchestrator_site.models import Event, Organisation
from orchestrator_site.sentences import told
from orchestrator_site.verbs import Refused
from queues.browser import scripts, signing

TRIES = 3  # of two people who add a version at the same moment


class ApprovalNeeded(Refused):
    """Its organisation wants a second person's approval before the version is activated."""


class Flow(models.Model):
    """One version of a flow: what a browser does on a site. Its steps never change: a change is a
    new version. One without an organisation is ours; an organismo names it."""

    organisation = models.ForeignKey(
        Organisation,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="flows",
        verbose_name=_("organisation"),
    )
    provider = models.ForeignKey(
        Provider,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="flows",
        verbose_name=_("provider"),
    )
    name = models.SlugField(_("name"), max_length=64)
    version = models.PositiveIntegerField(_("version"), editable=False)
    label = models.CharField(
        _("label"), max_length=32, blank=True, help_text=_("Its author's number, such as 1.0.0.")
    )
    title = models.CharField(_("title"), max_length=150, blank=True)
    description = models.TextField(_("description"), blank=True)
    inputs = models.JSONField(
        _("inputs"),
        default=dict,
        blank=True,
        help_text=_(
            'What a run is given, by name: {"invoice": {"type": "string", "required": true}}.'
        ),
    )
    hosts = models.JSONField(
        _("hosts"),
        default=list,
        blank=True,
        help_text=_("Where a run may go besides its provider's hosts: *.example.com too."),
    )
    steps = models.JSONField(_("steps"), default=list)
    script = models.TextField(_("script"), editable=False)
    script_hash = models.CharField(_("SHA-256"), max_length=64, editable=False)
    signature = models.CharField(_("signature"), max_length=64, blank=True, editable=False)
    key_id = models.CharField(_("signing key"), max_length=64, blank=True, editable=False)
    active = models.BooleanField(_("active"), default=False, editable=False)
    notes = models.TextField(_("notes"), blank=True)
    created_by = models.CharField(_("created by"), max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    activated_at = models.DateTimeField(_("activated"), null=True, editable=False)
    approved_by = models.CharField(_("approved by"), max_length=150, blank=True, editable=False)
    approved_at = models.DateTimeField(_("approved"), null=True, editable=False)

    class Meta:
        ordering = ["name", "-version"]
        verbose_name = _("flow")
        verbose_name_plural = _("flows")
        permissions = [("activate_flow", "Can activate flows")]
        constraints = [
            models.UniqueConstraint(
                fields=["name", "version"],
                condition=Q(organisation=None),
                name="flow_one_a_version",
            ),
            models.UniqueConstraint(
                fields=["name"],
                condition=Q(active=True, organisation=None),
                name="flow_one_active_version",
            ),
            models.UniqueConstraint(
                fields=["organisation", "name", "version"], name="flow_one_a_version_of_theirs"
            ),
            models.UniqueConstraint(
                fields=["organisation", "provider"],
                condition=Q(active=True) & ~Q(organisation=None),
                name="flow_one_active_a_provider",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    def clean(self) -> None:
        if found := problems(self.steps, self.organisation, self.provider, self.inputs, self.hosts):
            raise ValidationError(found)

    @classmethod
    def add_version(
        cls, name: str, steps: list[dict], by: str = "", notes: str = "", **about: Any
    ) -> Flow:
        """Store the steps, signed, as the flow's next version; `about`: organisation, provider,
        label, title, description, inputs, hosts. Raises InvalidSteps, with the place."""
        asked = [about.get(key) for key in ("organisation", "provider", "inputs", "hosts")]
        if found := problems(steps, *asked):
            raise scripts.InvalidSteps([text for texts in found.values() for text in texts])
        script = scripts.canonical(steps)
        key = SigningKey.current().key
        row = cls(
            name=name,
            steps=steps,
            script=script,
            script_hash=scripts.sha256(script),
            signature=signing.sign_script(script, key),
            key_id=key.id,
            created_by=by,
            notes=notes,
            **about,
        )
        for left in reversed(range(TRIES)):
            try:
                with transaction.atomic():
                    row._number()
                    row.save(force_insert=True)
                    Event.record([row], "", "made", data={"script_hash": row.script_hash})
                break
            except IntegrityError:
                if not left:
                    raise
        return row

    def _number(self) -> None:
        versions = Flow.objects.filter(name=self.name, organisation=self.organisation_id)
        self.version = (versions.aggregate(last=Max("version"))["last"] or 0) + 1

    @classmethod
    def active_version(cls, name: str) -> Flow | None:
        """Of our own flows; those of an organisation are found by their provider."""
        return cls.objects.filter(name=name, organisation=None, active=True).first()

    def verify(self) -> None:
        """Its hash, then its signature by a key in force. Raises EnvelopeRefused."""
        keys = SigningKey.keyring()
        signing.verify_script(self.script, self.script_hash, self.signature, self.key_id, keys)

    @property
    def needs_approval(self) -> bool:
        """Whether somebody else than its author must look at it first. What ran before may again:
        a way back must not wait for anybody."""
        asks = self.organisation is not None and self.organisation.needs_approval
        return asks and self.approved_at is None and self.activated_at is None

    def activate(self, reason: str = "") -> None:
        """Make this the version that new tasks carry; tasks already queued keep theirs. Raises
        ApprovalNeeded."""
        if self.needs_approval:
            raise ApprovalNeeded(
                _("Somebody else than %s must approve it first.") % self.created_by
            )
        with transaction.atomic():
            siblings = self.siblings().select_for_update()
            old = siblings.filter(active=True).first()
            siblings.filter(active=True).update(active=False)
            siblings.filter(pk=self.pk).update(active=True, activated_at=timezone.now())
            Event.record([self], f"v{old.version}" if old else "", f"v{self.version}", reason)
        self.active = True

    def siblings(self) -> models.QuerySet[Flow]:
        """The versions of which one is active: those of our flow's name, or of what an
        organisation does at a provider."""
        rows = Flow.objects.filter(organisation=self.organisation_id)
        if self.organisation_id is None:
            return rows.filter(name=self.name)
        return rows.filter(provider=self.provider_id)

    @property
    def all_hosts(self) -> list[str]:
        """Where its runs may go: its provider's hosts and its own."""
        known = self.provider.all_hosts if self.provider else []
        return list(dict.fromkeys([*known, *self.hosts]))


def problems(
    steps: Any,
    organisation: Organisation | None,
    provider: Provider | None,
    inputs: Any,
    hosts: Any,
) -> dict[str, list[str]]:
    """What is wrong with a version that is to be, by its fields, each with the place. Our own
    flows say nothing of inputs and hosts: their organismo does."""
    if organisation is None:
        return _step_problems(steps)
    inputs, hosts = {} if inputs is None else inputs, [] if hosts is None else hosts
    known = provider.all_hosts if provider else None
    networks = settings.EGRESS_ALLOWED_NETWORKS
    found = rules.version_problems(steps, inputs, hosts, known, networks)
    if provider is None:
        found["provider"] = [gettext("An organisation's flow is for a provider.")]
    return found


def _step_problems(steps: Any) -> dict[str, list[str]]:
    try:
        scripts.validate(steps)
    except scripts.InvalidSteps as error:
        return {"steps": [told(text) for text in error.messages]}
    return {}
