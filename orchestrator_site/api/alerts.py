"""Alerts and their rules in the API."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from rest_framework import serializers

from orchestrator_site.alerting import ALERT_VERBS
from orchestrator_site.api.views import ModelViewSet, ReadOnlyViewSet, with_verbs
from orchestrator_site.measures import MEASURES
from orchestrator_site.models import Alert, AlertRule, MaintenanceWindow


class AlertSerializer(serializers.ModelSerializer[Alert]):
    rule_name = serializers.CharField(source="rule.name", read_only=True)
    severity = serializers.CharField(source="rule.severity", read_only=True)

    class Meta:
        model = Alert
        fields = (
            "id",
            "case_id",
            "rule",
            "rule_name",
            "severity",
            "subject",
            "status",
            "value",
            "message",
            "first_seen_at",
            "last_seen_at",
            "raised_at",
            "resolved_at",
            "notified_at",
            "notify_error",
            "hooked_status",
            "hooked_at",
            "hook_error",
        )


class AlertRuleSerializer(serializers.ModelSerializer[AlertRule]):
    # As a choice it would be an empty list in the schema where no app has a measure.
    measure = serializers.CharField(max_length=64)
    limit = serializers.CharField(read_only=True)

    class Meta:
        model = AlertRule
        fields = (
            "id",
            "name",
            "measure",
            "threshold",
            "limit",
            "for_seconds",
            "cooldown_minutes",
            "severity",
            "enabled",
            "emails",
        )

    def validate_measure(self, name: str) -> str:
        if name not in MEASURES:
            known = ", ".join(sorted(MEASURES))
            raise serializers.ValidationError(_("No such measure. There are: %s.") % known)
        return name


class MaintenanceWindowSerializer(serializers.ModelSerializer[MaintenanceWindow]):
    is_open = serializers.SerializerMethodField()

    class Meta:
        model = MaintenanceWindow
        fields = ("id", "name", "starts_at", "ends_at", "rules", "reason", "is_open")
        extra_kwargs = {"rules": {"required": False, "allow_empty": True}}

    def get_is_open(self, row: MaintenanceWindow) -> bool:
        return row.is_open(timezone.now())

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """It ends after it begins, also where only one of both is given."""
        begin, end = (
            attrs.get(name, getattr(self.instance, name, None)) for name in ("starts_at", "ends_at")
        )
        if begin and end and end <= begin:
            raise serializers.ValidationError({"ends_at": _("It must end after it begins.")})
        return attrs


@with_verbs(*ALERT_VERBS)
class AlertViewSet(ReadOnlyViewSet):
    queryset = Alert.objects.select_related("rule")
    serializer_class = AlertSerializer
    filterset_fields = ("status", "rule", "rule__name", "rule__severity", "subject", "case_id")


class AlertRuleViewSet(ModelViewSet):
    queryset = AlertRule.objects.all()
    serializer_class = AlertRuleSerializer
    filterset_fields = ("name", "severity", "enabled")


class MaintenanceFilter(filters.FilterSet):
    rules = filters.ModelChoiceFilter(queryset=AlertRule.objects.all())
    open_at = filters.IsoDateTimeFilter(method="_open_at", help_text="Those that last then.")

    class Meta:
        model = MaintenanceWindow
        fields = ("name", "rules")

    def _open_at(self, rows: Any, _name: str, moment: Any) -> Any:
        return rows.open(moment)


class MaintenanceWindowViewSet(ModelViewSet):
    """While one is open nobody is told of its rules' alerts; without rules, of none at all."""

    queryset = MaintenanceWindow.objects.prefetch_related("rules")
    serializer_class = MaintenanceWindowSerializer
    filterset_class = MaintenanceFilter

    def perform_create(self, serializer: serializers.BaseSerializer[MaintenanceWindow]) -> None:
        with transaction.atomic():  # without its rules it would be for all of them
            serializer.save()
