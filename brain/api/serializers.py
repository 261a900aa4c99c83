"""What the API shows and takes of the brain."""

from __future__ import annotations

from typing import Any

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
from queues.browser import scripts
from queues.models import EvidenceFile, TramiteTask


class OrganismoSerializer(serializers.ModelSerializer[Organismo]):
    class Meta:
        model = Organismo
        fields = (*importing.FIELDS, "id", "paused", "last_sync_at", "last_error")
        read_only_fields = ("paused", "last_sync_at", "last_error")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        row = Organismo(**{**(self._saved()), **attrs})
        row.pk = self.instance.pk if self.instance else None
        row.full_clean()
        return attrs

    def _saved(self) -> dict[str, Any]:
        if self.instance is None:
            return {}
        return {name: getattr(self.instance, name) for name in importing.FIELDS}


class MotivoSerializer(serializers.ModelSerializer[Motivo]):
    class Meta:
        model = Motivo
        fields = ("id", "organismo", "key", "position", "asunto", "expone", "solicita")


class ClientAuthorisationSerializer(serializers.ModelSerializer[ClientAuthorisation]):
    class Meta:
        model = ClientAuthorisation
        fields = ("id", "numclient", "file", "valid_from", "valid_until", "notes", "created_at")


class FlowSerializer(serializers.ModelSerializer[Flow]):
    class Meta:
        model = Flow
        fields = ("id", "name", "version", "steps", "script_hash", "active", "notes", "created_by")
        read_only_fields = ("version", "script_hash", "active", "created_by")

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


class TramiteTaskSerializer(serializers.ModelSerializer[TramiteTask]):
    class Meta:
        model = TramiteTask
        exclude = ("lease_token", "script")


class EvidenceFileSerializer(serializers.ModelSerializer[EvidenceFile]):
    url = serializers.HyperlinkedIdentityField(view_name="evidence")

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
