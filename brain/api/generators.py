"""Generators and their endpoints over HTTP. Shares are set together, elsewhere."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from rest_framework import serializers, viewsets

from brain.api.serializers import CheckedSerializer
from brain.verbs import GENERATOR_VERBS
from orchestrator_site.api.views import ModelViewSet, ReadOnlyViewSet, with_verbs
from queues.api.fields import is_storable
from queues.api.recorded import Recorded
from queues.mirror import handover
from queues.models import Endpoint, Generator

REPORTED = (
    "status",
    "available_devices",
    "total_devices",
    "available_capacity",
    "current_active_tasks",
    "last_update",
    "last_failure_date",
    "last_failure",
)


class GeneratorSerializer(CheckedSerializer):
    shares = serializers.DictField(child=serializers.IntegerField(), read_only=True)

    class Meta:
        model = Generator
        fields = (
            "id",
            "name",
            "short_name",
            "handler",
            "instance",
            "fleet",
            "process",
            "queue_collection",
            "rotation_order",
            "array_position",
            "takes_remainder",
            "worked_by",
            "enabled",
            "shares",
            *REPORTED,
        )
        read_only_fields = ("enabled", *REPORTED)


class GeneratorField(serializers.SlugRelatedField):
    """By name; what no name can hold is not looked for."""

    def to_internal_value(self, data: Any) -> Generator:
        if not isinstance(data, str) or not is_storable(data):
            self.fail("invalid")
        return super().to_internal_value(data)


class EndpointSerializer(CheckedSerializer):
    generator = GeneratorField("name", queryset=Generator.objects.all())

    class Meta:
        model = Endpoint
        fields = (
            "id",
            "generator",
            "url",
            "instance",
            "enabled",
            "failures",
            "open_until",
            "last_error",
            "last_answer_at",
        )
        read_only_fields = ("failures", "open_until", "last_error", "last_answer_at")


@with_verbs(*GENERATOR_VERBS)
class GeneratorViewSet(Recorded, ReadOnlyViewSet):
    queryset = Generator.objects.prefetch_related("endpoints")
    serializer_class = GeneratorSerializer
    filterset_fields = ("name", "fleet", "process", "enabled", "status", "worked_by")

    def perform_update(self, serializer: Any) -> None:
        before = serializer.instance.worked_by
        with transaction.atomic():
            super().perform_update(serializer)
            if serializer.instance.worked_by != before:
                handover.changed(serializer.instance)


class EndpointViewSet(Recorded, ModelViewSet):
    queryset = Endpoint.objects.select_related("generator")
    serializer_class = EndpointSerializer
    filterset_fields = ("generator__name", "instance", "enabled")


GENERATOR_ROUTES: dict[str, type[viewsets.GenericViewSet[Any]]] = {
    "generators": GeneratorViewSet,
    "endpoints": EndpointViewSet,
}
