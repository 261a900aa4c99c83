"""Flows: for our staff by their names, for members of organisations as the control plane's guide
has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import django_filters
from django.conf import settings
from django.shortcuts import get_object_or_404
from django.utils.text import slugify
from django.utils.translation import gettext as _
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from brain import rules
from brain.api.control import called
from brain.api.serializers import FlowSerializer
from brain.models import Flow, Provider
from brain.rules.differences import flow_differences
from brain.verbs import FLOW_VERBS
from orchestrator_site import tenancy
from orchestrator_site.api.views import (
    OptionalReasonSerializer,
    ReadOnlyViewSet,
    Tenanted,
    with_verbs,
)
from queues.api.fields import ObjectField, is_storable
from queues.browser import scripts

LONGEST = 256 * 1024  # letters of a script
NAME = 64
SHOWN = 64  # letters of a name that is not known


class OrganisationFlowSerializer(serializers.ModelSerializer[Flow]):
    """A version: `version` is its author's number, `number` ours."""

    flowId = serializers.CharField(source="pk")
    orgId = serializers.UUIDField(source="organisation_id")
    providerId = serializers.CharField(source="provider_id")
    version = serializers.CharField(source="label")
    number = serializers.IntegerField(source="version")
    name = serializers.CharField(source="title")
    steps = serializers.JSONField()
    inputs = serializers.DictField()
    hosts = serializers.ListField(child=serializers.CharField())
    scriptHash = serializers.CharField(source="script_hash")
    keyId = serializers.CharField(source="key_id")
    needsApproval = serializers.BooleanField(source="needs_approval")
    createdBy = serializers.CharField(source="created_by")
    createdAt = serializers.DateTimeField(source="created_at")
    approvedBy = serializers.CharField(source="approved_by")
    approvedAt = serializers.DateTimeField(source="approved_at", allow_null=True)
    activatedAt = serializers.DateTimeField(source="activated_at", allow_null=True)

    class Meta:
        model = Flow
        fields = (
            "id",
            "flowId",
            "orgId",
            "providerId",
            "version",
            "number",
            "name",
            "description",
            "steps",
            "inputs",
            "hosts",
            "scriptHash",
            "signature",
            "keyId",
            "active",
            "needsApproval",
            "createdBy",
            "createdAt",
            "approvedBy",
            "approvedAt",
            "activatedAt",
        )
        read_only_fields = fields


class NewFlowSerializer(serializers.Serializer[Flow]):
    """What a member gives. A step says what it does by `do` or `type`; a picture needs no name."""

    providerId = serializers.CharField(max_length=64)
    version = serializers.CharField(max_length=32, default="")
    name = serializers.CharField(max_length=150)
    description = serializers.CharField(max_length=10_000, default="", allow_blank=True)
    steps = serializers.JSONField()
    inputs = ObjectField(default=dict)
    hosts = serializers.ListField(child=serializers.CharField(max_length=253), default=list)

    def validate_providerId(self, known_as: str) -> Provider:
        provider = _provider(known_as)
        if provider is None:
            raise serializers.ValidationError(_("There is no such provider."))
        return provider

    def validate_steps(self, steps: Any) -> Any:
        steps = normalised(steps)
        if _is_kept(steps):
            return steps
        told = _("The steps must be text that can be stored, of at most %(most)d letters.")
        raise serializers.ValidationError(told % {"most": LONGEST})

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """All that is wrong at once: with the fields by themselves, and with each other."""
        values: dict[str, Any] = {}
        wrong: dict[str, Any] = {}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not isinstance(data, Mapping):
                raise
            wrong |= dict(error.detail)  # type: ignore[arg-type]
        for name in data:
            if name not in self.fields:
                wrong[str(name)[:SHOWN]] = [_("This field is not known here.")]
        for name, texts in self._problems(data).items():
            wrong.setdefault(name, texts)
        if wrong:
            raise serializers.ValidationError(wrong)
        return values

    def _problems(self, data: Mapping[str, Any]) -> dict[str, list[str]]:
        provider = _provider(data.get("providerId"))
        steps = normalised(data.get("steps"))
        if not _is_kept(steps):  # which is all that is said of them
            steps = []
        known = provider.all_hosts if provider else None
        inputs, hosts = data.get("inputs", {}), data.get("hosts", [])
        networks = settings.EGRESS_ALLOWED_NETWORKS
        found = rules.version_problems(steps, inputs, hosts, known, networks)
        if provider and self._is_taken(provider, data.get("version")):
            told = _("There is such a version already, and versions never change: count up.")
            found["version"] = [told]
        return found

    def _is_taken(self, provider: Provider, label: Any) -> bool:
        if not isinstance(label, str) or not label.strip() or not is_storable(label):
            return False
        versions = Flow.objects.filter(organisation=self._organisation, provider=provider)
        return versions.filter(label=label.strip()).exists()

    def create(self, validated_data: dict[str, Any]) -> Flow:
        provider, title = validated_data["providerId"], validated_data["name"]
        return Flow.add_version(
            slugify(title)[:NAME].strip("-") or provider.name,
            validated_data["steps"],
            self.context["request"].user.get_username(),
            organisation=self._organisation,
            provider=provider,
            label=validated_data["version"],
            title=title,
            description=validated_data["description"],
            inputs=validated_data["inputs"],
            hosts=validated_data["hosts"],
        )

    def to_representation(self, instance: Flow) -> dict[str, Any]:
        return OrganisationFlowSerializer(instance, context=self.context).data

    @property
    def _organisation(self) -> Any:
        return self.context["request"].user.membership.organisation


def _provider(known_as: Any) -> Provider | None:
    """One that is active, by its id or name."""
    if not isinstance(known_as, str | int) or not is_storable(known_as):
        return None
    return called(Provider.objects.filter(active=True), str(known_as)[:NAME]).first()


def _is_kept(steps: Any) -> bool:
    """Whether they can be stored, and are not too long."""
    return is_storable(steps) and len(scripts.canonical(steps)) <= LONGEST


def normalised(steps: Any) -> Any:
    """The steps with the names that scripts have; what is not a list of objects stays as it is."""
    if not isinstance(steps, list):
        return steps
    renamed = [_renamed(step) for step in steps]
    pictures = 0
    for step in renamed:
        if isinstance(step, dict) and step.get("do") == "screenshot":
            step.setdefault("name", f"screenshot-{pictures}")
            pictures += 1
    return renamed


def _renamed(step: Any) -> Any:
    if not isinstance(step, dict):
        return step
    alias = {"do": step["type"]} if "type" in step and "do" not in step else {}
    return {**alias, **{key: value for key, value in step.items() if key != "type" or not alias}}


class OtherVersionSerializer(serializers.Serializer[Any]):
    """`with`: another version, else the active one."""

    def get_fields(self) -> dict[str, Any]:
        number = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
        return {"with": number}  # a word that no attribute can have


class StepDifferenceSerializer(serializers.Serializer[Any]):
    """`sign`: = the same, ~ changed, + new, - gone. `changed`: keys with their old values."""

    sign = serializers.CharField()
    oldNumber = serializers.IntegerField(source="number_old", allow_null=True)
    newNumber = serializers.IntegerField(source="number_new", allow_null=True)
    step = serializers.JSONField()
    changed = serializers.JSONField()


class FlowFilter(django_filters.FilterSet):
    providerId = django_filters.NumberFilter("provider")

    class Meta:
        model = Flow
        fields: Sequence[str] = ("name", "active")


def _either(*serializer_classes: Any, many: bool = False) -> Any:
    name = "".join(one.__name__.removesuffix("Serializer") for one in serializer_classes)
    return PolymorphicProxySerializer(
        f"{name}Either", list(serializer_classes), resource_type_field_name=None, many=many
    )


@with_verbs(*FLOW_VERBS)
class FlowViewSet(Tenanted, mixins.CreateModelMixin, ReadOnlyViewSet):
    """POST makes the next version; a version never changes. A member has its organisation's."""

    queryset = Flow.objects.select_related("organisation", "provider")
    serializer_class = FlowSerializer
    reason_class = OptionalReasonSerializer
    filterset_class = FlowFilter

    def get_serializer_class(self) -> Any:
        if tenancy.organisation_of(getattr(self.request, "user", None)) is None:
            return FlowSerializer
        return NewFlowSerializer if self.action == "create" else OrganisationFlowSerializer

    @extend_schema(responses=_either(FlowSerializer, OrganisationFlowSerializer, many=True))
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(responses=_either(FlowSerializer, OrganisationFlowSerializer))
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().retrieve(request, *args, **kwargs)

    @extend_schema(
        request=_either(FlowSerializer, NewFlowSerializer),
        responses={201: _either(FlowSerializer, OrganisationFlowSerializer)},
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The flow's next version, hashed and signed."""
        return super().create(request, *args, **kwargs)

    @extend_schema(
        parameters=[OtherVersionSerializer],
        responses=StepDifferenceSerializer(many=True),
        filters=False,
    )
    @action(detail=True, pagination_class=None, filter_backends=())
    def differences(self, request: Request, pk: str) -> Response:
        """What this version does otherwise, step by step."""
        flow = self.get_object()
        asked = OtherVersionSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        named = asked.validated_data.get("with")
        rows = self.get_queryset() if named else flow.siblings().filter(active=True)
        other = get_object_or_404(rows, **({"pk": named} if named else {}))
        found = flow_differences(other.steps, flow.steps)
        return Response(StepDifferenceSerializer([asdict(one) for one in found], many=True).data)


FLOW_ROUTES: dict[str, type[viewsets.GenericViewSet[Any]]] = {"flows": FlowViewSet}
