"""Signing keys: which signs, which still verify, which are revoked. Never a secret."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError
from unfold.decorators import display

from brain import signing
from brain.models import Flow, SigningKey
from orchestrator_site.admin import ReadOnlyAdmin, VerbAdmin, badge, moment
from queues.admin.lists import happened

Status = SigningKey.Status


@admin.register(SigningKey)
class SigningKeyAdmin(VerbAdmin, ReadOnlyAdmin):
    verbs = signing.KEY_VERBS
    made_by = _("The next key is made on the page of the one that signs.")
    list_display = ("known_as", "state", "made", "signs_since", "verifies_until", "revoked")
    list_filter = ("status",)
    search_fields = ("key_id",)
    readonly_fields = ("state", "flows", "jobs", "ignorant", "events")
    fieldsets = (
        (None, {"fields": ("state", "key_id")}),
        (_("Who relies on it"), {"fields": ("flows", "jobs", "ignorant")}),
        (_("Life"), {"fields": ("created_at", "activated_at", "expires_at", "revoked_at")}),
        (_("What happened"), {"fields": ("events",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("secret")

    @display(description=_("key"), ordering="key_id")
    def known_as(self, row: SigningKey) -> SafeString:
        return format_html("<code>{}</code>", row.key_id)

    @display(description=_("status"), ordering="status")
    def state(self, row: SigningKey) -> SafeString:
        return badge(row.status, row.get_status_display(), row.TONES[Status(row.status)])

    @display(description=_("created"), ordering="created_at")
    def made(self, row: SigningKey) -> SafeString:
        return moment(row.created_at)

    @display(description=_("signs since"), ordering="activated_at")
    def signs_since(self, row: SigningKey) -> SafeString:
        return moment(row.activated_at)

    @display(description=_("verifies until"), ordering="expires_at")
    def verifies_until(self, row: SigningKey) -> SafeString:
        return moment(row.expires_at)

    @display(description=_("revoked"), ordering="revoked_at")
    def revoked(self, row: SigningKey) -> SafeString:
        return moment(row.revoked_at)

    @display(description=_("flows that it signed"))
    def flows(self, row: SigningKey) -> SafeString:
        url = reverse("admin:brain_flow_changelist")
        count = Flow.objects.filter(key_id=row.key_id).count()
        return format_html('<a href="{}?key_id={}">{}</a>', url, row.key_id, count)

    @display(description=_("jobs that wait with it"))
    def jobs(self, row: SigningKey) -> int:
        return signing.signed_jobs(row)

    @display(description=_("workers that do not know it"))
    def ignorant(self, row: SigningKey) -> Any:
        try:
            return ", ".join(signing.ignorant_workers(row)) or "-"
        except RedisError:
            return _("Redis does not say which workers are alive.")

    @display(description=_("events"))
    def events(self, row: SigningKey) -> SafeString:
        return happened(row)
