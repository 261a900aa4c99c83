"""Members of all organisations, for our own staff."""

from __future__ import annotations

from rest_framework import serializers

from orchestrator_site.api.views import ReadOnlyViewSet, with_verbs
from orchestrator_site.membership import MEMBER_VERBS
from orchestrator_site.models import Member


class StaffMemberSerializer(serializers.ModelSerializer[Member]):
    email = serializers.CharField(source="user.email")
    active = serializers.BooleanField(source="user.is_active")

    class Meta:
        model = Member
        fields = ("id", "organisation", "email", "role", "active", "created_at")
        read_only_fields = fields


@with_verbs(*MEMBER_VERBS)
class StaffMemberViewSet(ReadOnlyViewSet):
    """Who belongs to which organisation. Owners see their own at `organisation/members`."""

    queryset = Member.objects.select_related("user")
    serializer_class = StaffMemberSerializer
    filterset_fields = ("organisation", "role")
