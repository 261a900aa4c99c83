"""Alerts and their rules in the API."""

from __future__ import annotations

from django.utils.translation import gettext as _
from rest_framework import serializers

from orchestrator_site.alerting import ALERT_VERBS
from orchestrator_site.api.views import ModelViewSet, ReadOnlyViewSet, with_verbs
from orchestrator_site.measures import MEASURES
from orchestrator_site.models import Alert, AlertRule


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


@with_verbs(*ALERT_VERBS)
class AlertViewSet(ReadOnlyViewSet):
    queryset = Alert.objects.select_related("rule")
    serializer_class = AlertSerializer
    filterset_fields = ("status", "rule", "rule__name", "rule__severity", "subject", "case_id")


class AlertRuleViewSet(ModelViewSet):
    queryset = AlertRule.objects.all()
    serializer_class = AlertRuleSerializer
    filterset_fields = ("name", "severity", "enabled")
