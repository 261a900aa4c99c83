"""Signing keys in the API. Never a secret."""

from __future__ import annotations

from rest_framework import serializers

from brain.models import SigningKey
from brain.signing import KEY_VERBS
from orchestrator_site.api.views import ReadOnlyViewSet, with_verbs


class SigningKeySerializer(serializers.ModelSerializer[SigningKey]):
    class Meta:
        model = SigningKey
        fields = (
            "id",
            "key_id",
            "status",
            "created_at",
            "activated_at",
            "expires_at",
            "revoked_at",
        )
        read_only_fields = fields


@with_verbs(*KEY_VERBS)
class SigningKeyViewSet(ReadOnlyViewSet):
    queryset = SigningKey.objects.defer("secret")
    serializer_class = SigningKeySerializer
    filterset_fields = ("status", "key_id")
