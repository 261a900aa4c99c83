"""What the API shows and takes of the brain."""

from __future__ import annotations

from copy import copy
from typing import Any

from django.db.models import Model
from rest_framework import serializers

from brain import importing
from brain.models import (
    Claim,
    ClientAuthorisation,
    Cycle,
    Flow,
    Motivo,
    Organismo,
    Reconciliation,
)
from orchestrator_site.api.serializing import Prepared
from queues.browser import scripts
from queues.models import EvidenceFile, TramiteTask


class CheckedSerializer(serializers.ModelSerializer[Any]):
    """Configuration: what the model and its constraints say of the whole row holds here too."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        model: type[Model] = self.Meta.model
        row = copy(self.instance) if self.instance else model()
        for name, value in attrs.items():
            setattr(row, name, value)
        row.full_clean()
        return attrs


class OrganismoSerializer(CheckedSerializer):
    class Meta:
        model = Organismo
        fields = (*importing.FIELDS, "id", "paused", "last_sync_at", "last_error")
        read_only_fields = ("paused", "last_sync_at", "last_error")


class MotivoSerializer(CheckedSerializer):
    class Meta:
        model = Motivo
        fields = ("id", "organismo", "key", "position", "asunto", "expone", "solicita")


class ClientAuthorisationSerializer(CheckedSerializer):
    class Meta:
        model = ClientAuthorisation
        fields = ("id", "numclient", "file", "valid_from", "valid_until", "notes", "created_at")


class FlowSerializer(serializers.ModelSerializer[Flow]):
    steps = serializers.JSONField()

    class Meta:
        model = Flow
        read_only_fields = (
            "organisation",
            "provider",
            "version",
            "label",
            "script_hash",
            "key_id",
            "active",
            "created_by",
        )
        fields = ("id", "name", "steps", "notes", *read_only_fields)

    def validate_steps(self, steps: Any) -> Any:
        try:
            scripts.validate(steps)
        except scripts.InvalidSteps as error:
            raise serializers.ValidationError(error.messages) from error
        return steps

    def create(self, validated_data: dict[str, Any]) -> Flow:
        by = self.context["request"].user.get_username()
        return Flow.add_version(
            validated_data["name"], validated_data["steps"], by, validated_data.get("notes", "")
        )


class ClaimSerializer(serializers.ModelSerializer[Claim]):
    site_id = serializers.CharField(source="organismo.site_id", read_only=True)

    class Meta:
        model = Claim
        exclude = ("organismo", "batch")


class CycleSerializer(serializers.ModelSerializer[Cycle]):
    class Meta:
        model = Cycle
        fields = ("id", "started_at", "finished_at", "outcome", "runner", "sites")


class ReconciliationSerializer(serializers.ModelSerializer[Reconciliation]):
    class Meta:
        model = Reconciliation
        fields = ("id", "at", "differences", "errors")


class TramiteTaskSerializer(Prepared):
    class Meta:
        model = TramiteTask
        exclude = ("lease_token", "script")


class EvidenceFileSerializer(serializers.ModelSerializer[EvidenceFile]):
    url = serializers.HyperlinkedIdentityField(view_name="api-evidence-download")

    class Meta:
        model = EvidenceFile
        fields = (
            "id",
            "case_id",
            "object_type",
            "object_id",
            "attempt",
            "kind",
            "path",
            "size",
            "sha256",
            "created_at",
            "url",
        )


class ImportSerializer(serializers.Serializer[Any]):
    """`organismo_config.json` as the request's body; `dry_run` in the query."""

    configs = serializers.ListField(child=serializers.DictField())


class DryRunSerializer(serializers.Serializer[Any]):
    """A word that is neither yes nor no is refused: it must not write by mistake."""

    dry_run = serializers.BooleanField(default=False)
